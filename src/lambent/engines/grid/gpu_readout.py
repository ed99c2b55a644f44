"""Triton kernels of the grid for units that never spike; one program per sample, all steps in one launch."""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.engines.grid.gpu_backward import add_to_spikes, clear, replay
from lambent.engines.grid.gpu_forward import deliver, take
from lambent.engines.grid.gpu_units import columns_of, load_each, plus, same, store_each, unit_of


@triton.jit(do_not_specialize=["n_steps", "rows"])
def levels_forward(
    starts, units, values, fields, inputs, rings, levels, n_steps, rows, size: tl.constexpr, NEURON: tl.constexpr,
    INPUTS: tl.constexpr, FIELDS: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Levels (batch, n_steps, size); arguments as `gpu_forward.spikes_forward`."""
    b = tl.program_id(0).to(tl.int64)
    starts += b * n_steps
    levels += b * n_steps * size
    if rings is not None:
        rings += b * rows * size
    columns = columns_of(size, BLOCK, True)
    inside = columns < size
    p = unit_of(fields, columns, inside, size, NEURON, FIELDS)
    arriving = tl.zeros([BLOCK], fields.dtype.element_ty)
    x = same(arriving, STATES)
    last = tl.load(starts)
    for n in range(n_steps):
        first = last
        last = tl.load(starts + n + 1)
        if rings is not None:
            arriving = take(arriving, rings + n % rows * size + columns, inside)
            tl.debug_barrier()
        x = NEURON.advance(x, arriving, p)
        tl.store(levels + tl.cast(n, tl.int64) * size + columns, NEURON.level(x, p), mask=inside)
        arriving = deliver(
            rings, (n + 1) % rows, rows, units, values, first, last, inputs, None, None, 0, 0, None,
            columns, inside, INPUTS, None, fields.dtype.element_ty, size, BLOCK, FETCH,
        )  # fmt: skip
        if rings is not None:
            tl.debug_barrier()


@triton.jit(do_not_specialize=["batch", "n_steps", "rows", "n_times", "input_size"])
def levels_backward(
    starts, units, values, fields, inputs, grad, rings, traces, d_times, d_values, d_inputs, d_step, batch, n_steps,
    rows, n_times, input_size, size: tl.constexpr, NEURON: tl.constexpr, INPUTS: tl.constexpr, FIELDS: tl.constexpr,
    STATES: tl.constexpr, STEP: tl.constexpr, COPIES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Exact derivative of `levels_forward`; the times get the continuous one. Arguments as `spikes_backward`."""
    program = tl.program_id(0).to(tl.int64)
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
    if COPIES:
        copy += (program * tl.num_programs(1) + tl.program_id(1)) * input_size
        if d_times is not None:
            d_times += tl.program_id(1).to(tl.int64) * n_times
        if d_values is not None:
            d_values += tl.program_id(1).to(tl.int64) * n_times
    step_sums = same(zero, STEP)
    for sample in range(program, batch, tl.num_programs(0)):
        b = tl.cast(sample, tl.int64)
        row = b * n_steps * size + columns
        if rings is not None:
            clear(adjoints, 2 * rows, columns, inside, size, zero.dtype, BLOCK)
            tl.debug_barrier()
        if traces is not None:
            replay(
                starts + b * n_steps, units, values, inputs, None, None, 1, None, None, p, adjoints, states, arrivals,
                columns, inside, n_steps, rows, zero.dtype, size, NEURON, INPUTS, None, STATES, BLOCK, FETCH,
            )  # fmt: skip
            tl.debug_barrier()
            if rings is not None:
                clear(adjoints, 2 * rows, columns, inside, size, zero.dtype, BLOCK)
                tl.debug_barrier()
        a = same(zero, STATES)
        arriving = zero
        drift = zero
        first = tl.load(starts + (b + 1) * n_steps)
        for back in range(n_steps):
            n = n_steps - 1 - back
            last = first
            first = tl.load(starts + b * n_steps + n)
            for some in range(first, last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < last
                unit = tl.load(units + slot, mask=live, other=0)
                moves, worth = INPUTS.collect(
                    unit, live, values, some, arriving, drift, adjoints, drifts, (n + 1) % rows, rows,
                    inputs, d_inputs, copy, columns, inside, size, BLOCK, FETCH, d_times is not None,
                    d_values is not None, COPIES,
                )  # fmt: skip
                if d_times is not None:
                    add_to_spikes(d_times + slot, moves, live, size > BLOCK)
                if d_values is not None:
                    add_to_spikes(d_values + slot, worth, live, size > BLOCK)
            at = tl.cast(n, tl.int64) * size
            after = plus(a, NEURON.lift(tl.load(grad + row + at, mask=inside, other=0.0), p), STATES)
            if traces is not None:
                before = load_each(states + at * STATES, size, columns, inside, STATES)
                arrived = tl.load(arrivals + at + columns, mask=inside, other=0.0)
                a, arriving = NEURON.retreat(after, before, arrived, p)
                if d_step is not None:
                    step_sums = plus(step_sums, NEURON.gradient(after, arriving, before, arrived, p), STEP)
            else:
                a, arriving = NEURON.retreat(after, after, zero, p)
            drift = NEURON.drift(arriving, after, p)
            if rings is not None:
                tl.debug_barrier()
                tl.store(adjoints + n % rows * size + columns, arriving, mask=inside)
                tl.store(drifts + n % rows * size + columns, drift, mask=inside)
                tl.debug_barrier()
        if traces is not None:
            tl.debug_barrier()
    if d_step is not None:
        store_each(d_step + program * STEP * size, size, columns, inside, step_sums, STEP)
