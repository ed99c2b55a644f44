"""What every engine on a grid shares: its operations, registered with torch, between layers and kernels.

An engine brings functions on plain tensors, whose signatures are the schemas below. `define_spikes` and `define_levels`
make them differentiable operations `lambent::spikes_<engine>` and `lambent::levels_<engine>` (with fakes, so that
`torch.compile` traces past them, and kept in float32 under autocast) and return what the engine offers.

In the schemas `neuron` holds the fields of the units (`lambent.neurons.neuron.Units`), `inputs` and `recurrent` what
`Connections.on_grid` gives, nothing where there are none; what kind each is comes by name (`lambent.engines.kinds`).
Gradients have the order of what they are of, and are empty where they are not wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lambent.connections.connections import Connections
from lambent.engines.checks import some_parameter
from lambent.engines.kinds import class_of, kind_of
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.neurons.neuron import Neuron
from lambent.neurons.payload import Payload

_LAYER = (
    "str neuron_kind, str inputs_kind, str recurrent_kind, Tensor times, Tensor steps, Tensor sources, Tensor offsets, "
    "Tensor? values, Tensor[] neuron, Tensor[] inputs, Tensor[] recurrent"
)
_WANTED = "bool wants_times, bool wants_values, bool[] wants_neuron, bool[] wants_inputs"

# times, counts, units, offsets, and for the adjoint steps, marks, peak steps (see `Emitted`), and values;
# `payload` is what the spikes carry, the fields of a `Payload`, or nothing;
# `room` is the GPU's: rows of its rings, and running ahead spikes of a sample (or its tile), whose spare places then
# come as padding;
# `sound` says whether all values are as they must be, where the engine looks only when it waits anyway
SPIKES_FORWARD = (
    f"({_LAYER}, int n_steps, float dt, float[] payload, int[] room, Tensor? sound) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
SPIKES_BACKWARD = (
    f"(Tensor grad_times, Tensor grad_counts, Tensor grad_values, {_LAYER}, Tensor own_units, Tensor own_offsets, "
    "Tensor own_steps, Tensor marks, Tensor peak_step, Tensor own_values, int n_steps, float[] payload, int[] room, "
    f"{_WANTED}, bool[] wants_recurrent) -> (Tensor, Tensor, Tensor[], Tensor[], Tensor[])"
)
_READOUT = (
    "str neuron_kind, str inputs_kind, Tensor times, Tensor steps, Tensor sources, Tensor offsets, "
    "Tensor? values, Tensor[] neuron, Tensor[] inputs"
)
# levels (batch, n_steps, size) of units that never spike
LEVELS_FORWARD = f"({_READOUT}, int n_steps) -> Tensor"
LEVELS_BACKWARD = f"(Tensor grad, {_READOUT}, {_WANTED}) -> (Tensor, Tensor, Tensor[], Tensor[])"

_MANY = 30_000  # steps, after which a rounded decay is off by 0.1 %

_Kernel = Callable[..., Any]


class Unsound(ValueError):
    """What an engine found, when it waited, not to hold; the caller knows what to say of it."""


class Emitted(NamedTuple):
    """What an operation returns: the spikes of a layer, and what its adjoint must know of them.

    Attributes:
        times, units, steps: (n_spikes,) in the order of samples and steps.
        counts: (batch, size) float.
        offsets: (batch + 1,).
        marks: (n_spikes, n_marks), see `Units.marks`; for graded spikes two more, the overshoot and the value.
        peak_step: (batch, size) step of the highest level of a unit that stayed silent; -2 of one that never rose above
            rest, for which all steps count alike, -1 of those that spiked.
        values: (n_spikes,) what the spikes carry; empty if they carry nothing.
    """

    times: Tensor
    counts: Tensor
    units: Tensor
    offsets: Tensor
    steps: Tensor
    marks: Tensor
    peak_step: Tensor
    values: Tensor


class GridLayer(NamedTuple):
    """The arguments of an operation that say what a layer is, see the schemas; and in what results are handed out."""

    neuron_kind: str
    inputs_kind: str
    recurrent_kind: str
    neuron: list[Tensor]
    inputs: list[Tensor]
    recurrent: list[Tensor]
    dtype: torch.dtype


def layer_on_grid(
    neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float, n_steps: int, as_places: bool = True
) -> GridLayer:
    """What a layer is on a grid of `n_steps` of `dt` [ms]; `as_places` as in `Connections.on_grid`.

    Raises:
        NotImplementedError: a parameter is to be trained for which the neuron knows no gradient.
    """
    handed_out = torch.float64 if some_parameter(neuron, inputs).dtype is torch.float64 else torch.float32
    dtype = torch.float64 if _needs_double(neuron, dt, n_steps) else handed_out
    units: Any = neuron.grid_units(dt, dtype)
    known = {*type(units).step_gradients, *type(units).spike_gradients}
    for name, value in zip(units._fields, units, strict=True):
        if value.requires_grad and torch.is_grad_enabled() and name not in known:
            raise NotImplementedError(f"{type(neuron).__name__} has no gradient with respect to {name}")
    if as_places:
        inputs, recurrent = inputs.in_kernels(), None if recurrent is None else recurrent.in_kernels()
    into, own, own_kind = inputs.on_grid(dt, n_steps, dtype, as_places), [], ""
    if recurrent is not None:
        own_kind, own = kind_of(type(recurrent)), recurrent.on_grid(dt, n_steps, dtype, as_places)
    return GridLayer(kind_of(type(units)), kind_of(type(inputs)), own_kind, list(units), into, own, handed_out)


def _needs_double(neuron: Neuron, dt: float, n_steps: int) -> bool:
    """Whether decays rounded to float32, off by up to 3e-8 a step, would be felt.

    So they are after many steps where a time constant is as long: 1,000 ms at steps of 0.001 ms would be 987 ms.
    """
    if n_steps <= _MANY or torch.compiler.is_compiling():
        return False
    longest = [getattr(neuron, name).detach().max() for name in neuron.time_constants]
    return bool(longest) and torch.stack(longest).max().item() > _MANY * dt


def define_spikes(engine: str, forward: _Kernel, backward: _Kernel) -> Callable[..., Events]:
    """The spikes of a layer (`layer_on_grid`) of `size` units, by the engine that these two make."""
    op = _operation(f"spikes_{engine}", forward, SPIKES_FORWARD, _fake_spikes)
    adjoint = _operation(f"spikes_{engine}_backward", backward, SPIKES_BACKWARD, _fake_spikes_backward)

    def gradients(ctx: Any, grad_times: Tensor, grad_counts: Tensor, *rest: Any) -> tuple[Any, ...]:
        wanted = ctx.needs_input_grad
        found = _spikes_gradients(ctx, adjoint, (grad_times, grad_counts, rest[-1]), wanted[3], *wanted[7:11])
        d_times, d_values, d_neuron, d_inputs, d_recurrent = found
        return (
            None, None, None, d_times, None, None, None, d_values, d_neuron, d_inputs, d_recurrent, None, None,
            None if ctx.payload else [], None if ctx.room else [], None,  # torch takes an empty list for one of tensors
        )  # fmt: skip

    def save(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
        *layer, n_steps, _dt, payload, room, _sound = inputs
        _save_spikes(ctx, layer, output, n_steps, payload, room)

    op.register_autograd(gradients, setup_context=save)

    def spikes(
        events: Events, layer: GridLayer, size: int, dt: float, payload: Payload | None = None,
        room: Sequence[int] = (), sound: Tensor | None = None,
    ) -> Events:  # fmt: skip
        events = events.padded()
        times, counts, units, offsets, *_, values = op(
            *layer[:3], events.times, events.steps(dt), events.units, events.offsets, events.values, *layer[3:6],
            count_steps(events.duration, dt), dt, [*(payload or ())], room, sound,
        )  # fmt: skip
        padded = len(room) > 1
        counts, own = counts.to(layer.dtype), None if payload is None else values
        return Events(times, units, offsets, size, events.duration, own, counts=counts, check=False, padded=padded)

    return spikes


def define_levels(engine: str, forward: _Kernel, backward: _Kernel, as_places: bool) -> Callable[..., Tensor]:
    """The function `levels` (see `lambent.engines`) of the engine that these two make; `as_places` as in `on_grid`."""
    op = _operation(f"levels_{engine}", forward, LEVELS_FORWARD, _fake_levels)
    adjoint = _operation(f"levels_{engine}_backward", backward, LEVELS_BACKWARD, _fake_levels_backward)

    def gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        wanted = ctx.needs_input_grad
        times, steps, sources, offsets, values, *rest = ctx.saved_tensors
        neuron, inputs = _split(rest, ctx.lengths)
        d_times, d_values, d_neuron, d_inputs = adjoint(
            grad.contiguous(), *ctx.kinds, times, steps, sources, offsets, values, neuron, inputs,
            wanted[2], wanted[6], wanted[7], wanted[8],
        )  # fmt: skip
        return (
            None, None, d_times if wanted[2] else None, None, None, None, d_values if wanted[6] else None,
            _given(d_neuron, wanted[7]), _given(d_inputs, wanted[8]), None,
        )  # fmt: skip

    def save(ctx: Any, inputs: Sequence[Any], output: Tensor) -> None:
        *ctx.kinds, times, steps, sources, offsets, values, neuron, connections, _n_steps = inputs
        ctx.lengths = len(neuron), len(connections)
        ctx.save_for_backward(times, steps, sources, offsets, values, *neuron, *connections)

    op.register_autograd(gradients, setup_context=save)

    def levels(events: Events, neuron: Neuron, inputs: Connections, dt: float) -> Tensor:
        """Levels (batch, steps, out) of units that never spike; see `lambent.engines`."""
        events = events.padded()
        n_steps = count_steps(events.duration, dt)
        layer = layer_on_grid(neuron, inputs, None, dt, n_steps, as_places)
        return op(
            layer.neuron_kind, layer.inputs_kind, events.times, events.steps(dt), events.units, events.offsets,
            events.values, layer.neuron, layer.inputs, n_steps,
        ).to(layer.dtype)  # fmt: skip

    return levels


def with_adjoint(
    backward: _Kernel, found: Emitted, events: Events, neuron: Neuron, inputs: Connections,
    recurrent: Connections | None, dt: float,
) -> Events:  # fmt: skip
    """Spikes that something else found, such as a chip, with the gradients that an engine's `backward` has for them.

    Neither these nor `events` carry values.
    """
    n_steps = count_steps(events.duration, dt)
    layer = layer_on_grid(neuron, inputs, recurrent, dt, n_steps)
    times, counts = _Found.apply(
        backward, found, layer, n_steps, events.times, events.steps(dt), events.units, events.offsets,
        *layer.neuron, *layer.inputs, *layer.recurrent,
    )  # fmt: skip
    return Events(times, found.units, found.offsets, inputs.n_out, events.duration, counts=counts, check=False)


class _Found(torch.autograd.Function):
    """Hands out the times and counts of spikes that were found; see `with_adjoint`."""

    @staticmethod
    def forward(ctx: Any, backward: _Kernel, found: Emitted, layer: GridLayer, n_steps: int, *events: Tensor) -> Any:
        ctx.adjoint = backward
        _save_spikes(ctx, [*layer[:3], *events[:4], None, *layer[3:6]], found, n_steps, (), ())
        return found.times.clone(), found.counts.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_times: Tensor, grad_counts: Tensor) -> tuple[Any, ...]:
        wanted = ctx.needs_input_grad[4:]
        lists = _split(wanted[4:], ctx.lengths)
        grads = grad_times, grad_counts, grad_times.new_empty(0)
        d_times, _, *found = _spikes_gradients(ctx, ctx.adjoint, grads, wanted[0], False, *lists)
        return None, None, None, None, d_times, None, None, None, *(g for gradients in found for g in gradients)


def _operation(name: str, function: _Kernel, schema: str, fake: _Kernel) -> Any:
    op = torch.library.custom_op(f"lambent::{name}", function, mutates_args=(), schema=schema)
    op.register_fake(fake)
    for device in ("cpu", "cuda"):
        op.register_autocast(device, torch.float32)
    return op


def _save_spikes(
    ctx: Any, layer: Sequence[Any], output: Sequence[Tensor], n_steps: int, payload: Sequence[float],
    room: Sequence[int],
) -> None:  # fmt: skip
    *kinds, times, steps, sources, offsets, values, neuron, inputs, recurrent = layer
    ctx.kinds, ctx.n_steps, ctx.payload, ctx.room = kinds, n_steps, payload, room
    ctx.lengths = len(neuron), len(inputs), len(recurrent)
    ctx.save_for_backward(times, steps, sources, offsets, values, *neuron, *inputs, *recurrent, *output[2:])


def _spikes_gradients(
    ctx: Any, adjoint: _Kernel, grads: Sequence[Tensor], times: bool, values: bool,
    neuron: Sequence[bool], inputs: Sequence[bool], recurrent: Sequence[bool],
) -> tuple[Any, Any, Any, Any, Any]:  # fmt: skip
    """Gradients of the events' times and values and the three lists, None where not wanted."""
    event_times, steps, sources, offsets, event_values, *rest = ctx.saved_tensors
    tensors = _split(rest, ctx.lengths)
    d_times, d_values, *found = adjoint(
        *grads, *ctx.kinds, event_times, steps, sources, offsets, event_values, *tensors, *rest[sum(ctx.lengths) :],
        ctx.n_steps, ctx.payload, ctx.room, times, values, neuron, inputs, recurrent,
    )  # fmt: skip
    of_lists = map(_given, found, (neuron, inputs, recurrent))
    return d_times if times else None, d_values if values else None, *of_lists  # type: ignore[return-value]


