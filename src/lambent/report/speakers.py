"""Accuracy by speaker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lambent.report import svg, words

_SIZE = (5.0, 2.6)
_WITH_INTERVALS = 60  # speakers; of more there is no room
SHOWN = 12  # in the table


class BySpeaker(NamedTuple):
    """Accuracy of each speaker, the lowest first.

    Attributes:
        speaker: (k,) numbers.
        n: (k,) samples.
        recognised: (k,) of them.
    """

    speaker: np.ndarray
    n: np.ndarray
    recognised: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """(k,) shares."""
        return self.recognised / self.n


def by_speaker(speakers: np.ndarray, recognised: np.ndarray) -> BySpeaker:
    """Accuracy of each of `speakers` (n,) by whether each sample was recognised (n,)."""
    names, of = np.unique(speakers, return_inverse=True)
    n, found = np.bincount(of), np.bincount(of, recognised).astype(int)
    order = np.lexsort((-n, found / n))
    return BySpeaker(names[order], n[order], found[order])


@svg.style()
def draw(found: BySpeaker, overall: float, side: str) -> str:
    """Speakers in order of their accuracy, with 95 % intervals where there is room, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    colour = svg.CHIP if side == "chip" else svg.FLOAT
    x, y = np.arange(1, len(found.n) + 1), found.accuracy
    if len(x) <= _WITH_INTERVALS:
        bounds = np.array([words.interval(share, int(n)) for share, n in zip(y, found.n, strict=True)])
        axes.vlines(x, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.35, linewidth=2.5)
    axes.plot(x, y, "o", color=colour, markersize=3.5 if len(x) <= _WITH_INTERVALS else 1.8, clip_on=False)
    axes.axhline(overall, color=svg.MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xlabel="speakers, from the hardest", ylabel="accuracy", xlim=(0.5, len(x) + 0.5))
    axes.set_ylim(min(0.9, axes.get_ylim()[0]), 1.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_title(f"Accuracy by speaker, {side}")
    return svg.inline(figure, "speakers", f"Accuracy of {len(x)} speakers, from {y[0]:.1%} to {y[-1]:.1%}")
