"""Quantisation-aware training: the chip's integers forward, EventProp backward.

Every forward pass converts the layers' float parameters just as `export_netx` does and runs the integers with the
chip's arithmetic. The gradient, EventProp's of the converted layer, goes straight through the rounding to the float
parameters (Bengio, Leonard & Courville 2013), which so gather steps too small for the chip (Courbariaux, Bengio &
David 2015). To which integers weights are rounded is settled at the start, by calibration, and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lambent.engines.checks import check_input, soundness
from lambent.events import Events
from lambent.hardware.loihi2.convert import ConvertedLayer, check_model, convert, convert_layer, largest_weights
from lambent.hardware.loihi2.engine import once_per_step, spikes, voltages
from lambent.hardware.loihi2.fixed import FixedWeights
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.rounding import Integers
from lambent.layers import LIReadout, Spiking
from lambent.machine.waiting import expect

_Layer = TypeVar("_Layer", Spiking, LIReadout)


class _Aware(FixedWeights[_Layer]):
    """A layer on the chip; `layer` holds the parameters that an optimiser trains."""

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put trained values back where they mean something: as the layer does, and weights within the integers.

        A weight beyond the largest integer could otherwise move on without any effect.
        """
        self.layer.constrain_()
        layer = self.layer
        bound = layer.weight.new_tensor(largest_weights(layer, self.integers))
        for side in (layer.connections, layer.recurrent if isinstance(layer, Spiking) else None):
            if side is not None:
                most = side.per_weight(bound)
                side.weight.clamp_(-most, most)  # type: ignore[attr-defined]

    def _on_chip(self, events: Events) -> tuple[ConvertedLayer, dict[str, Tensor]]:
        """The chip's layer, and what its units are worth in a model: parameters with the values of the integers' and
        the gradients of the layer's own.
        """
        layer = self.layer
        _check(events, layer)
        chip = convert_layer(layer, self.integers)
        worth = chip.times if chip.bias is None else {**chip.times, "bias": chip.bias}
        return chip, {name: _straight_through(value, getattr(layer, name)) for name, value in worth.items()}


class AwareLIF(_Aware[Spiking]):
    """A layer of LIF units as the chip runs it, with the gradients of EventProp."""

    def forward(self, events: Events) -> Events:
        """Spikes of the layer, those of the exported network; raises as `LIF`, and on a CUDA device."""
        layer = self.layer
        chip, values = self._on_chip(events)
        scale, dt = layer.threshold.new_tensor(chip.scale), float(layer.dt or 0.0)
        mantissa = chip.layer.per_unit(chip.layer.neuron.v_th_mant)  # type: ignore[attr-defined]
        values["threshold"] = _straight_through(np.multiply(mantissa, 64) + 0.5, layer.threshold * scale)
        if "bias" in values:
            values["bias"] = values["bias"] * scale

        def in_units_of_the_chip(connections: Any, weight: np.ndarray) -> Any:
            own = _straight_through(weight, connections.weight) * connections.per_weight(scale)
            return connections.with_values(weight=own)

        inputs, recurrent = chip.wiring.inputs, chip.wiring.recurrent
        inputs = in_units_of_the_chip(inputs, chip.weight)
        if recurrent is not None and chip.recurrent_weight is not None:
            recurrent = in_units_of_the_chip(recurrent, chip.recurrent_weight)
        neuron = layer.neuron.with_values(**values)
        return spikes(once_per_step(events, dt), chip.layer, neuron, inputs, recurrent, dt)


class AwareLIReadout(_Aware[LIReadout]):
    """A `LIReadout` on the voltages of the chip, with the gradients of the layer."""

    def forward(self, events: Events) -> Tensor:
        """As `LIReadout`, from the voltages of the exported network; raises on a CUDA device."""
        layer, dt = self.layer, float(self.layer.dt or 0.0)
        chip, worth = self._on_chip(events)
        worth["weight"] = _straight_through(chip.weight, layer.weight)
        events = once_per_step(events, dt)
        scores = Readout(layer.reduce, chip.scale / layer.scale).logits(voltages(events, chip.layer, dt))
        return _straight_through(scores, functional_call(layer, worth, (events,)))


def aware(
    model: nn.Sequential, weight_bits: int | Sequence[int] = 8, calibration: Events | None = None
) -> nn.Sequential:
    """A trainable copy of `model` that computes as the chip; see `lambent.quantize.quantization_aware`."""
    conversion = convert(model, weight_bits, calibration)
    if len(conversion.modules) < len(model):
        raise TypeError("EventDropout and Channel would be left out of training; take them out, or export as it is")
    return _fixed(copy.deepcopy(conversion.modules), [layer.integers for layer in conversion.layers])


def aware_of(model: nn.Sequential, state: Mapping[str, Any]) -> nn.Sequential | None:
    """`model` as the quantisation-aware one that `state`, a `state_dict`, was taken from; None if from a float one.

    Raises:
        RuntimeError: the state is of another network.
    """
    if not any(name.endswith(".resolution") for name in state):
        return None
    layers = check_model(model)
    unknown = [_unknown(layer, state.get(f"{i}.scale")) for i, layer in enumerate(layers)]
    made = _fixed(layers, unknown)
    made.load_state_dict(state)
    return made


def _unknown(layer: Spiking | LIReadout, scale: Any) -> Integers:
    """Integers to be loaded, whose scales are as many as `scale` if a layer can have so many."""
    n = layer.out_features
    if isinstance(scale, Tensor) and scale.shape in ((1,), layer.connections.shape_out[:1]):
        n = len(scale)
    return Integers(8, 1, np.ones(n), np.ones(n))


def trained_bits(model: nn.Module) -> tuple[int, ...]:
    """The bits of each layer that a model was trained for; none for a float model."""
    return tuple(module.integers.bits for module in model.children() if isinstance(module, FixedWeights))


def _fixed(layers: Sequence[Spiking | LIReadout], integers: Sequence[Integers]) -> nn.Sequential:
    return nn.Sequential(
        *(
            AwareLIF(layer, own) if isinstance(layer, Spiking) else AwareLIReadout(layer, own)
            for layer, own in zip(layers, integers, strict=True)
        )
    )


def _check(events: Events, layer: Spiking | LIReadout) -> None:
    check_input(events, layer.neuron, layer.connections)
    if events.values is not None:
        raise NotImplementedError("the chip's arithmetic knows no values of spikes here; leave Events.values out")
    if events.device.type != "cpu":
        raise NotImplementedError(f"the chip's arithmetic runs on the CPU, the events are on {events.device}")
    recurrent = layer.recurrent if isinstance(layer, Spiking) else None
    expect(*soundness(layer.neuron, layer.connections, recurrent))


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, through: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


def _straight_through(value: np.ndarray, through: Tensor) -> Tensor:
    """`value`, with the gradient of `through` (the two of the same shape)."""
    return _StraightThrough.apply(torch.from_numpy(np.asarray(value)).to(through.dtype), through)
