"""Post-training quantisation: the float model with the values its chip version has."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from lambent.events import Events
from lambent.hardware.chip import DEFAULT, find_chip


def quantized_model(
    model: nn.Sequential,
    weight_bits: int | Sequence[int] | None = None,
    *,
    calibration: Events | None = None,
    chip: str = DEFAULT,
) -> nn.Sequential:
    """A copy of `model` with the weights and time constants that an export gives the chip.

    It still computes in floating point, so what it loses is due to rounding the parameters, and what the chip
    model loses beyond that to integer states. Weights make up for the rounded time constants' different gain.
    A model from `quantization_aware` becomes plain float layers with the weights it was trained with.

    Args:
        model, weight_bits, calibration: as for the chip's export, such as `lb.hardware.loihi2.export_netx`.
        chip: its name.

    Raises:
        TypeError, ValueError: as the chip's export; or there is no such chip.
    """
    return find_chip(chip).convert(model, weight_bits, calibration).quantised()
