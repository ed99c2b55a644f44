"""Engine `reference`: the specification of the grid in plain torch, float64, slow and obvious.

Forward is the recurrence of DESIGN 4.2 on dense tensors. Backward is left to autograd, to which the neuron's own
functions say what a step and a spike do to the adjoint (`_Step`, `_Spike`), and `_Mail` how times and delays act.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lambent.connections.connections import Connections, delay_steps
from lambent.engines.checks import some_parameter, soundness
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.machine.waiting import expect
from lambent.neurons.neuron import Neuron, Numbers
from lambent.neurons.payload import Payload


class _Step(torch.autograd.Function):
    """What arrives, state and fields -> the state one step on."""

    @staticmethod
    def forward(ctx: Any, kind: Any, arriving: Tensor, *state_and_fields: Tensor) -> tuple[Tensor, ...]:
        ctx.kind = kind
        ctx.save_for_backward(arriving, *state_and_fields)
        return kind.advance(state_and_fields[: kind.n_states], arriving, kind(*state_and_fields[kind.n_states :]))

    @staticmethod
    def backward(ctx: Any, *a: Tensor) -> tuple[Any, ...]:
        kind = ctx.kind
        arriving, *rest = ctx.saved_tensors
        before, p = tuple(rest[: kind.n_states]), kind(*rest[kind.n_states :])
        earlier, d_arriving = kind.retreat(a, before, arriving, p)
        values = kind.gradient(a, d_arriving, before, arriving, p)
        fields = {name: g.sum(0) for name, g in zip(kind.step_gradients, values, strict=True)}
        return None, d_arriving, *earlier, *(fields.get(name) for name in kind._fields)


class _Spike(torch.autograd.Function):
    """State and fields -> (state after reset, 1 where it spiked, 0 with the gradient of the spike time, its value)."""

    @staticmethod
    def forward(
        ctx: Any, kind: Any, payload: Payload | None, spiked: Tensor, *state_and_fields: Tensor
    ) -> tuple[Tensor, ...]:
        x, p = state_and_fields[: kind.n_states], kind(*state_and_fields[kind.n_states :])
        overshoot = kind.level(x, p) - p.threshold
        ctx.kind, ctx.payload = kind, payload
        ctx.save_for_backward(spiked, overshoot, *kind.marks(x, p), *p)
        after = [torch.where(spiked, new, old) for new, old in zip(kind.reset(x, p), x, strict=True)]
        value = torch.ones_like(overshoot) if payload is None else payload.value(overshoot)
        return *after, spiked.to(x[0].dtype), torch.zeros_like(x[0]), value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        kind = ctx.kind
        *after, count, pull, value = grads
        spiked, overshoot, *rest = ctx.saved_tensors
        marks, p = tuple(rest[: kind.n_marks]), kind(*rest[kind.n_marks :])
        push = count / p.threshold
        if ctx.payload is not None:
            push = push + value * ctx.payload.slope(overshoot)
        before = kind.jump(tuple(after), pull, push, marks, p)
        fields: dict[str, Tensor] = {
            name: torch.where(spiked, g, 0.0).sum(0)
            for name, g in zip(kind.spike_gradients, kind.spike_gradient(before, after, marks, p), strict=True)
        }
        before = [torch.where(spiked, new, old) for new, old in zip(before, after, strict=True)]
        return None, None, None, *before, *(fields.get(name) for name in kind._fields)


class _Mail:
    """What arrives at each step, and how the gradient of its time acts on the state then."""

    def __init__(self, kind: Any, p: Any, steps: int, batch: int, size: int, dt: float) -> None:
        rest = torch.zeros(batch, size, dtype=torch.float64)
        self.arriving = [rest] * steps
        self.moved = [rest] * steps  # zero in value
        self.dt = dt
        # an event of weight 1 that comes later by x leaves x times this more in what arrives, and in the state
        fixed, zero, one = kind(*(f.detach() for f in p)), torch.zeros(size).double(), torch.ones(size).double()
        nothing = (zero,) * kind.n_states
        self.late = kind.drift(one, nothing, fixed)
        self.late_state = tuple(
            kind.drift(zero, tuple(one if k == j else zero for j in range(kind.n_states)), fixed)
            for k in range(kind.n_states)
        )

    def matrices(self, connections: Connections | None) -> list[tuple[int, Tensor, Tensor | None]]:
        """For each delay in steps: it, the weights (from, to) of that delay, and those times (0 with its gradient)."""
        if connections is None:
            return []
        source, target, weight, delay = connections.entries()
        weight = weight.double()
        steps = torch.zeros_like(weight) if delay is None else delay_steps(delay, self.dt)
        found = []
        for d in steps.detach().unique():
            chosen = steps == d
            at = source[chosen], target[chosen]
            empty = weight.new_zeros(connections.n_in, connections.n_out)
            late = None
            if delay is not None:
                shift = (delay - delay.detach()).double() * weight
                late = empty.index_put(at, shift[chosen], accumulate=True)
            found.append((int(d), empty.index_put(at, weight[chosen], accumulate=True), late))
        return found

    def send(self, n: int, spikes: Tensor, shift: Tensor, matrices: list[tuple[int, Tensor, Tensor | None]]) -> None:
        """Sums of values (batch, from) of the spikes of step n.

        `shift` is zero and carries the gradient of their times [ms], each times the value.
        """
        for d, weight, late in matrices:
            arrival = n + 1 + d
            if arrival < len(self.arriving):
                moved = shift @ weight if late is None else shift @ weight + spikes @ late
                self.arriving[arrival] = self.arriving[arrival] + spikes @ weight + moved * self.late
                self.moved[arrival] = self.moved[arrival] + moved

    def take(self, kind: Any, x: Numbers, n: int, p: Any) -> Numbers:
        """The state after step n."""
        x = _Step.apply(kind, self.arriving[n], *x, *p)
        return tuple(value + self.moved[n] * late for value, late in zip(x, self.late_state, strict=True))


def _dense(events: Events, dt: float) -> tuple[Tensor, Tensor]:
    """Sums of the spikes' values and, zero, of these times spike times; both (steps, batch, units)."""
    counts = events.to_dense(dt).to(torch.float64)
    times = events.times.to(torch.float64)
    index = (events.samples(), events.steps(dt).long(), events.units.long())
    moved = times - times.detach()
    if events.values is not None:
        moved = moved * events.values.detach().to(torch.float64)
    shifts = torch.zeros_like(counts).index_put(index, moved, accumulate=True)
    return counts.transpose(0, 1), shifts.transpose(0, 1)


