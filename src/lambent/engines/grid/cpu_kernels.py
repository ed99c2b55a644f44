"""Numba kernels of the grid on the CPU: the recurrence of DESIGN 4.2 and its adjoint, one sample after another.

One kernel serves all neurons and connections: their types pick what they do (`lambent.engines.grid.units`). Each works
on samples `first:last` and holds no lock, so that threads run several at once.

Forward, what is under way waits in a window of `BLOCK` + `rows` steps, one value per unit, that moves on every
`BLOCK` steps (`rows` = max delay + 1). Backward, the adjoint of a chunk of steps is kept, and of the `rows` after it,
where its spikes arrive; so each unit's row of gradients is fetched once a chunk, and not once a spike, and memory does
not grow with steps. Where states matter they are worked out once more, a chunk at a time.

What the loops look like is what LLVM makes fast: short loops over units with few arrays to prove apart (these it
vectorises), and no slices inside, since each would count references with an atomic operation. Sums are reordered, but
NaN and infinity kept.
"""

from __future__ import annotations

import numpy as np

from lambent.connections.graded import scaled, value_at
from lambent.engines.grid.units import (
    collect,
    delayed,
    deliver,
    levels,
    lift_all,
    lift_peak,
    load,
    move,
    n_marks,
    n_payload,
    n_states,
    payloads_of,
    replay_spike,
    replay_step,
    spike,
    step,
    unspike,
    unstep,
    watch,
    weigh,
)
from lambent.machine.compiling import fast, fast_inline, grown
from lambent.neurons.payload import slope_of

BLOCK = 16  # steps by which the window moves
_CHUNK = 1024  # steps, at least, of which the adjoint is kept at once


@fast_inline
def _move_on(window):
    """Let the window begin `BLOCK` steps later."""
    rest = window.shape[0] - BLOCK
    for row in range(window.shape[0]):
        for j in range(window.shape[1]):
            window[row, j] = window[row + BLOCK, j] if row < rest else 0


@fast_inline
def _copy(source, target):
    """Of two dimensions; `target[:] = source` would compile for five seconds, with how it complains of shapes."""
    for row in range(target.shape[0]):
        for j in range(target.shape[1]):
            target[row, j] = source[row, j]


@fast_inline
def _begin(window, state, kept_window, kept_state):
    """At rest, or from what was kept."""
    if kept_window.shape[0] > 0:
        _copy(kept_window, window)
        _copy(kept_state, state)
    else:
        window[:] = 0
        state[:] = 0


@fast_inline
def _keep(window, state, kept_window, kept_state):
    if kept_window.shape[0] > 0:
        _copy(window, kept_window)
        _copy(state, kept_state)


