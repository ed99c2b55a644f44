"""The float model with the values that its version on the chip has."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lambent.connections.connections import Connections
from lambent.connections.matrix import array
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.rounding import scale_of_threshold
from lambent.hardware.loihi2.units import bias_worth, times_of, weight_worth
from lambent.hardware.loihi2.wiring import CHANNELS, ONE, UNITS, Kernels, Matrices, wiring_of
from lambent.layers import LIReadout, Spiking


class Values(NamedTuple):
    """What the integers of one layer are worth in a model.

    Attributes:
        inputs, recurrent: connections of these weights and delays.
        times: (out,) float64 each, the time constants of the decays [ms], by name.
        bias: (out,) float64 or None.
    """

    inputs: Connections
    recurrent: Connections | None
    times: dict[str, np.ndarray]
    bias: np.ndarray | None


def values_of(
    wiring: Matrices | Kernels,
    layer: Loihi2Layer | ConvLayer,
    weight: np.ndarray,
    recurrent: np.ndarray | None,
    times: dict[str, np.ndarray],
    bias: np.ndarray | None,
) -> Values:
    """The values of a layer of the chip; see `ConvertedLayer` for the rest."""
    delays = wiring.delays(layer)
    made: list[Any] = []
    for connections, own, steps in zip((wiring.inputs, wiring.recurrent), (weight, recurrent), delays, strict=True):
        if connections is None or own is None:
            made.append(None)
            continue
        now = {"weight": torch.from_numpy(np.array(own))}
        if connections.delay is not None:
            now["delay"] = torch.from_numpy(steps * wiring.dt)
        made.append(connections.with_values(**now))
    inputs, among = made
    return Values(inputs, among, times, bias)


def with_values(modules: Sequence[Spiking | LIReadout], values: Sequence[Values]) -> nn.Sequential:
    """A copy of float layers with other values, and connections where the chip has others."""
    made = []
    for module, own in zip(modules, values, strict=True):
        inputs, recurrent = (type(x) for x in (own.inputs, own.recurrent))
        kept = inputs is type(module.connections) and recurrent is type(getattr(module, "recurrent", None))
        layer: Any = copy.deepcopy(module) if kept else _rewired(module, own)
        with torch.no_grad():
            for prefix, side in (("", own.inputs), ("recurrent_", own.recurrent)):
                for name in ("weight", "delay") if side is not None else ():
                    _assign(getattr(layer, prefix + name), getattr(side, name))
            for name, tau in own.times.items():
                _assign(getattr(layer, name), tau)
            _assign(getattr(layer, "bias", None), own.bias)
        made.append(layer)
    return nn.Sequential(*made)


def with_values_of(modules: Sequence[Spiking | LIReadout], network: Loihi2Network) -> nn.Sequential:
    """A copy of float layers with the values that `network`, which they were converted to, has.

    Raises:
        ValueError: the network is of other layers.
    """
    layers = [layer for layer in network.layers if isinstance(layer, (Loihi2Layer, ConvLayer))]
    wanted = [(module.out_features, module.in_features) for module in modules]
    if [(layer.n_out, layer.n_in) for layer in layers] != wanted:
        raise ValueError(f"{network} is not the network of this model, which has weights of {wanted}")
    return with_values(modules, [_values(*own, network) for own in zip(modules, layers, strict=True)])


def _values(module: Spiking | LIReadout, layer: Loihi2Layer | ConvLayer, network: Loihi2Network) -> Values:
    columns = {"pool": ONE, "conv": CHANNELS}.get(layer.kind, UNITS)
    wiring = wiring_of(module, layer.in_shape, columns)
    integers = wiring.integers(layer)
    if integers is None:
        raise ValueError(f"{network} is not the network of this model: {layer.name} has other connections")
    each = layer.n_out // integers.shape[1]  # units of a column, which are equal
    ranges = layer.neuron.ranges
    neuron: Any = replace(layer.neuron, **{key: layer.per_unit(getattr(layer.neuron, key))[::each] for key in ranges})
    if isinstance(module, Spiking):
        scale = scale_of_threshold(neuron.v_th_mant, array(module.threshold)[::each])
    elif isinstance(network.readout, Readout):
        scale = network.readout.scale * module.scale / 64
    else:
        raise ValueError(f"{network} has no readout of voltages, which the model has")
    times, bias = times_of(neuron, network.dt), None
    weight, recurrent = wiring.worth(weight_worth(integers / scale, times, network.dt))
    if isinstance(neuron, CUBA):
        bias = np.repeat(bias_worth(layer.per_unit(layer.bias)[::each], scale, neuron), each)
    spread = {name: np.repeat(tau, each) for name, tau in times.items()}
    return values_of(wiring, layer, weight, recurrent, spread, bias)


def _rewired(module: Any, own: Values) -> Spiking:
    """A layer like `module` with the connections of `own`."""
    dtype = module.weight.dtype
    return Spiking(module.neuron, own.inputs, own.recurrent, dt=module.dt, max_delay=module.max_delay).to(dtype)


def _assign(parameter: Tensor | None, value: Any) -> None:
    if parameter is not None and value is not None:
        parameter.copy_(torch.as_tensor(value))
