"""`record`: the spikes and the hidden states of the layers of any model, named as a chip's recordings name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from lambent.engines.grid.cpu import states
from lambent.events import Events, n_steps
from lambent.layers.layer import Layer
from lambent.layers.readout import LIReadout
from lambent.layers.spiking import Spiking
from lambent.machine.showing import counted, html_table


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        name: of the layer, as in `named_modules`.
        layer: the module.
        events: what went in.
        out: what came out, spikes or what a readout makes of them.
    """

    name: str
    layer: Spiking | LIReadout
    events: Events
    out: Any


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What the layers of a model did, in the order in which the model called them.

    What was recorded is there by its name: ``recording.spikes[i]``, ``recording.voltage[i]`` and so on are arrays
    (batch, n_i, steps) of layer i, column t after time step t + 1, voltages after the reset, as
    `lambent.hardware.loihi2.Recording` has them. Of a layer whose units have no such state n_i is 0.

    Attributes:
        layers: names of the layers, as in `named_modules`.
        dt: of each layer the length of a step [ms].
        arrays: for each name what was recorded of each layer.
        output: what the model returned, without gradient.
    """

    layers: tuple[str, ...]
    dt: tuple[float, ...]
    arrays: dict[str, tuple[np.ndarray, ...]]
    output: Any

    def __getattr__(self, name: str) -> tuple[np.ndarray, ...]:
        arrays = self.__dict__.get("arrays", {})  # which is not there yet while a copy is made
        if name in arrays:
            return arrays[name]
        raise AttributeError(f"{name} was not recorded; there are {', '.join(arrays)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.arrays]

    def __repr__(self) -> str:
        return f"Recording({recorded(self.arrays)})"

    def _repr_html_(self) -> str:
        return recorded_table(self.arrays, self.layers)


def recorded(arrays: Mapping[str, Sequence[np.ndarray]]) -> str:
    """What recorded arrays (batch, n_i, steps) are, in a line."""
    shapes = _shapes(arrays)
    if not shapes:
        return "nothing"
    steps = " or ".join(dict.fromkeys(f"{x[2]:,}" for x in shapes))
    sizes = ", ".join(f"{x[1]:,}" for x in shapes)
    return f"{counted(shapes[0][0], 'sample')}, {steps} steps, layers of {sizes} units: {', '.join(_there(arrays))}"


def recorded_table(arrays: Mapping[str, Sequence[np.ndarray]], layers: Sequence[str] = ()) -> str:
    """The same as a table for notebooks, a row for each layer; the layers are numbered where they have no names."""
    shapes = _shapes(arrays)
    names = layers or [str(i) for i in range(len(shapes))]
    rows = [(name, *(f"{n:,}" for n in x)) for name, x in zip(names, shapes, strict=True)]
    title = f"Recording: {', '.join(_there(arrays)) or 'nothing'}"
    return html_table(title, rows, ("layer", "samples", "units", "steps"))


def _there(arrays: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Sequence[np.ndarray]]:
    return {name: x for name, x in arrays.items() if len(x)}


def _shapes(arrays: Mapping[str, Sequence[np.ndarray]]) -> list[tuple[int, ...]]:
    """(batch, n_i, steps) of each layer; what it has none of has n_i = 0."""
    return [max((a.shape for a in x), key=lambda s: s[1]) for x in zip(*_there(arrays).values(), strict=True)]


@torch.no_grad()
def record(model: nn.Module, events: Any, *what: str) -> Recording:
    """Run a model and record what its layers do.

    States are those that the layer's spikes leave: they are stepped along with the neuron's own functions, in the
    weights' type, given the spikes that the layer emitted.

    Args:
        model: any module with `Spiking` layers or readouts on a grid.
        events: what the model takes.
        what: "spikes" and names of states, such as "current" and "voltage" of LIF units; all there are where left out.

    Raises:
        ValueError: no layer has a state of that name; names those there are. Or the model has no layers, calls one of
            them not as a module, or one runs in continuous time (dt=None), which has no steps.

    >>> import lambent as lb
    >>> model = torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2))
    >>> run = lb.record(model, lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0), "spikes", "voltage")
    >>> run.voltage[0].shape, run.voltage[1].shape
    ((1, 4, 20), (1, 2, 20))
    """
    for name, module in _layers(model).items():
        if module.dt is None:
            raise ValueError(
                f"layer {name}: continuous time (dt=None) has no steps to record; give a dt such as 1.0 ms"
            )
    known = list(dict.fromkeys(["spikes", *(n for layer in _layers(model).values() for n in _state_names(layer))]))
    if unknown := [name for name in what if name not in known]:
        raise ValueError(f"{unknown[0]!r}: no layer has such a state; there are {', '.join(known)}")
    output, calls = run_layers(model, events)
    wanted = what or tuple(known)
    each = [_recorded(call, wanted) for call in calls]
    return Recording(
        layers=tuple(call.name for call in calls),
        dt=tuple(float(call.layer.dt or 0.0) for call in calls),
        arrays={name: tuple(arrays[name] for arrays in each) for name in wanted},
        output=output,
    )


@torch.no_grad()
def run_layers(model: nn.Module, events: Any) -> tuple[Any, list[Call]]:
    """What a model returns, and every call of its layers in their order; layers in continuous time are as welcome.

    Raises:
        ValueError: the model has no layers, or did not call one of them.
    """
    layers = _layers(model)
    calls: list[Call] = []

    def note(name: str) -> Any:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            calls.append(Call(name, module, [*args, *kwargs.values()][0], out))

        return hook

    hooks = [layer.register_forward_hook(note(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        output = model(events)
    finally:
        for hook in hooks:
            hook.remove()
    called = {call.name for call in calls}
    if left := [name for name in layers if name not in called]:
        raise ValueError(
            f"layer {left[0]} was not called as a module, so nothing is known of what it did; of a model that "
            "computes as a chip, record the network on the chip"
        )
    return output, calls


def _layers(model: nn.Module) -> dict[str, Spiking | LIReadout]:
    """The layers by name; of a model that is one itself the name is its class's."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    named = model.named_modules()
    found = {name or type(x).__name__: x for name, x in named if isinstance(x, (Spiking, LIReadout))}
    if not found:
        raise ValueError("the model has no spiking layer and no readout (lambent.Spiking, LIF, LIReadout)")
    return found


