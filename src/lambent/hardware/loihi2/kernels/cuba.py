"""CUBA units.

    u = wrap(decay(u, iDecay) + (a << 6))              a: weights of the spikes that arrive in this step
    v = clip(decay(v, vDecay) + u + (bias << 6))       spike where v > (vThMant << 6), then v = 0

These are the rules of Lava's bit-accurate fixed-point LIF and Dense models. `decay(x, k)` is
sign(x) ((|x| (4096 - k)) >> 12), which rounds toward zero. `wrap` folds the current once into
(-2^23, 2^23], which it leaves where more than 2^24 arrive in one step, and `clip` bounds the voltage to +-(2^23 - 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.hardware.loihi2.kernels import LIMIT
from lambent.hardware.loihi2.kernels.lists import grown, record
from lambent.hardware.loihi2.kernels.synapses import Synapses, add_rows, deliver, deliver_recurrent, gather
from lambent.machine.compiling import jit

_TURN = np.int32(2 * LIMIT)
_EDGE = np.int32(LIMIT - 1)


class Units(NamedTuple):
    """CUBA units in the form the kernel takes.

    Attributes:
        keep_current, keep_voltage: (out,) int32, 4096 - decay.
        bias, threshold: (out,) int32, shifted to the scale of the states.
        interval, phase: current and voltage are 0 before every step that is `phase` more than a multiple of `interval`;
            0 for never.
    """

    keep_current: np.ndarray
    keep_voltage: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray
    interval: int
    phase: int


@jit
def decayed(x: np.int32, keep: np.int32) -> np.int32:
    """sign(x) ((|x| keep) >> 12) without 64-bit products: |x| is split at bit 12."""
    size = np.int32(-x) if x < 0 else np.int32(x)
    low = np.int32(np.int32(size & np.int32(4095)) * keep)
    kept = np.int32(np.int32(size >> np.int32(12)) * keep) + np.int32(low >> np.int32(12))
    return np.int32(-kept) if x < 0 else np.int32(kept)


@jit
def run(
    offsets: np.ndarray,
    units: np.ndarray,
    values: np.ndarray,
    drive: np.ndarray,
    synapses: Synapses,
    neurons: Units,
    spikes: np.ndarray,
    currents: np.ndarray,
    voltages: np.ndarray,
    ring: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one sample through one layer: offsets and units of its spikes.

    Input are spikes (offsets, units, values), and `drive` (steps, out) int32, added to what arrives, or
    without rows. `ring` (rows, out), what is under way, and the states `u` and `v` (out,) are those before the
    first step, and become those after the last; the row of the ring that is next is then steps % rows. `spikes`
    (steps, out) int8 of zeros and `currents` and `voltages` (steps, out) int32 are filled in; those without rows
    are not recorded.
    """
    keep_current, keep_voltage, bias, threshold, interval, phase = neurons
    steps, size = len(offsets) - 1, len(threshold)
    gathered = np.zeros(size if len(synapses.late) > 0 else 0, np.int32)
    fired = np.empty(size + 1, np.int32)
    sent_offsets = np.zeros(steps + 1, np.int64)
    sent = np.empty(4 * size, np.int32)
    total = 0
    rows, weight, recurrent = synapses.rows, synapses.weight, synapses.recurrent
    at_once = synapses.at_once and len(values) == 0
    recurrent_at_once = len(recurrent) > 0 and len(synapses.recurrent_delay) == 0
    for t in range(steps):
        if interval > 0 and t % interval == phase:
            u[:] = 0
            v[:] = 0
        arriving = ring[t % synapses.rows] if len(gathered) == 0 else gather(ring, t, synapses, gathered)
        if len(drive) > 0:
            for j in range(size):
                arriving[j] += drive[t, j]
        for j in range(size):
            moved = np.int32(decayed(u[j], keep_current[j]) + np.int32(arriving[j] << np.int32(6)))
            u[j] = np.int32(moved - _TURN) if moved > LIMIT else np.int32(moved + _TURN) if moved <= -LIMIT else moved
            arriving[j] = 0
        crossings = np.int32(0)
        for j in range(size):
            raised = np.int32(decayed(v[j], keep_voltage[j]) + np.int32(u[j] + bias[j]))  # wraps, as Lava's
            v[j] = min(max(raised, np.int32(-_EDGE)), _EDGE)
            crossings += np.int32(v[j] > threshold[j])
        if crossings > 0:
            found = 0
            for j in range(size):  # without branches: the list is compacted by overwriting
                fired[found] = j
                found += v[j] > threshold[j]
            sent = grown(sent, total, total + found)
            for f in range(found):
                j = fired[f]
                v[j] = 0
                sent[total + f] = j
                if len(spikes) > 0:
                    spikes[t, j] = 1
            if recurrent_at_once:
                add_rows(ring, (t + 1) % rows, recurrent, fired, 0, found)
            elif len(recurrent) > 0:
                deliver_recurrent(ring, t, fired[:found], values[:0], synapses)
            total += found
        sent_offsets[t + 1] = total
        record(currents, t, u)
        record(voltages, t, v)
        if at_once:
            add_rows(ring, (t + 1) % rows, weight, units, offsets[t], offsets[t + 1])
        elif offsets[t] < offsets[t + 1]:
            deliver(ring, t, offsets, units, values, synapses)
    return sent_offsets, sent[:total]
