"""How sure a network is: the temperature by which its scores are divided before the softmax."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

_RANGE = math.log(100.0)  # of the temperature, either way from 1


def confidence(scores: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (..., classes) of `scores` (..., classes): the softmax of scores / temperature.

    Example:
        >>> from lambent.training.confidence import confidence
        >>> confidence(np.array([2.0, 0.0]), temperature=2.0).round(2)
        array([0.73, 0.27])
    """
    scaled = np.asarray(scores, np.float64) / temperature
    e = np.exp(scaled - scaled.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature at which samples that were not trained on are most likely (Guo et al. 2017, "On calibration of
    modern neural networks"), between 1/100 and 100.

    Args:
        scores: (n, classes).
        labels: (n,) true classes.

    Raises:
        ValueError: there are no samples, or the two do not fit each other.

    Example:
        >>> from lambent.training.confidence import fit_temperature
        >>> sure, right = np.tile([4.0, 0.0], (10, 1)), np.array([0] * 8 + [1] * 2)
        >>> round(fit_temperature(sure, right), 2)  # 80 % right, and 98 % sure
        2.89
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise ValueError(f"scores must be (n, classes) and labels (n,), got shapes {scores.shape} and {labels.shape}")
    own = scores[np.arange(len(labels)), labels]

    def surprise(log_temperature: float) -> float:
        scaled = scores / math.exp(log_temperature)
        top = scaled.max(1)
        return float(np.mean(np.log(np.exp(scaled - top[:, None]).sum(1)) + top - own / math.exp(log_temperature)))

    return math.exp(minimize_scalar(surprise, bounds=(-_RANGE, _RANGE), method="bounded").x)


def calibration_error(scores: NDArray[np.floating], labels: NDArray[np.integer], temperature: float) -> float:
    """By how much confidence and accuracy differ, in the mean over 10 bins of confidence (expected calibration error).

    Args:
        scores, labels: as for `fit_temperature`.
    """
    p = confidence(scores, temperature)
    sure, right = p.max(1), p.argmax(1) == labels
    bins = np.minimum((10 * sure).astype(int), 9)
    off = [abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(10)]
    return float(sum(off) / len(labels))
