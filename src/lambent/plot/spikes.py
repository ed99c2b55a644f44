"""Rasters: a dot for every spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.events import Events
from lambent.machine.showing import counted
from lambent.plot.axes import BLUE, axes_or_new, one_sample, spikes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

_VECTOR_SPIKES = 1500  # more are drawn as an image, which stays small


def raster(events: Events, sample: int = 0, ax: Axes | None = None, *, color: Any = BLUE) -> Axes:
    """The spikes of one sample; also `Events.plot`.

    Args:
        events: a batch.
        sample: which of it.
        ax: where to draw; a new figure where left out.
        color: of the dots.

    Raises:
        TypeError: an argument is of another type.
        IndexError: there is no such sample.

    Example:
        >>> events = lb.Events.from_lists([[1.0, 2.5], [0.5]], [[0, 3], [1]], n_units=4, duration=10.0)
        >>> events.plot(sample=1).get_title()
        '1 spike of 4 units'
    """
    chosen = one_sample(events, sample)
    times, units = spikes_of(chosen)
    ax = new_raster(ax, chosen)
    dots(ax, times, units, events.n_units, color)
    ax.set_title(f"{counted(len(times), 'spike')} of {counted(events.n_units, 'unit')}")
    return ax


def new_raster(ax: Axes | None, events: Events) -> Axes:
    """Axes for the spikes of `events`, `ax` or new ones, with their labels and limits."""
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    ax.set(xlabel="time [ms]", ylabel="unit", xlim=(0, events.duration))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def dots(axes: Axes, times: np.ndarray, units: np.ndarray, n_units: int, color: Any, **look: Any) -> PathCollection:
    """A dot for every spike, over all `n_units`; they shrink as units and spikes crowd the axes, but stay visible."""
    size = float(np.clip(400.0 / n_units, 1.6, 9.0) * (0.7 if len(times) > 5000 else 1.0))
    drawn = axes.scatter(
        times, units, s=size, color=color, linewidths=0, rasterized=len(times) > _VECTOR_SPIKES, **look
    )  # fmt: skip
    axes.set_ylim(-0.5 - 0.02 * n_units, n_units - 0.5 + 0.02 * n_units)
    return drawn
