"""How delays and time constants are spread, at the start and as trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lambent.report import _checks as check
from lambent.report import svg, words

_SIZE = (3.7, 2.4)
_BINS = 40
_STEPS = 100  # delays of more are not drawn step by step


@dataclass(frozen=True, eq=False)
class Spread:
    """The values of a parameter over units or connections.

    Args:
        name: of parameter and layer, as the page calls them.
        counts: what there is one value of each for, such as "connections".
        values: as trained [ms], any shape.
        at_start: as they were before [ms], of any shape; None where that is not known.
        step: to which they are rounded [ms], if they are.

    Raises:
        TypeError, ValueError: naming the parameter and the field at fault.
    """

    name: str
    counts: str
    values: np.ndarray
    at_start: np.ndarray | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        check.text("Spread.name", self.name)
        where = f"spread of {self.name!r}"
        check.text(f"{where}: counts", self.counts)
        for key in ("values", "at_start"):
            if (given := getattr(self, key)) is None and key == "at_start":
                continue
            values = check.floats(f"{where}: {key}", given).ravel()
            if not len(values):
                raise ValueError(f"{where}: {key} is empty")
            object.__setattr__(self, key, values)
        if self.step is not None:
            check.positive(f"{where}: step", self.step)

    @property
    def trained(self) -> bool | None:
        """Whether training changed them; None where that is not known."""
        return None if self.at_start is None else not np.array_equal(self.values, self.at_start)

    @property
    def alike(self) -> bool:
        """Whether all are the same, as trained and before, so that there is nothing to draw."""
        return float(np.ptp(self.values)) == 0 and not self.trained


@svg.style()
def draw(spread: Spread, key: str) -> str:
    """A histogram of the values, those at the start as an outline, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    before = spread.at_start if spread.trained else None
    edges = _edges(spread.values if before is None else np.concatenate([spread.values, before]), spread.step)
    heights, _ = np.histogram(spread.values, edges)
    label = "as trained" if spread.trained else "not trained" if spread.trained is False else "now"
    axes.stairs(heights, edges, fill=True, color=svg.FLOAT, alpha=0.65, label=label)
    if before is not None:
        heights, _ = np.histogram(before, edges)
        axes.stairs(heights, edges, color=svg.MUTED, linewidth=1.2, label="at the start")
    axes.set(xlabel="ms", ylabel=spread.counts)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.grid(axis="x", visible=False)
    axes.set_title(svg.shorten(spread.name, 36))
    svg.legend_above(axes)
    low, middle, high = np.percentile(spread.values, [0, 50, 100])
    says = f"{spread.name}: {len(spread.values)} values from {low:.3g} to {high:.3g} ms, median {middle:.3g} ms"
    return svg.inline(figure, key, says)


def _edges(values: np.ndarray, step: float | None) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if step and high <= _STEPS * step:
        return step * np.arange(round(low / step) - 0.5, round(high / step) + 1)
    return np.linspace(low, high if high > low else low + 1.0, _BINS + 1)


def row(spread: Spread) -> list[str]:
    """Of values that are all alike: what they are, how many, and the value."""
    return [spread.name, words.integer(len(spread.values)), f"{spread.values[0]:.4g}{words.NBSP}ms"]
