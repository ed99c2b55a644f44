"""Numba kernels of `exact`: one sample's events in the order of their times, and the adjoint in the reverse order.

A unit is touched only when an event arrives at it or it spikes; between, its state is the closed form of
`exact_solution`. What is on its way is a heap of (arrival, ...), one entry per spike whatever its number of targets:
the connections of a source are sorted by delay, and the entry stands for the next of them. At equal times spikes come
before arrivals, in both directions of time.

Only spikes leave a layer, so a time constant acts on the loss through V just before each spike: the forward pass
carries the derivatives of V and I with respect to the time constants along, and the adjoint of V at the spike is all
the backward pass has to multiply them with. Nothing grows with the number of arrivals.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from lambent.engines.buffers import grown
from lambent.engines.exact_queue import clear, earliest, new_queue, set_due
from lambent.engines.exact_solution import crossing, earliest_crossing, propagator, response_derivatives, stationary

_options: Any = {"nogil": True, "cache": True, "error_model": "numpy"}
_jit = njit(**_options)
_inline = njit(**_options, forceinline=True)  # a call would count a reference to every array it is given


class Connections(NamedTuple):
    """All connections of a layer: those of the inputs, then those of its own units, by source.

    Attributes:
        inputs: number of sources that are inputs.
        start: (sources + 1,) source s owns start[s]:start[s + 1].
        target, weight, delay: one entry per connection; delays rise within a source.
    """

    inputs: int
    start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    delay: np.ndarray


class Units(NamedTuple):
    """Parameters of the units, each (size,); `height` is the largest r(s)."""

    tau_mem: np.ndarray
    tau_syn: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    height: np.ndarray


class State(NamedTuple):
    """What each unit was like at time `last`; all (size,) but `step`.

    Attributes:
        v, i: voltage and current.
        reset: time of the last spike.
        v_m, v_s, i_s: dV/dtau_mem, dV/dtau_syn, dI/dtau_syn at fixed times of events.
        step: what `_decays` computed last: s, tau_mem, tau_syn, then its results.
    """

    last: np.ndarray
    v: np.ndarray
    i: np.ndarray
    reset: np.ndarray
    v_m: np.ndarray
    v_s: np.ndarray
    i_s: np.ndarray
    step: np.ndarray


class Peaks(NamedTuple):
    """Where V of the units that stayed silent was highest, each (batch, size); v is infinity for the others.

    `change` (batch, size, 2): derivatives of V there with respect to tau_mem and tau_syn.
    """

    time: np.ndarray
    v: np.ndarray
    change: np.ndarray


@_inline
def _decays(step, s, tau_m, tau_s, derivatives):
    """Fill `step` for a time s; units that share time constants and arrivals share the work."""
    if step[0] == s and step[1] == tau_m and step[2] == tau_s:
        return
    step[0], step[1], step[2] = s, tau_m, tau_s
    step[3], step[4], step[5] = propagator(s, tau_m, tau_s)
    if derivatives:
        step[6], step[7] = response_derivatives(s, tau_m, tau_s)


@_inline
def _derivatives_after(k, s, decay_m, r, r_m, r_s, units, state):
    """dV/dtau_mem and dV/dtau_syn of unit k a time s after its last event."""
    tau_m = units.tau_mem[k]
    v_m = state.v_m[k] * decay_m + (state.v[k] - units.bias[k]) * decay_m * s / (tau_m * tau_m) + state.i[k] * r_m
    return v_m, state.v_s[k] * decay_m + state.i_s[k] * r + state.i[k] * r_s


@_inline
def _note_peak(b, k, time, v, v_m, v_s, peaks):
    peaks.time[b, k], peaks.v[b, k] = time, v
    peaks.change[b, k, 0], peaks.change[b, k, 1] = v_m, v_s


@_inline
def _note_peak_within(b, k, units, state, peaks, derivatives):
    """Note the maximum that V of unit k went through after its last event."""
    v, i, bias, tau_m, tau_s = state.v[k], state.i[k], units.bias[k], units.tau_mem[k], units.tau_syn[k]
    s = stationary(v, i, tau_m, tau_s, bias)
    decay_m, _, r = propagator(s, tau_m, tau_s)
    top = bias + (v - bias) * decay_m + i * r
    if top > peaks.v[b, k]:
        v_m = v_s = 0.0
        if derivatives:
            r_m, r_s = response_derivatives(s, tau_m, tau_s)
            v_m, v_s = _derivatives_after(k, s, decay_m, r, r_m, r_s, units, state)
        _note_peak(b, k, state.last[k] + s, top, v_m, v_s, peaks)


@_inline
def _advance(b, k, t, units, state, peaks, derivatives):
    """Bring unit k to time t."""
    s = t - state.last[k]
    if s == 0.0:
        return
    step, tau_s, bias = state.step, units.tau_syn[k], units.bias[k]
    _decays(step, s, units.tau_mem[k], tau_s, derivatives)
    v = bias + (state.v[k] - bias) * step[3] + state.i[k] * step[5]
    i = state.i[k] * step[4]
    silent = peaks.v[b, k] < math.inf
    if silent and state.i[k] + bias > state.v[k] and i + bias < v:
        _note_peak_within(b, k, units, state, peaks, derivatives)
    if derivatives:
        state.v_m[k], state.v_s[k] = _derivatives_after(k, s, step[3], step[5], step[6], step[7], units, state)
        state.i_s[k] = (state.i_s[k] + state.i[k] * s / (tau_s * tau_s)) * step[4]
    state.v[k], state.i[k], state.last[k] = v, i, t
    if silent and v > peaks.v[b, k]:
        _note_peak(b, k, t, v, state.v_m[k], state.v_s[k], peaks)


@_inline
def _await(k, units, state, queue, solved):
    """Put unit k into the queue with a time before which it can't spike, to be solved for when that has come."""
    s = earliest_crossing(
        state.v[k], state.i[k], units.tau_mem[k], units.bias[k], units.threshold[k], units.height[k]
    )  # fmt: skip
    solved[k] = False
    set_due(queue, k, state.last[k] + s)


