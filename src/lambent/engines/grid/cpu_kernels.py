"""Numba kernels of `grid_cpu`: the recurrence of DESIGN 4.2 and its adjoint, one sample after another.

Each kernel works on samples `first:last` and holds no lock, so that threads run several at once.

Forward, what is under way waits in a window of `_BLOCK` + `rows` steps, one value per unit, that moves on every
`_BLOCK` steps (`rows` = max delay + 1). Backward, the adjoint of a whole sample is kept, so that each unit's row of
gradients is fetched once a sample, and not once a spike. Delays come as `reach`: delay * units + target, the place
of each connection's target relative to the start of the next step's row; empty means no delays.

What the loops look like is what LLVM makes fast: short loops over units with few arrays to prove apart (these it
vectorises), and no slices inside, since each would count references with an atomic operation. `fastmath` allows
reordering of sums but keeps NaN and infinity.
"""

from __future__ import annotations

import numpy as np

from lambent.machine.compiling import grown, kernel

_FAST = {"reassoc", "contract", "nsz"}  # sums in any order; infinities and NaN are what they are
_jit, _inline = kernel(fastmath=_FAST), kernel(fastmath=_FAST, forceinline=True)

_BLOCK = 16  # steps


@_inline
def _add_rows(target, at, source, index, first, last):
    """Add to row `at` of `target` the rows index[first:last] of `source`, eight at a time."""
    k = first
    while k + 7 < last:
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        e, f, g, h = index[k + 4], index[k + 5], index[k + 6], index[k + 7]
        for j in range(source.shape[1]):
            x = (source[a, j] + source[b, j]) + (source[c, j] + source[d, j])
            y = (source[e, j] + source[f, j]) + (source[g, j] + source[h, j])
            target[at, j] += x + y
        k += 8
    if k + 3 < last:
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        for j in range(source.shape[1]):
            target[at, j] += (source[a, j] + source[b, j]) + (source[c, j] + source[d, j])
        k += 4
    while k < last:
        a = index[k]
        for j in range(source.shape[1]):
            target[at, j] += source[a, j]
        k += 1


@_inline
def _deliver(window, row, weight, reach, units, first, last):
    """Send the spikes units[first:last] on their way: to row `row` of `window`, or later by their delays."""
    if reach.shape[1] == 0:
        _add_rows(window, row, weight, units, first, last)
    else:
        flat = window.reshape(window.size)
        start = np.uint32(row * window.shape[1])
        for k in range(first, last):
            u = units[k]
            for j in range(weight.shape[1]):
                flat[start + reach[u, j]] += weight[u, j]


@_inline
def _move_on(window):
    """Let the window begin `_BLOCK` steps later."""
    rest = window.shape[0] - _BLOCK
    for row in range(window.shape[0]):
        for j in range(window.shape[1]):
            window[row, j] = window[row + _BLOCK, j] if row < rest else 0


@_jit
def _collect(gradient, history, reach, steps, units, first, last):
    """Add to the gradient of each unit's weights what `history` (steps, size) holds where its spikes arrived."""
    # the spikes in the order of their units: a counting sort
    end = np.zeros(gradient.shape[0] + 1, np.int64)
    for e in range(first, last):
        end[units[e] + 1] += 1
    for u in range(gradient.shape[0]):
        end[u + 1] += end[u]
    arrival = np.empty(last - first, np.int64)
    for e in range(first, last):
        u = units[e]
        arrival[end[u]] = steps[e] + 1
        end[u] += 1
    start = 0
    flat = history.reshape(history.size)
    for u in range(gradient.shape[0]):
        if reach.shape[1] == 0:
            _add_rows(gradient, u, history, arrival, start, end[u])
        else:
            for k in range(start, end[u]):
                row = np.uint32(arrival[k] * history.shape[1])
                for j in range(history.shape[1]):
                    gradient[u, j] += flat[row + reach[u, j]]
        start = end[u]


