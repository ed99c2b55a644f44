"""Shared argument checking of the layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lambent.connections.connections import check_size
from lambent.machine.waiting import expect
from lambent.neurons.neuron import check_values


def per_unit(name: str, value: float | Tensor | None, size: int, lowest: str = "positive") -> Tensor:
    """A (size,) float tensor of finite values, as `check_values` has it, from a number or a tensor of one per unit.

    Raises:
        TypeError: no numbers.
        ValueError: wrong shape, or a value that is not finite or out of range; names the unit.
    """
    try:
        x = torch.as_tensor(value, dtype=torch.get_default_dtype()).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number or have shape ({size},), got {value!r}") from None
    if x.ndim == 0:
        x = x.repeat(size)
    if x.shape != (size,):
        raise ValueError(f"{name} must be a number or have shape ({size},), got {tuple(x.shape)}")
    expect(*check_values(name, x, lowest))
    return x


def check_sizes(**sizes: int) -> None:
    """Raise TypeError unless every size is a whole number, ValueError unless it is at least 1."""
    for name, size in sizes.items():
        check_size(name, size)


def check_dt(dt: float | None) -> float | None:
    """`dt`, if it is a positive step [ms] or None; ValueError otherwise."""
    return None if dt is None else check_step(dt)


def check_step(dt: float) -> float:
    """`dt`, if it is a positive step [ms]; ValueError otherwise."""
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"dt must be a positive number of milliseconds, got {dt}")
    return dt
