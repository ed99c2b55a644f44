"""Numba kernels of `exact` for units that don't hear each other: each on its own, through all that arrives at it.

No unit waits for another, so there is no queue and a unit's state stays in registers. Where every source reaches every
unit at once (no delays, no sparse connections) all units have the same arrivals, and those that share time constants
the same decays between them: an arrival costs a few multiplications. Spikes come before arrivals of the same time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lambent.connections.graded import scaled, value_at
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
    through_spike,
    turns,
    unit_at,
    with_room,
    write_spike,
)
from lambent.machine.compiling import inline, jit


class Arrivals(NamedTuple):
    """What arrives in a sample, the entries of each unit in the order of their times.

    Attributes:
        time, spike, connection: one entry each; `spike` counts from the sample's first.
        bounds: (size + 1,) unit k owns bounds[k]:bounds[k + 1]. Empty if all units share all entries; `connection` is
            then that to unit 0, which those to the others follow.
    """

    time: np.ndarray
    spike: np.ndarray
    connection: np.ndarray
    bounds: np.ndarray


class Inbox(NamedTuple):
    """What arrives at one unit, by connection[n] + shift; `first` is the sample's first spike.

    `decays`: rows of `Decays`, from the arrival before, or from time 0.
    """

    time: np.ndarray
    spike: np.ndarray
    connection: np.ndarray
    shift: int
    first: int
    decays: np.ndarray


@jit
def _arrivals(times, sources, connections, size, end):
    """What these spikes make arrive before `end`."""
    _, start, target, _, delay, shared = connections
    if shared:
        return Arrivals(times, np.arange(len(times)), start[sources], np.empty(0, np.int64))
    bounds = np.zeros(size + 1, np.int64)
    for n in range(len(times)):
        for c in range(start[sources[n]], start[sources[n] + 1]):
            if times[n] + delay[c] < end:
                bounds[target[c] + 1] += 1
    for k in range(size):
        bounds[k + 1] += bounds[k]
    time, spike, connection = (
        np.empty(bounds[size]),
        np.empty(bounds[size], np.int64),
        np.empty(bounds[size], np.int64),
    )
    place, in_order = bounds[:-1].copy(), True
    for n in range(len(times)):
        for c in range(start[sources[n]], start[sources[n] + 1]):
            t, k = times[n] + delay[c], target[c]
            if t < end:
                m = place[k]
                time[m], spike[m], connection[m] = t, n, c
                in_order &= m == bounds[k] or time[m - 1] <= t
                place[k] += 1
    if not in_order:
        for k in range(size):
            own = slice(bounds[k], bounds[k + 1])
            order = np.argsort(time[own], kind="mergesort")
            time[own], spike[own], connection[own] = time[own][order], spike[own][order], connection[own][order]
    return Arrivals(time, spike, connection, bounds)


@jit
def _new_table(arrivals):
    """Room for the decays of the unit with most arrivals."""
    longest = len(arrivals.time)
    if len(arrivals.bounds):
        longest = 0
        for k in range(len(arrivals.bounds) - 1):
            longest = max(longest, arrivals.bounds[k + 1] - arrivals.bounds[k])
    return np.empty((longest, 6))


@inline
def _inbox(arrivals, units, k, first, table, derivatives):
    """What arrives at unit k, the decays in `table`, where those of unit k - 1 are."""
    shared = len(arrivals.bounds) == 0
    lo, hi = (0, len(arrivals.time)) if shared else (arrivals.bounds[k], arrivals.bounds[k + 1])
    time, unit = arrivals.time[lo:hi], unit_at(units, k)
    if not (shared and k and unit.tau_mem == units[k - 1, 0] and unit.tau_syn == units[k - 1, 1]):
        last = 0.0
        for n in range(len(time)):
            row = table[n]
            row[0], row[1], row[2], row[3], row[4], row[5] = decays(time[n] - last, unit, derivatives)
            last = time[n]
    return Inbox(time, arrivals.spike[lo:hi], arrivals.connection[lo:hi], k if shared else 0, first, table)


@inline
def _decays_to(inbox, n):
    row = inbox.decays
    return Decays(row[n, 0], row[n, 1], row[n, 2], row[n, 3], row[n, 4], row[n, 5])


@inline
def _receive(y, n, inbox, weight, values):
    """The state after arrival n, where it was y before; `values` of the spikes of the batch, None where all are 1."""
    return State(y.v, y.i + _arriving(n, inbox, weight, values), y.v_m, y.v_s, y.i_s)


@inline
def _arriving(n, inbox, weight, values):
    """By how much I rises with arrival n."""
    return scaled(value_at(values, inbox.first + inbox.spike[n]), weight[inbox.connection[n] + inbox.shift])


@inline
def _before_maximum(x, peak, n, inbox, weight, values, unit, derivatives):
    """State, peak and next arrival where V, until that arrives, reaches threshold or a maximum.

    V has one extremum at most from one arrival to the next. So it stays below threshold if it ends there, and if it
    does not turn from rising to falling.
    """
    level = unit.threshold - unit.bias
    while n < len(inbox.time):
        y = after(x, _decays_to(inbox, n), unit, derivatives)
        if y.v >= level or turns(x, y):
            break
        if y.v > peak.v:
            peak = Peak(inbox.time[n], y.v, y.v_m, y.v_s)
        x = _receive(y, n, inbox, weight, values)
        n += 1
    return x, peak, n


@jit
def lif_forward(
    first, last_sample, times, sources, values, offsets, connections, units, duration, derivatives, payload, counts,
    peak_time, peak_change, limit,
):  # fmt: skip
    """As `exact_recurrent.lif_forward`."""
    size, weight = len(units), connections.weight
    spikes, total = new_spikes(payload), 0
    for b in range(first, last_sample):
        sample = slice(offsets[b], offsets[b + 1])
        arrivals = _arrivals(times[sample], sources[sample], connections, size, duration)
        table, begin = _new_table(arrivals), total
        for k in range(size):
            inbox, unit = _inbox(arrivals, units, k, offsets[b], table, derivatives), unit_at(units, k)
            end = len(inbox.time)
            x, peak = State(-unit.bias, 0.0, 0.0, 0.0, 0.0), Peak(0.0, -unit.bias, 0.0, 0.0)
            n, reset, level = 0, 0.0, unit.threshold - unit.bias
            while True:
                x, peak, n = _before_maximum(x, peak, n, inbox, weight, values, unit, derivatives)
                now, t = inbox.time[n - 1] if n else 0.0, inbox.time[n] if n < end else duration
                d = _decays_to(inbox, n) if n < end else decays(t - now, unit, derivatives)
                while True:
                    y = after(x, d, unit, derivatives)
                    s = math.inf
                    if y.v >= level or (
                        turns(x, y) and earliest_crossing(x.v, x.i, unit.tau_mem, level, unit.height) <= d.s
                    ):
                        s = crossing(x.v, x.i, unit.tau_mem, unit.tau_syn, level, d.s)
                    if now + s >= duration:
                        break
                    if total - begin == limit:
                        return spikes, total, b, k, now + s
                    now = min(now + s, t)
                    spikes = with_room(spikes, total)
                    x = after(x, decays(s, unit, derivatives), unit, derivatives)
                    x = write_spike(spikes, total, now, k, x, reset, unit, payload)
                    reset, peak = now, Peak(now, math.inf, 0.0, 0.0)  # not silent: look no more
                    counts[b, k] += 1
                    total += 1
                    d = decays(t - now, unit, derivatives)
                peak = highest(peak, x, y, t, d, unit, derivatives)
                if n == end:
                    break
                x = _receive(y, n, inbox, weight, values)
                n += 1
            peak_time[b, k], peak_change[b, k, 0], peak_change[b, k, 1] = peak.time, peak.v_m, peak.v_s
            if peak.v == -unit.bias:
                arrived = 0.0
                for n in range(end):
                    arrived += _arriving(n, inbox, weight, values)
                peak_time[b, k] = math.inf
                peak_change[b, k, 0], peak_change[b, k, 1] = mean_change(y, arrived, unit, duration)
        _sort(spikes, begin, total)
    return spikes, total, -1, -1, 0.0


@jit
def _sort(spikes, begin, end):
    """Put spikes begin:end in the order of their times."""
    own = slice(begin, end)
    order = np.argsort(spikes.time[own], kind="mergesort")
    spikes.time[own], spikes.unit[own] = spikes.time[own][order], spikes.unit[own][order]
    spikes.slope[own], spikes.change[own] = spikes.slope[own][order], spikes.change[own][order]


@jit
def lif_backward(
    first, last_sample, times, sources, values, offsets, connections, units, duration, min_slope, payload, counts,
    peak_time, peak_change, spikes, own_values, own_offsets, grad_times, grad_counts, grad_values, d_times, d_values,
    d_weight, d_delay, d_units,
):  # fmt: skip
    """As `exact_recurrent.lif_backward`."""
    size, weight = len(units), connections.weight
    for b in range(first, last_sample):
        sample = slice(offsets[b], offsets[b + 1])
        arrivals = _arrivals(times[sample], sources[sample], connections, size, math.inf)
        table = _new_table(arrivals)
        own = np.argsort(spikes.unit[own_offsets[b] : own_offsets[b + 1]], kind="mergesort") + own_offsets[b]
        end = 0  # of the unit's spikes in `own`
        for k in range(size):
            inbox, unit, begin = _inbox(arrivals, units, k, offsets[b], table, False), unit_at(units, k), end
            end += int(counts[b, k])
            # nothing that happens to a unit after its last spike (or its highest voltage, if it is silent) matters
            a_v, a_i, drive = 0.0, 0.0, 0.0
            if begin == end:
                now, a_v, drive = of_silent(
                    k, peak_time[b, k], peak_change[b, k], unit, grad_counts[b, k], duration, d_units
                )
            else:
                now = spikes.time[own[end - 1]]
            n = np.searchsorted(inbox.time, now, side="right") - 1
            from_arrival = False  # whether `now` is the time of arrival n + 1
            for j in range(end - 1, begin - 2, -1):
                t = spikes.time[own[j]] if j >= begin else -math.inf
                while n >= 0 and inbox.time[n] >= t:
                    if a_v != 0.0 or a_i != 0.0 or drive != 0.0:
                        arrival = inbox.time[n]
                        d = _decays_to(inbox, n + 1) if from_arrival else decays(now - arrival, unit, False)
                        a_v, a_i = before(a_v, a_i, d)
                        if drive != 0.0:
                            more = driven(drive, d, unit)
                            a_v, a_i = a_v + more[0], a_i + more[1]
                        c = inbox.connection[n] + inbox.shift
                        d_weight[c] += scaled(value_at(values, inbox.first + inbox.spike[n]), a_i)
                        if d_values is not None:
                            d_values[inbox.first + inbox.spike[n]] += weight[c] * a_i
                        if len(d_times) or len(d_delay):
                            pull = _arriving(n, inbox, weight, values) * (a_i / unit.tau_syn - a_v / unit.tau_mem)
                            if len(d_times):
                                d_times[offsets[b] + inbox.spike[n]] += pull
                            if len(d_delay):
                                d_delay[c] += pull
                        now, from_arrival = arrival, True
                    n -= 1
                if j >= begin:
                    if a_v != 0.0 or a_i != 0.0:
                        a_v, a_i = before(a_v, a_i, decays(now - t, unit, False))
                    a_v, a_i = through_spike(
                        a_v, a_i, grad_times[own[j]], value_at(grad_values, own[j]), spikes, own[j], unit, min_slope,
                        grad_counts[b, k], payload, d_units,
                    )  # fmt: skip
                    now, from_arrival = t, False