@_inline
def _solve(k, units, state, queue, solved, duration):
    """Find out when unit k will spike if nothing more arrives."""
    now = state.last[k]
    s = crossing(
        state.v[k], state.i[k], units.tau_mem[k], units.tau_syn[k], units.bias[k], units.threshold[k], duration - now
    )
    solved[k] = True
    set_due(queue, k, now + s)


@_jit
def lif_forward(first, last, times, sources, offsets, connections, units, duration, derivatives, counts, peaks, limit):
    """Spikes of samples `first:last`.

    Returns times, units, slopes before and after the reset (spikes, 2), and derivatives of V at the spike with respect
    to tau_mem, tau_syn and bias (spikes, 3), all in order; then the sample and unit that reached more than `limit`
    spikes in a sample and its time, or (-1, -1, 0).
    """
    size = units.threshold.shape[0]
    n_inputs, start, target, weight, delay = connections
    zero = np.zeros((7, size))
    state = State(zero[0], zero[1], zero[2], zero[3], zero[4], zero[5], zero[6], np.full(8, -1.0))
    queue, solved = new_queue(size), np.empty(size, np.bool_)
    out_time, out_unit, out_slope, out_change = (
        np.empty(64),
        np.empty(64, np.int32),
        np.empty((64, 2)),
        np.empty((64, 3)),
    )
    total = 0
    for b in range(first, last):
        zero[:] = 0.0
        clear(queue)
        peaks.v[b] = 0.0  # at time 0
        for k in range(size):
            if units.bias[k] > units.threshold[k]:
                _await(k, units, state, queue, solved)
        under_way = [(math.inf, 0.0, 0, 0)]  # arrival, time of the spike, connection, end of the source's connections
        for n in range(offsets[b], offsets[b + 1]):
            c, end = start[sources[n]], start[sources[n] + 1]
            if c < end:
                under_way.append((times[n] + delay[c], times[n], c, end))
        heapq.heapify(under_way)
        begin = total
        while True:
            t = earliest(queue)
            arrival, spike, c, end = under_way[0]
            if min(t, arrival) >= duration:
                break
            if t <= arrival:
                k = queue.heap[0]
                if not solved[k]:
                    _solve(k, units, state, queue, solved, duration)
                    continue
                if total - begin == limit:
                    return out_time, out_unit, out_slope, out_change, total, b, k, t
                if not counts[b, k]:
                    peaks.v[b, k] = math.inf  # not silent: look no more
                _advance(b, k, t, units, state, peaks, derivatives)
                if total == out_time.shape[0]:
                    out_time, out_unit = grown(out_time), grown(out_unit)
                    out_slope, out_change = grown(out_slope), grown(out_change)
                drive = state.i[k] + units.bias[k]
                out_time[total], out_unit[total] = t, k
                out_slope[total, 0] = (drive - units.threshold[k]) / units.tau_mem[k]
                out_slope[total, 1] = drive / units.tau_mem[k]
                out_change[total, 0], out_change[total, 1] = state.v_m[k], state.v_s[k]
                out_change[total, 2] = -math.expm1((state.reset[k] - t) / units.tau_mem[k])
                total += 1
                counts[b, k] += 1
                state.v[k] = state.v_m[k] = state.v_s[k] = 0.0
                state.reset[k] = t
                _await(k, units, state, queue, solved)
                c, end = start[n_inputs + k], start[n_inputs + k + 1]
                if c < end:
                    heapq.heappush(under_way, (t + delay[c], t, c, end))
                continue
            lag = delay[c]
            while c < end and delay[c] == lag:
                k = target[c]
                _advance(b, k, arrival, units, state, peaks, derivatives)
                state.i[k] += weight[c]
                _await(k, units, state, queue, solved)
                c += 1
            if c < end:
                heapq.heapreplace(under_way, (spike + delay[c], spike, c, end))
            else:
                heapq.heappop(under_way)
        for k in range(size):
            if not counts[b, k]:
                _advance(b, k, duration, units, state, peaks, derivatives)
    return out_time[:total], out_unit[:total], out_slope[:total], out_change[:total], total, -1, -1, 0.0


