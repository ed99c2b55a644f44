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


@triton.jit
def fetch(parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr, LOCATE: tl.constexpr):
    """The weights of `unit`, a tuple of which the first `count` are spikes."""
    return _of_each(parts[0], parts, unit, count, columns, inside, size, FETCH, LOCATE)


@triton.jit
def send(
    arriving, parts, unit, count, weights, ring, next_row, rows, columns, inside, size: tl.constexpr,
    FETCH: tl.constexpr, LOCATE: tl.constexpr,
):  # fmt: skip
    """Send spikes, whose weights these are, on their way: to `arriving`, which is returned, or to the ring."""
    if parts[1] is None:
        for k in tl.static_range(FETCH):
            arriving += weights[k]
    else:
        delays = _of_each(parts[1], parts, unit, count, columns, inside, size, FETCH, LOCATE)
        for k in tl.static_range(FETCH):
            at = next_row + delays[k]
            at = tl.where(at >= rows, at - rows, at) * size + columns
            tl.atomic_add(ring + at, weights[k], mask=inside & (k < count), sem="relaxed", scope="cta")
    return arriving


@triton.jit
def collect(
    unit, live, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns, inside,
    size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, ORDERED: tl.constexpr,
    LOCATE: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """Add the adjoint where the spikes of `unit` (FETCH,) arrived to their weights' (and delays') gradients.

    `copy` is the place of the sum to add to. Returns the drift there times the weights, summed over targets (FETCH,),
    if `WEIGH`; otherwise zeros. `SHARED` says whether different units may have a weight in common.
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
    if gradients[0] is not None:
        _add(gradients[0] + copy + place, arrived, there, FETCH, ORDERED and SHARED)
    if gradients[1] is not None:
        _add(gradients[1] + copy + place, moved, there, FETCH, ORDERED and SHARED)
    if ORDERED:  # spikes of one unit and step add equal numbers, so their own order does not matter
        tl.debug_barrier()
    if WEIGH:
        return tl.sum(moved * tl.load(parts[0] + place, mask=there, other=0.0), 1)
    else:
        return tl.zeros([FETCH], adjoint.dtype)


@triton.jit
def _add(at, values, there, FETCH: tl.constexpr, ONE_BY_ONE: tl.constexpr):
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
