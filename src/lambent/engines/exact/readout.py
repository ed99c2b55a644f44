"""Numba kernel of `exact`: when the voltage of leaky integrators is highest."""

from __future__ import annotations

import math

import numpy as np

from lambent.connections.graded import scaled, value_at
from lambent.engines.exact.unit import Decays, Peak, State, Unit, after, decays, highest
from lambent.machine.compiling import jit


@jit
def li_peaks(
    first, last_sample, times, sources, offsets, values, weight, tau_mem, tau_syn, duration, peak_time, peak_spike
):
    """When V of leaky integrators is highest in samples `first:last_sample`, (batch, out).

    `peak_spike`: the event at whose arrival V turns from rising to falling, or -1 if V turns by itself or at the end.
    """
    size = weight.shape[1]
    v, i, top = np.empty(size), np.empty(size), np.empty(size)
    for b in range(first, last_sample):
        v[:], i[:], top[:] = 0.0, 0.0, 0.0
        peak_time[b], peak_spike[b] = 0.0, -1
        now = 0.0
        for n in range(offsets[b], offsets[b + 1] + 1):
            ends = n == offsets[b + 1]
            t = duration if ends else times[n]
            d = Decays(0.0, 1.0, 1.0, 0.0, 0.0, 0.0)
            for k in range(size):
                unit = Unit(tau_mem[k], tau_syn[k], math.inf, 0.0, 1.0)  # r(s) < 1
                if k == 0 or tau_mem[k] != tau_mem[k - 1] or tau_syn[k] != tau_syn[k - 1]:
                    d = decays(t - now, unit, False)
                x, peak = State(v[k], i[k], 0.0, 0.0, 0.0), Peak(peak_time[b, k], top[k], 0.0, 0.0)
                y = after(x, d, unit, False)
                peak = highest(peak, x, y, t, d, unit, False)
                if peak.v > top[k]:
                    peak_time[b, k], top[k] = peak.time, peak.v
                    peak_spike[b, k] = n if peak.time == t and not ends else -1
                v[k], i[k] = y.v, y.i
                if not ends:
                    i[k] += scaled(value_at(values, n), weight[sources[n], k])
            now = t
