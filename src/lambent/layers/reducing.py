"""What a readout's reductions make of voltages that are there, as those of a chip or of a stream are."""

from __future__ import annotations

import numpy as np


def reduced(voltage: np.ndarray, reduce: str) -> np.ndarray:
    """(..., n_out) of voltages (..., n_out, steps): "mean", "exp_mean", "max" or "last", as `lambent.LIReadout` says.

    Raises:
        ValueError: another reduction.
    """
    steps = voltage.shape[-1]
    if reduce == "mean":
        return voltage.mean(-1)
    if reduce == "exp_mean":
        return voltage @ np.exp(-np.arange(steps) / steps) / steps
    if reduce == "max":
        return voltage.max(-1)
    if reduce == "last":
        return voltage[..., -1]
    raise ValueError(f"reduce must be mean, exp_mean, max or last, got {reduce!r}")
