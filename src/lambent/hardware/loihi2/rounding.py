"""Rounding real weights to few bits, with a scale for every unit that loses least."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Scales to try, relative to the one at which a unit's largest weight just fits: smaller ones waste range,
# larger ones clip the largest weights so that the many small ones are rounded more finely.
_RATIOS = 2.0 ** np.arange(-0.5, 3.01, 0.05)
# Voltages are integers and a spike needs one above 64 thresholds: the real threshold lies half a unit higher.
_HALF_UNIT = 0.5 / 64


class Rounded(NamedTuple):
    """Integer weights that stand for `weight / scale`.

    Attributes:
        weight: (n_in, n_out) int64, multiples of 2^(8 - bits) or of a smaller power of two.
        scale: (n_out,) float64.
        threshold: (n_out,) int64, or None.
        clipped: (n_in, n_out) bool, where a weight was too large.
    """

    weight: np.ndarray
    scale: np.ndarray
    threshold: np.ndarray | None
    clipped: np.ndarray


def round_weights(
    real: np.ndarray,
    importance: np.ndarray,
    bits: int,
    limit: np.ndarray,
    threshold: np.ndarray | None,
) -> Rounded:
    """Choose for every unit the scale with the least squared error of its weights, weighted by importance.

    The search tries clipping the largest weights. Where there are thresholds only scales count at which the
    unit's threshold becomes an integer, so its rounding costs nothing. Weights of fewer than 8 bits are
    stored in steps of a power of two, the same for the whole layer, which keeps the chip's states large;
    where `limit` forbids that, the step is made smaller.

    Rounding to few bits shrinks weights on the whole, since small ones vanish and large ones are cut. Spiking
    units would fall silent, so their thresholds are lowered until the weights' mean square is what it was.

    Args:
        real: (n_in, n_out) weights.
        importance: (n_in,) positive.
        bits: 2 to 8; integers lie within +-(2^(bits - 1) - 1) steps.
        limit: (n_out,) largest scale allowed, at which a threshold is at least 1.
        threshold: (n_out,) positive, or None.
    """
    largest = (1 << (bits - 1)) - 1
    best, least, limited = _search(real, importance, largest, 1 << (8 - bits), limit, threshold)
    for shift in range(7 - bits, -1, -1):
        if not limited:
            break
        rounded, error, limited = _search(real, importance, largest, 1 << shift, limit, threshold)
        if error < 0.99 * least:
            best, least = rounded, error
    return best


def _search(
    real: np.ndarray,
    importance: np.ndarray,
    largest: int,
    step: int,
    limit: np.ndarray,
    threshold: np.ndarray | None,
) -> tuple[Rounded, float, bool]:
    """The best scales for one step, their mean relative squared error, and whether `limit` held any back."""
    peak = np.abs(real).max(0)
    fitting = np.divide(largest * step, peak, out=limit.copy(), where=peak > 0)
    best = limit.copy()
    least = np.full(real.shape[1], np.inf)
    for ratio in _RATIOS:
        scale = _on_threshold(np.minimum(ratio * fitting, limit), threshold)
        error = importance @ (_integers(real, scale, largest, step) / scale - real) ** 2
        better = error < least
        best, least = np.where(better, scale, best), np.where(better, error, least)
    weight = _integers(real, best, largest, step)
    clipped = np.rint(np.abs(real) * (best / step)) > largest
    energy = importance @ real**2
    error = np.divide(least, energy, out=np.zeros_like(energy), where=energy > 0)
    limited = (peak > 0) & (best >= _on_threshold(limit, threshold))
    scale, mantissa = best, None
    if threshold is not None:
        rounded = importance @ (weight / best) ** 2
        kept = np.divide(rounded, energy, out=np.ones_like(energy), where=energy > 0)
        scale = _on_threshold(np.minimum(best * np.sqrt(kept), limit), threshold)
        mantissa = np.rint(scale * threshold - _HALF_UNIT).astype(np.int64)
    return Rounded(weight, scale, mantissa, clipped), float(error.mean()), bool(limited.any())


def _integers(real: np.ndarray, scale: np.ndarray, largest: int, step: int) -> np.ndarray:
    return np.clip(np.rint(real * (scale / step)), -largest, largest).astype(np.int64) * step


def _on_threshold(scale: np.ndarray, threshold: np.ndarray | None) -> np.ndarray:
    """The nearest scales at which thresholds are integers."""
    if threshold is None:
        return scale
    return (np.maximum(np.rint(scale * threshold - _HALF_UNIT), 1) + _HALF_UNIT) / threshold
