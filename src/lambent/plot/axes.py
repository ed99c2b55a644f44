"""What all pictures share: colours, a figure where none is given, the sample that is drawn."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lambent.events import Events

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Readers with any common colour blindness can tell them apart, and they are legible on light and on dark.
BLUE, ORANGE, GREY = "#1f78c1", "#d2600f", "#6b727b"
DASHED = (0, (4, 2))
_PLACE: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 3.6) -> Axes:
    """`ax`, or the axes of a new figure of `width` by `height` [inch].

    Raises:
        TypeError: `ax` is something else.
    """
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib axes, got {type(ax).__name__}")
    return ax


def several_axes(axes: Sequence[Axes] | None, new: Any, what: Sequence[str]) -> np.ndarray:
    """An array of as many axes as there are names in `what`: those given, or what `new` makes.

    Raises:
        ValueError: there are more or fewer.
    """
    found = np.ravel(np.asarray(new() if axes is None else axes, dtype=object))
    if len(found) != len(what):
        raise ValueError(f"axes: {len(what)} are needed ({', '.join(what)}), got {len(found)}")
    return np.array([axes_or_new(ax) for ax in found], dtype=object)


def one_sample(events: Events, sample: int) -> Events:
    """A batch of the one sample that is drawn.

    Raises:
        TypeError: `events` are none, or `sample` is no whole number.
        IndexError: there is no such sample.
    """
    if not isinstance(events, Events):
        raise TypeError(f"events must be lambent.Events, got {type(events).__name__}")
    return events[whole("sample", sample)]


def whole(name: str, value: Any) -> int:
    """`value` as an integer.

    Raises:
        TypeError: it is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None


def spikes_of(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Times [ms] and units of all spikes."""
    return events.times.detach().cpu().numpy(), events.units.cpu().numpy()


def ink() -> str:
    """The colour of text."""
    import matplotlib

    return matplotlib.rcParams["text.color"]


def label(axes: Axes, name: str, side: str = "", color: str | None = None) -> None:
    """Left of a panel: what it shows, and beneath in a colour of which network."""
    place = _PLACE | {"ha": "right"}
    if side:
        axes.annotate(name, (0, 0.5), (-8, 1), va="bottom", **place)
        axes.annotate(side, (0, 0.5), (-8, -2), va="top", color=color, fontweight="bold", **place)
    else:
        axes.annotate(name, (0, 0.5), (-8, 0), va="center", **place)


def note(axes: Axes, first: str, second: str = "") -> None:
    """Right of a panel: two short lines."""
    axes.annotate(first, (1, 0.5), (8, 1), va="bottom", **_PLACE)
    axes.annotate(second, (1, 0.5), (8, -2), va="top", **_PLACE)
