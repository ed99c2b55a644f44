"""Engine `exact`: continuous time, spike times solved for, gradients exact (DESIGN 4.1).

Work per spike is one visit to each of its targets; memory is O(spikes). Units that hear each other go through their
events in the order of time (`recurrent`), others each on its own, which is far cheaper (`feedforward`).
Inside, all is float64; times and gradients leave in the type they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.engines.checks import some_parameter, soundness
from lambent.engines.exact import feedforward, recurrent
from lambent.engines.exact.readout import li_peaks
from lambent.engines.exact.unit import BySource, Spikes
from lambent.engines.groups import run_groups, sample_groups, total
from lambent.events import Events, within
from lambent.machine.waiting import expect
from lambent.neurons.lif import LIF
from lambent.neurons.neuron import Neuron
from lambent.neurons.payload import Payload
from lambent.neurons.response import membrane_response

SPIKE_LIMIT = 1_000_000  # of a layer in one sample, or a thousand times its units if that is more


def spikes(
    events: Events, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: None = None,
    payload: Payload | None = None,
) -> Events:  # fmt: skip
    """Spikes of a layer of LIF units; see `lambent.engines`.

    Recurrent spikes without delay act at once. V is the threshold when a unit spikes, so both resets are one.

    Raises:
        TypeError: the units are no LIF units, the only ones whose spike times are solved for.
        RuntimeError: a sample has more spikes than `SPIKE_LIMIT`, as when excitation feeds on itself.
    """
    if type(neuron) is not LIF:
        raise TypeError(f"continuous time (dt=None) knows LIF units only, not {type(neuron).__name__}; give a step dt")
    expect(*soundness(neuron, inputs, recurrent))
    dtype = some_parameter(neuron, inputs).dtype
    bias = torch.zeros(inputs.n_out) if neuron.bias is None else neuron.bias
    values = [torch.as_tensor(x) for x in (neuron.tau_mem, neuron.tau_syn, neuron.threshold, bias)]
    rows = [_by_source(c) for c in (inputs, recurrent) if c is not None]
    fan_out, target, weight, delay = (torch.cat(column) for column in zip(*rows, strict=True))
    if recurrent is None:
        fan_out = torch.cat([fan_out, fan_out.new_zeros(inputs.n_out)])
    start = torch.cat([fan_out.new_zeros(1), fan_out.cumsum(0)])
    wants_tau = any(x.requires_grad for x in values[:2])
    times, counts, units, offsets, *_, values = spikes_forward(
        events.times.double(), events.units, events.offsets,
        None if events.values is None else events.values.double(), [x.double() for x in values],
        [start, target, weight.double(), delay.double()],
        inputs.n_in, events.duration, neuron.least_slope(None), wants_tau, [*(payload or ())],
    )  # fmt: skip
    times = within(times.to(events.times.dtype), events.duration)
    own = None if payload is None else values
    return Events(times, units, offsets, inputs.n_out, events.duration, own, counts=counts.to(dtype), check=False)


def peaks(events: Events, neuron: Neuron, inputs: Connections) -> tuple[Tensor, Tensor]:
    """When leaky integrators that `events` reach through dense `inputs` are highest, not differentiable.

    Returns:
        The times (batch, out) float64 [ms], and the index (batch, out) of the spike at whose arrival V turns from
        rising to falling, or -1 where dV/dt = 0 and at the end.
    """
    top = np.empty((len(events), inputs.n_out))
    spike = np.empty(top.shape, np.int64)
    values = None if events.values is None else _arrays(events.values.double())[0]
    tensors = (events.times, inputs.weight, neuron.tau_mem, neuron.tau_syn)  # type: ignore[attr-defined]
    times, *parameters = _arrays(*(torch.as_tensor(x).double() for x in tensors))
    args = [times, *_arrays(events.units, events.offsets), values, *parameters, events.duration, top, spike]
    run_groups(lambda g, first, last: li_peaks(first, last, *args), len(events))
    return torch.from_numpy(top), torch.from_numpy(spike)


def _by_source(connections: Connections) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Connections of each source (n_in,), and of all, by source and the shortest delay first, target, weight, delay."""
    source, target, weight, delay = connections.entries()
    fan_out = torch.bincount(source, minlength=connections.n_in)
    if delay is None:
        return fan_out, target.to(torch.int32), weight, torch.zeros_like(weight)
    order = delay.detach().argsort(stable=True)
    order = order[source[order].argsort(stable=True)]
    return fan_out, target[order].to(torch.int32), weight[order], delay[order]


