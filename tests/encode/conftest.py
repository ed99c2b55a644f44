"""Random values and signals to encode."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def values(request):
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(20, 7, generator=generator, dtype=request.param)
    x[0, :2] = torch.tensor([0.0, 1.0])
    return x


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def signals(request):
    """Sums of slow sines, (4, 3, 300)."""
    generator = torch.Generator().manual_seed(4)
    frequency, phase = torch.rand(2, 4, 3, 5, 1, generator=generator, dtype=request.param)
    t = torch.arange(300, dtype=request.param)
    return torch.sin(0.1 * frequency * t + 6.28 * phase).mean(2)
