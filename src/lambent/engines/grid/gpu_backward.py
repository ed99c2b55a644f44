"""Triton kernels of the grid, backward: the adjoint of `gpu_forward.spikes_forward`.

A program integrates one sample after another (b, b + programs, ...) backwards in time, or its tile of each. Weight
gradients are added atomically, `FETCH` spikes at a time; with several tiles also those of event times and values.
`COPIES` gives every program its own sum of each, added to in a fixed order, so that what comes out is the same in
every run.

With delays, the adjoint of the last `rows` steps lies in rings as in the forward pass, and a spike reads from them
where it arrived.
"""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.engines.grid.gpu_forward import deliver, take
from lambent.engines.grid.gpu_units import columns_of, load_each, plus, same, store_each, unit_of, where_each


@triton.jit
def spread(unit, live, values, columns):
    """Values (FETCH,) of spikes of different units, put into the columns of their units; 0 elsewhere."""
    hits = live[:, None] & (unit[:, None] == columns[None, :])
    return tl.sum(tl.where(hits, values[:, None], 0.0), 0)


@triton.jit
def replay(
    starts, units, values, inputs, recurrent, own_starts, tiles, own_units, own_values, p, ring, states, arrivals,
    columns, inside, n_steps, rows, dtype: tl.constexpr, size: tl.constexpr, NEURON: tl.constexpr, INPUTS: tl.constexpr,
    RECURRENT: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Work out once more the states of one sample with known spikes.

    `states` (n_steps + 1, STATES, size) after the reset, row n + 1 of step n and row 0 at rest; `arrivals`
    (n_steps, size) what arrived in each step.
    """
    arriving = tl.zeros([BLOCK], dtype)
    x = same(arriving, STATES)
    store_each(states, size, columns, inside, x, STATES)
    last = tl.load(starts)
    own_first = last
    own_last = last
    for n in range(n_steps):
        first = last
        last = tl.load(starts + n + 1)
        next_row = (n + 1) % rows
        if ring is not None:
            arriving = take(arriving, ring + n % rows * size + columns, inside)
            tl.debug_barrier()
        at = tl.cast(n, tl.int64) * size
        tl.store(arrivals + at + columns, arriving, mask=inside)
        x = NEURON.advance(x, arriving, p)
        if own_starts is not None:
            own_first = tl.load(own_starts + n * tiles)
            own_last = tl.load(own_starts + n * tiles + 1)
            for some in range(own_first, own_last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < own_last
                unit = tl.load(own_units + slot, mask=live, other=0)
                fired = spread(unit, live, tl.full([FETCH], 1.0, dtype), columns) > 0
                x = where_each(fired, NEURON.reset(x, p), x, STATES)
        store_each(states + (at + size) * STATES, size, columns, inside, x, STATES)
        arriving = deliver(
            ring, next_row, rows, units, values, first, last, inputs, own_units, own_values, own_first, own_last,
            recurrent, columns, inside, INPUTS, RECURRENT, dtype, size, BLOCK, FETCH,
        )  # fmt: skip
        if ring is not None:
            tl.debug_barrier()


@triton.jit
def clear(ring, rows, columns, inside, size: tl.constexpr, dtype: tl.constexpr, BLOCK: tl.constexpr):
    """Fill a ring with zeros."""
    for row in range(rows):
        tl.store(ring + row * size + columns, tl.zeros([BLOCK], dtype), mask=inside)


@triton.jit
def add_to_spikes(at, amounts, live, SHARED: tl.constexpr):
    """Add to the gradients of some spikes' times or values; `SHARED` between the tiles of a layer."""
    if SHARED:
        tl.atomic_add(at, amounts, mask=live, sem="relaxed")
    else:
        tl.store(at, amounts, mask=live)


@triton.jit(do_not_specialize=["batch", "n_steps", "rows", "n_times", "input_size", "own_size"])
def spikes_backward(
    starts, units, values, fields, inputs, recurrent, own_starts, own_units, own_values, slopes, marks, peak_steps,
    grad_times, grad_counts, grad_values, rings, traces, d_times, d_values, d_inputs, d_recurrent, d_step, d_spike,
    batch, n_steps, rows, n_times, input_size, own_size, size: tl.constexpr, NEURON: tl.constexpr, INPUTS: tl.constexpr,
    RECURRENT: tl.constexpr, FIELDS: tl.constexpr, STATES: tl.constexpr, MARKS: tl.constexpr, STEP: tl.constexpr,
    SPIKE: tl.constexpr, COPIES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Integrate the adjoint of `batch` samples, adding to the gradients d_*; see `cpu_kernels.spikes_backward`.

    Scratch of one program each: `rings` (2, rows, size), None without delays; `traces`
    (n_steps + 1, STATES, size) and then (n_steps, size), None unless states matter. `d_step` (STEP, size) and `d_spike`
    (SPIKE, size) are always one per program, the gradients of connections with `COPIES`, which are `input_size` and
    `own_size` entries apart; then `d_times` and `d_values` are one per tile, `n_times` entries apart. What is None is
    not wanted. Of spikes without payloads `own_values`, their `slopes` (d value / d overshoot) and `grad_values` are
    None.
    """
    program = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    tiles = tl.num_programs(1)
    own_starts += tile
    columns = columns_of(size, BLOCK, rings is not None)
    inside = columns < size
    p = unit_of(fields, columns, inside, size, NEURON, FIELDS)
    zero = tl.zeros([BLOCK], fields.dtype.element_ty)
    adjoints, drifts = rings, rings
    if rings is not None:
        adjoints = rings + program * 2 * rows * size
        drifts = adjoints + rows * size
    states, arrivals = traces, traces
    if traces is not None:
        states = traces + program * ((n_steps + 1) * STATES + n_steps) * size
        arrivals = states + (n_steps + 1) * STATES * size
    copy = program * 0
    own_copy = program * 0
    if COPIES:
        copy += (program * tiles + tile) * input_size
        own_copy += program * own_size
        if d_times is not None:
            d_times += tl.cast(tile, tl.int64) * n_times
        if d_values is not None:
            d_values += tl.cast(tile, tl.int64) * n_times
    step_sums = same(zero, STEP)
    spike_sums = same(zero, SPIKE)
    for sample in range(program, batch, tl.num_programs(0)):
        b = tl.cast(sample, tl.int64)
        if rings is not None:
            clear(adjoints, rows, columns, inside, size, zero.dtype, BLOCK)
            tl.debug_barrier()
        if traces is not None:
            replay(
                starts + b * n_steps, units, values, inputs, recurrent, own_starts + b * n_steps * tiles, tiles,
                own_units, own_values, p, adjoints, states, arrivals, columns, inside, n_steps, rows, zero.dtype, size,
                NEURON, INPUTS, RECURRENT, STATES, BLOCK, FETCH,
            )  # fmt: skip
            tl.debug_barrier()
        if rings is not None:
            clear(adjoints, 2 * rows, columns, inside, size, zero.dtype, BLOCK)
            tl.debug_barrier()
        peak_step = tl.load(peak_steps + b * size + columns, mask=inside, other=-1)
        push = tl.load(grad_counts + b * size + columns, mask=inside, other=0.0) / p.threshold
        lifted = NEURON.spike_gradient(NEURON.lift(push, p), same(zero, STATES), same(zero, MARKS), p)
        spike_sums = plus(spike_sums, where_each(peak_step != -1, lifted, same(zero, SPIKE), SPIKE), SPIKE)
        always = tl.where(peak_step == -2, push / n_steps, 0.0)
        a = same(zero, STATES)
        arriving = zero
        drift = zero
        first = tl.load(starts + (b + 1) * n_steps)
        for back in range(n_steps):
            n = n_steps - 1 - back
            last = first
            first = tl.load(starts + b * n_steps + n)
            own_first = tl.load(own_starts + (b * n_steps + n) * tiles)
            own_last = tl.load(own_starts + (b * n_steps + n) * tiles + 1)
            next_row = (n + 1) % rows
            for some in range(first, last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < last
                unit = tl.load(units + slot, mask=live, other=0)
                moves, worth = INPUTS.collect(
                    unit, live, values, some, arriving, drift, adjoints, drifts, next_row, rows, inputs,
                    d_inputs, copy, columns, inside, size, BLOCK, FETCH, d_times is not None, d_values is not None,
                    COPIES,
                )  # fmt: skip
                if d_times is not None:
                    add_to_spikes(d_times + slot, moves, live, size > BLOCK)
                if d_values is not None:
                    add_to_spikes(d_values + slot, worth, live, size > BLOCK)
            # `a` is now the adjoint after the reset of this step
            for some in range(own_first, own_last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < own_last
                unit = tl.load(own_units + slot, mask=live, other=0)
                pull = tl.load(grad_times + slot, mask=live, other=0.0)
                lift = push
                of_value = pull
                if slopes is not None:
                    of_value = tl.load(grad_values + slot, mask=live, other=0.0)
                if RECURRENT is not None:
                    moves, worth = RECURRENT.collect(
                        unit, live, own_values, some, arriving, drift, adjoints, drifts, next_row, rows,
                        recurrent, d_recurrent, own_copy, columns, inside, size, BLOCK, FETCH, True,
                        slopes is not None, COPIES,
                    )  # fmt: skip
                    pull += moves
                    of_value += worth
                if slopes is not None:
                    of_value *= tl.load(slopes + slot, mask=live, other=0.0)
                    lift += spread(unit, live, of_value, columns)
                fired = spread(unit, live, tl.full([FETCH], 1.0, zero.dtype), columns) > 0
                mark = ()
                for k in tl.static_range(MARKS):
                    kept = tl.load(marks + slot * MARKS + k, mask=live, other=1.0)
                    mark = mark + (tl.where(fired, spread(unit, live, kept, columns), 1.0),)  # type: ignore[assignment]  # noqa: RUF005
                jumped = NEURON.jump(a, spread(unit, live, pull, columns), lift, mark, p)
                spiked = NEURON.spike_gradient(jumped, a, mark, p)
                spike_sums = plus(spike_sums, where_each(fired, spiked, same(zero, SPIKE), SPIKE), SPIKE)
                a = where_each(fired, jumped, a, STATES)
            a = plus(a, NEURON.lift(tl.where(peak_step == n, push, always), p), STATES)
            after = a
            if traces is not None:
                at = tl.cast(n, tl.int64) * size
                before = load_each(states + at * STATES, size, columns, inside, STATES)
                arrived = tl.load(arrivals + at + columns, mask=inside, other=0.0)
                a, arriving = NEURON.retreat(after, before, arrived, p)
                if d_step is not None:
                    step_sums = plus(step_sums, NEURON.gradient(after, arriving, before, arrived, p), STEP)
            else:
                a, arriving = NEURON.retreat(after, after, zero, p)  # looks at neither state nor what arrived
            drift = NEURON.drift(arriving, after, p)
            if rings is not None:
                tl.debug_barrier()
                tl.store(adjoints + n % rows * size + columns, arriving, mask=inside)
                tl.store(drifts + n % rows * size + columns, drift, mask=inside)
                tl.debug_barrier()
        if traces is not None:
            tl.debug_barrier()  # before the next sample overwrites the traces
    if d_step is not None:
        store_each(d_step + program * STEP * size, size, columns, inside, step_sums, STEP)
    store_each(d_spike + program * SPIKE * size, size, columns, inside, spike_sums, SPIKE)
