"""Numba kernels of `grid_cpu`: the recurrence of DESIGN 4.2 and its adjoint, one sample after another.

Each kernel works on samples `first:last` and holds no lock, so that threads run several at once. Delayed
currents wait in a ring of `max delay + 1` rows: at step n, row n % rows is consumed, and a spike with
delay d writes to row (n + 1 + d) % rows.

`fastmath` allows reordering of sums (which vectorises the dot products) but keeps NaN and infinity.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_jit = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


@_jit
def _deliver(ring, n, unit, weight, delay):
    """Send a spike of step n of `unit` on its way: add its row of weights to the ring."""
    rows, size = ring.shape
    start = (n + 1) % rows
    if delay.shape[0] == 0:
        for j in range(size):
            ring[start, j] += weight[unit, j]
    else:
        for j in range(size):
            r = start + delay[unit, j]
            if r >= rows:
                r -= rows
            ring[r, j] += weight[unit, j]


@_jit
def _grown(a):
    out = np.empty(2 * a.shape[0], a.dtype)
    out[: a.shape[0]] = a
    return out


@_jit
def lif_forward(
    first, last, steps, units, offsets, weight, delay, recurrent, recurrent_delay, rows,
    alpha_mem, alpha_syn, gain, tau_mem, threshold, min_slope, n_steps, subtract, counts, peak_step,
):  # fmt: skip
    """Run samples first:last; returns the spikes of all (steps, units, slopes) and fills `counts`, `peak_step`.

    `slopes` holds dV/dt = (I - V) / tau_mem before each spike, with V after and I at the start of its step:
    of the estimates tried the one nearest to the continuous gradient that a rising V also keeps positive.
    `peak_step` is the step of the highest voltage of a unit that stayed silent, -1 for others.
    """
    size = weight.shape[1]
    out_steps = np.empty(64 * size, np.int32)
    out_units = np.empty(64 * size, np.int32)
    slopes = np.empty(64 * size, weight.dtype)
    total = 0
    ring = np.empty((rows, size), weight.dtype)
    current = np.empty(size, weight.dtype)
    voltage = np.empty(size, weight.dtype)
    raised = np.empty(size, weight.dtype)
    peak = np.empty(size, weight.dtype)
    fired = np.empty(size + 1, np.int32)
    for b in range(first, last):
        ring[:] = 0
        current[:] = 0
        voltage[:] = 0
        peak[:] = -np.inf
        counts[b] = 0
        e = offsets[b]
        for n in range(n_steps):
            row = n % rows
            # several short loops: LLVM vectorises a loop only if it has few arrays to prove apart
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + ring[row, j]
                ring[row, j] = 0
            for j in range(size):
                raised[j] = alpha_mem[j] * voltage[j] + gain[j] * current[j]
            crossings = np.int32(0)
            for j in range(size):
                crossings += np.int32(raised[j] >= threshold[j])
            now = np.int32(n)
            for j in range(size):
                higher = raised[j] > peak[j]
                peak[j] = raised[j] if higher else peak[j]
                peak_step[b, j] = now if higher else peak_step[b, j]
            if crossings > 0:
                found = 0
                for j in range(size):  # without branches: the list is compacted by overwriting
                    fired[found] = j
                    found += raised[j] >= threshold[j]
                while total + found > out_steps.shape[0]:
                    out_steps, out_units, slopes = _grown(out_steps), _grown(out_units), _grown(slopes)
                for f in range(found):
                    j = fired[f]
                    slopes[total] = max((current[j] - raised[j]) / tau_mem[j], min_slope[j])
                    out_steps[total] = n
                    out_units[total] = j
                    total += 1
                    counts[b, j] += 1
                    raised[j] = raised[j] - threshold[j] if subtract else 0
                    if recurrent.shape[0] > 0:
                        _deliver(ring, n, j, recurrent, recurrent_delay)
            voltage, raised = raised, voltage
            while e < offsets[b + 1] and steps[e] == n:
                _deliver(ring, n, units[e], weight, delay)
                e += 1
        for j in range(size):
            if counts[b, j] > 0:
                peak_step[b, j] = -1
    return out_steps[:total], out_units[:total], slopes[:total]


@_jit
def _replay(
    steps, units, weight, delay, own_steps, own_units, recurrent, recurrent_delay, ring,
    alpha_mem, alpha_syn, gain, threshold, subtract, currents, voltages,
):  # fmt: skip
    """Recompute the currents and the voltages after reset of one sample with known spikes.

    Both (n_steps + 1, size): row n + 1 belongs to step n, row 0 is the resting state.
    """
    rows, size = ring.shape
    ring[:] = 0
    currents[0] = 0
    voltages[0] = 0
    e, s = 0, 0
    for n in range(currents.shape[0] - 1):
        row = n % rows
        for j in range(size):
            currents[n + 1, j] = alpha_syn[j] * currents[n, j] + ring[row, j]
            voltages[n + 1, j] = alpha_mem[j] * voltages[n, j] + gain[j] * currents[n + 1, j]
            ring[row, j] = 0
        while s < own_steps.shape[0] and own_steps[s] == n:
            j = own_units[s]
            voltages[n + 1, j] = voltages[n + 1, j] - threshold[j] if subtract else 0
            if recurrent.shape[0] > 0:
                _deliver(ring, n, j, recurrent, recurrent_delay)
            s += 1
        while e < steps.shape[0] and steps[e] == n:
            _deliver(ring, n, units[e], weight, delay)
            e += 1


@_jit
def _arrival_gradient(drift, n, unit, weight, delay):
    """dL/dt of a spike of step n of `unit`: the sum of w (aI / tau_syn - aV / tau_mem) over its arrivals."""
    rows, size = drift.shape
    start = (n + 1) % rows
    total = weight[unit, 0] * 0
    if delay.shape[0] == 0:
        for j in range(size):
            total += weight[unit, j] * drift[start, j]
    else:
        for j in range(size):
            r = start + delay[unit, j]
            if r >= rows:
                r -= rows
            total += weight[unit, j] * drift[r, j]
    return total


@_jit
def _synapse_gradient(adjoint, drift, n, unit, weight, delay, d_weight, d_delay):
    """Add what one spike contributes: dL/dw += aI, dL/dd += w (aI / tau_syn - aV / tau_mem), at its arrivals."""
    rows, size = adjoint.shape
    start = (n + 1) % rows
    if delay.shape[0] == 0:
        for j in range(size):
            d_weight[unit, j] += adjoint[start, j]
    else:
        for j in range(size):
            r = start + delay[unit, j]
            if r >= rows:
                r -= rows
            d_weight[unit, j] += adjoint[r, j]
            d_delay[unit, j] += weight[unit, j] * drift[r, j]


@_jit
def lif_backward(
    first, last, steps, units, offsets, weight, delay, recurrent, recurrent_delay, rows,
    alpha_mem, alpha_syn, gain, tau_mem, tau_syn, threshold, n_steps, subtract,
    own_steps, own_units, own_offsets, slopes, peak_step, grad_times, grad_counts, wants_times, wants_tau,
    d_times, d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay, d_threshold,
):  # fmt: skip
    """Integrate the adjoint of samples first:last backwards in time, adding to the gradients d_*.

    `d_decay` (3, size) collects the gradients of alpha_mem, alpha_syn and gain.
    """
    size = weight.shape[1]
    dtype = weight.dtype
    adjoint = np.empty((rows, size), dtype)  # aI at the step of arrival
    drift = np.empty((rows, size), dtype)  # aI / tau_syn - aV / tau_mem there
    a_voltage = np.empty(size, dtype)
    a_current = np.empty(size, dtype)
    own_adjoint = np.empty(size, dtype)  # aV, before a_voltage decays by the step
    from_count = np.empty(size, dtype)
    rate_mem, rate_syn = 1 / tau_mem, 1 / tau_syn
    zero = dtype.type(0)
    trace = n_steps + 1 if wants_tau else 0
    currents = np.empty((trace, size), dtype)
    voltages = np.empty((trace, size), dtype)
    for b in range(first, last):
        if wants_tau:
            _replay(
                steps[offsets[b] : offsets[b + 1]], units[offsets[b] : offsets[b + 1]], weight, delay,
                own_steps[own_offsets[b] : own_offsets[b + 1]], own_units[own_offsets[b] : own_offsets[b + 1]],
                recurrent, recurrent_delay, adjoint,
                alpha_mem, alpha_syn, gain, threshold, subtract, currents, voltages,
            )  # fmt: skip
        adjoint[:] = 0
        drift[:] = 0
        a_voltage[:] = 0
        a_current[:] = 0
        for j in range(size):
            from_count[j] = grad_counts[b, j] / threshold[j]
            if peak_step[b, j] >= 0:
                d_threshold[j] -= from_count[j]
        e = offsets[b + 1] - 1
        s = own_offsets[b + 1] - 1
        for n in range(n_steps - 1, -1, -1):
            while e >= offsets[b] and steps[e] == n:
                _synapse_gradient(adjoint, drift, n, units[e], weight, delay, d_weight, d_delay)
                if wants_times:
                    d_times[e] = _arrival_gradient(drift, n, units[e], weight, delay)
                e -= 1
            # a_voltage is still the adjoint of V after the reset of this step
            while s >= own_offsets[b] and own_steps[s] == n:
                j = own_units[s]
                pull = grad_times[s]
                if recurrent.shape[0] > 0:
                    pull += _arrival_gradient(drift, n, j, recurrent, recurrent_delay)
                    _synapse_gradient(
                        adjoint, drift, n, j, recurrent, recurrent_delay, d_recurrent, d_recurrent_delay
                    )
                ratio = 1 + threshold[j] / (tau_mem[j] * slopes[s])  # Vdot after / before the reset
                a_voltage[j] = a_voltage[j] * ratio - pull / slopes[s] + from_count[j]
                d_threshold[j] -= a_voltage[j]
                s -= 1
            row = n % rows
            now = np.int32(n)
            for j in range(size):
                at_peak = from_count[j] if peak_step[b, j] == now else zero
                own_adjoint[j] = a_voltage[j] + at_peak
            for j in range(size):
                a_current[j] = gain[j] * own_adjoint[j] + alpha_syn[j] * a_current[j]
                adjoint[row, j] = a_current[j]
            for j in range(size):
                a_voltage[j] = alpha_mem[j] * own_adjoint[j]
            for j in range(size):
                drift[row, j] = a_current[j] * rate_syn[j] - own_adjoint[j] * rate_mem[j]
            if wants_tau:
                for j in range(size):
                    d_decay[0, j] += own_adjoint[j] * voltages[n, j]
                    d_decay[1, j] += a_current[j] * currents[n, j]
                    d_decay[2, j] += own_adjoint[j] * currents[n + 1, j]


@_jit
def li_forward(first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, voltages):
    """Voltages (batch, n_steps, size) of units that never spike."""
    size = weight.shape[1]
    ring = np.empty((1, size), weight.dtype)
    current = np.empty(size, weight.dtype)
    no_delay = np.empty((0, 0), np.int32)
    for b in range(first, last):
        ring[:] = 0
        current[:] = 0
        e = offsets[b]
        for n in range(voltages.shape[1]):
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + ring[0, j]
                ring[0, j] = 0
                voltages[b, n, j] = gain[j] * current[j]
            if n > 0:
                for j in range(size):
                    voltages[b, n, j] += alpha_mem[j] * voltages[b, n - 1, j]
            while e < offsets[b + 1] and steps[e] == n:
                _deliver(ring, n, units[e], weight, no_delay)
                e += 1


@_jit
def li_backward(
    first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, tau_mem, tau_syn,
    voltages, grad_voltages, wants_times, wants_tau, d_times, d_weight, d_decay,
):  # fmt: skip
    """Exact derivative of `li_forward`; the times get the continuous one."""
    size = weight.shape[1]
    adjoint = np.empty((1, size), weight.dtype)
    drift = np.empty((1, size), weight.dtype)
    a_voltage = np.empty(size, weight.dtype)
    no_delay = np.empty((0, 0), np.int32)
    no_gradient = np.empty((0, 0), weight.dtype)
    for b in range(first, last):
        adjoint[:] = 0
        drift[:] = 0
        a_voltage[:] = 0
        e = offsets[b + 1] - 1
        for n in range(voltages.shape[1] - 1, -1, -1):
            while e >= offsets[b] and steps[e] == n:
                _synapse_gradient(adjoint, drift, n, units[e], weight, no_delay, d_weight, no_gradient)
                if wants_times:
                    d_times[e] = _arrival_gradient(drift, n, units[e], weight, no_delay)
                e -= 1
            for j in range(size):
                a_v = a_voltage[j] + grad_voltages[b, n, j]
                a_i = gain[j] * a_v + alpha_syn[j] * adjoint[0, j]
                if wants_tau:
                    before = voltages[b, n - 1, j] if n > 0 else 0
                    current = (voltages[b, n, j] - alpha_mem[j] * before) / gain[j]
                    d_decay[2, j] += a_v * current
                    d_decay[0, j] += a_v * before
                    if n > 0:
                        earlier = voltages[b, n - 2, j] if n > 1 else 0
                        d_decay[1, j] += a_i * (before - alpha_mem[j] * earlier) / gain[j]
                a_voltage[j] = alpha_mem[j] * a_v
                adjoint[0, j] = a_i
                drift[0, j] = a_i / tau_syn[j] - a_v / tau_mem[j]
