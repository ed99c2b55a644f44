"""What every engine looks at before it begins."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.events import Events
from lambent.machine.remembered import transformed
from lambent.machine.waiting import Check, all_hold
from lambent.neurons.neuron import Neuron


def some_parameter(neuron: Neuron, inputs: Connections) -> Tensor:
    """One of a layer's parameters, to see device and type: of the connections if these have any."""
    found = (getattr(x, name) for x in (inputs, neuron) for name in x.parameters)
    return next(x for x in found if x is not None)


def check_input(events: Events, neuron: Neuron, inputs: Connections) -> None:
    """Raise unless `events` is an `Events` of as many units as there are inputs, on the device of the weights.

    Or if the weights are in a type that no engine computes with.
    """
    weight = some_parameter(neuron, inputs)
    if not isinstance(events, Events):
        raise TypeError(
            f"a layer takes lambent.Events, got {type(events).__name__}; Events.from_dense makes some of spikes per "
            "step, lambent.encode of values"
        )
    if events.n_units != inputs.n_in:
        raise ValueError(f"the layer has {inputs.n_in} inputs, the events have {events.n_units} units")
    if events.device != weight.device:
        raise ValueError(f"the layer is on {weight.device}, the events are on {events.device}")
    if weight.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"weights must be float32 or float64, got {weight.dtype}; for mixed precision use autocast")


def check_derivative(events: Events, *parts: Neuron | Connections | None) -> None:
    """Raise NotImplementedError where kernels would be asked for more than a backward pass, which is all they know.

    Tangents, which they do not see, would come out as zeros.
    """
    values = [getattr(part, name) for part in parts if part is not None for name in part.parameters]
    for x in (events.padded().times, events.padded().values, *values):
        if x is not None and transformed(x):
            raise NotImplementedError(
                "gradients of spikes and of voltages go backwards only: use backward() or torch.autograd.grad, not "
                "torch.func (jvp, vmap, grad, ...) or forward mode"
            )


def soundness(neuron: Neuron, inputs: Connections, recurrent: Connections | None) -> Check:
    """What must hold of the values of a layer.

    Raises:
        ValueError: a parameter has another shape than what it is of.
    """
    for name in neuron.parameters:
        _check_shape(name, getattr(neuron, name), (inputs.n_out,))
    for prefix, connections in (("", inputs), ("recurrent_", recurrent)):
        if connections is not None:
            for name in connections.parameters:
                _check_shape(prefix + name, getattr(connections, name), connections.parameter_shape)

    def checks() -> Iterator[Check]:
        yield neuron.sound()
        yield from inputs.checks()
        if recurrent is not None:
            yield from recurrent.checks("recurrent_")

    return all_hold(checks())


def _check_shape(name: str, value: Tensor | None, shape: tuple[int, ...]) -> None:
    if value is not None and value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
