"""What a network's confidence is worth: what is left above a threshold, and whether it is as sure as it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import PercentFormatter

from lambent.report import svg, words

_SIZE = (3.7, 2.7)
_POINTS = 200  # of a curve
_BINS = 10
_COLOURS = {"float": svg.FLOAT, "chip": svg.CHIP}
_DASHED = (0, (4, 2))
THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)

Answers = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""For "float" and perhaps "chip": how sure it is of each answer (n,) in 0..1, and whether that is the true class."""


class Accepted(NamedTuple):
    """What is left of some answers at thresholds of confidence, highest first.

    Attributes:
        threshold: (k,) the confidence from which on answers are accepted.
        share: (k,) of all answers, those accepted.
        accuracy: (k,) of the accepted, those of the true class.
    """

    threshold: np.ndarray
    share: np.ndarray
    accuracy: np.ndarray

    @property
    def false(self) -> np.ndarray:
        """(k,) of all answers, those accepted that are of another class."""
        return self.share * (1 - self.accuracy)


def accepted(sure: np.ndarray, recognised: np.ndarray) -> Accepted:
    """The curve over all thresholds that make a difference, thinned out."""
    order = np.argsort(-sure, kind="stable")
    threshold, found = sure[order], np.cumsum(recognised[order])
    last = np.flatnonzero(np.diff(threshold, append=-1.0))  # of equals all or none
    last = last[np.unique(np.linspace(0, len(last) - 1, min(_POINTS, len(last))).round().astype(int))]
    return Accepted(threshold[last], (last + 1) / len(sure), found[last] / (last + 1))


def at(threshold: float, sure: np.ndarray, recognised: np.ndarray) -> tuple[float, float | None, float]:
    """Of the answers accepted from `threshold` on: their share, their accuracy or None, and the share that is false."""
    kept = sure >= threshold
    share = float(kept.mean())
    return share, float(recognised[kept].mean()) if share else None, float((kept & ~recognised).mean())


def reliability(sure: np.ndarray, recognised: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean confidence and accuracy of each bin of confidence that holds answers, and the expected calibration error.

    Guo et al. 2017, "On calibration of modern neural networks", with 10 bins.
    """
    bins = np.minimum((_BINS * sure).astype(int), _BINS - 1)
    n = np.bincount(bins, minlength=_BINS)
    used = n > 0
    mean = np.bincount(bins, sure, _BINS)[used] / n[used]
    accuracy = np.bincount(bins, recognised, _BINS)[used] / n[used]
    return mean, accuracy, float((n[used] * np.abs(mean - accuracy)).sum() / len(sure))


def draw(answers: Answers) -> list[str]:
    """Accuracy over the share accepted, shares over the threshold, and the reliability diagram, as SVG elements."""
    return [_accuracy(answers), _shares(answers), _reliability(answers)]


@svg.style()
def _accuracy(answers: Answers) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    for side, (sure, recognised) in answers.items():
        curve = accepted(sure, recognised)
        axes.plot(curve.share, curve.accuracy, color=_COLOURS[side], label=side, linewidth=1.4)
    low = axes.get_ylim()[0]
    axes.set(xlabel="accepted share", ylabel="accuracy of the accepted", xlim=(0, 1.01), ylim=(min(low, 0.89), 1.005))
    _percent(axes.xaxis, axes.yaxis)
    axes.set_title("The surest answers alone")
    svg.legend_above(axes)
    return svg.inline(figure, "confidence-accuracy", "Accuracy of the surest answers by their share")


@svg.style()
def _shares(answers: Answers) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    for side, (sure, recognised) in answers.items():
        curve = accepted(sure, recognised)
        axes.plot(curve.threshold, curve.share, color=_COLOURS[side], label=f"{side}, accepted", linewidth=1.4)
        axes.plot(curve.threshold, curve.false, color=_COLOURS[side], linestyle=_DASHED, label="falsely", linewidth=1.2)
    axes.set(xlabel="threshold of confidence", ylabel="share of all", xlim=(0, 1.01), ylim=(0, 1.02))
    _percent(axes.yaxis)
    axes.set_title("Accepted from a threshold on")
    svg.legend_above(axes, columns=2)
    return svg.inline(figure, "confidence-shares", "Accepted and falsely accepted share by threshold of confidence")


@svg.style()
def _reliability(answers: Answers) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    axes.plot([0, 1], [0, 1], color=svg.MUTED, linewidth=0.8, linestyle=_DASHED)
    for side, (sure, recognised) in answers.items():
        mean, accuracy, error = reliability(sure, recognised)
        label = f"{side}: error {words.percent(error)}"
        axes.plot(mean, accuracy, color=_COLOURS[side], marker="o", markersize=3, linewidth=1.2, label=label)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
    _percent(axes.xaxis, axes.yaxis)
    axes.set_title("Calibration")
    svg.legend_above(axes, columns=2)
    return svg.inline(figure, "confidence-reliability", "Reliability diagram: accuracy by confidence")


def _percent(*axes: object) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))  # type: ignore[attr-defined]


def rows(sure: np.ndarray, recognised: np.ndarray, missing: str) -> list[list[str]]:
    """Of each of `THRESHOLDS`: itself, the accepted share, its accuracy, and the falsely accepted share of all."""
    out = []
    for threshold in THRESHOLDS:
        share, accuracy, false = at(threshold, sure, recognised)
        cells = [words.percent(share), missing if accuracy is None else words.percent(accuracy), words.percent(false)]
        out.append([f"{threshold:g}", *cells])
    return out
