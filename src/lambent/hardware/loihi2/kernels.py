"""Numba kernels of the chip model: one sample of one layer at a time, event-driven, in integers.

    u = wrap(decay(u, iDecay) + (a << 6))              a: weights of the spikes that arrive in this step
    v = clip(decay(v, vDecay) + u + (bias << 6))       spike where v > (vThMant << 6), then v = 0

These are the rules of Lava's bit-accurate fixed-point LIF and Dense models. `decay(x, k)` is
sign(x) ((|x| (4096 - k)) >> 12), which rounds toward zero. `wrap` folds the current into
(-2^23, 2^23] and `clip` bounds the voltage to +-(2^23 - 1). A spike of step t arrives at step t + 1 + delay.

Spikes travel as lists: those of step t are `units[offsets[t]:offsets[t + 1]]`. Weights that are on their way
wait in a ring of 1 + max delay rows, of which row t % rows is used up at step t.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

LIMIT = 1 << 23
"""States have 24 bits with sign."""

_TURN = np.int32(2 * LIMIT - 1)
_EDGE = np.int32(LIMIT - 1)

_jit = njit(nogil=True, cache=True, error_model="numpy")


@_jit
def pack_dense(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spike lists (offsets, units) of one sample; `dense` (n_in, steps) bool."""
    n_in, steps = dense.shape
    offsets = np.zeros(steps + 1, np.int64)
    for i in range(n_in):
        for t in range(steps):
            offsets[t + 1] += dense[i, t]
    for t in range(steps):
        offsets[t + 1] += offsets[t]
    units = np.empty(offsets[steps], np.int32)
    free = offsets[:-1].copy()
    for i in range(n_in):
        for t in range(steps):
            if dense[i, t]:
                units[free[t]] = i
                free[t] += 1
    return offsets, units


@_jit
def pack_events(
    event_steps: np.ndarray, event_units: np.ndarray, n_in: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Spike lists of one sample from the step and unit of each event in order of time.

    Spikes carry no value, so several events of one unit in one step are one spike.
    """
    offsets = np.zeros(steps + 1, np.int64)
    units = np.empty(len(event_units), np.int32)
    latest = np.full(n_in, -1, np.int64)
    total = 0
    for e in range(len(event_units)):
        unit, step = event_units[e], event_steps[e]
        if latest[unit] != step:
            latest[unit] = step
            units[total] = unit
            total += 1
            offsets[step + 1] += 1
    for t in range(steps):
        offsets[t + 1] += offsets[t]
    return offsets, units[:total]


@_jit
def _decayed(x: np.int32, keep: np.int32) -> np.int32:
    """sign(x) ((|x| keep) >> 12) without 64-bit products: |x| is split at bit 12."""
    size = np.int32(-x) if x < 0 else np.int32(x)
    low = np.int32(np.int32(size & np.int32(4095)) * keep)
    kept = np.int32(np.int32(size >> np.int32(12)) * keep) + np.int32(low >> np.int32(12))
    return np.int32(-kept) if x < 0 else np.int32(kept)


class LayerConstants(NamedTuple):
    """A layer in the form the kernel takes.

    Attributes:
        weight: (in, out) int32.
        lag, delay: (in,) and (in, out) or (0, 0) int32, steps; a synapse's delay is the sum of both.
        rows: one more than the longest delay.
        recurrent: (out, out) int32 [from, to], or (0, 0).
        keep_current, keep_voltage: (out,) int32, 4096 - decay.
        bias, threshold: (out,) int32, shifted to the scale of the states.
    """

    weight: np.ndarray
    lag: np.ndarray
    delay: np.ndarray
    rows: int
    recurrent: np.ndarray
    keep_current: np.ndarray
    keep_voltage: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray


@_jit
def run_layer(
    offsets: np.ndarray,
    units: np.ndarray,
    layer: LayerConstants,
    spikes: np.ndarray,
    currents: np.ndarray,
    voltages: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one sample through one layer, from spike lists (offsets, units) to spike lists.

    `spikes` (steps, out) int8 of zeros and `currents` and `voltages` (steps, out) int32 are filled in; those
    without rows are not recorded.
    """
    weight, lag, delay, rows, recurrent, keep_current, keep_voltage, bias, threshold = layer
    steps, size = len(offsets) - 1, weight.shape[1]
    ring = np.zeros((rows, size), np.int32)
    u = np.zeros(size, np.int32)
    v = np.zeros(size, np.int32)
    fired = np.empty(size + 1, np.int32)
    sent_offsets = np.zeros(steps + 1, np.int64)
    sent = np.empty(4 * size, np.int32)
    total = 0
    for t in range(steps):
        arriving = ring[t % rows]
        for j in range(size):
            moved = np.int32(_decayed(u[j], keep_current[j]) + np.int32(arriving[j] << np.int32(6)))
            u[j] = np.int32(np.int32(np.int32(moved + _EDGE) & _TURN) - _EDGE)
            arriving[j] = 0
        crossings = np.int32(0)
        for j in range(size):
            raised = np.int32(_decayed(v[j], keep_voltage[j]) + np.int32(u[j] + bias[j]))
            v[j] = min(max(raised, np.int32(-_EDGE)), _EDGE)
            crossings += np.int32(v[j] > threshold[j])
        if crossings > 0:
            found = 0
            for j in range(size):  # without branches: the list is compacted by overwriting
                fired[found] = j
                found += v[j] > threshold[j]
            if total + found > len(sent):
                grown = np.empty(2 * len(sent), np.int32)
                grown[:total] = sent[:total]
                sent = grown
            for f in range(found):
                j = fired[f]
                v[j] = 0
                sent[total + f] = j
                if len(spikes) > 0:
                    spikes[t, j] = 1
                if len(recurrent) > 0:
                    target = ring[(t + 1) % rows]
                    for k in range(size):
                        target[k] += recurrent[j, k]
            total += found
        sent_offsets[t + 1] = total
        if len(currents) > 0:
            currents[t] = u
        if len(voltages) > 0:
            voltages[t] = v
        for e in range(offsets[t], offsets[t + 1]):
            i = units[e]
            start = (t + 1 + lag[i]) % rows
            if len(delay) == 0:
                target = ring[start]
                for k in range(size):
                    target[k] += weight[i, k]
            else:
                for k in range(size):
                    row = start + delay[i, k]
                    if row >= rows:
                        row -= rows
                    ring[row, k] += weight[i, k]
    return sent_offsets, sent[:total]
