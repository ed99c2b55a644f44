"""`Curve`: misses against false alarms an hour, over all thresholds, and the operating points on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from lambent.machine.showing import Short


@dataclass(frozen=True, eq=False)
class Curve(Short):
    """A detection error trade-off curve.

    Attributes:
        thresholds: (n,) rising.
        misses: (n,) share of the words that are not detected.
        false_alarms: (n,) an hour.
        unprompted: (n,) those of them for which nothing was said that could be mistaken, an hour.
        latency: (n,) median time from the end of a word until it is known [ms], that for which the cochlea looks ahead
            included; NaN where none is.
    """

    thresholds: list[float]
    misses: list[float]
    false_alarms: list[float]
    unprompted: list[float]
    latency: list[float]

    def at(self, false_alarms: float) -> dict[str, float] | None:
        """The operating point with at most so many false alarms an hour: the lowest threshold from which on there are
        no more. None if there are more at every threshold."""
        good = np.array(self.false_alarms) <= false_alarms
        if not good[-1]:
            return None
        first = len(good) - int(np.argmin(good[::-1])) if not good.all() else 0
        return {
            "threshold": self.thresholds[first],
            "misses": self.misses[first],
            "false_alarms": self.false_alarms[first],
            "unprompted": self.unprompted[first],
            "latency": self.latency[first],
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        return {k: [None if math.isnan(x) else x for x in values] for k, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Sequence[float | None]]) -> Curve:
        """From what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: values are missing or wrong.
        """
        lists = {f.name: [math.nan if x is None else float(x) for x in values[f.name]] for f in fields(cls)}
        if len({len(x) for x in lists.values()}) != 1 or not lists["thresholds"]:
            raise ValueError("a curve's lists must be of one length")
        return cls(**lists)


def parse_rate(text: str) -> float:
    """False alarms an hour from "1/h", "0.5/h" or a number.

    Raises:
        ValueError: none of these.
    """
    try:
        rate = float(text.strip().removesuffix("/h"))
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise ValueError(f"an operating point is false alarms an hour, such as 1/h, got {text!r}")
    return rate
