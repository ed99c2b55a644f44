"""Samples in groups that threads share: results don't depend on the number of threads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.machine.denormals import denormals_flushed
from lambent.machine.threads import in_threads

_GROUPS = 8  # at most; each holds its own sum of weight gradients
_GROUP_SIZE = 2  # samples, at least


def sample_groups(batch: int) -> list[tuple[int, int]]:
    """Sample ranges (first, last), the same on every machine."""
    n = max(1, min(_GROUPS, batch // _GROUP_SIZE))
    bounds = [batch * g // n for g in range(n + 1)]
    return list(pairwise(bounds))


def run_groups(work: Callable[[int, int, int], Any], batch: int) -> list[Any]:
    """work(group, first, last) for every group, in threads that flush denormal numbers; results in order."""

    def flushed(task: tuple[int, int, int]) -> Any:
        with denormals_flushed():
            return work(*task)

    return in_threads(flushed, [(g, *bounds) for g, bounds in enumerate(sample_groups(batch))])


def total(parts: np.ndarray) -> Tensor:
    """Sum over groups, in their order."""
    return torch.from_numpy(parts).sum(0) if len(parts) > 1 else torch.from_numpy(parts[0])