@_inline
def _retreat(k, t, units, a_v, a_i, last, step):
    """Bring the adjoint of unit k back to time t: (dL/dV, dL/dI)."""
    s = last[k] - t
    if s > 0.0:
        _decays(step, s, units.tau_mem[k], units.tau_syn[k], False)
        a_i[k] = a_i[k] * step[4] + a_v[k] * step[5]
        a_v[k] *= step[3]
        last[k] = t


@_jit
def lif_backward(
    first, last_sample, times, sources, offsets, connections, units, min_slope, counts,
    peak_time, peak_change, own_times, own_units, own_offsets, slopes, change,
    grad_times, grad_counts, d_times, d_weight, d_delay, d_units,
):  # fmt: skip
    """Gradients of samples `first:last_sample`, added to what begins with d_.

    `grad_times` (spikes,), `grad_counts` (batch, size); `d_weight` and `d_delay` (connections,), the latter empty if
    it is not wanted; `d_units` (4, size) of tau_mem, tau_syn, bias and threshold.
    """
    size = units.threshold.shape[0]
    n_inputs, start, target, weight, delay = connections
    a_v, a_i, last, step = np.empty(size), np.empty(size), np.empty(size), np.full(8, -1.0)
    for b in range(first, last_sample):
        # nothing that happens to a unit after its last spike (or its highest voltage, if it is silent) matters
        a_i[:] = 0.0
        for k in range(size):
            a_v[k] = 0.0
            last[k] = -math.inf
            if not counts[b, k]:
                last[k] = np.nextafter(peak_time[b, k], -math.inf)  # what arrives at the peak comes after it
                a_v[k] = grad_counts[b, k] / units.threshold[k]
                for p in range(2):
                    d_units[p, k] += a_v[k] * peak_change[b, k, p]
                d_units[2, k] -= a_v[k] * math.expm1(-peak_time[b, k] / units.tau_mem[k])
                d_units[3, k] -= a_v[k]
        own = own_offsets[b + 1] - own_offsets[b]
        moved = grad_times[own_offsets[b] : own_offsets[b + 1]].copy()  # dL/dt of each spike of the layer
        under_way = [(math.inf, 0, 0)]  # minus the arrival, spike (inputs, then own), connection
        inputs = offsets[b + 1] - offsets[b]
        for n in range(inputs):
            source = sources[offsets[b] + n]
            if start[source] < start[source + 1]:
                c = start[source + 1] - 1
                under_way.append((-(times[offsets[b] + n] + delay[c]), n, c))
        for n in range(own):
            k = own_units[own_offsets[b] + n]
            last[k] = own_times[own_offsets[b] + n]
            source = n_inputs + k
            if start[source] < start[source + 1]:
                c = start[source + 1] - 1
                under_way.append((-(own_times[own_offsets[b] + n] + delay[c]), inputs + n, c))
        heapq.heapify(under_way)
        n = own - 1
        while n >= 0 or len(under_way) > 1:
            arrival = -under_way[0][0]
            s = own_offsets[b] + n
            if n >= 0 and own_times[s] > arrival:
                k, t = own_units[s], own_times[s]
                _retreat(k, t, units, a_v, a_i, last, step)
                slope = max(slopes[s, 0], min_slope * units.threshold[k] / units.tau_mem[k])
                a_v[k] = (a_v[k] * slopes[s, 1] - moved[n]) / slope + grad_counts[b, k] / units.threshold[k]
                for p in range(3):
                    d_units[p, k] += a_v[k] * change[s, p]
                d_units[3, k] -= a_v[k]
                n -= 1
                continue
            _, spike, c = under_way[0]
            if spike < inputs:
                source, time = sources[offsets[b] + spike], times[offsets[b] + spike]
            else:
                source = n_inputs + own_units[own_offsets[b] + spike - inputs]
                time = own_times[own_offsets[b] + spike - inputs]
            lag, pull = delay[c], 0.0
            while c >= start[source] and delay[c] == lag:
                k = target[c]
                if arrival <= last[k]:
                    _retreat(k, arrival, units, a_v, a_i, last, step)
                    d_weight[c] += a_i[k]
                    moves = weight[c] * (a_i[k] / units.tau_syn[k] - a_v[k] / units.tau_mem[k])
                    pull += moves
                    if d_delay.shape[0]:
                        d_delay[c] += moves
                c -= 1
            if spike < inputs:
                d_times[offsets[b] + spike] += pull
            else:
                moved[spike - inputs] += pull
            if c >= start[source]:
                heapq.heapreplace(under_way, (-(time + delay[c]), spike, c))
            else:
                heapq.heappop(under_way)


