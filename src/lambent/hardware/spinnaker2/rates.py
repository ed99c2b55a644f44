"""The pull on units that spike too rarely or too often, from the counts of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rate_push(
    counts: np.ndarray, sizes: Sequence[int], rates: Sequence[tuple[float, float]] | None, strength: float, batch: int
) -> np.ndarray:
    """What one more spike of each unit would do to the penalty on rates: the derivative of `losses.rate_penalty`.

    Args:
        counts: (units,) spikes of all layers' units in a batch.
        sizes: units of each layer; those without rates, as a readout, are the last.
        rates: lower and upper bound of each spiking layer, or None.
        strength: weight of the penalty.
        batch: number of samples.

    Returns:
        float32 (units,).
    """
    push = np.zeros(len(counts), np.float32)
    first = 0
    for size, (lower, upper) in zip(sizes, rates or (), strict=False):
        mean = counts[first : first + size].astype(np.float32) / np.float32(batch)
        away = np.maximum(mean - np.float32(upper), 0) - np.maximum(np.float32(lower) - mean, 0)
        push[first : first + size] = np.float32(2 * strength / (size * batch)) * away
        first += size
    return push


def rate_loss(
    counts: np.ndarray, sizes: Sequence[int], rates: Sequence[tuple[float, float]] | None, strength: float, batch: int
) -> float:
    """The penalty itself, summed over layers."""
    total, first = 0.0, 0
    for size, (lower, upper) in zip(sizes, rates or (), strict=False):
        mean = counts[first : first + size] / batch
        total += float((np.maximum(lower - mean, 0) ** 2 + np.maximum(mean - upper, 0) ** 2).mean())
        first += size
    return strength * total
