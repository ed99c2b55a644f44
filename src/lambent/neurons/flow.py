"""What a linear system does in a step, for time constants of any size; differentiable."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_HALVINGS = 12
_TERMS = 6


def matrix(like: Tensor, *rows: Sequence[Tensor | float]) -> Tensor:
    """Matrices (size, n, n) from rows of entries, (size,) as `like` or numbers, the same for all; float64."""
    entries = [[x if isinstance(x, Tensor) else like.new_full((), x) for x in row] for row in rows]
    return torch.stack([torch.stack([x.to(torch.float64).expand_as(like) for x in row], -1) for row in entries], -2)


def flow(rates: Tensor, dt: float) -> Tensor:
    """exp(rates dt), what dx/dt = rates x makes of x in `dt` [ms]; `rates` (size, n, n) [1/ms].

    By its series for a part of the step, and squaring: torch.linalg.matrix_exp takes 60 times as long, and lets the
    host wait for a device.
    """
    part = rates * (dt / 2**_HALVINGS)
    one = torch.eye(part.shape[-1], dtype=part.dtype, device=part.device)
    found = one + part / _TERMS
    for k in range(_TERMS - 1, 0, -1):
        found = one + part @ found / k
    for _ in range(_HALVINGS):
        found = found @ found
    return found