def _state_names(layer: Layer) -> tuple[str, ...]:
    names = layer.neuron.state_names
    return names or tuple(f"state_{k}" for k in range(layer.neuron.on_grid(layer.dt or 1.0, torch.float32).n_states))


def _recorded(call: Call, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    layer, events, dt = call.layer, call.events.to("cpu"), float(call.layer.dt or 0.0)
    own = call.out.to("cpu") if isinstance(call.out, Events) else None
    names, found = _state_names(layer), {}
    if any(name in wanted for name in names):
        recurrent = layer.recurrent if isinstance(layer, Spiking) else None
        values = states(
            events, own, _on_cpu(layer.neuron), _on_cpu(layer.connections),
            None if recurrent is None else _on_cpu(recurrent), dt,
        )  # fmt: skip
        found = {name: values[:, k] for k, name in enumerate(names)}
    steps = n_steps(events.duration, dt)
    if "spikes" in wanted:
        found["spikes"] = (
            np.zeros((len(events), layer.out_features, steps), np.int8)
            if own is None
            else own.windowed_counts(dt).transpose(1, 2).numpy().astype(np.int8)
        )
    nothing = np.zeros((len(events), 0, steps), np.float32)
    return {name: found.get(name, nothing) for name in wanted}


def _on_cpu(part: Any) -> Any:
    """A neuron or connections with its tensors there."""
    names = (*part.parameters, *getattr(part, "buffers", ()))
    values = {name: getattr(part, name) for name in names}
    return part.with_values(**{name: x.detach().cpu() for name, x in values.items() if isinstance(x, torch.Tensor)})
