"""Dense connections in Triton; what a kernel is given of them is `parts`, (weight, delay in steps or None).

Without delays, what arrives in the next step is summed in registers. With delays it waits in a ring of
`rows` = max delay + 1 rows of global memory that only one program touches (and that stays in the L2 cache): a
spike of step n with delay d adds to row (n + 1 + d) % rows, and step n consumes row n % rows. Triton may hand a
column to another thread in every operation, so barriers stand between operations that meet in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor
from triton import language as tl

from lambent.connections.gpu import GpuConnections


@triton.jit
def fetch(parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr):
    """The rows of weights of `unit`, a tuple of which the first `count` are spikes."""
    return _rows_of(parts[0], unit, count, columns, inside, size, FETCH)


@triton.jit
def send(
    arriving, parts, unit, count, weights, ring, next_row, rows, columns, inside, size: tl.constexpr,
    FETCH: tl.constexpr,
):  # fmt: skip
    """Send spikes, whose rows of weights these are, on their way: to `arriving`, which is returned, or to the ring."""
    if parts[1] is None:
        for k in tl.static_range(FETCH):
            arriving += weights[k]
    else:
        delays = _rows_of(parts[1], unit, count, columns, inside, size, FETCH)
        for k in tl.static_range(FETCH):
            at = next_row + delays[k]
            at = tl.where(at >= rows, at - rows, at) * size + columns
            tl.atomic_add(ring + at, weights[k], mask=inside & (k < count), sem="relaxed", scope="cta")
    return arriving


@triton.jit
def collect(
    unit, live, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns, inside,
    size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, ORDERED: tl.constexpr,
):  # fmt: skip
    """Add the adjoint where the spikes of `unit` (FETCH,) arrived to their weights' (and delays') gradients.

    `copy` is the place of the sum to add to. Returns the drift there times the weights, summed over targets (FETCH,),
    if `WEIGH`; otherwise zeros.
    """
    row = unit.to(tl.int64)[:, None] * size + columns[None, :]
    there = live[:, None] & inside[None, :]
    moved = tl.zeros([FETCH, BLOCK], adjoint.dtype)
    if parts[1] is None:
        arrived = tl.broadcast_to(adjoint[None, :], [FETCH, BLOCK])
        if WEIGH or (gradients[1] is not None):
            moved += drift[None, :]
    else:
        at = next_row + tl.load(parts[1] + row, mask=there, other=0)
        at = tl.where(at >= rows, at - rows, at) * size + columns[None, :]
        arrived = tl.load(adjoints + at, mask=there, other=0.0, cache_modifier=".cg")
        if WEIGH or (gradients[1] is not None):
            moved = tl.load(drifts + at, mask=there, other=0.0, cache_modifier=".cg")
    if gradients[0] is not None:
        tl.atomic_add(gradients[0] + copy + row, arrived, mask=there, sem="relaxed")
    if gradients[1] is not None:
        tl.atomic_add(gradients[1] + copy + row, moved, mask=there, sem="relaxed")
    if ORDERED:  # spikes of one unit and step add equal numbers, so their own order does not matter
        tl.debug_barrier()
    if WEIGH:
        return tl.sum(moved * tl.load(parts[0] + row, mask=there, other=0.0), 1)
    else:
        return tl.zeros([FETCH], adjoint.dtype)


@triton.jit
def _rows_of(matrix, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr):
    found = ()
    for k in tl.static_range(FETCH):
        row = matrix + unit[k].to(tl.int64) * size + columns
        found = found + (tl.load(row, mask=inside & (k < count), other=0),)  # type: ignore[assignment]  # noqa: RUF005
    return found


def longest(tensors: Sequence[Tensor]) -> Tensor | None:
    """The longest delay in steps, 0-d; None without delays."""
    if len(tensors) == 1:
        return None
    return tensors[2].max() if tensors[2].numel() else tensors[2].new_zeros(())


def parts(tensors: Sequence[Tensor], rows: int) -> tuple[Tensor, Tensor | None]:
    """What kernels take; running ahead, delays are made to fit the rows."""
    weight = tensors[0].contiguous()
    return weight, None if len(tensors) == 1 else tensors[2].clamp(0, rows - 1).to(torch.int32).contiguous()


GPU = GpuConnections(fetch, send, collect, longest, parts)
