"""Resonate-and-fire units.

    re' = clip(cos re - sin im + (a_re << 6));   im' = clip(sin re + cos im + (a_im << 6))

Products are shifted by 12, each by itself, rounding toward zero, and `clip` bounds to +-(2^23 - 1). Phase units
spike where re' >= (vThMant << 6), im' >= 0 and im < 0; Izhikevich units where im' >= (vThMant << 6), and then
start from re = 0, im = (vThMant << 6) - 1. These are the rules of Lava's fixed-point RF and RF_IZ models.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.hardware.loihi2.kernels import LIMIT
from lambent.hardware.loihi2.kernels.lists import grown, record
from lambent.hardware.loihi2.kernels.synapses import Synapses, add_rows, deliver, gather
from lambent.machine.compiling import jit

_EDGE = np.int64(LIMIT - 1)


class Units(NamedTuple):
    """Resonate-and-fire units in the form the kernel takes.

    Attributes:
        sin, cos: (out,) int64, in 1/4096.
        threshold: (out,) int64, shifted to the scale of the states.
        phase: whether these are phase units.
    """

    sin: np.ndarray
    cos: np.ndarray
    threshold: np.ndarray
    phase: bool


@jit
def _scaled(x: np.int64) -> np.int64:
    return -(-x >> 12) if x < 0 else x >> 12


@jit
def run(
    offsets: np.ndarray,
    units: np.ndarray,
    values: np.ndarray,
    real_synapses: Synapses,
    imag_synapses: Synapses,
    neurons: Units,
    spikes: np.ndarray,
    reals: np.ndarray,
    imags: np.ndarray,
    real_ring: np.ndarray,
    imag_ring: np.ndarray,
    re: np.ndarray,
    im: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one sample through one layer: offsets and units of its spikes.

    As `cuba.run`, with a ring for each part, the states `re` and `im` (out,) int64, and these recorded.
    """
    sin, cos, threshold, phase = neurons
    steps, size = len(offsets) - 1, len(threshold)
    real_gathered = np.zeros(size if len(real_synapses.late) > 0 else 0, np.int32)
    imag_gathered = np.zeros(size if len(real_synapses.late) > 0 else 0, np.int32)
    sent_offsets = np.zeros(steps + 1, np.int64)
    sent = np.empty(4 * size, np.int32)
    total = 0
    at_once = real_synapses.at_once and imag_synapses.at_once and len(values) == 0
    real_rows, real_weight = real_synapses.rows, real_synapses.weight
    imag_rows, imag_weight = imag_synapses.rows, imag_synapses.weight
    for t in range(steps):
        a_re, a_im = real_ring[t % real_rows], imag_ring[t % imag_rows]
        if len(real_gathered) > 0:
            a_re = gather(real_ring, t, real_synapses, real_gathered)
            a_im = gather(imag_ring, t, imag_synapses, imag_gathered)
        sent = grown(sent, total, total + size)
        for j in range(size):
            before = im[j]
            turned = _scaled(cos[j] * re[j]) - _scaled(sin[j] * im[j]) + np.int32(a_re[j] << np.int32(6))
            raised = _scaled(sin[j] * re[j]) + _scaled(cos[j] * im[j]) + np.int32(a_im[j] << np.int32(6))
            re[j] = min(max(turned, -_EDGE), _EDGE)
            im[j] = min(max(raised, -_EDGE), _EDGE)
            a_re[j] = a_im[j] = 0
            if phase:
                firing = re[j] >= threshold[j] and im[j] >= 0 and before < 0
            else:
                firing = im[j] >= threshold[j]
                if firing:
                    re[j], im[j] = 0, threshold[j] - 1
            if firing:
                sent[total] = j
                total += 1
                if len(spikes) > 0:
                    spikes[t, j] = 1
        sent_offsets[t + 1] = total
        record(reals, t, re)
        record(imags, t, im)
        if at_once:
            add_rows(real_ring, (t + 1) % real_rows, real_weight, units, offsets[t], offsets[t + 1])
            add_rows(imag_ring, (t + 1) % imag_rows, imag_weight, units, offsets[t], offsets[t + 1])
        elif offsets[t] < offsets[t + 1]:
            deliver(real_ring, t, offsets, units, values, real_synapses)
            deliver(imag_ring, t, offsets, units, values, imag_synapses)
    return sent_offsets, sent[:total]
