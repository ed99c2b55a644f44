"""Numba kernels of `exact` for units that don't hear each other: each on its own, through all that arrives at it.

No unit waits for another, so there is no queue and a unit's state stays in registers. Where every source reaches every
unit at once (no delays, no sparse connections) all units have the same arrivals, and those that share time constants
the same decays between them: an arrival costs a few multiplications. Spikes come before arrivals of the same time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from lambent.engines.exact_solution import crossing, earliest_crossing
from lambent.engines.exact_unit import (
    Decays,
    Peak,
    State,
    after,
    at_peak,
    before,
    decays,
    highest,
    inline,
    new_spikes,
    options,
    through_spike,
    turns,
    unit_at,
    with_room,
    write_spike,
)  # fmt: skip

_jit = njit(**options)


class Arrivals(NamedTuple):
    """What arrives in a sample, in the order of its times for each unit.

    Attributes:
        time, spike, connection: one entry each. `spike` counts from the sample's first.
        bounds: (size + 1,) unit k owns bounds[k]:bounds[k + 1]. Empty if all units share all entries; `connection` is
            then that to unit 0, which those to the others follow.
    """

    time: np.ndarray
    spike: np.ndarray
    connection: np.ndarray
    bounds: np.ndarray


@_jit
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


@inline
def _span(arrivals, k):
    """First and last + 1 of the arrivals of unit k, and what to add to their connections."""
    if len(arrivals.bounds):
        return arrivals.bounds[k], arrivals.bounds[k + 1], 0
    return 0, len(arrivals.time), k


@inline
def _fill(table, units, k, arrivals, lo, hi, derivatives):
    """Row n of `table`: the decays that lead up to the n-th arrival of unit k, from the one before or from time 0."""
    unit = unit_at(units, k)
    if not len(arrivals.bounds) and k and unit.tau_mem == units[k - 1, 0] and unit.tau_syn == units[k - 1, 1]:
        return  # as they are
    last = 0.0
    for n in range(lo, hi):
        d = decays(arrivals.time[n] - last, unit, derivatives)
        row = table[n - lo]
        row[0], row[1], row[2], row[3], row[4], row[5] = d
        last = arrivals.time[n]


@inline
def _decays_at(table, n):
    return Decays(table[n, 0], table[n, 1], table[n, 2], table[n, 3], table[n, 4], table[n, 5])


@_jit
def _new_table(arrivals):
    longest = len(arrivals.time)
    if len(arrivals.bounds):
        longest = 0
        for k in range(len(arrivals.bounds) - 1):
            longest = max(longest, arrivals.bounds[k + 1] - arrivals.bounds[k])
    return np.empty((longest, 6))


@inline
def _received(y, weight):
    return State(y.v, y.i + weight, y.v_m, y.v_s, y.i_s)


@inline
def _through_rise(x, peak, n, lo, hi, shift, arrivals, weight, table, unit, derivatives):
    """State, peak and number of the next arrival where V next is above threshold or has been at a maximum."""
    level = unit.threshold - unit.bias
    while n < hi:
        y = after(x, _decays_at(table, n - lo), unit, derivatives)
        # with one extremum at most, V was below threshold if it is, and if it did not turn from rising to falling
        if y.v >= level or turns(x, y):
            break
        if y.v > peak.v:
            peak = Peak(arrivals.time[n], y.v, y.v_m, y.v_s)
        x = _received(y, weight[arrivals.connection[n] + shift])
        n += 1
    return x, peak, n


@_jit
def lif_forward(
    first, last_sample, times, sources, offsets, connections, units, duration, derivatives, counts,
    peak_time, peak_change, limit,
):  # fmt: skip
    """As `exact_recurrent.lif_forward`."""
    size, weight = len(units), connections.weight
    spikes, total = new_spikes(), 0
    for b in range(first, last_sample):
        sample = slice(offsets[b], offsets[b + 1])
        arrivals = _arrivals(times[sample], sources[sample], connections, size, duration)
        table, begin = _new_table(arrivals), total
        for k in range(size):
            lo, hi, shift = _span(arrivals, k)
            _fill(table, units, k, arrivals, lo, hi, derivatives)
            unit = unit_at(units, k)
            x, peak = State(-unit.bias, 0.0, 0.0, 0.0, 0.0), Peak(0.0, -unit.bias, 0.0, 0.0)
            n, reset, level = lo, 0.0, unit.threshold - unit.bias
            while True:
                x, peak, n = _through_rise(x, peak, n, lo, hi, shift, arrivals, weight, table, unit, derivatives)
                now, t = arrivals.time[n - 1] if n > lo else 0.0, arrivals.time[n] if n < hi else duration
                d = _decays_at(table, n - lo) if n < hi else decays(t - now, unit, derivatives)
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
                    x = write_spike(spikes, total, now, k, x, reset, unit)
                    reset, peak = now, Peak(now, math.inf, 0.0, 0.0)  # not silent: look no more
                    counts[b, k] += 1
                    total += 1
                    d = decays(t - now, unit, derivatives)
                peak = highest(peak, x, y, t, d, unit, derivatives)
                if n == hi:
                    break
                x = _received(y, weight[arrivals.connection[n] + shift])
                n += 1
            peak_time[b, k], peak_change[b, k, 0], peak_change[b, k, 1] = peak.time, peak.v_m, peak.v_s
        _sort(spikes, begin, total)
    return spikes, total, -1, -1, 0.0


@_jit
def _sort(spikes, begin, end):
    """Put spikes begin:end in the order of their times."""
    own = slice(begin, end)
    order = np.argsort(spikes.time[own], kind="mergesort")
    spikes.time[own], spikes.unit[own] = spikes.time[own][order], spikes.unit[own][order]
    spikes.slope[own], spikes.change[own] = spikes.slope[own][order], spikes.change[own][order]


@_jit
def lif_backward(
    first, last_sample, times, sources, offsets, connections, units, min_slope, counts,
    peak_time, peak_change, spikes, own_offsets, grad_times, grad_counts, d_times, d_weight, d_delay, d_units,
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
            lo, hi, shift = _span(arrivals, k)
            _fill(table, units, k, arrivals, lo, hi, False)
            unit, begin = unit_at(units, k), end
            end += int(counts[b, k])
            # nothing that happens to a unit after its last spike (or its highest voltage, if it is silent) matters
            a_v, a_i = 0.0, 0.0
            if begin == end:
                a_v = at_peak(k, peak_time[b, k], peak_change[b, k], unit, grad_counts[b, k], d_units)
                now = np.nextafter(peak_time[b, k], -math.inf)  # what arrives at the peak comes after it
            else:
                now = spikes.time[own[end - 1]]
            n = np.searchsorted(arrivals.time[lo:hi], now, side="right") + lo - 1
            from_arrival = False  # whether `now` is the time of arrival n + 1
            for j in range(end - 1, begin - 2, -1):
                t = spikes.time[own[j]] if j >= begin else -math.inf
                while n >= lo and arrivals.time[n] >= t:
                    if a_v != 0.0 or a_i != 0.0:
                        arrival = arrivals.time[n]
                        d = _decays_at(table, n + 1 - lo) if from_arrival else decays(now - arrival, unit, False)
                        a_v, a_i = before(a_v, a_i, d)
                        c = arrivals.connection[n] + shift
                        d_weight[c] += a_i
                        if len(d_times) or len(d_delay):
                            pull = weight[c] * (a_i / unit.tau_syn - a_v / unit.tau_mem)
                            if len(d_times):
                                d_times[offsets[b] + arrivals.spike[n]] += pull
                            if len(d_delay):
                                d_delay[c] += pull
                        now, from_arrival = arrival, True
                    n -= 1
                if j >= begin:
                    if a_v != 0.0 or a_i != 0.0:
                        a_v, a_i = before(a_v, a_i, decays(now - t, unit, False))
                    a_v = through_spike(
                        a_v, grad_times[own[j]], spikes, own[j], unit, min_slope, grad_counts[b, k], d_units
                    )
                    now, from_arrival = t, False
