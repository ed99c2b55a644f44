"""Numba kernels of `exact` for recurrent layers: a sample's events in the order of their times, and the reverse.

A unit is touched only when an event arrives at it or it spikes; between, its state is the closed form of
`exact_solution`. What is on its way is a heap of (arrival, ...), one entry per spike whatever its number of targets:
the connections of a source are sorted by delay, and the entry stands for the next of them. At equal times spikes come
before arrivals, in both directions of time.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
from numba.core.types import none
from numba.extending import overload

from lambent.connections.graded import scaled, value_at
from lambent.engines.exact.queue import clear, earliest, new_queue, set_due
from lambent.engines.exact.solution import crossing, earliest_crossing
from lambent.engines.exact.unit import (
    Decays,
    Peak,
    State,
    after,
    before,
    decays,
    driven,
    highest,
    mean_change,
    new_spikes,
    of_silent,
    own_value,
    through_spike,
    unit_at,
    with_room,
    write_spike,
)
from lambent.machine.compiling import inline, jit


def _valued(entry, values, value):
    """An entry with the value of its spike, if there are `values`."""
    raise TypeError("for compiled kernels")


def _value(entry, values):
    """The value of an entry's spike, or None."""
    raise TypeError("for compiled kernels")


@overload(_valued, jit_options={"forceinline": True}, strict=False)
def _make_valued(entry, values, value):
    if values == none:
        return lambda entry, values, value: entry
    return lambda entry, values, value: (*entry, value)


@overload(_value, jit_options={"forceinline": True}, strict=False)
def _make_value(entry, values):
    return (lambda entry, values: None) if values == none else (lambda entry, values: entry[4])


class Past(NamedTuple):
    """What the units were like when last looked at.

    Attributes:
        state: (size, 5) rows of `State`.
        last: (size,) when.
        peak: (size, 4) rows of `Peak`, of units that have not spiked yet.
        arrived: (size,) the sum of the weights that arrived.
    """

    state: np.ndarray
    last: np.ndarray
    peak: np.ndarray
    arrived: np.ndarray


@inline
def _state_at(past, k):
    x = past.state
    return State(x[k, 0], x[k, 1], x[k, 2], x[k, 3], x[k, 4])


@inline
def _remember(past, k, t, x):
    row = past.state[k]
    row[0], row[1], row[2], row[3], row[4] = x
    past.last[k] = t


@inline
def _again(known, s, unit, derivatives):
    """Decays over s, and their unit; units that share time constants and arrivals share the work."""
    d, of = known
    if d.s == s and of.tau_mem == unit.tau_mem and of.tau_syn == unit.tau_syn:
        return known
    return decays(s, unit, derivatives), unit


@inline
def _advance(k, t, units, past, known, silent, derivatives):
    """Bring unit k to time t."""
    s = t - past.last[k]
    if s == 0.0:
        return known
    unit, x = unit_at(units, k), _state_at(past, k)
    known = _again(known, s, unit, derivatives)
    y = after(x, known[0], unit, derivatives)
    if silent:
        row = past.peak[k]
        row[0], row[1], row[2], row[3] = highest(
            Peak(row[0], row[1], row[2], row[3]), x, y, t, known[0], unit, derivatives
        )
    _remember(past, k, t, y)
    return known


@inline
def _await(k, units, past, queue, solved):
    """Put unit k into the queue with a time before which it can't spike, to be solved for when that has come."""
    unit = unit_at(units, k)
    s = earliest_crossing(past.state[k, 0], past.state[k, 1], unit.tau_mem, unit.threshold - unit.bias, unit.height)
    solved[k] = False
    set_due(queue, k, past.last[k] + s)


@inline
def _solve(k, units, past, queue, solved, duration):
    """Find out when unit k will spike if nothing more arrives."""
    unit, now = unit_at(units, k), past.last[k]
    s = crossing(
        past.state[k, 0], past.state[k, 1], unit.tau_mem, unit.tau_syn, unit.threshold - unit.bias, duration - now
    )
    solved[k] = True
    set_due(queue, k, now + s)


