"""Engine `exact`: continuous time, spike times solved for, gradients exact (DESIGN 4.1).

Work per spike is one visit to each of its targets; memory is O(spikes). Units that hear each other go through their
events in the order of time (`exact_recurrent`), others each on its own, which is far cheaper (`exact_feedforward`).
Inside, all is float64; times and gradients leave in the type they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.engines.exact import feedforward as exact_feedforward
from lambent.engines.exact import recurrent as exact_recurrent
from lambent.engines.exact.readout import li_peaks
from lambent.engines.exact.unit import Connections, Spikes
from lambent.engines.groups import run_groups, sample_groups, total
from lambent.events import Events, within
from lambent.neurons.lif import LIFNeuron, SparseSynapses, Synapses, membrane_response

SPIKE_LIMIT = 1_000_000  # of a layer in one sample, or a thousand times its units if that is more


def lif(
    events: Events,
    neuron: LIFNeuron,
    inputs: Synapses | SparseSynapses,
    recurrent: Synapses | SparseSynapses | None,
    dt: None = None,
) -> Events:
    """Spikes of a layer of LIF units; see `lambent.engines`.

    Recurrent spikes without delay act at once. V is the threshold when a unit spikes, so both resets are one.

    Raises:
        RuntimeError: a sample has more spikes than `SPIKE_LIMIT`, as when excitation feeds on itself.
    """
    size = len(neuron.threshold)
    bias = torch.zeros_like(neuron.threshold) if neuron.bias is None else neuron.bias
    rows = [_sorted_by_delay(s) for s in (inputs, recurrent) if s is not None]
    weight, delay, target = (torch.cat([x.flatten() for x in column]) for column in zip(*rows, strict=True))
    fan_out = [torch.full((len(s.weight),), s.weight.shape[1]) for s in (inputs, recurrent) if s is not None]
    if recurrent is None:
        fan_out.append(torch.zeros(size, dtype=torch.int64))
    start = torch.cat([torch.zeros(1, dtype=torch.int64), *fan_out]).cumsum(0)
    wants_tau = neuron.tau_mem.requires_grad or neuron.tau_syn.requires_grad
    times, counts, units, offsets, *_ = lif_forward(
        events.times.double(), events.units, events.offsets, start, target, weight.double(), delay.double(),
        *(x.double() for x in (neuron.tau_mem, neuron.tau_syn, neuron.threshold, bias)),
        len(inputs.weight), events.duration, neuron.min_slope, wants_tau,
    )  # fmt: skip
    times = within(times.to(events.times.dtype), events.duration)
    counts = counts.to(inputs.weight.dtype)
    return Events(times, units, offsets, size, events.duration, counts=counts, check=False)


def peaks(events: Events, weight: Tensor, tau_mem: Tensor, tau_syn: Tensor) -> tuple[Tensor, Tensor]:
    """When leaky integrators that `events` reach through `weight` (in, out) are highest, not differentiable.

    Returns:
        The times (batch, out) float64 [ms], and the index (batch, out) of the spike at whose arrival V turns from
        rising to falling, or -1 where dV/dt = 0 and at the end.
    """
    top = np.empty((len(events), weight.shape[1]))
    spike = np.empty(top.shape, np.int64)
    tensors = (events.times, weight, tau_mem, tau_syn)
    times, *parameters = _arrays(*(x.double() for x in tensors))
    args = [times, *_arrays(events.units, events.offsets), *parameters, events.duration, top, spike]
    run_groups(lambda g, first, last: li_peaks(first, last, *args), len(events))
    return torch.from_numpy(top), torch.from_numpy(spike)


def _sorted_by_delay(synapses: Synapses | SparseSynapses) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, delays and targets (from, fan_out) of connections, the shortest delay first."""
    weight, delay = synapses.weight, synapses.delay
    if isinstance(synapses, SparseSynapses):
        target = synapses.target.to(torch.int32)
    else:
        target = torch.arange(weight.shape[1], dtype=torch.int32).expand(weight.shape)
    if delay is None:
        return weight, torch.zeros_like(weight), target
    order = delay.detach().argsort(dim=1, stable=True)
    return weight.gather(1, order), delay.gather(1, order), target.gather(1, order)


def _units(tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, bias: Tensor) -> np.ndarray:
    """Rows of `exact_unit.Unit`."""
    ratio = tau_mem / tau_syn
    at_peak = torch.where(ratio == 1, tau_mem, tau_mem * torch.log(ratio) / (ratio - 1))
    height = membrane_response(at_peak, tau_mem, tau_syn)
    return torch.stack((tau_mem, tau_syn, threshold, bias, height), 1).detach().numpy()


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [x.detach().contiguous().numpy() for x in tensors]


def _connections(inputs: int, size: int, *tensors: Tensor) -> Connections:
    start, target, weight, delay = _arrays(*tensors)
    aligned = len(target) == inputs * size and (target.reshape(inputs, size) == np.arange(size)).all()
    return Connections(inputs, start, target, weight, delay, bool(aligned and not delay.any()))


def _kernels(connections: Connections) -> ModuleType:
    recurrent = connections.start[-1] > connections.start[connections.inputs]
    return exact_recurrent if recurrent else exact_feedforward


