"""The float model with the values that its version on the chip has."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.rounding import scale_of_threshold
from lambent.layers import LIReadout, Spiking
from lambent.neurons.response import grid_constants


class Values(NamedTuple):
    """What the integers of one layer are worth in a model.

    Attributes:
        weight, recurrent_weight: (in, out) and (out, out) [from, to] float64; the second may be None.
        tau_mem, tau_syn: (out,) float64, the time constants of the decays [ms].
        delay, recurrent_delay: (in, out) and (out, out) steps.
        bias: (out,) float64 or None.
    """

    weight: np.ndarray
    recurrent_weight: np.ndarray | None
    tau_mem: np.ndarray
    tau_syn: np.ndarray
    delay: np.ndarray
    recurrent_delay: np.ndarray
    bias: np.ndarray | None


def time_constant(decay: np.ndarray, dt: float) -> np.ndarray:
    """The time constant [ms] of decays in 1/4096 per step of `dt`."""
    return -dt / np.log(1 - decay / 4096)


def worth(effect: np.ndarray, tau_mem: np.ndarray, tau_syn: np.ndarray, dt: float) -> np.ndarray:
    """The weights (in, out) that have this effect on the voltage of units (out,) with such time constants."""
    gain = grid_constants(torch.from_numpy(tau_mem).float(), torch.from_numpy(tau_syn).float(), dt)[2]
    return effect / gain.double().numpy()


def bias_worth(bias: np.ndarray, scale: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """The biases (out,) of a model that integers are worth; `scale` is that of `Integers`."""
    return bias * 4096.0 / (scale * decay)


def with_values(modules: Sequence[Spiking | LIReadout], values: Sequence[Values]) -> nn.Sequential:
    """A copy of float layers with other values."""
    made = copy.deepcopy(list(modules))
    with torch.no_grad():
        for module, own in zip(made, values, strict=True):
            _assign(module.weight, own.weight)
            taus: Any = module.neuron
            _assign(taus.tau_mem, own.tau_mem)
            _assign(taus.tau_syn, own.tau_syn)
            if isinstance(module, Spiking):
                _assign(module.recurrent_weight, own.recurrent_weight)
                _assign(getattr(module, "bias", None), own.bias)
                _assign(module.delay, own.delay * module.dt)
                _assign(module.recurrent_delay, own.recurrent_delay * module.dt)
    return nn.Sequential(*made)


def with_values_of(modules: Sequence[Spiking | LIReadout], network: Loihi2Network) -> nn.Sequential:
    """A copy of float layers with the values that `network`, which they were converted to, has.

    Raises:
        ValueError: the network is of other layers.
    """
    wanted = [(module.out_features, module.in_features) for module in modules]
    layers = [layer for layer in network.layers if isinstance(layer, Loihi2Layer)]
    if [layer.weight.shape for layer in layers] != wanted:
        raise ValueError(f"{network} is not the network of this model, which has weights of {wanted}")
    return with_values(modules, [_values(*own, network) for own in zip(modules, layers, strict=True)])


def _values(module: Spiking | LIReadout, layer: Loihi2Layer, network: Loihi2Network) -> Values:
    if isinstance(module, Spiking):
        threshold = module.threshold.detach().cpu().double().numpy()
        scale = scale_of_threshold(layer.per_unit(layer.v_th_mant), threshold)
    elif isinstance(network.readout, Readout):
        scale = network.readout.scale * module.scale / 64
    else:
        raise ValueError(f"{network} has no readout of voltages, which the model has")
    tau_mem, tau_syn = (time_constant(layer.per_unit(x), network.dt) for x in (layer.v_decay, layer.i_decay))

    def weight(integers: np.ndarray) -> np.ndarray:
        return worth(integers.T / scale, tau_mem, tau_syn, network.dt)

    recurrent = None if layer.weight_rec is None else weight(layer.weight_rec)
    delays = layer.synapse_delays.T, layer.recurrent_delays.T
    bias = bias_worth(layer.per_unit(layer.bias), scale, layer.per_unit(layer.v_decay))
    return Values(weight(layer.weight), recurrent, tau_mem, tau_syn, *delays, bias)


def _assign(parameter: Tensor | None, value: np.ndarray | None) -> None:
    if parameter is not None and value is not None:
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
