"""Post-training quantisation: the float model with the values its chip version has."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.hardware.loihi2.convert import check_model, convert
from lambent.layers import LIF


def quantized_model(
    model: nn.Sequential, weight_bits: int | Sequence[int] | None = None, *, calibration: Events | None = None
) -> nn.Sequential:
    """A copy of `model` with the weights and time constants that `export_netx` gives the chip.

    It still computes in floating point, so what it loses is due to rounding the parameters, and what the chip
    model loses beyond that to integer states. Weights make up for the rounded time constants' different gain.
    A model from `quantization_aware` becomes plain float layers with the weights it was trained with.

    Args:
        model, weight_bits, calibration: as for `lambent.hardware.loihi2.export_netx`.

    Raises:
        TypeError, ValueError: as `lambent.hardware.loihi2.export_netx`.
    """
    conversion = convert(model, weight_bits, calibration)
    quantized = copy.deepcopy(check_model(model))
    with torch.no_grad():
        for module, converted in zip(quantized, conversion.layers, strict=True):
            _assign(module.weight, converted.weight)
            _assign(module.tau_mem, converted.tau_mem)
            _assign(module.tau_syn, converted.tau_syn)
            if isinstance(module, LIF):
                _assign(module.recurrent_weight, converted.recurrent_weight)
                _assign(module.delay, converted.layer.synapse_delays.T * module.dt)
    return nn.Sequential(*quantized)


def _assign(parameter: Tensor | None, value: np.ndarray | None) -> None:
    if parameter is not None and value is not None:
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
