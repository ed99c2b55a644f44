"""Engine `reference`: the specification of the grid in plain torch, float64, slow and obvious.

Forward is the recurrence of DESIGN 4.2 on dense tensors. Backward is left to autograd, with two additions that
make it EventProp: times and delays act through `_arrivals`, and a spike's jump of the adjoint is `_Spike.backward`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.neurons.lif import LIFNeuron, Synapses, delay_steps, grid_constants


class _Spike(torch.autograd.Function):
    """V -> (V after reset, 1 where it spiked, 0 that carries the gradient of the spike time)."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, i: Tensor, neuron: LIFNeuron) -> tuple[Tensor, Tensor, Tensor]:
        threshold, tau_mem = neuron.threshold.detach(), neuron.tau_mem.detach()
        spiked = v >= threshold
        slope = torch.maximum((i - v) / tau_mem, neuron.min_slope * threshold / tau_mem)  # Vdot(-)
        ctx.save_for_backward(spiked, slope, threshold, tau_mem)
        reset = v - threshold if neuron.reset == "subtract" else torch.zeros_like(v)
        return torch.where(spiked, reset, v), spiked.to(v.dtype), torch.zeros_like(v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        after, count, pull = grads
        spiked, slope, threshold, tau_mem = ctx.saved_tensors
        ratio = 1 + threshold / (tau_mem * slope)  # Vdot(+) / Vdot(-)
        return torch.where(spiked, after * ratio - pull / slope + count / threshold, after), None, None


def _deliver(
    current: Tensor, voltage: Tensor, n: int, spikes: Tensor, shift: Tensor, synapses: Synapses,
    tau_mem: Tensor, tau_syn: Tensor, dt: float,
) -> None:  # fmt: skip
    """Add the spikes (batch, from) of step n to what arrives at later steps, (steps, batch, to).

    `shift` (batch, from) is zero in value and carries the gradient of the spike times [ms]. An event that comes
    later by x leaves x / tau_syn of its weight more in I, and x / tau_mem less in V, at its step of arrival.
    """
    weight, delay = synapses
    steps = torch.zeros_like(weight) if delay is None else delay_steps(delay, dt)
    for d in steps.unique():
        arrival = n + 1 + int(d)
        if arrival >= len(current):
            continue
        chosen = weight * (steps == d)
        moved = shift @ chosen
        if delay is not None:
            moved = moved + spikes @ (chosen * (delay - delay.detach()))
        current[arrival] = current[arrival] + spikes @ chosen + moved / tau_syn
        voltage[arrival] = voltage[arrival] - moved / tau_mem


def _dense(events: Events, dt: float) -> tuple[Tensor, Tensor]:
    """Spike counts and, zero in value, sums of spike times; both (steps, batch, units)."""
    counts = events.to_dense(dt).to(torch.float64)
    times = events.times.to(torch.float64)
    index = (events.samples(), events.steps(dt).long(), events.units.long())
    shifts = torch.zeros_like(counts).index_put(index, times - times.detach(), accumulate=True)
    return counts.transpose(0, 1), shifts.transpose(0, 1)


def _double(neuron_or_synapses: Any) -> Any:
    values = [x.to(torch.float64) if isinstance(x, Tensor) else x for x in neuron_or_synapses]
    return type(neuron_or_synapses)(*values)


def lif(events: Events, neuron: LIFNeuron, inputs: Synapses, recurrent: Synapses | None, dt: float) -> Events:
    """Spikes of a layer of LIF units; see `lambent.engines`."""
    dtype = inputs.weight.dtype
    neuron, inputs = _double(neuron), _double(inputs)
    recurrent = None if recurrent is None else _double(recurrent)
    alpha_mem, alpha_syn, gain = grid_constants(neuron.tau_mem, neuron.tau_syn, dt)
    tau = neuron.tau_mem.detach(), neuron.tau_syn.detach()
    steps, batch, size = count_steps(events.duration, dt), len(events), inputs.weight.shape[1]
    x, x_shift = _dense(events, dt)
    rest = x.new_zeros(batch, size)
    current, voltage = [[rest] * steps for _ in range(2)]  # what arrives at each step
    i, v = rest, rest
    raised, spikes, shifts = [], [], []
    for n in range(steps):
        i = alpha_syn * i + current[n]
        v = alpha_mem * v + gain * i + voltage[n]
        raised.append(v)
        # subtracting what is zero in value gives the threshold the gradient of -V
        above = v - torch.where(v >= neuron.threshold, neuron.threshold - neuron.threshold.detach(), 0.0)
        v, spiked, shift = _Spike.apply(above, i.detach(), neuron)
        spikes.append(spiked)
        shifts.append(shift)
        _deliver(current, voltage, n, x[n], x_shift[n], inputs, *tau, dt)  # type: ignore[arg-type]
        if recurrent is not None:
            _deliver(current, voltage, n, spiked.detach(), shift, recurrent, *tau, dt)  # type: ignore[arg-type]
    return _collect(torch.stack(raised), torch.stack(spikes), torch.stack(shifts), neuron, events.duration, dt, dtype)


def _collect(
    raised: Tensor, spikes: Tensor, shifts: Tensor, neuron: LIFNeuron, duration: float, dt: float, dtype: torch.dtype
) -> Events:
    """Events of dense (steps, batch, size) spikes; silent units get their count's gradient at the highest V."""
    counts = spikes.sum(0)
    margin = (raised.amax(0) - neuron.threshold) / neuron.threshold.detach()
    counts = counts + torch.where(counts == 0, margin - margin.detach(), 0.0)
    b, n, u = spikes.detach().transpose(0, 1).nonzero(as_tuple=True)
    times = n.to(torch.float64) * dt + shifts[n, b, u]
    sizes = torch.bincount(b, minlength=len(counts))
    offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return Events(times.to(dtype), u, offsets, counts.shape[1], duration, counts=counts.to(dtype), check=False)


def voltages(events: Events, weight: Tensor, tau_mem: Tensor, tau_syn: Tensor, dt: float) -> Tensor:
    """Voltages (batch, steps, out) of leaky integrators; see `lambent.engines`."""
    alpha_mem, alpha_syn, gain = grid_constants(tau_mem, tau_syn, dt)
    tau = tau_mem.detach().to(torch.float64), tau_syn.detach().to(torch.float64)
    synapses = _double(Synapses(weight))
    x, x_shift = _dense(events, dt)
    rest = x.new_zeros(len(events), weight.shape[1])
    current, voltage = [[rest] * len(x) for _ in range(2)]
    i, v, out = rest, rest, []
    for n in range(len(x)):
        i = alpha_syn * i + current[n]
        v = alpha_mem * v + gain * i + voltage[n]
        out.append(v)
        _deliver(current, voltage, n, x[n], x_shift[n], synapses, *tau, dt)  # type: ignore[arg-type]
    return torch.stack(out, 1).to(weight.dtype)
