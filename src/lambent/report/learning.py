"""Learning curves: loss, accuracy and activity over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lambent.plot import curves
from lambent.report import svg

_SIZE = (3.7, 2.6)
_SHOWS = {
    "Loss": ("loss", "Loss over {} epochs, training and validation"),
    "Accuracy": ("accuracy", "Accuracy over {} epochs, training and validation"),
    "Activity": ("activity", "Spikes per unit and silent units over {} epochs"),
}


def not_finite(history: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    """The epochs whose value under `key` is there but NaN or infinite, as counted by `curves.epochs`."""
    return [
        int(n)
        for n, epoch in zip(curves.epochs(history), history, strict=True)
        if epoch.get(key) is not None and not np.isfinite(float(epoch[key]))
    ]


def draw(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curves for which `history` has values, as SVG elements; none for an empty history."""
    return [_panel(history, title) for title, keys in curves.PANELS.items() if curves.has(history, *keys)]


@svg.style()
def _panel(history: Sequence[Mapping[str, Any]], title: str) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    lines = curves.draw(axes, history, title)
    axes.set_title(title)
    svg.legend_above(axes, lines)
    name, says = _SHOWS[title]
    return svg.inline(figure, f"learning-{name}", says.format(len(history)))
