"""Triton kernels of `grid_gpu`, backward: the adjoint of `grid_gpu_forward.lif_forward`.

A program integrates one sample after another (b, b + programs, ...) backwards in time. Weight gradients are added
atomically, `FETCH` spikes at a time. `COPIES` gives every program its own sum of them, added to in a fixed order, so
that what comes out is the same in every run.

With delays, the adjoint of the last `rows` steps lies in rings as in the forward pass, and a spike reads from them
where it arrived.
"""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.engines.grid.gpu_forward import deliver, take


@triton.jit
def collect(
    unit, live, adjoint, drift, adjoints, drifts, next_row, rows, weight, delay, d_weight, d_delay, columns, inside,
    size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, ORDERED: tl.constexpr,
):  # fmt: skip
    """Add the adjoint where the spikes of `unit` (FETCH,) arrived to their weights' (and delays') gradients.

    Returns the drift there times the weights, summed over targets (FETCH,), if `WEIGH`; otherwise zeros.
    """
    row = unit.to(tl.int64)[:, None] * size + columns[None, :]
    there = live[:, None] & inside[None, :]
    moved = tl.zeros([FETCH, BLOCK], adjoint.dtype)
    if delay is None:
        arrived = tl.broadcast_to(adjoint[None, :], [FETCH, BLOCK])
        if WEIGH or (d_delay is not None):
            moved += drift[None, :]
    else:
        at = next_row + tl.load(delay + row, mask=there, other=0)
        at = tl.where(at >= rows, at - rows, at) * size + columns[None, :]
        arrived = tl.load(adjoints + at, mask=there, other=0.0, cache_modifier=".cg")
        if WEIGH or (d_delay is not None):
            moved = tl.load(drifts + at, mask=there, other=0.0, cache_modifier=".cg")
    tl.atomic_add(d_weight + row, arrived, mask=there, sem="relaxed")
    if d_delay is not None:
        tl.atomic_add(d_delay + row, moved, mask=there, sem="relaxed")
    if ORDERED:  # spikes of one unit and step add equal numbers, so their own order does not matter
        tl.debug_barrier()
    if WEIGH:
        return tl.sum(moved * tl.load(weight + row, mask=there, other=0.0), 1)
    else:
        return tl.zeros([FETCH], adjoint.dtype)


@triton.jit
def spread(unit, live, values, columns):
    """Values (FETCH,) of spikes of different units, put into the columns of their units; 0 elsewhere."""
    hits = live[:, None] & (unit[:, None] == columns[None, :])
    return tl.sum(tl.where(hits, values[:, None], 0.0), 0)


