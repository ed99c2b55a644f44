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
        bound = self.layer.weight.new_tensor(largest_weights(self.layer, self.integers))
        for weight in (self.layer.weight, getattr(self.layer, "recurrent_weight", None)):
            if weight is not None:
                weight.clamp_(-bound, bound)

    def _on_chip(self, events: Events) -> tuple[ConvertedLayer, dict[str, Tensor]]:
        """The chip's layer, and what it is worth in a model: parameters with the values of the integers' and the
        gradients of the layer's own.
        """
        layer = self.layer
        _check(events, layer)
        chip = convert_layer(layer, self.integers)
        worth = {"weight": chip.weight, "tau_mem": chip.tau_mem, "tau_syn": chip.tau_syn}
        if chip.recurrent_weight is not None:
            worth["recurrent_weight"] = chip.recurrent_weight
        if chip.bias is not None:
            worth["bias"] = chip.bias
        return chip, {name: _straight_through(value, getattr(layer, name)) for name, value in worth.items()}


class AwareLIF(_Aware[Spiking]):
    """A `LIF` layer as the chip runs it, with the gradients of EventProp."""

    def forward(self, events: Events) -> Events:
        """Spikes of the layer, those of the exported network; raises as `LIF`, and on a CUDA device."""
        layer = self.layer
        chip, worth = self._on_chip(events)
        scale, dt = layer.weight.new_tensor(chip.scale), float(layer.dt or 0.0)
        threshold = _straight_through(np.multiply(chip.layer.v_th_mant, 64) + 0.5, layer.threshold * scale)
        values = {"tau_mem": worth["tau_mem"], "tau_syn": worth["tau_syn"], "threshold": threshold}
        if "bias" in worth:
            values["bias"] = worth["bias"] * scale
        neuron = layer.neuron.with_values(**values)
        inputs, recurrent = layer.connections.with_values(weight=worth["weight"] * scale), layer.recurrent
        if recurrent is not None:
            recurrent = recurrent.with_values(weight=worth["recurrent_weight"] * scale)
        return spikes(once_per_step(events, dt), chip.layer, neuron, inputs, recurrent, dt)


class AwareLIReadout(_Aware[LIReadout]):
    """A `LIReadout` on the voltages of the chip, with the gradients of the layer."""

    def forward(self, events: Events) -> Tensor:
        """As `LIReadout`, from the voltages of the exported network; raises on a CUDA device."""
        layer, dt = self.layer, float(self.layer.dt or 0.0)
        chip, worth = self._on_chip(events)
        events = once_per_step(events, dt)
        scores = Readout(layer.reduce, chip.scale / layer.scale).logits(voltages(events, chip.layer, dt))
        return _straight_through(scores, functional_call(layer, worth, (events,)))


def aware(
    model: nn.Sequential, weight_bits: int | Sequence[int] = 8, calibration: Events | None = None
) -> nn.Sequential:
    """A trainable copy of `model` that computes as the chip; see `lambent.quantize.quantization_aware`."""
    conversion = convert(model, weight_bits, calibration)
    return _fixed(copy.deepcopy(conversion.modules), [layer.integers for layer in conversion.layers])


def aware_of(model: nn.Sequential, state: Mapping[str, Any]) -> nn.Sequential | None:
    """`model` as the quantisation-aware one that `state`, a `state_dict`, was taken from; None if from a float one.

    Raises:
        RuntimeError: the state is of another network.
    """
    if not any(name.endswith(".resolution") for name in state):
        return None
    layers = check_model(model)
    unknown = [Integers(8, 1, np.ones(layer.out_features), np.ones(layer.out_features)) for layer in layers]
    made = _fixed(layers, unknown)
    made.load_state_dict(state)
    return made


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
