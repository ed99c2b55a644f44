"""Dense connections in Triton; what a kernel is given of them is `parts`, (weight, delay in steps or None)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor
from triton import language as tl

from lambent.connections import columns_gpu
from lambent.connections.gpu import GpuConnections


@triton.jit
def locate(parts, unit, columns, inside, size: tl.constexpr):
    """Where the weights of a unit are; its row has one for every column."""
    return unit.to(tl.int64) * size + columns, inside


@triton.jit
def fetch(parts, unit, count, columns, inside, size: tl.constexpr, FETCH: tl.constexpr):
    """See `columns_gpu.fetch`."""
    return columns_gpu.fetch(parts, unit, count, columns, inside, size, FETCH, locate)


@triton.jit
def send(
    arriving, parts, unit, count, weights, values, begin, ring, next_row, rows, columns, inside,
    size: tl.constexpr, FETCH: tl.constexpr,
):  # fmt: skip
    """See `columns_gpu.send`."""
    return columns_gpu.send(
        arriving, parts, unit, count, weights, values, begin, ring, next_row, rows, columns, inside, size, FETCH,
        locate,
    )  # fmt: skip


@triton.jit
def collect(
    unit, live, values, begin, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns,
    inside, size: tl.constexpr, BLOCK: tl.constexpr, FETCH: tl.constexpr, WEIGH: tl.constexpr, WORTH: tl.constexpr,
    ORDERED: tl.constexpr,
):  # fmt: skip
    """See `columns_gpu.collect`."""
    return columns_gpu.collect(
        unit, live, values, begin, adjoint, drift, adjoints, drifts, next_row, rows, parts, gradients, copy, columns,
        inside, size, BLOCK, FETCH, WEIGH, WORTH, ORDERED, locate, False,
    )  # fmt: skip


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
