"""Learning curves: loss, accuracy and activity over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.plot.axes import BLUE, DASHED, GREY, ORANGE, ink, several_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEYS = ("loss", "accuracy", "val_loss", "val_accuracy", "spikes_per_unit", "silent")  # what is drawn
History = Sequence[Mapping[str, Any]]


def learning(history: History | Mapping[str, Sequence[Any]], axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Loss, accuracy and activity over the epochs, whatever of them there is.

    Args:
        history: a mapping for each epoch, such as `lambent.training.Run.metrics` returns, or a mapping of lists. Drawn
            are "loss", "accuracy", "val_loss", "val_accuracy", "spikes_per_unit" and "silent"; "epoch", "best_epoch"
            and "aware" say what the first, the kept and the quantised epochs are.
        axes: one for each panel; a new figure where left out.

    Returns:
        The axes, one for each panel.

    Raises:
        TypeError, ValueError: it is no history, is empty, or has lists of unequal length or nothing to draw; or there
            are more or fewer axes than panels.

    Example:
        >>> history = [{"epoch": n, "loss": 1 / n, "val_loss": 1.2 / n, "accuracy": 1 - 0.5 / n} for n in range(1, 9)]
        >>> [axes.get_title() for axes in lb.plot.learning(history)]
        ['Loss', 'Accuracy']
    """
    rows = _rows(history)
    panels = [title for title, keys in PANELS.items() if has(rows, *keys)]
    if not panels:
        raise ValueError(f"history has nothing to draw: {', '.join(KEYS)} are missing, or not finite in any epoch")

    def new() -> Any:
        from matplotlib import pyplot

        size = (3.7 * len(panels), 2.8)
        return pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)[1]

    found = several_axes(axes, new, panels)
    for ax, title in zip(found, panels, strict=True):
        lines = draw(ax, rows, title)
        ax.set_title(title)
        ax.legend(handles=lines, fontsize="small")
    return found


PANELS = {
    "Loss": ("loss", "val_loss"),
    "Accuracy": ("accuracy", "val_accuracy"),
    "Activity": ("spikes_per_unit", "silent"),
}
"""The panels and what is in them."""


def _rows(history: Any) -> History:
    """One mapping per epoch."""
    history = getattr(history, "metrics", history)  # what `lambent.fit` returns
    if isinstance(history, Mapping):
        if single := [key for key, values in history.items() if np.ndim(values) != 1]:
            raise TypeError(f"history: {single[0]!r} must be a list of one number for each epoch")
        lists = {key: list(values) for key, values in history.items()}
        lengths = {key: len(values) for key, values in lists.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"history: lists of unequal length: {lengths}")
        history = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    if not isinstance(history, Sequence) or not all(isinstance(epoch, Mapping) for epoch in history):
        raise TypeError("history must be a mapping for each epoch, or a mapping of lists")
    if not history:
        raise ValueError("history has no epochs")
    return history


def column(history: History, key: str) -> np.ndarray:
    """(epochs,) values under `key`, NaN where an epoch has none or none that is finite."""
    values = [np.nan if epoch.get(key) is None else float(epoch[key]) for epoch in history]
    return np.where(np.isfinite(values), values, np.nan)


def epochs(history: History) -> np.ndarray:
    """(epochs,) numbers of the epochs; without "epoch" they count from 1."""
    given = column(history, "epoch")
    return given if np.isfinite(given).all() else np.arange(1, len(history) + 1)


def has(history: History, *keys: str) -> bool:
    """Whether there is a finite value under one of `keys`."""
    return any(np.isfinite(column(history, key)).any() for key in keys)


def draw(axes: Axes, history: History, title: str) -> list[Any]:
    """One of `PANELS`, without title and legend; returns what a legend is to tell of."""
    from matplotlib.ticker import MaxNLocator

    x = epochs(history)
    lines = _activity(axes, history, x) if title == "Activity" else _pair(axes, history, x, PANELS[title][0])
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(x) == 1:
        axes.set_xlim(x[0] - 1, x[0] + 1)
    return lines


def _pair(axes: Axes, history: History, x: np.ndarray, key: str) -> list[Any]:
    """A figure of training and validation."""
    from matplotlib.ticker import PercentFormatter

    for name, label, color, dash in ((key, "training", GREY, DASHED), (f"val_{key}", "validation", BLUE, "-")):
        if has(history, name):
            _line(axes, x, column(history, name), color=color, linestyle=dash, label=label)
    aware, kept = np.isfinite(column(history, "aware")), column(history, "best_epoch")[-1]
    untrained = aware.any() and kept < x[aware][0]
    if aware.any() and (untrained or not aware.all()):
        label = "weights quantised" + (": kept as here" if untrained else "")
        axes.axvline(x[aware][0] - 0.5, color=GREY, linewidth=0.8, label=label)
    if kept in x and not untrained:
        y = column(history, f"val_{key}" if has(history, f"val_{key}") else key)[x == kept]
        axes.plot([kept], y[-1:], "o", color=ink(), markersize=4.5, label=f"kept, epoch {kept:.0f}")
    low, high = axes.get_ylim()
    if key == "accuracy":
        axes.set_ylim(min(low, high - 0.1), high + 0.01)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    else:
        axes.set_ylim(min(0.0, low), 1.05 * high)
    return axes.get_legend_handles_labels()[0]


def _activity(axes: Axes, history: History, x: np.ndarray) -> list[Any]:
    """Spikes per unit, and on the right the share of silent units."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    spikes, silent = has(history, "spikes_per_unit"), has(history, "silent")
    lines = []
    if spikes:
        lines += _line(axes, x, column(history, "spikes_per_unit"), color=BLUE, label="spikes per unit")
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="y", labelcolor=BLUE)
    if silent:
        right: Any = axes.twinx() if spikes else axes
        values = column(history, "silent")
        lines += _line(right, x, values, color=ORANGE, linestyle=DASHED, label="silent units")
        right.set_ylim(0, max(0.05, 1.15 * float(np.nanmax(values))))
        right.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        right.tick_params(axis="y", labelcolor=ORANGE)
        if spikes:
            right.grid(False)
    return lines


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, **look: Any) -> list[Any]:
    return axes.plot(x, y, marker="o" if len(x) <= 20 else "", markersize=2.5, **look)