def _units(tau_mem: Tensor, tau_syn: Tensor, threshold: Tensor, bias: Tensor) -> np.ndarray:
    """Rows of `unit.Unit`."""
    ratio = tau_mem / tau_syn
    at_peak = torch.where(ratio == 1, tau_mem, tau_mem * torch.log(ratio) / (ratio - 1))
    height = membrane_response(at_peak, tau_mem, tau_syn)
    return torch.stack((tau_mem, tau_syn, threshold, bias, height), 1).detach().numpy()


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [x.detach().contiguous().numpy() for x in tensors]


def _connections(inputs: int, size: int, *tensors: Tensor) -> BySource:
    start, target, weight, delay = _arrays(*tensors)
    aligned = len(target) == inputs * size and (target.reshape(inputs, size) == np.arange(size)).all()
    return BySource(inputs, start, target, weight, delay, bool(aligned and not delay.any()))


def _values(values: Tensor | None, n: int, graded: Any) -> np.ndarray | None:
    """Values as the kernels take them: 1 for all where only others are `graded`, None where none are."""
    if values is None:
        return np.ones(n) if graded else None
    return _arrays(values)[0]


def _kernels(connections: BySource) -> ModuleType:
    return recurrent if connections.start[-1] > connections.start[connections.inputs] else feedforward


