"""Shared argument checking of the layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lambent.neurons.lif import check_positive


def per_unit(name: str, value: float | Tensor, size: int) -> Tensor:
    """A (size,) float tensor of positive values from a number or a tensor of one per unit.

    Raises:
        ValueError: wrong shape, or a value that is not positive and finite; names the unit.
    """
    x = torch.as_tensor(value, dtype=torch.get_default_dtype()).detach().clone()
    if x.ndim == 0:
        x = x.repeat(size)
    if x.shape != (size,):
        raise ValueError(f"{name} must be a number or have shape ({size},), got {tuple(x.shape)}")
    check_positive(**{name: x})
    return x


def check_sizes(**sizes: int) -> None:
    """Raise ValueError unless every size is at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_dt(dt: float | None) -> float:
    """`dt`, if it is a positive step [ms]; ValueError otherwise."""
    if dt is None:
        raise NotImplementedError("dt=None (the exact engine) is not available yet; give a step such as dt=1.0")
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt must be a positive number of milliseconds, got {dt}")
    return dt
