"""Learning curves: loss, accuracy and activity over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lambent.report import svg

KEYS = ("loss", "accuracy", "val_loss", "val_accuracy", "spikes_per_unit", "silent")  # what is drawn
_SIZE = (3.7, 2.6)


def column(history: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """(epochs,) values under `key`, NaN where an epoch has none or none that is finite."""
    values = [np.nan if epoch.get(key) is None else float(epoch[key]) for epoch in history]
    return np.where(np.isfinite(values), values, np.nan)


def not_finite(history: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    """The epochs whose value under `key` is there but NaN or infinite, as counted by `epochs`."""
    return [
        int(n)
        for n, epoch in zip(epochs(history), history, strict=True)
        if epoch.get(key) is not None and not np.isfinite(float(epoch[key]))
    ]


def epochs(history: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(epochs,) numbers of the epochs; without "epoch" they count from 1."""
    given = column(history, "epoch")
    return given if np.isfinite(given).all() else np.arange(1, len(history) + 1)


def draw(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curves for which `history` has values, as SVG elements; none for an empty history."""
    plots = []
    if _any(history, "loss", "val_loss"):
        plots.append(_pair(history, "loss", "Loss"))
    if _any(history, "accuracy", "val_accuracy"):
        plots.append(_pair(history, "accuracy", "Accuracy"))
    if _any(history, "spikes_per_unit", "silent"):
        plots.append(_activity(history))
    return plots


def _any(history: Sequence[Mapping[str, Any]], *keys: str) -> bool:
    return any(np.isfinite(column(history, key)).any() for key in keys)


@svg.style()
def _pair(history: Sequence[Mapping[str, Any]], key: str, title: str) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    x = epochs(history)
    for name, label, colour, dash in (
        (key, "training", svg.MUTED, (0, (4, 2))),
        (f"val_{key}", "validation", svg.FLOAT, "-"),
    ):
        if _any(history, name):
            _line(axes, x, column(history, name), color=colour, linestyle=dash, label=label)
    aware, kept = np.isfinite(column(history, "aware")), column(history, "best_epoch")[-1]
    untrained = aware.any() and kept < x[aware][0]
    if aware.any() and (untrained or not aware.all()):
        label = "weights quantised" + (": kept as here" if untrained else "")
        axes.axvline(x[aware][0] - 0.5, color=svg.MUTED, linewidth=0.8, label=label)
    if kept in x and not untrained:
        y = column(history, f"val_{key}" if _any(history, f"val_{key}") else key)[x == kept]
        axes.plot([kept], y[-1:], "o", color=svg.INK, markersize=4.5, label=f"kept, epoch {kept:.0f}")
    low, high = axes.get_ylim()
    if key == "accuracy":
        axes.set_ylim(min(low, high - 0.1), high + 0.01)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high)
    _finish(axes, x, title)
    return svg.inline(figure, f"learning-{key}", f"{title} over {len(x)} epochs, training and validation")


@svg.style()
def _activity(history: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = svg.new_axes(*_SIZE)
    x = epochs(history)
    spikes, silent = _any(history, "spikes_per_unit"), _any(history, "silent")
    lines = []
    if spikes:
        lines += _line(axes, x, column(history, "spikes_per_unit"), color=svg.FLOAT, label="spikes per unit")
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="y", labelcolor=svg.FLOAT)
    if silent:
        right = axes.twinx() if spikes else axes
        values = column(history, "silent")
        lines += _line(right, x, values, color=svg.CHIP, linestyle=(0, (4, 2)), label="silent units")
        right.set_ylim(0, max(0.05, 1.15 * float(np.nanmax(values))))
        right.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        right.tick_params(axis="y", labelcolor=svg.CHIP)
        if spikes:
            right.grid(False)
    _finish(axes, x, "Activity", lines)
    return svg.inline(figure, "learning-activity", f"Spikes per unit and silent units over {len(x)} epochs")


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, **look: Any) -> list[Any]:
    return axes.plot(x, y, marker="o" if len(x) <= 20 else "", markersize=2.5, **look)


def _finish(axes: Axes, x: np.ndarray, title: str, lines: list[Any] | None = None) -> None:
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(x) == 1:
        axes.set_xlim(x[0] - 1, x[0] + 1)
    svg.legend_above(axes, lines)
