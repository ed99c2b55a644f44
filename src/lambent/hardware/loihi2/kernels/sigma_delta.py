"""Sigma-delta units.

    sigma += a;   act = max(sigma + (bias << 12), 0)
    delta = act - act_before + residue;   send delta >> 6 where |delta| >= (vThMant << 12)
    residue = 0 where that was so, else delta

These are the rules of Lava's fixed-point SigmaDelta, Sigma and Delta models, in 32 bits that wrap. The
threshold decides whether something is sent; a value that the shift makes 0 is no spike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.hardware.loihi2.kernels.lists import grown, record
from lambent.hardware.loihi2.kernels.synapses import Synapses, deliver, deliver_recurrent, gather
from lambent.machine.compiling import jit

STATE_SHIFT = 12
"""Bits from a mantissa to the scale of the states."""


class Units(NamedTuple):
    """Sigma-delta units in the form the kernel takes.

    Attributes:
        bias, threshold: (out,) int32, shifted to the scale of the states.
        rectify: whether act is cut off at 0.
        output: whether sigma itself is sent in every step.
    """

    bias: np.ndarray
    threshold: np.ndarray
    rectify: bool
    output: bool


@jit
def run(
    offsets: np.ndarray,
    units: np.ndarray,
    values: np.ndarray,
    drive: np.ndarray,
    synapses: Synapses,
    neurons: Units,
    spikes: np.ndarray,
    sigmas: np.ndarray,
    acts: np.ndarray,
    ring: np.ndarray,
    sigma: np.ndarray,
    act: np.ndarray,
    residue: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run one sample through one layer: offsets, units and values of its spikes.

    As `cuba.run`, with the states `sigma`, `act` and `residue` (out,) int32, `drive` << 12 instead of sigma, `spikes`
    int32 for the values sent, and sigma and act recorded.
    """
    bias, threshold, rectify, output = neurons
    steps, size = len(offsets) - 1, len(bias)
    gathered = np.zeros(size if len(synapses.late) > 0 else 0, np.int32)
    message = np.zeros(size, np.int32)
    sent_offsets = np.zeros(steps + 1, np.int64)
    sent = np.empty(4 * size, np.int32)
    sent_values = np.empty(4 * size, np.int32)
    total = 0
    for t in range(steps):
        arriving = ring[t % synapses.rows] if len(gathered) == 0 else gather(ring, t, synapses, gathered)
        found = 0
        for j in range(size):
            if len(drive) > 0:
                sigma[j] = drive[t, j] << np.int32(STATE_SHIFT)
            else:
                sigma[j] += arriving[j]
            arriving[j] = 0
            new = np.int32(sigma[j] + bias[j])
            if rectify and new < 0:
                new = np.int32(0)
            delta = np.int32(np.int32(new - act[j]) + residue[j])
            act[j] = new
            sending = np.int32(-delta if delta < 0 else delta) >= threshold[j]
            residue[j] = np.int32(0) if sending else delta
            message[j] = sigma[j] if output else (np.int32(delta >> np.int32(6)) if sending else np.int32(0))
            found += message[j] != 0
        sent = grown(sent, total, total + found)
        sent_values = grown(sent_values, total, total + found)
        if found > 0:
            for j in range(size):
                if message[j] != 0:
                    sent[total], sent_values[total] = j, message[j]
                    total += 1
            if len(synapses.recurrent) > 0:
                deliver_recurrent(ring, t, sent[total - found : total], sent_values[total - found : total], synapses)
        sent_offsets[t + 1] = total
        record(spikes, t, message)
        record(sigmas, t, sigma)
        record(acts, t, act)
        if offsets[t] < offsets[t + 1]:
            deliver(ring, t, offsets, units, values, synapses)
    return sent_offsets, sent[:total], sent_values[:total]
