"""Convolutions and pools in Triton: a column that a spike reaches works out by which place of the kernel it does.

What a kernel is given of them is `parts`: weight, delay in steps or None, channels in and out of a group, and the
numbers of `Geometry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor
from triton import language as tl

from lambent.connections import columns_gpu
from lambent.connections.conv import geometry_of
from lambent.connections.gpu import GpuConnections


@triton.jit
def _along(place, place_out, kernel, stride, padding, dilation):
    """Along one axis, the place of the kernel by which `place` reaches `place_out`, and whether it does."""
    beyond = place + padding - place_out * stride
    k = beyond // dilation
    return k, (beyond >= 0) & (k < kernel) & (k * dilation == beyond)


@triton.jit
def locate(parts, unit, columns, inside, size: tl.constexpr):
    """Where the weights from a unit to the columns are."""
    n_in = parts[2]
    n_out = parts[3]
    height = parts[4]
    width = parts[5]
    width_out = parts[14]
    places_out = parts[15]
    channel = unit // (height * width)
    place = unit % (height * width)
    out = columns // places_out - channel // n_in * n_out
    place_out = columns % places_out
    y, there_y = _along(place // width, place_out // width_out, parts[6], parts[8], parts[10], parts[12])
    x, there_x = _along(place % width, place_out % width_out, parts[7], parts[9], parts[11], parts[13])
    there = inside & (out >= 0) & (out < n_out) & there_y & there_x
    return ((channel * parts[6] + y) * parts[7] + x) * n_out + out, there


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
        inside, size, BLOCK, FETCH, WEIGH, WORTH, ORDERED, locate, True,
    )  # fmt: skip


def longest(tensors: Sequence[Tensor]) -> Tensor | None:
    """The longest delay in steps, 0-d; None without delays."""
    return None if len(tensors) == 2 else tensors[2].max()


def parts(tensors: Sequence[Tensor], rows: int) -> tuple[Any, ...]:
    """What kernels take; running ahead, delays are made to fit the rows."""
    weight, geometry = tensors[0].contiguous(), geometry_of(tensors[-1])
    steps = None if len(tensors) == 2 else tensors[2].clamp(0, rows - 1).to(torch.int32).contiguous()
    pairs = (n for pair in geometry[:5] for n in pair)
    n_in = weight.shape[0] // geometry.groups
    return weight, steps, n_in, weight.shape[2], *pairs, geometry.size_out[1], geometry.places_out


GPU = GpuConnections(fetch, send, collect, longest, parts)