@triton.jit
def replay(
    starts, units, weight, delay, recurrent, recurrent_delay, own_starts, own_units,
    decay_mem, decay_syn, gains, limit, ring, currents, voltages, columns, inside,
    n_steps, rows, size: tl.constexpr, SUBTRACT: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Recompute the currents and the voltages after reset of one sample with known spikes.

    Both (n_steps + 1, size): row n + 1 belongs to step n, row 0 is the resting state.
    """
    voltage = tl.zeros_like(gains)
    current = tl.zeros_like(gains)
    arriving = tl.zeros_like(gains)
    tl.store(currents + columns, current, mask=inside)
    tl.store(voltages + columns, voltage, mask=inside)
    last = tl.load(starts)
    own_last = tl.load(own_starts)
    for n in range(n_steps):
        first = last
        last = tl.load(starts + n + 1)
        own_first = own_last
        own_last = tl.load(own_starts + n + 1)
        next_row = (n + 1) % rows
        if ring is not None:
            arriving = take(arriving, ring + n % rows * size + columns, inside)
            tl.debug_barrier()
        current = decay_syn * current + arriving
        voltage = decay_mem * voltage + gains * current
        for some in range(own_first, own_last, FETCH):
            slot = some + tl.arange(0, FETCH)
            live = slot < own_last
            unit = tl.load(own_units + slot, mask=live, other=0)
            fired = spread(unit, live, tl.full([FETCH], 1.0, gains.dtype), columns) > 0
            voltage = tl.where(fired, voltage - limit if SUBTRACT else 0.0, voltage)
        tl.store(currents + (n + 1) * size + columns, current, mask=inside)
        tl.store(voltages + (n + 1) * size + columns, voltage, mask=inside)
        arriving = deliver(
            ring, next_row, rows, units, first, last, weight, delay, own_units, own_first, own_last,
            recurrent, recurrent_delay, columns, inside, gains.dtype, size, BLOCK, FETCH,
        )  # fmt: skip
        if ring is not None:
            tl.debug_barrier()


@triton.jit
def clear(ring, rows, columns, inside, size: tl.constexpr, dtype: tl.constexpr, BLOCK: tl.constexpr):
    """Fill a ring with zeros."""
    for row in range(rows):
        tl.store(ring + row * size + columns, tl.zeros([BLOCK], dtype), mask=inside)


@triton.jit(do_not_specialize=["batch", "n_steps", "rows"])
def lif_backward(
    starts, units, weight, delay, recurrent, recurrent_delay,
    alpha_mem, alpha_syn, gain, tau_mem, tau_syn, threshold,
    own_starts, own_units, slopes, peak_steps, grad_times, grad_counts, rings, traces,
    d_times, d_weight, d_delay, d_recurrent, d_recurrent_delay, d_decay, d_threshold,
    batch, n_steps, rows, sources: tl.constexpr, size: tl.constexpr, SUBTRACT: tl.constexpr,
    COPIES: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """Integrate the adjoint of `batch` samples, adding to the gradients d_*; see `grid_kernels.lif_backward`.

    Scratch of one program each: `rings` (2, rows, size), None without delays; `traces` (2, n_steps + 1, size),
    None unless the time constants are trained. `d_decay` (3, size) and `d_threshold` (size,) are always one per
    program, the other gradients with `COPIES`. What is None is not wanted.
    """
    program = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    if rings is not None:
        columns = tl.max_contiguous(columns, [1])
    inside = columns < size
    decay_mem = tl.load(alpha_mem + columns, mask=inside, other=0.0)
    decay_syn = tl.load(alpha_syn + columns, mask=inside, other=0.0)
    gains = tl.load(gain + columns, mask=inside, other=0.0)
    taus = tl.load(tau_mem + columns, mask=inside, other=1.0)
    rate_syn = 1 / tl.load(tau_syn + columns, mask=inside, other=1.0)
    limit = tl.load(threshold + columns, mask=inside, other=1.0)
    adjoints, drifts = rings, rings
    if rings is not None:
        adjoints = rings + program * 2 * rows * size
        drifts = adjoints + rows * size
    currents, voltages = traces, traces
    if traces is not None:
        currents = traces + program * 2 * (n_steps + 1) * size
        voltages = currents + (n_steps + 1) * size
    if COPIES:
        d_weight += program * sources * size
        if d_delay is not None:
            d_delay += program * sources * size
        if d_recurrent is not None:
            d_recurrent += program * size * size
        if d_recurrent_delay is not None:
            d_recurrent_delay += program * size * size
    sum_mem = tl.zeros_like(gains)
    sum_syn = tl.zeros_like(gains)
    sum_gain = tl.zeros_like(gains)
    sum_threshold = tl.zeros_like(gains)
    for sample in range(program, batch, tl.num_programs(0)):
        b = tl.cast(sample, tl.int64)
        if rings is not None:
            clear(adjoints, rows, columns, inside, size, gains.dtype, BLOCK)
            tl.debug_barrier()
        if traces is not None:
            replay(
                starts + b * n_steps, units, weight, delay, recurrent, recurrent_delay,
                own_starts + b * n_steps, own_units, decay_mem, decay_syn, gains, limit,
                adjoints, currents, voltages, columns, inside, n_steps, rows, size, SUBTRACT, BLOCK, FETCH,
            )  # fmt: skip
            tl.debug_barrier()
        if rings is not None:
            clear(adjoints, 2 * rows, columns, inside, size, gains.dtype, BLOCK)
            tl.debug_barrier()
        peak_step = tl.load(peak_steps + b * size + columns, mask=inside, other=-1)
        from_count = tl.load(grad_counts + b * size + columns, mask=inside, other=0.0) / limit
        sum_threshold -= tl.where(peak_step >= 0, from_count, 0.0)
        a_voltage = tl.zeros_like(gains)
        a_current = tl.zeros_like(gains)
        drift = tl.zeros_like(gains)
        first = tl.load(starts + (b + 1) * n_steps)
        own_first = tl.load(own_starts + (b + 1) * n_steps)
        if traces is not None:
            current = tl.load(currents + n_steps * size + columns, mask=inside, other=0.0)
        for back in range(n_steps):
            n = n_steps - 1 - back
            last = first
            first = tl.load(starts + b * n_steps + n)
            own_last = own_first
            own_first = tl.load(own_starts + b * n_steps + n)
            next_row = (n + 1) % rows
            for some in range(first, last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < last
                unit = tl.load(units + slot, mask=live, other=0)
                push = collect(
                    unit, live, a_current, drift, adjoints, drifts, next_row, rows, weight, delay, d_weight, d_delay,
                    columns, inside, size, BLOCK, FETCH, d_times is not None, COPIES,
                )  # fmt: skip
                if d_times is not None:
                    tl.store(d_times + slot, push, mask=live)
            # a_voltage is now the adjoint of V after the reset of this step
            for some in range(own_first, own_last, FETCH):
                slot = some + tl.arange(0, FETCH)
                live = slot < own_last
                unit = tl.load(own_units + slot, mask=live, other=0)
                slope = tl.load(slopes + slot, mask=live, other=1.0)
                pull = tl.load(grad_times + slot, mask=live, other=0.0)
                if recurrent is not None:
                    pull += collect(
                        unit, live, a_current, drift, adjoints, drifts, next_row, rows,
                        recurrent, recurrent_delay, d_recurrent, d_recurrent_delay,
                        columns, inside, size, BLOCK, FETCH, True, COPIES,
                    )  # fmt: skip
                per_slope = spread(unit, live, 1 / slope, columns)
                fired = per_slope > 0
                ratio = 1 + limit / taus * per_slope  # Vdot after / before the reset
                jumped = a_voltage * ratio - spread(unit, live, pull / slope, columns) + from_count
                a_voltage = tl.where(fired, jumped, a_voltage)
                sum_threshold -= tl.where(fired, a_voltage, 0.0)
            full = a_voltage + tl.where(peak_step == n, from_count, 0.0)
            a_current = gains * full + decay_syn * a_current
            a_voltage = decay_mem * full
            drift = a_current * rate_syn - full / taus
            if rings is not None:
                tl.debug_barrier()
                tl.store(adjoints + n % rows * size + columns, a_current, mask=inside)
                tl.store(drifts + n % rows * size + columns, drift, mask=inside)
                tl.debug_barrier()
            if traces is not None:
                before = tl.load(currents + n * size + columns, mask=inside, other=0.0)
                sum_mem += full * tl.load(voltages + n * size + columns, mask=inside, other=0.0)
                sum_syn += a_current * before
                sum_gain += full * current
                current = before
        if traces is not None:
            tl.debug_barrier()  # before the next sample overwrites the traces
    if d_decay is not None:
        d_decay += program * 3 * size + columns
        tl.store(d_decay, sum_mem, mask=inside)
        tl.store(d_decay + size, sum_syn, mask=inside)
        tl.store(d_decay + 2 * size, sum_gain, mask=inside)
    tl.store(d_threshold + program * size + columns, sum_threshold, mask=inside)
