"""Connections with delays in the kernels of the CPU: what their spikes did is gathered afterwards, source by source.

While the adjoint runs back in time, all steps of a chunk are kept (see `lambent.engines.grid.cpu_kernels`). Afterwards
each connection finds the steps in which its source's spikes arrived, four spikes at a time.
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lambent.connections.graded import put, room_for, scaled, value_at
from lambent.machine.compiling import fast, fast_inline


class DelayedArrays(NamedTuple):
    """Connections with delays, by source.

    Attributes:
        weight: one entry each.
        start: (from + 1,) source u owns the entries start[u]:start[u + 1].
        reach: one entry each, uint32: delay in steps * number of targets + target, the place of the target relative to
            the start of the next step's row.
    """

    weight: np.ndarray
    start: np.ndarray
    reach: np.ndarray

    delayed = True

    @staticmethod
    @fast_inline
    def deliver(window, row, arrays, units, values, first, last):
        weight, start, reach = arrays
        for k in range(first, last):
            u, p = units[k], value_at(values, k)
            for c in range(start[u], start[u + 1]):
                window[row, reach[c]] += scaled(p, weight[c])

    @staticmethod
    @fast_inline
    def weigh(drift, row, arrays, unit):
        weight, start, reach = arrays
        total = weight.dtype.type(0)
        for c in range(start[unit], start[unit + 1]):
            total += weight[c] * drift[row, reach[c]]
        return total

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        if gradients[0].shape[0] + gradients[1].shape[0] > 0 or d_times is not None:
            _collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last)


@fast
def _collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
    weight, start, reach = arrays
    of_weight, of_delay = room_in(gradients[0], weight), room_in(gradients[1], weight)
    both = side_by_side(history, drift)
    end, order, arrival, worth = by_source(d_times, start.shape[0] - 1, begin, steps, units, values, first, last)
    since = 0
    for u in range(end.shape[0]):
        gather(
            of_weight, of_delay, d_times, weight, reach, np.uint32(0), start[u], start[u + 1],
            both, order, arrival, worth, since, end[u],
        )  # fmt: skip
        since = end[u]


@fast
def by_source(d_times, n_sources, begin, steps, units, values, first, last):
    """Spikes first:last source after source.

    Returns the ends of each source's, which spikes they are (None if `d_times` is), their rows from step `begin` on,
    and their values.
    """
    end = np.zeros(n_sources + 1, np.int64)
    for e in range(first, last):
        end[units[e] + 1] += 1
    for u in range(n_sources):
        end[u + 1] += end[u]
    order: Any = None if d_times is None else np.empty(last - first, np.int64)
    arrival, worth = np.empty(last - first, steps.dtype), room_for(values, last - first)
    for e in range(first, last):
        u = units[e]
        if d_times is not None:
            order[end[u]] = e
        arrival[end[u]] = steps[e] - begin + 1
        put(worth, end[u], values, e)
        end[u] += 1
    return end[:n_sources], order, arrival, worth


@fast
def room_in(gradient, weight):
    """`gradient` as one row; room for one if it is empty, not wanted: all is gathered at once."""
    return gradient.reshape(-1) if gradient.shape[0] > 0 else np.zeros_like(weight)


@fast
def side_by_side(history, drift):
    """(rows, columns, 2): what is read together lies together."""
    both = np.empty((*history.shape, 2), history.dtype)
    for row in range(history.shape[0]):
        for j in range(history.shape[1]):
            both[row, j, 0] = history[row, j]
            both[row, j, 1] = drift[row, j]
    return both


@fast_inline
def gather(of_weight, of_delay, d_times, weight, reach, shift, first, last, both, order, arrival, worth, since, end):
    """What spikes since:end of one source did through its connections first:last, whose `reach` begins at `shift`.

    Adds to the gradients of weights, of delays (per weight), and of the spikes' times, unless `d_times` is None.
    """
    k = since
    while k + 3 < end:
        a, b, c, d = arrival[k], arrival[k + 1], arrival[k + 2], arrival[k + 3]
        p, q, r, s = value_at(worth, k), value_at(worth, k + 1), value_at(worth, k + 2), value_at(worth, k + 3)
        of_a = of_b = of_c = of_d = weight.dtype.type(0)
        for i in range(first, last):
            at, w = shift + reach[i], weight[i]
            of_weight[i] += (scaled(p, both[a, at, 0]) + scaled(q, both[b, at, 0])) + (
                scaled(r, both[c, at, 0]) + scaled(s, both[d, at, 0])
            )
            late_a, late_b = scaled(p, both[a, at, 1]), scaled(q, both[b, at, 1])
            late_c, late_d = scaled(r, both[c, at, 1]), scaled(s, both[d, at, 1])
            of_delay[i] += (late_a + late_b) + (late_c + late_d)
            if d_times is not None:
                of_a += w * late_a
                of_b += w * late_b
                of_c += w * late_c
                of_d += w * late_d
        if d_times is not None:
            d_times[order[k]] += of_a
            d_times[order[k + 1]] += of_b
            d_times[order[k + 2]] += of_c
            d_times[order[k + 3]] += of_d
        k += 4
    while k < end:
        a, p = arrival[k], value_at(worth, k)
        of_a = weight.dtype.type(0)
        for i in range(first, last):
            at = shift + reach[i]
            late = scaled(p, both[a, at, 1])
            of_weight[i] += scaled(p, both[a, at, 0])
            of_delay[i] += late
            if d_times is not None:
                of_a += weight[i] * late
        if d_times is not None:
            d_times[order[k]] += of_a
        k += 1