def _split(tensors: Sequence[Any], lengths: Sequence[int]) -> list[list[Any]]:
    out, first = [], 0
    for length in lengths:
        out.append(list(tensors[first : first + length]))
        first += length
    return out


def _given(gradients: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    return [g if w else None for g, w in zip(gradients, wanted, strict=True)]


def _empty_like(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor]:
    return [torch.empty_like(x) if w else x.new_empty(0) for x, w in zip(tensors, wanted, strict=True)]


def _fake_spikes(
    neuron_kind: str, _inputs_kind: str, _recurrent_kind: str, times: Tensor, _steps: Tensor, sources: Tensor,
    offsets: Tensor, _values: Tensor | None, neuron: Sequence[Tensor], _inputs: Sequence[Tensor],
    _recurrent: Sequence[Tensor], _n_steps: int, _dt: float, payload: Sequence[float], *_: Any,
) -> Any:  # fmt: skip
    batch, (size,), like = offsets.shape[0] - 1, neuron[0].shape, neuron[0]
    n = torch.library.get_ctx().new_dynamic_size()
    return (
        times.new_empty(n), like.new_empty((batch, size)), sources.new_empty(n), torch.empty_like(offsets),
        sources.new_empty(n), like.new_empty((n, class_of(neuron_kind).n_marks + len(payload))),
        sources.new_empty((batch, size)), times.new_empty(n if payload else 0),
    )  # fmt: skip


def _fake_spikes_backward(
    _grad_times: Tensor, _grad_counts: Tensor, _grad_values: Tensor, _neuron_kind: str, _inputs_kind: str,
    _recurrent_kind: str, times: Tensor, _steps: Tensor, _sources: Tensor, _offsets: Tensor, _values: Tensor | None,
    neuron: Sequence[Tensor], inputs: Sequence[Tensor], recurrent: Sequence[Tensor], *rest: Any,
) -> Any:  # fmt: skip
    wants_times, wants_values, *wanted = rest[-5:]
    of_events = _empty_like([times, times], [wants_times, wants_values])
    return *of_events, *map(_empty_like, (neuron, inputs, recurrent), wanted)


def _fake_levels(
    _neuron_kind: str, _inputs_kind: str, _times: Tensor, _steps: Tensor, _sources: Tensor, offsets: Tensor,
    _values: Tensor | None, neuron: Sequence[Tensor], _inputs: Sequence[Tensor], n_steps: int,
) -> Tensor:  # fmt: skip
    return neuron[0].new_empty((offsets.shape[0] - 1, n_steps, neuron[0].shape[0]))


def _fake_levels_backward(
    _grad: Tensor, _neuron_kind: str, _inputs_kind: str, times: Tensor, _steps: Tensor, _sources: Tensor,
    _offsets: Tensor, _values: Tensor | None, neuron: Sequence[Tensor], inputs: Sequence[Tensor], *rest: Any,
) -> Any:  # fmt: skip
    wants_times, wants_values, *wanted = rest
    return *_empty_like([times, times], [wants_times, wants_values]), *map(_empty_like, (neuron, inputs), wanted)
