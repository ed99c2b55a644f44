"""Histograms of what connections have: weights and delays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.connections.connections import Connections, Entries
from lambent.layers.layer import Layer
from lambent.plot.axes import BLUE, ORANGE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 40


def weights(layer: Layer | Connections, ax: Axes | None = None) -> Axes:
    """A histogram of the weights of a layer, those from its inputs and those among its units.

    Args:
        layer: a layer or connections of any kind.
        ax: where to draw; a new figure where left out.

    Raises:
        TypeError: `layer` is neither.

    Example:
        >>> axes = lb.plot.weights(lb.LIF(20, 10, recurrent=True))
        >>> [text.get_text() for text in axes.get_legend().get_texts()]
        ['200 from the inputs', '100 recurrent']
    """
    values = {side: _numbers(entries.weight) for side, entries in _sides(layer).items()}
    finite = np.concatenate([x[np.isfinite(x)] for x in values.values()])
    edges = bin_edges(finite if len(finite) else np.zeros(1), None)
    return _draw(values, edges, "weight", ax)


def delays(layer: Layer | Connections, ax: Axes | None = None) -> Axes:
    """A histogram of the delays [ms] of a layer; arguments and errors as for `weights`.

    Raises:
        ValueError: the connections have no delays.

    Example:
        >>> lb.plot.delays(lb.LIF(20, 10, delay=20 * torch.rand(20, 10))).get_xlabel()
        'delay [ms]'
    """
    values = {side: _numbers(x.delay) for side, x in _sides(layer).items() if x.delay is not None}
    if not values:
        raise ValueError("the connections have no delays; layers get them with delay=")
    highest = max(float(x[np.isfinite(x)].max(initial=0.0)) for x in values.values())
    step = getattr(layer, "dt", None) or 0.0
    if step > 0 and highest <= 100 * step:  # a bin for every number of steps that delays are rounded to
        edges = step * np.arange(-0.5, round(highest / step) + 1)
    else:
        edges = np.linspace(0.0, highest or 1.0, _BINS + 1)
    return _draw(values, edges, "delay [ms]", ax)


def _sides(layer: Any) -> dict[str, Entries]:
    """The entries of a layer's connections that there are, by what to call them."""
    if isinstance(layer, Connections):
        return {"connections": layer.entries()}
    if not isinstance(layer, Layer):
        what = "a layer, such as model[0], or connections"
        raise TypeError(f"layer must be {what}, got {type(layer).__name__}")
    recurrent: Connections | None = getattr(layer, "recurrent", None)
    sides = {"from the inputs": layer.connections.entries()}
    return sides if recurrent is None else sides | {"recurrent": recurrent.entries()}


def _numbers(x: Any) -> np.ndarray:
    return x.detach().cpu().double().numpy()


def _draw(values: dict[str, np.ndarray], edges: np.ndarray, name: str, ax: Axes | None) -> Axes:
    ax = axes_or_new(ax)
    for (side, x), color in zip(values.items(), (BLUE, ORANGE), strict=False):
        heights, _ = np.histogram(x, edges)
        lost = int(np.count_nonzero(~np.isfinite(x)))
        ax.stairs(heights, edges, color=color, fill=True, alpha=0.25)
        ax.stairs(
            heights,
            edges,
            color=color,
            linewidth=1.3,
            label=f"{len(x):,} {side}" + f", {lost:,} not finite" * (lost > 0),
        )
    ax.set(xlabel=name, ylabel="connections")
    ax.legend()
    return ax


def bin_edges(values: np.ndarray, quantised: np.ndarray | None) -> np.ndarray:
    """Bin edges over both; a bin holds a whole number of quantised levels, so that bars do not beat."""
    both = values if quantised is None else np.concatenate([values, quantised])
    low, high = float(both.min()), float(both.max())
    span = (high - low) or max(abs(high), 1.0)
    width = span / _BINS
    origin = low - 0.5 * width
    levels = np.unique(quantised) if quantised is not None else np.empty(0)
    if len(levels) > 1:
        gaps = np.diff(levels)
        step = float(gaps[gaps > 1e-6 * span].min(initial=span))
        width = step * max(1, round(width / step))
        origin = float(levels[0]) - 0.5 * step
    first = np.floor((low - origin) / width)
    last = np.floor((high - origin) / width) + 1
    return origin + width * np.arange(first, last + 1)
