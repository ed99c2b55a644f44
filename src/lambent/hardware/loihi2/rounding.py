"""Rounding real weights to few bits, with a scale for every unit that loses least."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Scales to try, relative to the one at which a unit's largest weight just fits: smaller ones waste range,
# larger ones clip the largest weights so that the many small ones are rounded more finely.
_RATIOS = 2.0 ** np.arange(-0.5, 3.01, 0.05)
# Voltages are integers and a spike needs one above 64 thresholds: the real threshold lies half a unit higher.
_HALF_UNIT = 0.5 / 64


class Integers(NamedTuple):
    """The few integers that a layer's weights are rounded to.

    Attributes:
        bits: of a weight, sign included.
        step: integers are multiples of it; 2^(8 - bits) or a smaller power of two.
        resolution: (columns,) float64, integers per unit of real weight when rounding; a column is a unit, or the
            units that share its weights.
        scale: (columns,) float64, integers per unit of real weight in what they stand for. It is less than
            `resolution` where that makes up for what rounding takes from the weights on the whole.
    """

    bits: int
    step: int
    resolution: np.ndarray
    scale: np.ndarray

    @property
    def largest(self) -> int:
        """The largest integer."""
        return ((1 << (self.bits - 1)) - 1) * self.step

    def spread(self, columns: int) -> Integers:
        """The same for a number of columns into which these are split."""
        each = columns // len(self.scale)
        return self._replace(resolution=np.repeat(self.resolution, each), scale=np.repeat(self.scale, each))

    def rounded(self, real: np.ndarray) -> np.ndarray:
        """What `real` (n_in, n_out) is rounded to, int64."""
        bound = self.largest // self.step
        return np.clip(np.rint(real * (self.resolution / self.step)), -bound, bound).astype(np.int64) * self.step

    def clipped(self, real: np.ndarray) -> np.ndarray:
        """Where a weight is too large, bool (n_in, n_out)."""
        return np.rint(np.abs(real) * (self.resolution / self.step)) * self.step > self.largest

    def mantissas(self, threshold: np.ndarray) -> np.ndarray:
        """What thresholds (n_out,) become, int64."""
        return np.maximum(np.rint(self.scale * threshold - _HALF_UNIT), 1).astype(np.int64)


def scale_of_threshold(mantissa: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """The scales (n_out,) float64 at which thresholds become just these integers."""
    return (mantissa + _HALF_UNIT) / threshold


def choose_integers(
    real: np.ndarray,
    importance: np.ndarray,
    bits: int,
    limit: np.ndarray,
    threshold: np.ndarray | None,
) -> Integers:
    """Choose for every unit the scale with the least squared error of its weights, weighted by importance.

    The search tries clipping the largest weights. Where there are thresholds only scales count at which the
    unit's threshold becomes an integer, so its rounding costs nothing. Weights of fewer than 8 bits are
    stored in steps of a power of two, the same for the whole layer, which keeps the chip's states large;
    where `limit` forbids that, the step is made smaller.

    Rounding to few bits shrinks weights on the whole, since small ones vanish and large ones are cut. Spiking
    units would fall silent, so their thresholds are lowered until the weights' mean square is what it was.

    Args:
        real: (n_in, n_out) weights.
        importance: (n_in,) or (n_in, n_out) positive.
        bits: 2 to 8; integers lie within +-(2^(bits - 1) - 1) steps.
        limit: (n_out,) largest scale allowed, at which a threshold is at least 1.
        threshold: (n_out,) positive, or None.
    """
    best, least, limited = _search(real, importance, bits, 1 << (8 - bits), limit, threshold)
    for shift in range(7 - bits, -1, -1):
        if not limited:
            break
        found, error, limited = _search(real, importance, bits, 1 << shift, limit, threshold)
        if error < 0.99 * least:
            best, least = found, error
    return best


def _search(
    real: np.ndarray,
    importance: np.ndarray,
    bits: int,
    step: int,
    limit: np.ndarray,
    threshold: np.ndarray | None,
) -> tuple[Integers, float, bool]:
    """The best scales for one step, their mean relative squared error, and whether `limit` held any back."""
    best = Integers(bits, step, limit.copy(), limit.copy())
    peak = np.abs(real).max(0)
    fitting = np.divide(best.largest, peak, out=limit.copy(), where=peak > 0)
    least = np.full(real.shape[1], np.inf)
    for ratio in _RATIOS:
        scale = _on_threshold(np.minimum(ratio * fitting, limit), threshold)
        error = _summed(importance, (Integers(bits, step, scale, scale).rounded(real) / scale - real) ** 2)
        np.copyto(best.resolution, scale, where=error < least)
        least = np.minimum(least, error)
    energy = _summed(importance, real**2)
    error = np.divide(least, energy, out=np.zeros_like(energy), where=energy > 0)
    limited = (peak > 0) & (best.resolution >= _on_threshold(limit, threshold))
    scale = best.resolution
    if threshold is not None:
        rounded = _summed(importance, (best.rounded(real) / scale) ** 2)
        kept = np.divide(rounded, energy, out=np.ones_like(energy), where=energy > 0)
        scale = _on_threshold(np.minimum(scale * np.sqrt(kept), limit), threshold)
    return best._replace(scale=scale), float(error.mean()), bool(limited.any())


def _summed(importance: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Squares (n_in, n_out) by their importance, for each unit."""
    return importance @ squares if importance.ndim == 1 else (importance * squares).sum(0)


def _on_threshold(scale: np.ndarray, threshold: np.ndarray | None) -> np.ndarray:
    """The nearest scales at which thresholds are integers."""
    if threshold is None:
        return scale
    return scale_of_threshold(np.maximum(np.rint(scale * threshold - _HALF_UNIT), 1), threshold)
