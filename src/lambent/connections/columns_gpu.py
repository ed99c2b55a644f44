"""Connections in Triton of which every column, a target, finds its own weight: dense ones and convolutions.

What a kernel is given of them is `parts`, (weight, delay in steps or None, ...). Each kind has a `locate(parts, unit,
columns, inside, size)`: the place of the weight from `unit` to each column, and whether there is one.

Without delays, what arrives in the next step is summed in registers. With delays it waits in a ring of
`rows` = max delay + 1 rows of global memory that only one program touches (and that stays in the L2 cache): a
spike of step n with delay d adds to row (n + 1 + d) % rows, and step n consumes row n % rows. Triton may hand a
column to another thread in every operation, so barriers stand between operations that meet in memory.
"""

from __future__ import annotations

import triton
from triton import language as tl

from lambent.connections.graded_gpu import scaled, scaled_each


@triton.jit
def fetch(parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr, LOCATE: tl.constexpr):
    """The weights of `unit`, a tuple of which the first `count` are spikes."""
    return _of_each(parts[0], parts, unit, count, columns, inside, size, FETCH, LOCATE)


@triton.jit
def send(
    arriving, parts, unit, count, weights, values, begin, ring, next_row, rows, columns, inside, size: tl.constexpr,
    FETCH: tl.constexpr, LOCATE: tl.constexpr,
):  # fmt: skip
    """Send spikes, whose weights these are, on their way: to `arriving`, which is returned, or to the ring.

    Entry `begin` of `values` is that of the first; see `graded_gpu`.
    """
    if parts[1] is None:
        for k in tl.static_range(FETCH):
            arriving += scaled(weights[k], values, begin, k, count)
    else:
        delays = _of_each(parts[1], parts, unit, count, columns, inside, size, FETCH, LOCATE)
        for k in tl.static_range(FETCH):
            at = next_row + delays[k]
            at = tl.where(at >= rows, at - rows, at) * size + columns
            sent = scaled(weights[k], values, begin, k, count)
            tl.atomic_add(ring + at, sent, mask=inside & (k < count), sem="relaxed", scope="cta")
    return arriving


@triton.jit
def collect(
    unit, live, values, begin, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns,
    inside, size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, WORTH: tl.constexpr,
    ORDERED: tl.constexpr, LOCATE: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """Add the adjoint where the spikes of `unit` (FETCH,) arrived to their weights' (and delays') gradients.

    `copy` is the place of the sum to add to, and entry `begin` of `values` that of the first spike; see `graded_gpu`.
    Returns two sums over targets (FETCH,), or zeros: if `WEIGH`, of the drift there times weight and value, and if
    `WORTH`, of the adjoint there times weight. `SHARED` says whether different units may have a weight in common.
    """
    place, there = LOCATE(parts, unit[:, None], columns[None, :], inside[None, :], size)
    there &= live[:, None]
    moved = tl.zeros([FETCH, BLOCK], adjoint.dtype)
    if parts[1] is None:
        arrived = tl.broadcast_to(adjoint[None, :], [FETCH, BLOCK])
        if WEIGH or (gradients[1] is not None):
            moved += drift[None, :]
    else:
        at = next_row + tl.load(parts[1] + place, mask=there, other=0)
        at = tl.where(at >= rows, at - rows, at) * size + columns[None, :]
        arrived = tl.load(adjoints + at, mask=there, other=0.0, cache_modifier=".cg")
        if WEIGH or (gradients[1] is not None):
            moved = tl.load(drifts + at, mask=there, other=0.0, cache_modifier=".cg")
    # without values, spikes of one unit and step add equal numbers, so their own order does not matter
    ONE_BY_ONE: tl.constexpr = ORDERED and (SHARED or (values is not None))
    if gradients[0] is not None:
        add(gradients[0] + copy + place, scaled_each(arrived, values, begin, live, FETCH), there, FETCH, ONE_BY_ONE)
    if gradients[1] is not None:
        add(gradients[1] + copy + place, scaled_each(moved, values, begin, live, FETCH), there, FETCH, ONE_BY_ONE)
    if ORDERED:
        tl.debug_barrier()
    moves = tl.zeros([FETCH], adjoint.dtype)
    worth = moves
    if WEIGH or WORTH:
        weight = tl.load(parts[0] + place, mask=there, other=0.0)
        if WEIGH:
            moves = scaled_each(tl.sum(moved * weight, 1), values, begin, live, FETCH)
        if WORTH:
            worth = tl.sum(arrived * weight, 1)
    return moves, worth


@triton.jit
def add(at, values, there, FETCH: tl.constexpr, ONE_BY_ONE: tl.constexpr):
    """Add to memory, spike after spike if their order matters."""
    if ONE_BY_ONE:
        for k in tl.static_range(FETCH):
            tl.atomic_add(at, values, mask=there & (tl.arange(0, FETCH) == k)[:, None], sem="relaxed")
            tl.debug_barrier()
    else:
        tl.atomic_add(at, values, mask=there, sem="relaxed")


@triton.jit
def _of_each(
    numbers, parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr, LOCATE: tl.constexpr
):  # fmt: skip
    found = ()
    for k in tl.static_range(FETCH):
        place, there = LOCATE(parts, unit[k], columns, inside, size)
        found = found + (tl.load(numbers + place, mask=there & (k < count), other=0),)  # type: ignore[assignment]  # noqa: RUF005
    return found
