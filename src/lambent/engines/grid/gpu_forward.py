"""Triton kernels of `grid_gpu`, forward: the recurrence of DESIGN 4.2, one program per sample, all steps in one launch.

A program holds the state of its whole layer in registers, one column of `BLOCK` per unit. The input spikes of a
step are found through `starts`: those of sample b and step n are `starts[b * n_steps + n]` up to the next entry.

Without delays, what arrives in the next step is summed in registers. With delays it waits in a ring of
`rows` = max delay + 1 rows of global memory that only this program touches (and that stays in the L2 cache): a
spike of step n with delay d adds to row (n + 1 + d) % rows, and step n consumes row n % rows. Triton may hand a
column to another thread in every operation, so barriers stand between operations that meet in memory.

The columns are declared not to be contiguous. Triton then lays them over threads one by one in every operation and
need not exchange them between loads (otherwise of neighbours) and what is addressed through delays or counted over
spikes; neighbouring threads still read neighbouring words. So a column always has the same thread, whose atomic
additions to one address keep their order: results are the same in every run.
"""

from __future__ import annotations

import triton
from triton import language as tl


@triton.jit
def some_of(units, first, last, FETCH: tl.constexpr):
    """Units of the next `FETCH` spikes of first:last as a tuple; 0 past the end."""
    found = ()
    for k in tl.static_range(FETCH):
        found = found + (tl.load(units + first + k, mask=first + k < last, other=0),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def rows_of(matrix, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr):
    """The rows of a matrix that belong to `unit`, a tuple of which the first `count` are spikes."""
    found = ()
    for k in tl.static_range(FETCH):
        row = matrix + unit[k].to(tl.int64) * size + columns
        found = found + (tl.load(row, mask=inside & (k < count), other=0),)  # type: ignore[assignment]  # noqa: RUF005
    return found


@triton.jit
def send(
    arriving, unit, count, weights, delay, ring, next_row, rows, columns, inside,
    size: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Send spikes, whose rows of weights these are, on their way: to `arriving`, which is returned, or to the ring."""
    if delay is None:
        for k in tl.static_range(FETCH):
            arriving += weights[k]
    else:
        delays = rows_of(delay, unit, count, columns, inside, size, FETCH)
        for k in tl.static_range(FETCH):
            at = next_row + delays[k]
            at = tl.where(at >= rows, at - rows, at) * size + columns
            tl.atomic_add(ring + at, weights[k], mask=inside & (k < count), sem="relaxed", scope="cta")
    return arriving


@triton.jit
def deliver(
    ring, next_row, rows, units, first, last, weight, delay, own_units, own_first, own_last, recurrent,
    recurrent_delay, columns, inside, dtype: tl.constexpr, size: tl.constexpr, BLOCK: tl.constexpr,
    FETCH: tl.constexpr,
):  # fmt: skip
    """Send the spikes first:last of the inputs and own_first:own_last of the layer on their way.

    `FETCH` rows of either are read at once, before any is used. Returns what arrives by synapses without delay.
    """
    arriving = tl.zeros([BLOCK], dtype)
    most = last - first
    if recurrent is not None:
        most = tl.maximum(most, own_last - own_first)
    for some in range(0, most, FETCH):
        count, own_count = last - first - some, own_last - own_first - some
        unit = some_of(units, first + some, last, FETCH)
        if recurrent is not None:
            own_unit = some_of(own_units, own_first + some, own_last, FETCH)
        weights = rows_of(weight, unit, count, columns, inside, size, FETCH)
        if recurrent is not None:
            own_weights = rows_of(recurrent, own_unit, own_count, columns, inside, size, FETCH)
        arriving = send(arriving, unit, count, weights, delay, ring, next_row, rows, columns, inside, size, FETCH)
        if recurrent is not None:
            arriving = send(
                arriving, own_unit, own_count, own_weights, recurrent_delay, ring, next_row, rows,
                columns, inside, size, FETCH,
            )  # fmt: skip
    return arriving


@triton.jit
def take(arriving, here, inside):
    """What arrives now, by register and by ring; the ring's row is left empty."""
    total = arriving + tl.load(here, mask=inside, other=0.0, cache_modifier=".cg")
    tl.store(here, tl.zeros_like(total), mask=inside)
    return total


@triton.jit(do_not_specialize=["n_steps", "rows", "capacity"])
def lif_forward(
    starts, units, weight, delay, recurrent, recurrent_delay,
    alpha_mem, alpha_syn, gain, tau_mem, threshold, min_slope,
    rings, own_steps, own_units, slopes, lengths, counts, peak_steps,
    n_steps, rows, capacity, size: tl.constexpr, SUBTRACT: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Run one sample; its spikes (steps, units, slopes) go to its `capacity` entries of the buffers.

    Entry b + 1 of `lengths` gets the number of spikes of sample b, which may exceed `capacity`: then the buffers
    were too small and all that came out is void. `rings` (batch, rows, size) begins as zeros, and is None without
    delays. `slopes`, `counts` and `peak_steps` are those of `grid_kernels.lif_forward`.
    """
    b = tl.program_id(0).to(tl.int64)
    starts += b * n_steps
    own_steps += b * capacity
    own_units += b * capacity
    slopes += b * capacity
    if rings is not None:
        rings += b * rows * size
    columns = tl.max_contiguous(tl.arange(0, BLOCK), [1])
    inside = columns < size
    decay_mem = tl.load(alpha_mem + columns, mask=inside, other=0.0)
    decay_syn = tl.load(alpha_syn + columns, mask=inside, other=0.0)
    gains = tl.load(gain + columns, mask=inside, other=0.0)
    taus = tl.load(tau_mem + columns, mask=inside, other=1.0)
    least = tl.load(min_slope + columns, mask=inside, other=1.0)
    limit = tl.load(threshold + columns, mask=inside, other=float("inf"))
    voltage = tl.zeros_like(gains)
    current = tl.zeros_like(gains)
    arriving = tl.zeros_like(gains)
    peak = tl.full([BLOCK], float("-inf"), gains.dtype)
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
        current = decay_syn * current + arriving
        voltage = decay_mem * voltage + gains * current
        higher = voltage > peak
        peak = tl.where(higher, voltage, peak)
        peak_step = tl.where(higher, n, peak_step)
        fired = voltage >= limit
        found = tl.sum(fired.to(tl.int32))
        if found > 0:
            place = total + tl.cumsum(fired.to(tl.int32)) - 1
            kept = fired & (place < capacity)
            tl.store(own_steps + place, tl.full([BLOCK], n, tl.int32), mask=kept)
            tl.store(own_units + place, columns, mask=kept)
            tl.store(slopes + place, tl.maximum((current - voltage) / taus, least), mask=kept)
            count += fired.to(tl.int32)
            voltage = tl.where(fired, voltage - limit if SUBTRACT else 0.0, voltage)
            tl.debug_barrier()
        if rings is not None:
            tl.debug_barrier()
        arriving = deliver(
            rings, next_row, rows, units, first, last, weight, delay, own_units, tl.minimum(total, capacity),
            tl.minimum(total + found, capacity), recurrent, recurrent_delay,
            columns, inside, gains.dtype, size, BLOCK, FETCH,
        )  # fmt: skip
        if rings is not None:
            tl.debug_barrier()
        total += found
    tl.store(lengths + b + 1, total)
    tl.store(counts + b * size + columns, count.to(gains.dtype), mask=inside)
    tl.store(peak_steps + b * size + columns, tl.where(count > 0, -1, peak_step), mask=inside)