@fast
def spikes_forward(
    first, last, steps, sources, values, offsets, units, inputs, recurrent, rows, n_steps, payload, counts, peak_step,
    kept_window, kept_state, before,
):  # fmt: skip
    """Run samples first:last; returns the spikes of all (steps, units, marks) and fills `counts`, `peak_step`.

    `kept_window` and `kept_state`, unless they are empty, are what the one sample goes on from, after `before` steps,
    and become what goes on from it.

    `values` are those of the spikes that come in, None where all are 1, and `payload` says what the layer's own carry,
    None for nothing; Numba compiles other kernels for None. `marks` is what the neuron keeps of each spike, and then
    its overshoot and its value if it carries one; `peak_step` is as in `operation.Emitted`.
    """
    size = counts.shape[1]
    dtype = counts.dtype
    out_steps = np.empty(64 * size, np.int32)
    out_units = np.empty(64 * size, np.int32)
    marks = np.empty((64 * size, n_marks(units) + n_payload(payload)), dtype)
    total = 0
    window = np.empty((BLOCK + rows, size), dtype)
    state = np.empty((n_states(units), size), dtype)
    peak = np.empty(size, dtype)
    fired = np.empty(size + 8, np.int32)
    own_values = payloads_of(payload, peak)
    above = np.zeros((size + 7) // 8 * 8, np.uint8)
    above_words = above.view(np.uint64)
    for b in range(first, last):
        _begin(window, state, kept_window, kept_state)
        peak[:] = -np.inf
        counts[b] = 0
        e = offsets[b]
        for n in range(n_steps):
            if before + n > 0 and (before + n) % BLOCK == 0:
                _move_on(window)
            row = (before + n) % BLOCK
            step(units, state, window, row, above)
            watch(units, state, peak, peak_step, b, np.int32(n))
            found = 0
            for word in range(above_words.shape[0]):  # eight units at a time, since spikes are rare
                if above_words[word] != 0:
                    for j in range(8 * word, 8 * word + 8):
                        fired[found] = j
                        found += above[j]
            if found > 0:
                while total + found > out_steps.shape[0]:
                    out_steps, out_units, marks = grown(out_steps), grown(out_units), grown(marks)
                for f in range(found):
                    j = fired[f]
                    load(units, state, j, payload, marks, total, own_values, f)
                    spike(units, state, j, marks, total)
                    out_steps[total] = n
                    out_units[total] = j
                    total += 1
                    counts[b, j] += 1
                # a bare 0 would be compiled once more
                deliver(window, row + 1, recurrent, fired, own_values, np.int64(0), found)
            arrived = e
            while e < offsets[b + 1] and steps[e] == n:
                e += 1
            deliver(window, row + 1, inputs, sources, values, arrived, e)
        _keep(window, state, kept_window, kept_state)
        for j in range(size):
            if counts[b, j] > 0:
                peak_step[b, j] = -1
            elif peak[j] <= 0:
                peak_step[b, j] = -2
    return out_steps[:total], out_units[:total], marks[:total]


@fast
def spans(n_steps, rows):
    """Steps of a chunk, and how many chunks there are; a chunk is no shorter than what is under way."""
    span = max(1, min(n_steps, max(_CHUNK, rows)))
    return span, (n_steps + span - 1) // span


@fast
def _first_from(steps, first, last, step):
    """The first of the spikes first:last, sorted, that is not before `step`."""
    while first < last:
        middle = (first + last) // 2
        if steps[middle] < step:
            first = middle + 1
        else:
            last = middle
    return first


@fast
def replay(
    begin, end, steps, sources, values, e, e_end, units, inputs, own_steps, own_units, own_values, s, s_end, recurrent,
    rows, states, arrived,
):  # fmt: skip
    """Work out once more the states of steps begin:end of one sample with known spikes, entries e:e_end and s:s_end.

    `states` (span + 1, n_states, size) after the reset, row k + 1 of step begin + k; row 0, before them, is given.
    `arrived` (span, size).
    """
    window = np.zeros((BLOCK + rows, arrived.shape[1]), arrived.dtype)
    start = max(0, begin - rows)  # what arrives from `begin` on was sent from there on
    e, s = _first_from(steps, e, e_end, start), _first_from(own_steps, s, s_end, start)
    for n in range(start, end):
        if n > start and (n - start) % BLOCK == 0:
            _move_on(window)
        row = (n - start) % BLOCK
        if n >= begin:
            replay_step(units, states, arrived, window, row, n - begin)
        spiked, came = s, e
        while s < s_end and own_steps[s] == n:
            if n >= begin:
                replay_spike(units, states, n - begin + 1, own_units[s])
            s += 1
        while e < e_end and steps[e] == n:
            e += 1
        deliver(window, row + 1, recurrent, own_units, own_values, spiked, s)
        deliver(window, row + 1, inputs, sources, values, came, e)


@fast
def _states_before_chunks(
    span, kept, steps, sources, values, e, e_end, units, inputs, own_steps, own_units, own_values, s, s_end, recurrent,
    rows, states, arrived,
):  # fmt: skip
    """kept[c] (n_states, size) becomes the state before chunk c; arguments as of `replay`."""
    kept[0] = 0
    for c in range(kept.shape[0] - 1):
        _copy(kept[c], states[0])
        replay(
            c * span, (c + 1) * span, steps, sources, values, e, e_end, units, inputs,
            own_steps, own_units, own_values, s, s_end, recurrent, rows, states, arrived,
        )  # fmt: skip
        _copy(states[span], kept[c + 1])


@fast_inline
def _begin_chunk(history, drift, late, length, last, rows):
    """Make the rows after a chunk's `length` those of the chunk after it, where spikes may arrive, too; else zeros."""
    for row in range(rows):
        for j in range(history.shape[1]):
            history[length + row, j] = 0 if last else history[row, j]
    if late:
        for row in range(rows):
            for j in range(drift.shape[1]):
                drift[length + row, j] = 0 if last else drift[row, j]
    elif last:
        drift[0] = 0


@fast
def spikes_backward(
    first, last, steps, sources, values, offsets, units, inputs, recurrent, rows, n_steps,
    own_steps, own_units, own_values, own_offsets, marks, peak_step, grad_times, grad_counts, grad_values, payload,
    d_times, d_values, d_step, d_spike, d_inputs, d_recurrent,
):  # fmt: skip
    """Integrate the adjoint of samples first:last backwards in time, adding to the gradients d_*.

    `d_step` and `d_spike` (fields, size) are the gradients of the neuron's fields; `d_step` is None where neither they
    nor the states matter, for which Numba then compiles another kernel: a branch would cost a third. So are `d_times`
    and `d_values` where they are not wanted. `own_values` and `grad_values` are None without a `payload`.
    """
    size = grad_counts.shape[1]
    dtype = grad_counts.dtype
    span, chunks = spans(n_steps, rows)
    history = np.empty((span + rows, size), dtype)  # dL/d arriving of every step of a chunk, and after it
    # dL/dt of what arrives, per weight; without delays only the next step's is needed
    late = delayed(inputs) or delayed(recurrent)
    drift = np.empty((span + rows if late else 1, size), dtype)
    a = np.empty((n_states(units), size), dtype)
    push = np.empty(size, dtype)
    no_marks = np.zeros((1, n_marks(units)), dtype)
    # silent units in lists, one for each step of a chunk in which their levels are highest
    last_silent, silent_before = np.empty(span, np.int64), np.empty(size, np.int64)
    low = np.empty(size, np.int64)  # units that never rose above rest
    traced = span if d_step is not None else 0
    states = np.empty((traced + 1, n_states(units), size), dtype)
    arrived = np.empty((traced, size), dtype)
    kept = np.empty((chunks if d_step is not None else 1, n_states(units), size), dtype)
    for b in range(first, last):
        if d_step is not None:
            _states_before_chunks(
                span, kept, steps, sources, values, offsets[b], offsets[b + 1], units, inputs,
                own_steps, own_units, own_values, own_offsets[b], own_offsets[b + 1], recurrent, rows, states, arrived,
            )  # fmt: skip
        a[:] = 0
        n_low = 0
        for j in range(size):
            push[j] = grad_counts[b, j] / units.threshold[j]
            if peak_step[b, j] == -2:
                push[j] /= n_steps
                low[n_low] = j
                n_low += 1
        e = offsets[b + 1] - 1
        s = own_offsets[b + 1] - 1
        for chunk in range(chunks - 1, -1, -1):
            begin = chunk * span
            length = min(span, n_steps - begin)
            _begin_chunk(history, drift, late, length, chunk == chunks - 1, rows)
            if d_step is not None:
                _copy(kept[chunk], states[0])
                replay(
                    begin, begin + length, steps, sources, values, offsets[b], offsets[b + 1], units, inputs,
                    own_steps, own_units, own_values, own_offsets[b], own_offsets[b + 1], recurrent, rows,
                    states, arrived,
                )  # fmt: skip
            last_silent[:] = -1
            for j in range(size):
                k = peak_step[b, j] - begin
                if peak_step[b, j] >= 0 and 0 <= k < length:  # it did not spike
                    silent_before[j] = last_silent[k]
                    last_silent[k] = j
            e_end, s_end = e + 1, s + 1
            for k in range(length - 1, -1, -1):
                n = begin + k
                j = last_silent[k]
                while j >= 0:
                    lift_peak(units, a, j, push[j], no_marks, d_spike)
                    j = silent_before[j]
                for i in range(n_low):
                    lift_peak(units, a, low[i], push[low[i]], no_marks, d_spike)
                later = k + 1 if late else 0
                while e >= offsets[b] and steps[e] == n:
                    if d_times is not None and not delayed(inputs):  # or else while their gradients are collected
                        d_times[e] = scaled(value_at(values, e), weigh(drift, later, inputs, sources[e]))
                    if d_values is not None:
                        d_values[e] = weigh(history, k + 1, inputs, sources[e])
                    e -= 1
                # `a` is now the adjoint after the reset of this step
                while s >= own_offsets[b] and own_steps[s] == n:
                    j = own_units[s]
                    pull = grad_times[s] + scaled(value_at(own_values, s), weigh(drift, later, recurrent, j))
                    lift = push[j]
                    if payload is not None:
                        # nothing from the layer's own units: overshoots that feed each other, see `Spiking`
                        lift += grad_values[s] * slope_of(payload, marks[s, n_marks(units)])
                    unspike(units, a, j, pull, lift, marks, s, d_spike)
                    s -= 1
                unstep(units, a, history, drift, k, k if late else 0, states, arrived, d_step)
            collect(d_inputs, d_times, inputs, history, drift, begin, steps, sources, values, e + 1, e_end)
            collect(d_recurrent, None, recurrent, history, drift, begin, own_steps, own_units, own_values, s + 1, s_end)


@fast
def levels_forward(
    first, last, steps, sources, values, offsets, units, inputs, rows, out, kept_window, kept_state, before
):
    """`out` (batch, n_steps, size) becomes the levels of units that never spike.

    What is kept is as in `spikes_forward`.
    """
    size = out.shape[2]
    state = np.empty((n_states(units), size), out.dtype)
    window = np.empty((BLOCK + rows, size), out.dtype)
    for b in range(first, last):
        _begin(window, state, kept_window, kept_state)
        e = offsets[b]
        for n in range(out.shape[1]):
            if before + n > 0 and (before + n) % BLOCK == 0:
                _move_on(window)
            row = (before + n) % BLOCK
            move(units, state, window, row)
            levels(units, state, out, b, n)
            arrived = e
            while e < offsets[b + 1] and steps[e] == n:
                e += 1
            deliver(window, row + 1, inputs, sources, values, arrived, e)
        _keep(window, state, kept_window, kept_state)


@fast
def levels_backward(
    first, last, steps, sources, values, offsets, units, inputs, absent, rows, grad, d_times, d_values, d_step, d_inputs
):  # fmt: skip
    """Exact derivative of `levels_forward`; the times get the continuous one, as in `spikes_backward`."""
    n_steps, size = grad.shape[1], grad.shape[2]
    dtype = grad.dtype
    span, chunks = spans(n_steps, rows)
    history = np.empty((span + rows, size), dtype)
    late = delayed(inputs)
    drift = np.empty((span + rows if late else 1, size), dtype)
    a = np.empty((n_states(units), size), dtype)
    traced = span if d_step is not None else 0
    states = np.empty((traced + 1, n_states(units), size), dtype)
    arrived = np.empty((traced, size), dtype)
    kept = np.empty((chunks if d_step is not None else 1, n_states(units), size), dtype)
    for b in range(first, last):
        if d_step is not None:
            _states_before_chunks(
                span, kept, steps, sources, values, offsets[b], offsets[b + 1], units, inputs,
                steps, sources, None, 0, 0, absent, rows, states, arrived,
            )  # fmt: skip
        a[:] = 0
        e = offsets[b + 1] - 1
        for chunk in range(chunks - 1, -1, -1):
            begin = chunk * span
            length = min(span, n_steps - begin)
            _begin_chunk(history, drift, late, length, chunk == chunks - 1, rows)
            if d_step is not None:
                _copy(kept[chunk], states[0])
                replay(
                    begin, begin + length, steps, sources, values, offsets[b], offsets[b + 1], units, inputs,
                    steps, sources, None, 0, 0, absent, rows, states, arrived,
                )  # fmt: skip
            e_end = e + 1
            for k in range(length - 1, -1, -1):
                n = begin + k
                while e >= offsets[b] and steps[e] == n:
                    if d_times is not None and not late:
                        d_times[e] = scaled(value_at(values, e), weigh(drift, 0, inputs, sources[e]))
                    if d_values is not None:
                        d_values[e] = weigh(history, k + 1, inputs, sources[e])
                    e -= 1
                lift_all(units, a, grad, b, n)
                unstep(units, a, history, drift, k, k if late else 0, states, arrived, d_step)
            collect(d_inputs, d_times, inputs, history, drift, begin, steps, sources, values, e + 1, e_end)