@_jit
def li_peaks(first, last_sample, times, sources, offsets, weight, tau_mem, tau_syn, duration, peak_time, peak_spike):
    """When V of leaky integrators is highest in samples `first:last_sample`, (batch, out).

    `peak_spike`: the event at whose arrival V turns from rising to falling, or -1 if V turns by itself or at the end.
    """
    step = np.full(8, -1.0)
    v, i, top = np.empty(weight.shape[1]), np.empty(weight.shape[1]), np.empty(weight.shape[1])
    for b in range(first, last_sample):
        v[:], i[:], top[:] = 0.0, 0.0, 0.0
        peak_time[b], peak_spike[b] = 0.0, -1
        now = 0.0
        for n in range(offsets[b], offsets[b + 1] + 1):
            ends = n == offsets[b + 1]
            t = duration if ends else times[n]
            for k in range(v.shape[0]):
                _decays(step, t - now, tau_mem[k], tau_syn[k], False)
                new_v, new_i = v[k] * step[3] + i[k] * step[5], i[k] * step[4]
                if i[k] > v[k] and new_i < new_v:
                    s = stationary(v[k], i[k], tau_mem[k], tau_syn[k], 0.0)
                    decay, _, r = propagator(s, tau_mem[k], tau_syn[k])
                    within = v[k] * decay + i[k] * r
                    if within > top[k]:
                        top[k], peak_time[b, k], peak_spike[b, k] = within, now + s, -1
                if new_v > top[k]:
                    top[k], peak_time[b, k], peak_spike[b, k] = new_v, t, -1 if ends else n
                v[k], i[k] = new_v, new_i
                if not ends:
                    i[k] += weight[sources[n], k]
            now = t
