"""Denormal numbers, below 1e-38 in float32: processors are slow with them, and they mean nothing here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SMALLEST, _HALF = 2.0**-1022, 0.5  # of normal float64s; names, since Python works out products of constants itself


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Within, this thread takes denormal numbers for 0; afterwards it does as before.

    States and adjoints decay into them in 88 time constants without a spike.
    """
    before = _SMALLEST * _HALF == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