@torch.library.custom_op("lambent::lif_exact", mutates_args=())
def lif_forward(
    times: Tensor, units: Tensor, offsets: Tensor, start: Tensor, target: Tensor, weight: Tensor, delay: Tensor,
    tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, bias: Tensor, inputs: int, duration: float, min_slope: float,
    wants_tau: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Times, counts, units, offsets; for the adjoint slopes, changes of V, and both of the silent units' peaks."""
    batch, size = len(offsets) - 1, len(threshold)
    counts, limit = np.zeros((batch, size)), max(SPIKE_LIMIT, 1000 * size)
    peak_time, peak_change = np.zeros((batch, size)), np.zeros((batch, size, 2))
    connections = _connections(inputs, size, start, target, weight, delay)
    args = (
        *_arrays(times, units, offsets), connections, _units(tau_mem, tau_syn, threshold, bias), duration, wants_tau,
        counts, peak_time, peak_change, limit,
    )  # fmt: skip
    kernels = _kernels(connections)
    parts = run_groups(lambda g, first, last: kernels.lif_forward(first, last, *args), batch)
    for *_, sample, unit, time in parts:
        if sample >= 0:
            raise RuntimeError(
                f"sample {sample}: the layer spiked {limit} times, unit {unit} last at {time:g} ms; "
                "weaken its excitation or strengthen its inhibition"
            )
    spikes = zip(*([x[:n] for x in room] for room, n, *_ in parts), strict=True)
    own_times, own_units, slopes, change = (torch.from_numpy(np.concatenate(x)) for x in spikes)
    sizes = torch.from_numpy(counts.sum(1).astype(np.int64))
    own_offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return (
        own_times, torch.from_numpy(counts), own_units, own_offsets, slopes, change,
        torch.from_numpy(peak_time), torch.from_numpy(peak_change),
    )  # fmt: skip


@lif_forward.register_fake
def _(
    times, units, offsets, start, target, weight, delay, tau_mem, tau_syn, threshold, bias, inputs, duration,
    min_slope, wants_tau,
):  # fmt: skip
    shape = (offsets.shape[0] - 1, threshold.shape[0])
    spikes = torch.library.get_ctx().new_dynamic_size()
    return (
        times.new_empty(spikes), times.new_empty(shape), torch.empty(spikes, dtype=torch.int32),
        torch.empty_like(offsets), times.new_empty((spikes, 2)), times.new_empty((spikes, 3)),
        times.new_empty(shape), times.new_empty((*shape, 2)),
    )  # fmt: skip


@torch.library.custom_op("lambent::lif_exact_backward", mutates_args=())
def lif_backward(
    grad_times: Tensor, grad_counts: Tensor,
    times: Tensor, units: Tensor, offsets: Tensor, start: Tensor, target: Tensor, weight: Tensor, delay: Tensor,
    tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, bias: Tensor,
    own_times: Tensor, counts: Tensor, own_units: Tensor, own_offsets: Tensor, slopes: Tensor, change: Tensor,
    peak_times: Tensor, peak_change: Tensor, inputs: int, min_slope: float, wants_times: bool, wants_delay: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of times, weight, delay and, (4, size), of tau_mem, tau_syn, bias and threshold.

    Those of times and delay are empty where not wanted.
    """
    batch = len(offsets) - 1
    d_times = np.zeros(len(times) if wants_times else 0)
    shapes = ((len(weight),), (len(weight) if wants_delay else 0,), (4, len(threshold)))
    totals = [np.zeros((len(sample_groups(batch)), *shape)) for shape in shapes]
    connections = _connections(inputs, len(threshold), start, target, weight, delay)
    args = (
        *_arrays(times, units, offsets), connections, _units(tau_mem, tau_syn, threshold, bias), min_slope,
        *_arrays(counts, peak_times, peak_change), Spikes(*_arrays(own_times, own_units, slopes, change)),
        *_arrays(own_offsets, grad_times, grad_counts), d_times,
    )  # fmt: skip
    kernels = _kernels(connections)
    run_groups(lambda g, first, last: kernels.lif_backward(first, last, *args, *(x[g] for x in totals)), batch)
    return (torch.from_numpy(d_times), *(total(x) for x in totals))  # type: ignore[return-value]


@lif_backward.register_fake
def _(
    grad_times, grad_counts, times, units, offsets, start, target, weight, delay, tau_mem, tau_syn, threshold, bias,
    own_times, counts, own_units, own_offsets, slopes, change, peak_times, peak_change, inputs, min_slope, wants_times,
    wants_delay,
):  # fmt: skip
    return (
        times.new_empty(len(times) if wants_times else 0), torch.empty_like(weight),
        weight.new_empty(len(weight) if wants_delay else 0),
        weight.new_empty((4, threshold.shape[0])),
    )  # fmt: skip


def _save(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    *tensors, ctx.inputs, _duration, ctx.min_slope, _wants_tau = inputs
    ctx.save_for_backward(*tensors, *output)


def _gradients(ctx: Any, grad_times: Tensor, grad_counts: Tensor, *_: Any) -> tuple[Any, ...]:
    needs = ctx.needs_input_grad
    d_times, d_weight, d_delay, d_units = lif_backward(
        grad_times, grad_counts, *ctx.saved_tensors, ctx.inputs, ctx.min_slope, needs[0], needs[6]
    )
    d_tau_mem, d_tau_syn, d_bias, d_threshold = d_units
    gradients = [d_times, *[None] * 4, d_weight, d_delay, d_tau_mem, d_tau_syn, d_threshold, d_bias]
    return (*(g if wanted else None for g, wanted in zip(gradients, needs, strict=False)), None, None, None, None)


torch.library.register_autograd("lambent::lif_exact", _gradients, setup_context=_save)