@_inline
def _weigh(history, row, weight, reach, unit):
    """Sum of what `history` holds where the unit's spike arrived, from `row` on, times its weights."""
    total = weight.dtype.type(0)
    if reach.shape[1] == 0:
        for j in range(weight.shape[1]):
            total += weight[unit, j] * history[row, j]
    else:
        flat = history.reshape(history.size)
        start = np.uint32(row * history.shape[1])
        for j in range(weight.shape[1]):
            total += weight[unit, j] * flat[start + reach[unit, j]]
    return total


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
    window = np.empty((_BLOCK + rows, size), dtype)
    current = np.empty(size, dtype)
    voltage = np.empty(size, dtype)
    peak = np.empty(size, dtype)
    fired = np.empty(size + 8, np.int32)
    above = np.zeros((size + 7) // 8 * 8, np.uint8)
    above_words = above.view(np.uint64)
    for b in range(first, last):
        window[:] = 0
        current[:] = 0
        voltage[:] = 0
        peak[:] = -np.inf
        counts[b] = 0
        e = offsets[b]
        for n in range(n_steps):
            if n > 0 and n % _BLOCK == 0:
                _move_on(window)
            row = n % _BLOCK
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + window[row, j]
            for j in range(size):
                voltage[j] = alpha_mem[j] * voltage[j] + gain[j] * current[j]
            for j in range(size):
                above[j] = voltage[j] >= threshold[j]
            now = np.int32(n)
            for j in range(size):
                higher = voltage[j] > peak[j]
                peak[j] = voltage[j] if higher else peak[j]
                peak_step[b, j] = now if higher else peak_step[b, j]
            found = 0
            for word in range(above_words.shape[0]):  # eight units at a time, since spikes are rare
                if above_words[word] != 0:
                    for j in range(8 * word, 8 * word + 8):
                        fired[found] = j
                        found += above[j]
            if found > 0:
                while total + found > out_steps.shape[0]:
                    out_steps, out_units, slopes = grown(out_steps), grown(out_units), grown(slopes)
                for f in range(found):
                    j = fired[f]
                    slopes[total] = max((current[j] - voltage[j]) / tau_mem[j], min_slope[j])
                    out_steps[total] = n
                    out_units[total] = j
                    total += 1
                    counts[b, j] += 1
                    voltage[j] = voltage[j] - threshold[j] if subtract else 0
                if recurrent.shape[0] > 0:
                    _deliver(window, row + 1, recurrent, recurrent_reach, fired, 0, found)
            arrived = e
            while e < offsets[b + 1] and steps[e] == n:
                e += 1
            _deliver(window, row + 1, weight, reach, units, arrived, e)
        for j in range(size):
            if counts[b, j] > 0:
                peak_step[b, j] = -1
    return out_steps[:total], out_units[:total], slopes[:total]


@_jit
def _replay(
    steps, units, weight, reach, own_steps, own_units, recurrent, recurrent_reach, window,
    alpha_mem, alpha_syn, gain, threshold, subtract, currents, voltages,
):  # fmt: skip
    """Recompute the currents and the voltages after reset of one sample with known spikes.

    Both (n_steps + 1, size): row n + 1 belongs to step n, row 0 is the resting state.
    """
    size = weight.shape[1]
    window[:] = 0
    currents[0] = 0
    voltages[0] = 0
    e, s = 0, 0
    for n in range(currents.shape[0] - 1):
        if n > 0 and n % _BLOCK == 0:
            _move_on(window)
        row = n % _BLOCK
        for j in range(size):
            currents[n + 1, j] = alpha_syn[j] * currents[n, j] + window[row, j]
        for j in range(size):
            voltages[n + 1, j] = alpha_mem[j] * voltages[n, j] + gain[j] * currents[n + 1, j]
        spiked, arrived = s, e
        while s < own_steps.shape[0] and own_steps[s] == n:
            j = own_units[s]
            voltages[n + 1, j] = voltages[n + 1, j] - threshold[j] if subtract else 0
            s += 1
        while e < steps.shape[0] and steps[e] == n:
            e += 1
        if recurrent.shape[0] > 0:
            _deliver(window, row + 1, recurrent, recurrent_reach, own_units, spiked, s)
        _deliver(window, row + 1, weight, reach, units, arrived, e)


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
    window = np.empty((_BLOCK + rows, size), dtype)
    adjoint = np.zeros((n_steps + rows, size), dtype)  # aI of every step: dL/dw of a spike that arrives
    # aI / tau_syn - aV / tau_mem: dL/dt of it, per weight; without delays only the next step's is needed
    delayed = reach.shape[1] > 0 or recurrent_reach.shape[1] > 0
    drift = np.zeros((n_steps + rows if delayed else 1, size), dtype)
    a_voltage = np.empty(size, dtype)
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
                recurrent, recurrent_reach, window,
                alpha_mem, alpha_syn, gain, threshold, subtract, currents, voltages,
            )  # fmt: skip
        drift[-1] = 0
        for j in range(size):
            from_count[j] = grad_counts[b, j] / threshold[j]
            a_voltage[j] = from_count[j] if peak_step[b, j] == n_steps - 1 else zero
            if peak_step[b, j] >= 0:
                d_threshold[j] -= from_count[j]
        e = offsets[b + 1] - 1
        s = own_offsets[b + 1] - 1
        for n in range(n_steps - 1, -1, -1):
            later = n + 1 if delayed else 0
            if d_times.shape[0] > 0:
                while e >= offsets[b] and steps[e] == n:
                    d_times[e] = _weigh(drift, later, weight, reach, units[e])
                    e -= 1
            # a_voltage is now the adjoint of V after the reset of this step
            while s >= own_offsets[b] and own_steps[s] == n:
                j = own_units[s]
                pull = grad_times[s]
                if recurrent.shape[0] > 0:
                    pull += _weigh(drift, later, recurrent, recurrent_reach, j)
                ratio = 1 + threshold[j] / (tau_mem[j] * slopes[s])  # Vdot after / before the reset
                a_voltage[j] = a_voltage[j] * ratio - pull / slopes[s] + from_count[j]
                d_threshold[j] -= a_voltage[j]
                s -= 1
            for j in range(size):
                adjoint[n, j] = gain[j] * a_voltage[j] + alpha_syn[j] * adjoint[n + 1, j]
            here = n if delayed else 0
            for j in range(size):
                drift[here, j] = adjoint[n, j] * rate_syn[j] - a_voltage[j] * rate_mem[j]
            if wants_tau:
                for j in range(size):
                    d_decay[0, j] += a_voltage[j] * voltages[n, j]
                    d_decay[1, j] += adjoint[n, j] * currents[n, j]
                    d_decay[2, j] += a_voltage[j] * currents[n + 1, j]
            before = np.int32(n - 1)
            for j in range(size):  # a unit with a peak is silent: nothing comes between
                a_voltage[j] = alpha_mem[j] * a_voltage[j] + (from_count[j] if peak_step[b, j] == before else zero)
        _collect(d_weight, adjoint, reach, steps, units, offsets[b], offsets[b + 1])
        if d_reach.shape[0] > 0:
            _collect(d_reach, drift, reach, steps, units, offsets[b], offsets[b + 1])
        if recurrent.shape[0] > 0:
            _collect(d_recurrent, adjoint, recurrent_reach, own_steps, own_units, own_offsets[b], own_offsets[b + 1])
        if d_recurrent_reach.shape[0] > 0:
            _collect(
                d_recurrent_reach, drift, recurrent_reach, own_steps, own_units, own_offsets[b], own_offsets[b + 1]
            )


