"""What is missed on streams, against false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lambent.plot.detections import detections
from lambent.report import _checks as check
from lambent.report import svg, words

_SIZE = (5.0, 2.8)


@dataclass(frozen=True, eq=False)
class Detections:
    """How a network detects words on streams.

    Args:
        name: of the network.
        misses: (k,) share in 0..1 of the words that are not detected, at each threshold.
        false_alarms: (k,) an hour.
        points: operating points as (false alarms an hour at most, threshold, misses, median latency [ms]).

    Raises:
        ValueError: naming the network and the field at fault.
    """

    name: str
    misses: np.ndarray
    false_alarms: np.ndarray
    points: Sequence[tuple[float, float, float, float]] = ()

    def __post_init__(self) -> None:
        check.text("Detections.name", self.name)
        where = f"detections of {self.name!r}"
        for key in ("misses", "false_alarms"):
            object.__setattr__(self, key, check.floats(f"{where}: {key}", getattr(self, key), ndim=1))
        if not len(self.misses) or len(self.misses) != len(self.false_alarms):
            raise ValueError(f"{where}: misses and false_alarms must be as many, and some")
        if self.misses.min() < 0 or self.misses.max() > 1 or self.false_alarms.min() < 0:
            raise ValueError(f"{where}: misses must lie in 0..1, and false_alarms be no less than 0")


@svg.style()
def draw(found: Sequence[Detections]) -> str:
    """A curve for each network, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    detections({x.name: {"misses": x.misses, "false_alarms": x.false_alarms} for x in found}, axes)
    axes.set_title("Words missed on streams")
    return svg.inline(figure, "streams", "Share of words missed on streams by false alarms an hour")


def rows(found: Sequence[Detections], missing: str) -> list[list[str]]:
    """Of each operating point: network, false alarms an hour at most, threshold, misses, latency."""
    return [
        [x.name, f"{most:g}", f"{threshold:.4f}", words.percent(misses), _ms(latency, missing)]
        for x in found
        for most, threshold, misses, latency in x.points
    ]


def _ms(value: float, missing: str) -> str:
    return f"{value:.0f}{words.NBSP}ms" if np.isfinite(value) else missing
