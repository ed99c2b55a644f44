"""Triton kernels of the grid, forward: the recurrence of DESIGN 4.2, one program per sample, all steps in one launch.

One kernel serves all neurons and connections, which it takes as constants (`gpu_units`, `lambent.connections.gpu`). A
program holds the state of its whole layer, or of one tile of it, in registers, one column of `BLOCK` per unit. The
input spikes of a step are found through `starts`: those of sample b and step n are `starts[b * n_steps + n]` up to the
next entry.

The columns are declared not to be contiguous. Triton then lays them over threads one by one in every operation and
need not exchange them between loads (otherwise of neighbours) and what is addressed through delays or counted over
spikes; neighbouring threads still read neighbouring words. So a column always has the same thread, whose atomic
additions to one address keep their order: results are the same in every run.
"""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.engines.grid.gpu_units import columns_of, same, unit_of, where_each


@triton.jit
def some_of(units, first, last, FETCH: tl.constexpr):
    """Units of the next `FETCH` spikes of first:last as a tuple; 0 past the end."""
    found = ()
    for k in tl.static_range(FETCH):
        found = found + (tl.load(units + first + k, mask=first + k < last, other=0),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def deliver(
    ring, next_row, rows, units, values, first, last, inputs, own_units, own_values, own_first, own_last, recurrent,
    columns, inside, INPUTS: tl.constexpr, RECURRENT: tl.constexpr, dtype: tl.constexpr, size: tl.constexpr,
    BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Send the spikes first:last of the inputs and own_first:own_last of the layer on their way.

    `FETCH` rows of either are read at once, before any is used; `values` and `own_values` are None where all are 1.
    Returns what arrives by connections without delay.
    """
    arriving = tl.zeros([BLOCK], dtype)
    most = last - first
    if RECURRENT is not None:
        most = tl.maximum(most, own_last - own_first)
    for some in range(0, most, FETCH):
        count, own_count = last - first - some, own_last - own_first - some
        unit = some_of(units, first + some, last, FETCH)
        if RECURRENT is not None:
            own_unit = some_of(own_units, own_first + some, own_last, FETCH)
        weights = INPUTS.fetch(inputs, unit, count, columns, inside, size, FETCH)
        if RECURRENT is not None:
            own_weights = RECURRENT.fetch(recurrent, own_unit, own_count, columns, inside, size, FETCH)
        arriving = INPUTS.send(
            arriving, inputs, unit, count, weights, values, first + some, ring, next_row, rows, columns,
            inside, size, FETCH,
        )  # fmt: skip
        if RECURRENT is not None:
            arriving = RECURRENT.send(
                arriving, recurrent, own_unit, own_count, own_weights, own_values, own_first + some, ring,
                next_row, rows, columns, inside, size, FETCH,
            )  # fmt: skip
    return arriving


@triton.jit
def take(arriving, here, inside):
    """What arrives now, by register and by ring; the ring's row is left empty."""
    total = arriving + tl.load(here, mask=inside, other=0.0, cache_modifier=".cg")
    tl.store(here, tl.zeros_like(total), mask=inside)
    return total


@triton.jit(do_not_specialize=["n_steps", "rows", "capacity"])
def spikes_forward(
    starts, units, values, fields, inputs, recurrent, rings, own_steps, own_units, own_values, overshoots, marks,
    lengths, counts, peak_steps, n_steps, rows, capacity, size: tl.constexpr, NEURON: tl.constexpr,
    INPUTS: tl.constexpr, RECURRENT: tl.constexpr, LEVELS: tl.constexpr, FULL: tl.constexpr, FIELDS: tl.constexpr,
    STATES: tl.constexpr, MARKS: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Run one tile of a sample; its spikes (steps, units, marks) go to its `capacity` entries of the buffers.

    `fields` (FIELDS, size) are those of the units; `inputs` and `recurrent` pointers, None without the latter. Entry
    k + 1 of `lengths` gets the number of spikes of part k, the tiles of a sample one after the other; it may exceed
    `capacity`: then the buffers were too small and all that came out is void. Spikes that carry a payload of `LEVELS`
    and `FULL` (`lambent.neurons.payload`) leave their `own_values` and `overshoots`; else all four are None. `rings`
    (batch, rows, size) begins as zeros, and is None without delays. `marks`, `counts` and `peak_steps` are those of
    `cpu_kernels.spikes_forward`.
    """
    b = tl.program_id(0).to(tl.int64)
    part = b * tl.num_programs(1) + tl.program_id(1)
    starts += b * n_steps
    own_steps += part * capacity
    own_units += part * capacity
    if LEVELS is not None:
        own_values += part * capacity
        overshoots += part * capacity
    marks += part * capacity * MARKS
    if rings is not None:
        rings += b * rows * size
    columns = columns_of(size, BLOCK, True)
    inside = columns < size
    p = unit_of(fields, columns, inside, size, NEURON, FIELDS)
    arriving = tl.zeros([BLOCK], fields.dtype.element_ty)
    x = same(arriving, STATES)
    peak = tl.full([BLOCK], float("-inf"), arriving.dtype)
    peak_step = tl.full([BLOCK], -1, tl.int32)
    count = tl.zeros([BLOCK], tl.int32)
    total = 0
    last = tl.load(starts)
    for n in range(n_steps):
        first = last
        last = tl.load(starts + n + 1)
        next_row = (n + 1) % rows
        if rings is not None:
            arriving = take(arriving, rings + n % rows * size + columns, inside)
        before = x
        x = NEURON.advance(before, arriving, p)
        level = NEURON.level(x, p)
        higher = level > peak
        peak = tl.where(higher, level, peak)
        peak_step = tl.where(higher, n, peak_step)
        fired = NEURON.above(before, x, p) & inside
        found = tl.sum(fired.to(tl.int32))
        if found > 0:
            place = total + tl.cumsum(fired.to(tl.int32)) - 1
            kept = fired & (place < capacity)
            tl.store(own_steps + place, tl.full([BLOCK], n, tl.int32), mask=kept)
            tl.store(own_units + place, columns, mask=kept)
            if LEVELS is not None:
                overshoot = level - p.threshold
                share = tl.minimum(tl.maximum(overshoot / FULL, 0.0), 1.0)
                tl.store(own_values + place, 1.0 + tl.floor(share * LEVELS + 0.5) / LEVELS, mask=kept)
                tl.store(overshoots + place, overshoot, mask=kept)
            mark = NEURON.marks(x, p)
            for k in tl.static_range(MARKS):
                tl.store(marks + place * MARKS + k, mark[k], mask=kept)
            count += fired.to(tl.int32)
            x = where_each(fired, NEURON.reset(x, p), x, STATES)
            tl.debug_barrier()
        if rings is not None:
            tl.debug_barrier()
        arriving = deliver(
            rings, next_row, rows, units, values, first, last, inputs, own_units, own_values,
            tl.minimum(total, capacity), tl.minimum(total + found, capacity), recurrent, columns, inside, INPUTS,
            RECURRENT, fields.dtype.element_ty, size, BLOCK, FETCH,
        )  # fmt: skip
        if rings is not None:
            tl.debug_barrier()
        total += found
    tl.store(lengths + part + 1, total)
    tl.store(counts + b * size + columns, count.to(arriving.dtype), mask=inside)
    tl.store(peak_steps + b * size + columns, tl.where(count > 0, -1, tl.where(peak > 0, peak_step, -2)), mask=inside)