@_jit
def li_forward(first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, voltages):
    """Voltages (batch, n_steps, size) of units that never spike."""
    size = weight.shape[1]
    arriving = np.empty((1, size), weight.dtype)
    current = np.empty(size, weight.dtype)
    for b in range(first, last):
        arriving[:] = 0
        current[:] = 0
        e = offsets[b]
        for n in range(voltages.shape[1]):
            for j in range(size):
                current[j] = alpha_syn[j] * current[j] + arriving[0, j]
                arriving[0, j] = 0
                voltages[b, n, j] = gain[j] * current[j]
            if n > 0:
                for j in range(size):
                    voltages[b, n, j] += alpha_mem[j] * voltages[b, n - 1, j]
            arrived = e
            while e < offsets[b + 1] and steps[e] == n:
                e += 1
            _add_rows(arriving, 0, weight, units, arrived, e)


@_jit
def li_backward(
    first, last, steps, units, offsets, weight, alpha_mem, alpha_syn, gain, tau_mem, tau_syn,
    voltages, grad_voltages, wants_tau, d_times, d_weight, d_decay,
):  # fmt: skip
    """Exact derivative of `li_forward`; the times get the continuous one, as in `lif_backward`."""
    size = weight.shape[1]
    n_steps = voltages.shape[1]
    adjoint = np.zeros((n_steps + 1, size), weight.dtype)
    drift = np.empty((1, size), weight.dtype)
    a_voltage = np.empty(size, weight.dtype)
    no_reach = np.empty((0, 0), np.uint32)
    for b in range(first, last):
        drift[:] = 0
        a_voltage[:] = 0
        e = offsets[b + 1] - 1
        for n in range(n_steps - 1, -1, -1):
            if d_times.shape[0] > 0:
                while e >= offsets[b] and steps[e] == n:
                    d_times[e] = _weigh(drift, 0, weight, no_reach, units[e])
                    e -= 1
            for j in range(size):
                full = a_voltage[j] + grad_voltages[b, n, j]
                a_current = gain[j] * full + alpha_syn[j] * adjoint[n + 1, j]
                if wants_tau:
                    before = voltages[b, n - 1, j] if n > 0 else 0
                    d_decay[0, j] += full * before
                    d_decay[2, j] += full * (voltages[b, n, j] - alpha_mem[j] * before) / gain[j]
                    if n > 0:
                        earlier = voltages[b, n - 2, j] if n > 1 else 0
                        d_decay[1, j] += a_current * (before - alpha_mem[j] * earlier) / gain[j]
                a_voltage[j] = alpha_mem[j] * full
                drift[0, j] = a_current / tau_syn[j] - full / tau_mem[j]
                adjoint[n, j] = a_current
        _collect(d_weight, adjoint, no_reach, steps, units, offsets[b], offsets[b + 1])
