"""Synapses: what a spike adds to the units it reaches, and when.

A spike of step t arrives at step t + 1 + delay. Sums of weights on their way wait in a ring of 1 + longest
delay rows, of which row t % rows is used up at step t. The part of the delay that all synapses onto a unit
share is waited for on reading instead, so it costs nothing per synapse. Sums have 32 bits and wrap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.hardware.loihi2.kernels import LIMIT
from lambent.machine.compiling import inline


class Synapses(NamedTuple):
    """Synapses in the form the kernels take; a convolution has `kernel`, anything else `weight`.

    Attributes:
        weight: (in, out) or (0, 0), int8 where all fit, else int16.
        lag, delay: (in,) and (in, out) or (0, 0) int32, steps; they add up.
        rows: of the ring.
        late: (out,) or (0,) int32, steps a unit waits before it takes what is there.
        slot: (out,) or (0,) uint32, place of each unit in a row of the ring.
        at_once: whether what arrives from the input in a step was sent in one: `lag` is 0 and there is no `delay`.
        recurrent, recurrent_delay: (out, out) [from, to], or (0, 0); as `weight`, and int32.
        kernel: (channels_in, height, width, channels_out / groups) int32, or (0, 0, 0, 0).
        row, column: (height_in, kernel height) and (width_in, kernel width) int32, the output's row and column
            that each weight of a kernel joins with a row and column of the input, or -1.
        sizes: int64, the output's width and channels, and the channels of a group in the input and the output.
        wraps: whether sums wrap into 24 bits.
    """

    weight: np.ndarray
    lag: np.ndarray
    delay: np.ndarray
    rows: int
    late: np.ndarray
    slot: np.ndarray
    at_once: bool
    recurrent: np.ndarray
    recurrent_delay: np.ndarray
    kernel: np.ndarray
    row: np.ndarray
    column: np.ndarray
    sizes: np.ndarray
    wraps: bool


@inline
def deliver(
    ring: np.ndarray, t: int, offsets: np.ndarray, units: np.ndarray, values: np.ndarray, synapses: Synapses
) -> None:
    """Add to `ring` what the input's spikes of step t are worth."""
    rows, weight, lag, delay, kernel = synapses.rows, synapses.weight, synapses.lag, synapses.delay, synapses.kernel
    following = (t + 1) % rows
    for e in range(offsets[t], offsets[t + 1]):
        unit, value = units[e], values[e] if len(values) > 0 else np.int32(1)
        start = following + lag[unit]
        if start >= rows:
            start -= rows
        target = ring[start]
        if len(kernel) > 0:
            _convolve(target, unit, value, synapses)
        elif len(delay) > 0:
            for k in range(len(target)):
                row = start + delay[unit, k]
                if row >= rows:
                    row -= rows
                ring[row, k] += np.int32(weight[unit, k] * value)
        else:
            for k in range(len(target)):
                target[k] += np.int32(weight[unit, k] * value)


@inline
def add_rows(ring: np.ndarray, t: int, weight: np.ndarray, units: np.ndarray, first: int, last: int) -> None:
    """Add the rows units[first:last] of `weight` to row t of `ring`, eight at a time, whose sum 16 bits hold.

    What spikes of value 1 are worth where all arrive at once. A call of `deliver` costs as much as 40 of these rows: it
    counts references to all arrays of the synapses.
    """
    e = first
    while e + 8 <= last:
        a, b, c, d = units[e], units[e + 1], units[e + 2], units[e + 3]
        f, g, h, i = units[e + 4], units[e + 5], units[e + 6], units[e + 7]
        for k in range(ring.shape[1]):
            left = np.int16(np.int16(weight[a, k] + weight[b, k]) + np.int16(weight[c, k] + weight[d, k]))
            right = np.int16(np.int16(weight[f, k] + weight[g, k]) + np.int16(weight[h, k] + weight[i, k]))
            ring[t, k] += np.int16(left + right)
        e += 8
    while e + 2 <= last:
        a, b = units[e], units[e + 1]
        for k in range(ring.shape[1]):
            ring[t, k] += np.int16(weight[a, k] + weight[b, k])
        e += 2
    if e < last:
        a = units[e]
        for k in range(ring.shape[1]):
            ring[t, k] += weight[a, k]


@inline
def deliver_recurrent(ring: np.ndarray, t: int, units: np.ndarray, values: np.ndarray, synapses: Synapses) -> None:
    """Add to `ring` what spikes of the layer's own `units` at step t are worth to the layer."""
    rows, recurrent, delay = synapses.rows, synapses.recurrent, synapses.recurrent_delay
    following = (t + 1) % rows
    target = ring[following]
    for e in range(len(units)):
        unit, value = units[e], values[e] if len(values) > 0 else np.int32(1)
        if len(delay) > 0:
            for k in range(len(target)):
                row = following + delay[unit, k]
                if row >= rows:
                    row -= rows
                ring[row, k] += np.int32(recurrent[unit, k] * value)
        else:
            for k in range(len(target)):
                target[k] += np.int32(recurrent[unit, k] * value)


@inline
def _convolve(target: np.ndarray, unit: int, value: np.int32, synapses: Synapses) -> None:
    """`target` is ordered by row, column, channel, so that the innermost loop runs over neighbours."""
    kernel, row, column = synapses.kernel, synapses.row, synapses.column
    width, channels, from_group, to_group = synapses.sizes
    line, x = divmod(unit, len(column))
    c, y = divmod(line, len(row))
    first = c // from_group * to_group
    for ky in range(kernel.shape[1]):
        at_y = row[y, ky]
        if at_y < 0:
            continue
        for kx in range(kernel.shape[2]):
            at_x = column[x, kx]
            if at_x < 0:
                continue
            start = (at_y * width + at_x) * channels + first
            there, weight = target[start : start + to_group], kernel[c, ky, kx]
            for k in range(len(weight)):
                there[k] += np.int32(weight[k] * value)


@inline
def gather(ring: np.ndarray, t: int, synapses: Synapses, gathered: np.ndarray) -> np.ndarray:
    """What reaches each unit at step t, in the order of units, taken out of the ring into `gathered`.

    Layers without `late` need it not: the ring's own row is what arrives. Kernels ask before they call, which
    is faster.
    """
    late, slot, rows = synapses.late, synapses.slot, synapses.rows
    now = t % rows
    if rows == 1:
        for j in range(len(gathered)):
            gathered[j] = ring[0, slot[j]]
        ring[0] = 0
    else:
        for j in range(len(gathered)):
            row = now - late[j]
            if row < 0:
                row += rows
            gathered[j] = ring[row, slot[j]]
            ring[row, slot[j]] = 0
    if synapses.wraps:
        for j in range(len(gathered)):
            gathered[j] = ((gathered[j] + np.int32(LIMIT)) & np.int32(2 * LIMIT - 1)) - np.int32(LIMIT)
    return gathered
