"""Misses against false alarms of detection on streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.plot.axes import BLUE, DASHED, ORANGE, axes_or_new, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def detections(curves: Mapping[str, Any], ax: Axes | None = None, least: float = 0.1) -> Axes:
    """Detection error trade-off curves: the share of words that are missed against false alarms an hour.

    Args:
        curves: for each name an object with lists `misses` and `false_alarms`, or a mapping of these.
        ax: where to draw; a new figure where left out.
        least: fewest false alarms an hour that are told apart from none; none is drawn there.

    Raises:
        TypeError, ValueError: there is no curve, or one without these lists.

    Example:
        >>> ax = lb.plot.detections({"float": {"misses": [0.0, 0.1, 0.5], "false_alarms": [100.0, 3.0, 0.0]}})
        >>> ax.get_xlabel()
        'false alarms an hour'
    """
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    if not curves:
        raise ValueError("there is no curve to draw")
    ax = axes_or_new(ax, 4.8, 3.4)
    looks = cycle(((BLUE, "-"), (ORANGE, DASHED), (ink(), ":")))
    for (name, curve), (color, dash) in zip(curves.items(), looks, strict=False):
        x, y = (np.asarray(_list(curve, name, key), float) for key in ("false_alarms", "misses"))
        if x.shape != y.shape or x.ndim != 1 or not len(x):
            raise ValueError(f"{name}: misses and false_alarms must be lists of one length")
        ax.step(np.maximum(x, least), y, color=color, linestyle=dash, label=name, where="post")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.set_ylim(0, 1)
    ax.set_xlabel("false alarms an hour")
    ax.set_ylabel("words missed")
    ax.legend(fontsize="small")
    return ax


def _list(curve: Any, name: str, key: str) -> Sequence[float]:
    try:
        return curve[key] if isinstance(curve, Mapping) else getattr(curve, key)
    except (KeyError, AttributeError):
        raise TypeError(f"{name}: a curve needs {key}") from None