@jit
def lif_forward(
    first, last_sample, times, sources, values, offsets, connections, units, duration, derivatives, payload, counts,
    peak_time, peak_change, limit,
):  # fmt: skip
    """Spikes of samples `first:last_sample`.

    `values` are those of the spikes that come in, and `payload` says what the layer's own carry; None where all are 1,
    but `values` are there wherever one of the two is. Fills `counts` (batch, size) and of the silent units `peak_time`
    (batch, size) and `peak_change` (batch, size, 2), time and derivatives of their `Peak`.

    Returns room for `Spikes`, in order, and how many there are; then the sample and unit that reached more than
    `limit` spikes in a sample and its time, or (-1, -1, 0).
    """
    size = len(units)
    n_inputs, start, target, weight, delay, _ = connections
    past, reset = Past(np.zeros((size, 5)), np.zeros(size), np.zeros((size, 4)), np.zeros(size)), np.zeros(size)
    known = Decays(-1.0, 0.0, 0.0, 0.0, 0.0, 0.0), unit_at(units, 0)
    queue, solved = new_queue(size), np.empty(size, np.bool_)
    spikes, total = new_spikes(payload), 0
    for b in range(first, last_sample):
        past.state[:], past.last[:], past.peak[:], past.arrived[:], reset[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        clear(queue)
        for k in range(size):
            unit = unit_at(units, k)
            past.state[k, 0] = past.peak[k, 1] = -unit.bias
            if unit.bias > unit.threshold:
                _await(k, units, past, queue, solved)
        # arrival, time of the spike, connection, end of the source's connections, and value if there are any
        under_way = [_valued((math.inf, 0.0, 0, 0), values, 0.0)]
        for n in range(offsets[b], offsets[b + 1]):
            c, end = start[sources[n]], start[sources[n] + 1]
            if c < end:
                under_way.append(_valued((times[n] + delay[c], times[n], c, end), values, value_at(values, n)))
        heapq.heapify(under_way)
        begin = total
        while True:
            t = earliest(queue)
            arrival, spike, c, end = under_way[0][:4]
            if min(t, arrival) >= duration:
                break
            if t <= arrival:
                k = queue.heap[0]
                if not solved[k]:
                    _solve(k, units, past, queue, solved, duration)
                    continue
                if total - begin == limit:
                    return spikes, total, b, k, t
                known = _advance(k, t, units, past, known, False, derivatives)
                spikes = with_room(spikes, total)
                unit = unit_at(units, k)
                x = write_spike(spikes, total, t, k, _state_at(past, k), reset[k], unit, payload)
                _remember(past, k, t, x)
                reset[k] = t
                carried = own_value(spikes, total, unit, payload)
                total += 1
                counts[b, k] += 1
                _await(k, units, past, queue, solved)
                c, end = start[n_inputs + k], start[n_inputs + k + 1]
                if c < end:
                    heapq.heappush(under_way, _valued((t + delay[c], t, c, end), values, carried))
                continue
            lag, value = delay[c], _value(under_way[0], values)
            while c < end and delay[c] == lag:
                k = target[c]
                known = _advance(k, arrival, units, past, known, counts[b, k] == 0, derivatives)
                past.state[k, 1] += scaled(value, weight[c])
                if derivatives:
                    past.arrived[k] += scaled(value, weight[c])
                _await(k, units, past, queue, solved)
                c += 1
            if c < end:
                heapq.heapreplace(under_way, _valued((spike + delay[c], spike, c, end), values, value))
            else:
                heapq.heappop(under_way)
        for k in range(size):
            if not counts[b, k]:
                known = _advance(k, duration, units, past, known, True, derivatives)
                peak_time[b, k] = past.peak[k, 0]
                peak_change[b, k, 0], peak_change[b, k, 1] = past.peak[k, 2], past.peak[k, 3]
                unit = unit_at(units, k)
                if past.peak[k, 1] == -unit.bias:
                    peak_time[b, k] = math.inf
                    change = mean_change(_state_at(past, k), past.arrived[k], unit, duration)
                    peak_change[b, k, 0], peak_change[b, k, 1] = change
    return spikes, total, -1, -1, 0.0


@inline
def _retreat(k, t, units, a_v, a_i, drive, last, known):
    """Bring the adjoint of unit k back to time t: (dL/dV, dL/dI)."""
    s = last[k] - t
    if s > 0.0:
        unit = unit_at(units, k)
        known = _again(known, s, unit, False)
        a_v[k], a_i[k] = before(a_v[k], a_i[k], known[0])
        if drive[k] != 0.0:
            more = driven(drive[k], known[0], unit)
            a_v[k] += more[0]
            a_i[k] += more[1]
        last[k] = t
    return known


@jit
def lif_backward(
    first, last_sample, times, sources, values, offsets, connections, units, duration, min_slope, payload, counts,
    peak_time, peak_change, spikes, own_values, own_offsets, grad_times, grad_counts, grad_values, d_times, d_values,
    d_weight, d_delay, d_units,
):  # fmt: skip
    """Gradients of samples `first:last_sample`, added to what begins with d_.

    `grad_times` (spikes,), `grad_counts` (batch, size); `d_times`, `d_weight` and `d_delay` (connections,), the first
    and the last empty where not wanted, `d_values` None; `d_units` (4, size) of tau_mem, tau_syn, bias and threshold.
    `own_values` are there where `values` are, `grad_values` with a `payload`.
    """
    size = len(units)
    n_inputs, start, target, weight, delay, _ = connections
    a_v, a_i, drive, last = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    known = Decays(-1.0, 0.0, 0.0, 0.0, 0.0, 0.0), unit_at(units, 0)
    for b in range(first, last_sample):
        # nothing that happens to a unit after its last spike (or its highest voltage, if it is silent) matters
        a_v[:], a_i[:], drive[:], last[:] = 0.0, 0.0, 0.0, -math.inf
        for k in range(size):
            if not counts[b, k]:
                last[k], a_v[k], drive[k] = of_silent(
                    k, peak_time[b, k], peak_change[b, k], unit_at(units, k), grad_counts[b, k], duration, d_units
                )
        own = own_offsets[b + 1] - own_offsets[b]
        moved = grad_times[own_offsets[b] : own_offsets[b + 1]].copy()  # dL/dt of each spike of the layer
        if payload is not None:
            of_value = grad_values[own_offsets[b] : own_offsets[b + 1]].copy()
        else:
            of_value = None
        under_way = [(math.inf, 0, 0)]  # minus the arrival, spike (inputs, then own), connection
        inputs = offsets[b + 1] - offsets[b]
        for n in range(inputs):
            source = sources[offsets[b] + n]
            if start[source] < start[source + 1]:
                c = start[source + 1] - 1
                under_way.append((-(times[offsets[b] + n] + delay[c]), n, c))
        for n in range(own):
            k = spikes.unit[own_offsets[b] + n]
            last[k] = spikes.time[own_offsets[b] + n]
            source = n_inputs + k
            if start[source] < start[source + 1]:
                c = start[source + 1] - 1
                under_way.append((-(spikes.time[own_offsets[b] + n] + delay[c]), inputs + n, c))
        heapq.heapify(under_way)
        n = own - 1
        while n >= 0 or len(under_way) > 1:
            arrival = -under_way[0][0]
            s = own_offsets[b] + n
            if n >= 0 and spikes.time[s] > arrival:
                k = spikes.unit[s]
                known = _retreat(k, spikes.time[s], units, a_v, a_i, drive, last, known)
                a_v[k], a_i[k] = through_spike(
                    a_v[k], a_i[k], moved[n], value_at(of_value, n), spikes, s, unit_at(units, k), min_slope,
                    grad_counts[b, k], payload, d_units,
                )  # fmt: skip
                n -= 1
                continue
            _, spike, c = under_way[0]
            if spike < inputs:
                source, time = sources[offsets[b] + spike], times[offsets[b] + spike]
                value = value_at(values, offsets[b] + spike)
            else:
                source = n_inputs + spikes.unit[own_offsets[b] + spike - inputs]
                time = spikes.time[own_offsets[b] + spike - inputs]
                value = value_at(own_values, own_offsets[b] + spike - inputs)
            lag, pull, heard = delay[c], 0.0, 0.0
            while c >= start[source] and delay[c] == lag:
                k = target[c]
                if arrival <= last[k]:
                    known = _retreat(k, arrival, units, a_v, a_i, drive, last, known)
                    d_weight[c] += scaled(value, a_i[k])
                    moves = scaled(value, weight[c]) * (a_i[k] / units[k, 1] - a_v[k] / units[k, 0])
                    pull += moves
                    if values is not None:
                        heard += weight[c] * a_i[k]
                    if len(d_delay):
                        d_delay[c] += moves
                c -= 1
            if spike >= inputs:
                moved[spike - inputs] += pull
                if payload is not None:
                    of_value[spike - inputs] += heard
            else:
                if len(d_times):
                    d_times[offsets[b] + spike] += pull
                if d_values is not None:
                    d_values[offsets[b] + spike] += heard
            if c >= start[source]:
                heapq.heapreplace(under_way, (-(time + delay[c]), spike, c))
            else:
                heapq.heappop(under_way)
