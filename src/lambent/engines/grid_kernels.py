"""Numba kernels of `grid_cpu`: the recurrence of DESIGN 4.2 and its adjoint, one sample after another.

Each kernel works on samples `first:last` and holds no lock, so that threads run several at once.

What is under way waits in a flat ring of `rows` = max delay + 1 rows of one value per unit, twice over, so that no
index need wrap: a spike of step n with delay d adds to row (n + 1) % rows + d, and step n consumes row n % rows of
both copies. Backwards in time the adjoint is written to both copies and read from either. Delays come as `reach`:
delay * units + target, the place of each connection's target relative to the start of row (n + 1) % rows; empty
means no delays.

`fastmath` allows reordering of sums (which vectorises the dot products) but keeps NaN and infinity. Loops over units
are short and many because LLVM vectorises a loop only if it has few arrays to prove apart.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_jit = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


@_jit
def _deliver(ring, weight, reach):
    """Send a spike on its way: add the weights (size,) of its unit to `ring`, which begins at the next row."""
    if reach.shape[0] == 0:
        for j in range(weight.shape[0]):
            ring[j] += weight[j]
    else:
        for j in range(weight.shape[0]):
            ring[reach[j]] += weight[j]


@_jit
def _collect(total, ring, reach):
    """Add to `total` (size,) what the ring holds where the unit's spike arrived."""
    if reach.shape[0] == 0:
        for j in range(total.shape[0]):
            total[j] += ring[j]
    else:
        for j in range(total.shape[0]):
            total[j] += ring[reach[j]]


@_jit
def _weigh(ring, weight, reach):
    """Sum of what the ring holds where the unit's spike arrived, times the weights (size,)."""
    total = weight.dtype.type(0)
    if reach.shape[0] == 0:
        for j in range(weight.shape[0]):
            total += weight[j] * ring[j]
    else:
        for j in range(weight.shape[0]):
            total += weight[j] * ring[reach[j]]
    return total


@_jit
def _deliver_four(ring, a, b, c, d):
    """`_deliver` for four spikes of one step without delays: the ring is read and written once."""
    for j in range(a.shape[0]):
        ring[j] += (a[j] + b[j]) + (c[j] + d[j])


@_jit
def _collect_two(a, b, ring):
    """`_collect` for two spikes of one step without delays: two rows under way at once."""
    for j in range(a.shape[0]):
        x = ring[j]
        a[j] += x
        b[j] += x


@_jit
def _grown(a):
    out = np.empty(2 * a.shape[0], a.dtype)
    out[: a.shape[0]] = a
    return out