def spikes(
    events: Events, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float,
    payload: Payload | None = None,
) -> Events:  # fmt: skip
    """Spikes of a layer; see `lambent.engines`."""
    expect(*soundness(neuron, inputs, recurrent))
    dtype = some_parameter(neuron, inputs).dtype
    p: Any = neuron.on_grid(dt, torch.float64)
    kind = type(p)
    steps, batch, size = count_steps(events.duration, dt), len(events), inputs.n_out
    mail = _Mail(kind, p, steps, batch, size, dt)
    into, own = mail.matrices(inputs), mail.matrices(recurrent)
    x_in, shift_in = _dense(events, dt)
    x: Numbers = (x_in.new_zeros(batch, size),) * kind.n_states
    fixed = kind(*(f.detach() for f in p))
    raised, every, shifts, values = [], [], [], []
    for n in range(steps):
        before = tuple(value.detach() for value in x)
        x = mail.take(kind, x, n, p)
        raised.append(kind.level(x, fixed))
        above = kind.above(before, tuple(value.detach() for value in x), fixed)
        *after, spiked, shift, value = _Spike.apply(kind, payload, above, *x, *p)
        x = tuple(after)
        every.append(spiked)
        shifts.append(shift)
        values.append(value)
        mail.send(n, x_in[n], shift_in[n], into)
        value = value.detach()  # no gradient through overshoots that feed each other, see `Spiking`
        mail.send(n, spiked.detach() * value, shift * value, own)
    carried = None if payload is None else torch.stack(values)
    return _collect(
        torch.stack(raised), torch.stack(every), torch.stack(shifts), carried, p.threshold, events.duration, dt, dtype
    )


def _collect(
    raised: Tensor, spikes: Tensor, shifts: Tensor, values: Tensor | None, threshold: Tensor, duration: float,
    dt: float, dtype: torch.dtype,
) -> Events:  # fmt: skip
    """Events of dense (steps, batch, size) spikes.

    Silent units get their count's gradient at the highest level, those that never rose above rest at all levels alike.
    """
    counts, highest = spikes.sum(0), raised.amax(0)
    margin = (torch.where(highest > 0, highest, raised.mean(0)) - threshold) / threshold.detach()
    counts = counts + torch.where(counts == 0, margin - margin.detach(), 0.0)
    b, n, u = spikes.detach().transpose(0, 1).nonzero(as_tuple=True)
    times = n.to(torch.float64) * dt + shifts[n, b, u]
    sizes = torch.bincount(b, minlength=len(counts))
    offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    own = None if values is None else values[n, b, u]
    return Events(times.to(dtype), u, offsets, counts.shape[1], duration, own, counts=counts.to(dtype), check=False)


def levels(events: Events, neuron: Neuron, inputs: Connections, dt: float) -> Tensor:
    """Levels (batch, steps, out) of units that never spike; see `lambent.engines`."""
    p: Any = neuron.on_grid(dt, torch.float64)
    kind = type(p)
    x_in, shift_in = _dense(events, dt)
    mail = _Mail(kind, p, len(x_in), len(events), inputs.n_out, dt)
    into = mail.matrices(inputs)
    x: Numbers = (x_in.new_zeros(len(events), inputs.n_out),) * kind.n_states
    out = []
    for n in range(len(x_in)):
        x = mail.take(kind, x, n, p)
        out.append(kind.level(x, p))
        mail.send(n, x_in[n], shift_in[n], into)
    return torch.stack(out, 1).to(some_parameter(neuron, inputs).dtype)
