"""The Yin-Yang data set as spike latencies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lambent.data.dataset import SpikeDataset
from lambent.encode._spikes import check_window

_R_BIG, _R_SMALL = 0.5, 0.1  # radii of the sign and of its dots; the sign fills the unit square


def yin_yang(
    n: int,
    seed: int,
    t_early: float = 0.0,
    t_late: float = 30.0,
    t_bias: float | None = None,
    duration: float = 60.0,
) -> SpikeDataset:
    """Points of the Yin-Yang sign, each coded by the times of five spikes.

    Kriener, Göltz & Petrovici 2022 (doi:10.1145/3517343.3517380): points (x, y) in a disc within the unit
    square belong to its yin or yang half or to one of the two dots. Units 0 to 3 spike once each, at
    ``t_early + value * (t_late - t_early)`` for the values x, y, 1 - x, 1 - y; unit 4 always spikes at
    `t_bias`. The classes, numbered as in the published code, are equally frequent (as nearly as `n` allows),
    in random order. The default range of 30 ms is wide enough for a grid of 1 ms; a wider one loses less.

    Args:
        n: number of samples.
        seed: of the draw.
        t_early: time of the value 0 [ms].
        t_late: time of the value 1 [ms].
        t_bias: time of the bias spike [ms]; left out, 0.4 of the way from `t_early` to `t_late`.
        duration: length of every sample [ms].

    Returns:
        A set with 5 units and the classes yin, yang and dot.

    Raises:
        ValueError: `n` below 1, or times that are not ``0 <= t_early < t_late < duration``, or a `t_bias`
            outside ``[0, duration)``.

    Example:
        >>> lb.data.yin_yang(3, seed=0)
        SpikeDataset(3 samples, 3 classes, 15 spikes (5 a sample), 5 units, 60 ms)
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    check_window(t_early, t_late, duration)
    if t_bias is None:
        t_bias = t_early + 0.4 * (t_late - t_early)
    if not 0 <= t_bias < duration:
        raise ValueError(f"t_bias must be in [0, {duration}), got {t_bias}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 3)
    points = _draw(labels, rng)
    values = np.concatenate([points, 1 - points], axis=1)
    times = np.full((n, 5), t_bias)
    times[:, :4] = t_early + values * (t_late - t_early)
    order = np.argsort(times, axis=1, kind="stable")
    return SpikeDataset(
        np.take_along_axis(times, order, axis=1).ravel(),
        order.ravel(),
        np.arange(n + 1) * 5,
        labels,
        n_units=5,
        duration=duration,
        class_names=["yin", "yang", "dot"],
    )


def _draw(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A point (x, y) for each label, spread evenly over the area of its class, by rejection."""
    points = np.full((len(labels), 2), np.nan)
    missing = np.arange(len(labels))
    while len(missing):
        drawn = rng.random((len(missing), 2))
        fits = _classify(drawn) == labels[missing]
        points[missing[fits]] = drawn[fits]
        missing = missing[~fits]
    return points


def _classify(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Class of each point (n, 2): 0 yin, 1 yang, 2 dot, -1 outside the sign."""
    x, y = points.T
    right = np.hypot(x - 1.5 * _R_BIG, y - _R_BIG)
    left = np.hypot(x - 0.5 * _R_BIG, y - _R_BIG)
    yang = (left <= 0.5 * _R_BIG) | ((y > _R_BIG) & (right > 0.5 * _R_BIG))
    label = yang.astype(np.int64)
    label[(left < _R_SMALL) | (right < _R_SMALL)] = 2
    label[np.hypot(x - _R_BIG, y - _R_BIG) > _R_BIG] = -1
    return label