@_jit
def lif_forward(
    first, last, steps, units, offsets, weight, reach, recurrent, recurrent_reach, rows,
    alpha_mem, alpha_syn, gain, tau_mem, threshold, min_slope, n_steps, subtract, counts, peak_step,
):  # fmt: skip
    """Run samples first:last; returns the spikes of all (steps, units, slopes) and fills `counts`, `peak_step`.

    `slopes` holds dV/dt = (I - V) / tau_mem before each spike, with V after and I at the start of its step:
    of the estimates tried the one nearest to the continuous gradient that a rising V also keeps positive.
    `peak_step` is the step of the highest voltage of a unit that stayed silent, -1 for others.
    """
    size = weight.shape[1]
    dtype = weight.dtype
    out_steps = np.empty(64 * size, np.int32)
    out_units = np.empty(64 * size, np.int32)
    slopes = np.empty(64 * size, dtype)
    total = 0
    ring = np.empty(2 * rows * size, dtype)
    current = np.empty(size, dtype)
    voltage = np.empty(size, dtype)  # after the last step
    raised = np.empty(size, dtype)  # after this one
    peak = np.empty(size, dtype)
    fired = np.empty(size + 8, np.int32)
    above = np.zeros((size + 7) // 8 * 8, np.uint8)
    above_words = above.view(np.uint64)
    for b in range(first, last):
        ring[:] = 0
        current[:] = 0
        voltage[:] = 0
        peak[:] = -np.inf
        counts[b] = 0
        e = offsets[b]
        for n in range(n_steps):
            here = ring[n % rows * size :]
            copy = here[rows * size :]
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + (here[j] + copy[j])
                here[j] = 0
                copy[j] = 0
            for j in range(size):
                raised[j] = alpha_mem[j] * voltage[j] + gain[j] * current[j]
            for j in range(size):
                above[j] = raised[j] >= threshold[j]
            now = np.int32(n)
            for j in range(size):
                higher = raised[j] > peak[j]
                peak[j] = raised[j] if higher else peak[j]
                peak_step[b, j] = now if higher else peak_step[b, j]
            next_row = (n + 1) % rows * size
            found = 0
            for word in range(above_words.shape[0]):  # eight units at a time, since spikes are rare
                if above_words[word] != 0:
                    for j in range(8 * word, 8 * word + 8):
                        fired[found] = j
                        found += above[j]
            if found > 0:
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
                        _deliver(ring[next_row:], recurrent[j], recurrent_reach[j])
            voltage, raised = raised, voltage
            if reach.shape[1] == 0:
                while e + 3 < offsets[b + 1] and steps[e + 3] == n:
                    _deliver_four(
                        ring[next_row:],
                        weight[units[e]],
                        weight[units[e + 1]],
                        weight[units[e + 2]],
                        weight[units[e + 3]],
                    )
                    e += 4
            while e < offsets[b + 1] and steps[e] == n:
                _deliver(ring[next_row:], weight[units[e]], reach[units[e]])
                e += 1
        for j in range(size):
            if counts[b, j] > 0:
                peak_step[b, j] = -1
    return out_steps[:total], out_units[:total], slopes[:total]


@_jit
def _replay(
    steps, units, weight, reach, own_steps, own_units, recurrent, recurrent_reach, ring,
    alpha_mem, alpha_syn, gain, threshold, subtract, currents, voltages,
):  # fmt: skip
    """Recompute the currents and the voltages after reset of one sample with known spikes.

    Both (n_steps + 1, size): row n + 1 belongs to step n, row 0 is the resting state.
    """
    size = weight.shape[1]
    rows = ring.shape[0] // (2 * size)
    ring[:] = 0
    currents[0] = 0
    voltages[0] = 0
    e, s = 0, 0
    for n in range(currents.shape[0] - 1):
        here = ring[n % rows * size :]
        copy = here[rows * size :]
        for j in range(size):
            currents[n + 1, j] = alpha_syn[j] * currents[n, j] + (here[j] + copy[j])
            here[j] = 0
            copy[j] = 0
        for j in range(size):
            voltages[n + 1, j] = alpha_mem[j] * voltages[n, j] + gain[j] * currents[n + 1, j]
        next_row = (n + 1) % rows * size
        while s < own_steps.shape[0] and own_steps[s] == n:
            j = own_units[s]
            voltages[n + 1, j] = voltages[n + 1, j] - threshold[j] if subtract else 0
            if recurrent.shape[0] > 0:
                _deliver(ring[next_row:], recurrent[j], recurrent_reach[j])
            s += 1
        while e < steps.shape[0] and steps[e] == n:
            _deliver(ring[next_row:], weight[units[e]], reach[units[e]])
            e += 1


@_jit
def lif_backward(
    first, last, steps, units, offsets, weight, reach, recurrent, recurrent_reach, rows,
    alpha_mem, alpha_syn, gain, tau_mem, tau_syn, threshold, n_steps, subtract,
    own_steps, own_units, own_offsets, slopes, peak_step, grad_times, grad_counts, wants_tau, d_times,
    d_weight, d_reach, d_recurrent, d_recurrent_reach, d_decay, d_threshold,
):  # fmt: skip
    """Integrate the adjoint of samples first:last backwards in time, adding to the gradients d_*.

    `d_reach` and `d_recurrent_reach` collect what, times the weight, is the gradient of the delays; `d_decay`
    (3, size) the gradients of alpha_mem, alpha_syn and gain. Arrays that are empty are not wanted.
    """
    size = weight.shape[1]
    dtype = weight.dtype
    adjoint = np.empty(2 * rows * size, dtype)  # ring of aI: dL/dw of a spike that arrives
    drift = np.empty(2 * rows * size, dtype)  # ring of aI / tau_syn - aV / tau_mem: dL/dt of it, per weight
    a_voltage = np.empty(size, dtype)
    a_current = np.empty(size, dtype)
    full = np.empty(size, dtype)  # aV, of which a_voltage is what is left one step earlier
    from_count = np.empty(size, dtype)
    rate_mem, rate_syn = 1 / tau_mem, 1 / tau_syn
    zero = dtype.type(0)
    trace = n_steps + 1 if wants_tau else 0
    currents = np.empty((trace, size), dtype)
    voltages = np.empty((trace, size), dtype)
    for b in range(first, last):
        if wants_tau:
            _replay(
                steps[offsets[b] : offsets[b + 1]], units[offsets[b] : offsets[b + 1]], weight, reach,
                own_steps[own_offsets[b] : own_offsets[b + 1]], own_units[own_offsets[b] : own_offsets[b + 1]],
                recurrent, recurrent_reach, adjoint,
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
            next_row = (n + 1) % rows * size
            if reach.shape[1] == 0 and d_times.shape[0] == 0:
                while e > offsets[b] and steps[e - 1] == n:
                    _collect_two(d_weight[units[e]], d_weight[units[e - 1]], adjoint[next_row:])
                    e -= 2
            while e >= offsets[b] and steps[e] == n:
                _collect(d_weight[units[e]], adjoint[next_row:], reach[units[e]])
                if d_reach.shape[0] > 0:
                    _collect(d_reach[units[e]], drift[next_row:], reach[units[e]])
                if d_times.shape[0] > 0:
                    d_times[e] = _weigh(drift[next_row:], weight[units[e]], reach[units[e]])
                e -= 1
            # a_voltage is now the adjoint of V after the reset of this step
            while s >= own_offsets[b] and own_steps[s] == n:
                j = own_units[s]
                pull = grad_times[s]
                if recurrent.shape[0] > 0:
                    pull += _weigh(drift[next_row:], recurrent[j], recurrent_reach[j])
                    _collect(d_recurrent[j], adjoint[next_row:], recurrent_reach[j])
                    if d_recurrent_reach.shape[0] > 0:
                        _collect(d_recurrent_reach[j], drift[next_row:], recurrent_reach[j])
                ratio = 1 + threshold[j] / (tau_mem[j] * slopes[s])  # Vdot after / before the reset
                a_voltage[j] = a_voltage[j] * ratio - pull / slopes[s] + from_count[j]
                d_threshold[j] -= a_voltage[j]
                s -= 1
            now = np.int32(n)
            for j in range(size):
                full[j] = a_voltage[j] + (from_count[j] if peak_step[b, j] == now else zero)
            for j in range(size):
                a_current[j] = gain[j] * full[j] + alpha_syn[j] * a_current[j]
            for j in range(size):
                a_voltage[j] = alpha_mem[j] * full[j]
            adjoint_here, drift_here = adjoint[n % rows * size :], drift[n % rows * size :]
            adjoint_copy, drift_copy = adjoint_here[rows * size :], drift_here[rows * size :]
            for j in range(size):
                adjoint_here[j] = a_current[j]
                adjoint_copy[j] = a_current[j]
            for j in range(size):
                drift_here[j] = a_current[j] * rate_syn[j] - full[j] * rate_mem[j]
                drift_copy[j] = drift_here[j]
            if wants_tau:
                for j in range(size):
                    d_decay[0, j] += full[j] * voltages[n, j]
                    d_decay[1, j] += a_current[j] * currents[n, j]
                    d_decay[2, j] += full[j] * currents[n + 1, j]


@_jit
def li_forward(first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, voltages):
    """Voltages (batch, n_steps, size) of units that never spike."""
    size = weight.shape[1]
    arriving = np.empty(size, weight.dtype)
    current = np.empty(size, weight.dtype)
    no_reach = np.empty(0, np.uint32)
    for b in range(first, last):
        arriving[:] = 0
        current[:] = 0
        e = offsets[b]
        for n in range(voltages.shape[1]):
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + arriving[j]
                arriving[j] = 0
                voltages[b, n, j] = gain[j] * current[j]
            if n > 0:
                for j in range(size):
                    voltages[b, n, j] += alpha_mem[j] * voltages[b, n - 1, j]
            while e < offsets[b + 1] and steps[e] == n:
                _deliver(arriving, weight[units[e]], no_reach)
                e += 1


@_jit
def li_backward(
    first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, tau_mem, tau_syn,
    voltages, grad_voltages, wants_tau, d_times, d_weight, d_decay,
):  # fmt: skip
    """Exact derivative of `li_forward`; the times get the continuous one, as in `lif_backward`."""
    size = weight.shape[1]
    a_current = np.empty(size, weight.dtype)
    drift = np.empty(size, weight.dtype)
    a_voltage = np.empty(size, weight.dtype)
    no_reach = np.empty(0, np.uint32)
    for b in range(first, last):
        a_current[:] = 0
        drift[:] = 0
        a_voltage[:] = 0
        e = offsets[b + 1] - 1
        for n in range(voltages.shape[1] - 1, -1, -1):
            while e >= offsets[b] and steps[e] == n:
                _collect(d_weight[units[e]], a_current, no_reach)
                if d_times.shape[0] > 0:
                    d_times[e] = _weigh(drift, weight[units[e]], no_reach)
                e -= 1
            for j in range(size):
                full = a_voltage[j] + grad_voltages[b, n, j]
                a_current[j] = gain[j] * full + alpha_syn[j] * a_current[j]
                if wants_tau:
                    before = voltages[b, n - 1, j] if n > 0 else 0
                    d_decay[0, j] += full * before
                    d_decay[2, j] += full * (voltages[b, n, j] - alpha_mem[j] * before) / gain[j]
                    if n > 0:
                        earlier = voltages[b, n - 2, j] if n > 1 else 0
                        d_decay[1, j] += a_current[j] * (before - alpha_mem[j] * earlier) / gain[j]
                a_voltage[j] = alpha_mem[j] * full
                drift[j] = a_current[j] / tau_syn[j] - full / tau_mem[j]