# `neuron` holds tau_mem, tau_syn, threshold and bias; `connections` those of inputs and units by source: start, target,
# weight and delay, where the first `inputs` sources are inputs
@torch.library.custom_op("lambent::spikes_exact", mutates_args=())
def spikes_forward(
    times: Tensor, units: Tensor, offsets: Tensor, values: Tensor | None, neuron: list[Tensor],
    connections: list[Tensor], inputs: int, duration: float, min_slope: float, wants_tau: bool, payload: list[float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Times, counts, units, offsets; for the adjoint slopes, changes of V, and both of the silent units' peaks; values.

    These are empty without a `payload`, the fields of a `Payload`.
    """
    batch, size = len(offsets) - 1, len(neuron[0])
    counts, limit = np.zeros((batch, size)), max(SPIKE_LIMIT, 1000 * size)
    peak_time, peak_change = np.zeros((batch, size)), np.zeros((batch, size, 2))
    every = _connections(inputs, size, *connections)
    carried = Payload(*payload) if payload else None
    args = (
        *_arrays(times, units), _values(values, len(times), carried), *_arrays(offsets), every, _units(*neuron),
        duration, wants_tau, carried, counts, peak_time, peak_change, limit,
    )  # fmt: skip
    kernels = _kernels(every)
    parts = run_groups(lambda g, first, last: kernels.lif_forward(first, last, *args), batch)
    for *_, sample, unit, time in parts:
        if sample >= 0:
            raise RuntimeError(
                f"sample {sample}: the layer spiked {limit} times, unit {unit} last at {time:g} ms; "
                "weaken its excitation or strengthen its inhibition"
            )
    found = zip(*([x[:n] for x in room] for room, n, *_ in parts), strict=True)
    own_times, own_units, slopes, change = (torch.from_numpy(np.concatenate(x)) for x in found)
    sizes = torch.from_numpy(counts.sum(1).astype(np.int64))
    own_offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    own_values = times.new_empty(0)
    if carried:
        own_values = carried.value(slopes[:, 0] * neuron[0].detach()[own_units.long()])
    return (
        own_times, torch.from_numpy(counts), own_units, own_offsets, slopes, change,
        torch.from_numpy(peak_time), torch.from_numpy(peak_change), own_values,
    )  # fmt: skip


@spikes_forward.register_fake
def _(times, units, offsets, values, neuron, connections, inputs, duration, min_slope, wants_tau, payload):
    shape = (offsets.shape[0] - 1, neuron[0].shape[0])
    n = torch.library.get_ctx().new_dynamic_size()
    return (
        times.new_empty(n), times.new_empty(shape), torch.empty(n, dtype=torch.int32),
        torch.empty_like(offsets), times.new_empty((n, 2)), times.new_empty((n, 4 if payload else 3)),
        times.new_empty(shape), times.new_empty((*shape, 2)), times.new_empty(n if payload else 0),
    )  # fmt: skip


@torch.library.custom_op("lambent::spikes_exact_backward", mutates_args=())
def spikes_backward(
    grad_times: Tensor, grad_counts: Tensor, grad_values: Tensor, times: Tensor, units: Tensor, offsets: Tensor,
    values: Tensor | None, neuron: list[Tensor], connections: list[Tensor], own_times: Tensor, counts: Tensor,
    own_units: Tensor, own_offsets: Tensor, slopes: Tensor, change: Tensor, peak_times: Tensor, peak_change: Tensor,
    own_values: Tensor, inputs: int, duration: float, min_slope: float, payload: list[float],
    wants_times: bool, wants_values: bool, wants_delay: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of times, values, weight, delay and, (4, size), of tau_mem, tau_syn, bias and threshold.

    Those of times, values and delay are empty where not wanted.
    """
    batch, size = len(offsets) - 1, len(neuron[0])
    d_times = np.zeros(len(times) if wants_times else 0)
    n = len(connections[2])
    totals = [np.zeros((len(sample_groups(batch)), *shape)) for shape in ((n,), (n if wants_delay else 0,), (4, size))]
    every = _connections(inputs, size, *connections)
    carried, d_values = Payload(*payload) if payload else None, np.zeros(len(times)) if wants_values else None
    came = _values(values, len(times), carried)
    left = None if came is None else _values(own_values if payload else None, len(own_times), True)
    args = (
        *_arrays(times, units), came, *_arrays(offsets), every, _units(*neuron), duration, min_slope, carried,
        *_arrays(counts, peak_times, peak_change), Spikes(*_arrays(own_times, own_units, slopes, change)), left,
        *_arrays(own_offsets, grad_times, grad_counts), _arrays(grad_values)[0] if payload else None, d_times, d_values,
    )  # fmt: skip
    kernels = _kernels(every)
    run_groups(lambda g, first, last: kernels.lif_backward(first, last, *args, *(x[g] for x in totals)), batch)
    of_values = times.new_empty(0) if d_values is None else torch.from_numpy(d_values)
    return (torch.from_numpy(d_times), of_values, *(total(x) for x in totals))  # type: ignore[return-value]


@spikes_backward.register_fake
def _(
    grad_times, grad_counts, grad_values, times, units, offsets, values, neuron, connections, own_times, counts,
    own_units, own_offsets, slopes, change, peak_times, peak_change, own_values, inputs, duration, min_slope, payload,
    wants_times, wants_values, wants_delay,
):  # fmt: skip
    weight = connections[2]
    return (
        times.new_empty(len(times) if wants_times else 0), times.new_empty(len(times) if wants_values else 0),
        torch.empty_like(weight),
        weight.new_empty(len(weight) if wants_delay else 0), weight.new_empty((4, neuron[0].shape[0])),
    )  # fmt: skip


def _save(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    times, units, offsets, values, neuron, connections, *numbers = inputs
    ctx.inputs, ctx.duration, ctx.min_slope, _wants_tau, ctx.payload = numbers
    ctx.save_for_backward(times, units, offsets, values, *neuron, *connections, *output)


def _gradients(ctx: Any, grad_times: Tensor, grad_counts: Tensor, *rest: Any) -> tuple[Any, ...]:
    wants_times, _, _, wants_values, wants_neuron, (_, _, _, wants_delay), *_ = ctx.needs_input_grad
    saved = ctx.saved_tensors
    d_times, d_values, d_weight, d_delay, d_units = spikes_backward(
        grad_times, grad_counts, rest[-1], *saved[:4], list(saved[4:8]), list(saved[8:12]), *saved[12:],
        ctx.inputs, ctx.duration, ctx.min_slope, ctx.payload, wants_times, wants_values, wants_delay,
    )  # fmt: skip
    d_tau_mem, d_tau_syn, d_bias, d_threshold = d_units
    d_neuron = [
        g if w else None for g, w in zip((d_tau_mem, d_tau_syn, d_threshold, d_bias), wants_neuron, strict=True)
    ]
    d_connections = [None, None, d_weight, d_delay if wants_delay else None]
    return (
        d_times if wants_times else None, None, None, d_values if wants_values else None, d_neuron, d_connections,
        None, None, None, None, None if ctx.payload else [],  # torch takes an empty list for one of tensors
    )  # fmt: skip


torch.library.register_autograd("lambent::spikes_exact", _gradients, setup_context=_save)
