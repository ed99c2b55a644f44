"""How soon a network knows: accuracy by how much of a sample was heard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import PercentFormatter

from lambent.report import _checks as check
from lambent.report import svg

_SIZE = (5.0, 2.6)
NEARLY = 0.95  # of the accuracy at the end


@dataclass(frozen=True, eq=False)
class Hearing:
    """Accuracy by how much was heard.

    Args:
        times: (k,) rising, how much was heard [ms].
        accuracy: (k,) share in 0..1 of the samples whose class leads then.
        n: number of samples.

    Raises:
        ValueError: naming the field at fault.
    """

    times: np.ndarray
    accuracy: np.ndarray
    n: int

    def __post_init__(self) -> None:
        times = check.floats("hearing.times", self.times, ndim=1)
        accuracy = check.floats("hearing.accuracy", self.accuracy, ndim=1)
        if not len(times) or len(times) != len(accuracy) or not (np.diff(times, prepend=0.0) > 0).all():
            raise ValueError("hearing.times must rise from above 0, one for each entry of hearing.accuracy")
        if accuracy.min() < 0 or accuracy.max() > 1:
            raise ValueError("hearing.accuracy must lie in 0..1")
        check.count("hearing.n", self.n, at_least=1)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "accuracy", accuracy)

    def nearly(self) -> float | None:
        """From when on [ms] accuracy stays above `NEARLY` of what it is in the end; None where that is 0."""
        end = self.accuracy[-1]
        if not end:
            return None
        below = np.flatnonzero(self.accuracy < NEARLY * end)
        return float(self.times[below[-1] + 1 if len(below) else 0])


@svg.style()
def draw(hearing: Hearing, n_classes: int) -> str:
    """Accuracy over the time heard, and what chance gives, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    axes.plot(hearing.times, hearing.accuracy, color=svg.FLOAT, marker="o" if len(hearing.times) < 20 else "")
    axes.axhline(1 / n_classes, color=svg.MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    if (soon := hearing.nearly()) is not None:
        axes.axvline(soon, color=svg.MUTED, linewidth=0.8)
    axes.set(xlabel="heard [ms]", ylabel="accuracy", ylim=(0, 1.02), xlim=(0, hearing.times[-1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_title("Accuracy by what was heard")
    label = f"Accuracy of {hearing.n} samples by milliseconds heard, {hearing.accuracy[-1]:.1%} in the end"
    return svg.inline(figure, "hearing", label)
