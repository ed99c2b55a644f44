"""Sparse connections in Triton, by source: what a kernel is given of them is `parts`, (weight, _, start, reach).

`reach` holds delay in steps * number of targets + target. Spikes go one after the other, their connections over
the columns' threads, and what arrives always waits in the ring (see `columns_gpu`), which without delays has one row.
Results are the same in every run, unless a source has more than one connection to a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor
from triton import language as tl

from lambent.connections.columns_gpu import add
from lambent.connections.gpu import GpuConnections
from lambent.connections.graded_gpu import scaled, scaled_each


@triton.jit
def fetch(parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr):
    """Nothing: there is no row with a weight for each column."""
    return unit


@triton.jit
def _in_ring(parts, entry, there, next_row, rows, columns, size: tl.constexpr, BLOCK: tl.constexpr):
    """Where in the ring what some connections send arrives, and which of them are there and reach the program's tile.

    Running ahead, delays are made to fit the rows.
    """
    reach = tl.load(parts[3] + entry, mask=there, other=0)
    row = next_row + tl.minimum(reach // size, rows - 1)
    target = reach % size
    if size > BLOCK:
        there &= target // BLOCK == columns // BLOCK
    return tl.where(row >= rows, row - rows, row) * size + target, there


@triton.jit
def send(
    arriving, parts, unit, count, weights, values, begin, ring, next_row, rows, columns, inside, size: tl.constexpr,
    FETCH: tl.constexpr,
):  # fmt: skip
    """Send spikes on their way; `arriving` is returned as it is."""
    for k in tl.static_range(FETCH):
        first = tl.load(parts[2] + unit[k], mask=k < count, other=0).to(tl.int32)
        last = tl.load(parts[2] + unit[k] + 1, mask=k < count, other=0).to(tl.int32)
        for some in range(first, last, columns.shape[0]):
            entry = some + columns % columns.shape[0]
            at, there = _in_ring(parts, entry, entry < last, next_row, rows, columns, size, columns.shape[0])
            weight = scaled(tl.load(parts[0] + entry, mask=there, other=0.0), values, begin, k, count)
            tl.atomic_add(ring + at, weight, mask=there, sem="relaxed", scope="cta")
        tl.debug_barrier()
    return arriving


@triton.jit
def collect(
    unit, live, values, begin, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns,
    inside, size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, WORTH: tl.constexpr,
    ORDERED: tl.constexpr,
):  # fmt: skip
    """As `columns_gpu.collect`."""
    first = tl.load(parts[2] + unit, mask=live, other=0).to(tl.int32)
    last = tl.load(parts[2] + unit + 1, mask=live, other=0).to(tl.int32)
    # without values, spikes of one unit and step add equal numbers, so their own order does not matter
    ONE_BY_ONE: tl.constexpr = ORDERED and (values is not None)
    moves = tl.zeros([FETCH], adjoint.dtype)
    worth = tl.zeros([FETCH], adjoint.dtype)
    for some in range(0, tl.max(last - first), BLOCK):
        entry = first[:, None] + some + columns[None, :] % BLOCK
        there = entry < last[:, None]
        at, there = _in_ring(parts, entry, there, next_row, rows, columns[None, :], size, BLOCK)
        if WORTH or (gradients[0] is not None):
            arrived = tl.load(adjoints + at, mask=there, other=0.0, cache_modifier=".cg")
            if gradients[0] is not None:
                graded = scaled_each(arrived, values, begin, live, FETCH)
                add(gradients[0] + copy + entry, graded, there, FETCH, ONE_BY_ONE)
            if WORTH:
                worth += tl.sum(arrived * tl.load(parts[0] + entry, mask=there, other=0.0), 1)
        if WEIGH or (gradients[1] is not None):
            moved = tl.load(drifts + at, mask=there, other=0.0, cache_modifier=".cg")
            if gradients[1] is not None:
                graded = scaled_each(moved, values, begin, live, FETCH)
                add(gradients[1] + copy + entry, graded, there, FETCH, ONE_BY_ONE)
            if WEIGH:
                moves += tl.sum(moved * tl.load(parts[0] + entry, mask=there, other=0.0), 1)
    if ORDERED:
        tl.debug_barrier()
    return scaled_each(moves, values, begin, live, FETCH), worth


def longest(tensors: Sequence[Tensor]) -> Tensor:
    """The longest delay in steps, 0-d."""
    if len(tensors) == 3 or not len(tensors[3]):
        return tensors[0].new_zeros((), dtype=torch.int32)
    return tensors[3].max() // int(tensors[4])


def parts(tensors: Sequence[Tensor], rows: int) -> tuple[Any, ...]:
    """What kernels take; the second place is that of the delays' gradients."""
    start, reach = tensors[1:3] if len(tensors) == 3 else tensors[2:4]
    return tensors[0].contiguous(), None, start.contiguous(), reach.contiguous()


GPU = GpuConnections(fetch, send, collect, longest, parts)
