"""A raster that fills as time passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.events import Events
from lambent.plot.axes import BLUE, ink, one_sample, spikes_of
from lambent.plot.spikes import dots, new_raster

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes


def animate(
    events: Events, sample: int = 0, ax: Axes | None = None, *, seconds: float = 4.0, fps: int = 20, color: Any = BLUE
) -> FuncAnimation:
    """One sample as an animation: spikes appear as time passes.

    In a notebook show it with ``IPython.display.HTML(animation.to_jshtml())``; its method ``save`` writes a file. Keep
    the animation as long as it is to run.

    Args:
        events: a batch.
        sample: which of it.
        ax: where to draw; a new figure where left out.
        seconds: how long it takes.
        fps: pictures per second.
        color: of the dots.

    Raises:
        TypeError: an argument is of another type.
        ValueError: `seconds` or `fps` is not positive, or that makes no picture.
        IndexError: there is no such sample.

    Example:
        >>> events = lb.Events.from_lists([[1.0, 2.5]], [[0, 3]], n_units=4, duration=10.0)
        >>> lb.plot.animate(events, seconds=0.5, fps=10).save("spikes.gif", writer="pillow")
    """
    from matplotlib.animation import FuncAnimation

    for name, value in (("seconds", seconds), ("fps", fps)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive, got {value!r}")
    frames = round(seconds * fps)
    if frames < 1:
        raise ValueError(f"{seconds:g} s of {fps:g} pictures a second are less than one picture")
    chosen = one_sample(events, sample)
    times, units = spikes_of(chosen)
    own = ax is None
    ax = new_raster(ax, chosen)
    spikes = dots(ax, times, units, events.n_units, color)
    cursor = ax.axvline(0.0, color=ink(), linewidth=0.8)
    places = np.column_stack([times, units])

    def show(frame: int) -> tuple[Any, ...]:
        now = chosen.duration * (frame + 1) / frames
        spikes.set_offsets(places[: np.searchsorted(times, now)])
        cursor.set_xdata([now, now])
        return spikes, cursor

    figure = ax.get_figure(root=True)
    assert figure is not None  # axes lie in one
    if own:  # laid out once and not for every picture, which would take twice as long
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return FuncAnimation(figure, show, frames=frames, interval=1000 / fps, init_func=lambda: show(0))
