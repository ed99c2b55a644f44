"""One sample through the network: rasters of all layers, float above chip, and the readout voltages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lambent.report import svg, words
from lambent.report.model import RasterLayer, SampleTrace

_WIDTH = 9.6
_RASTER_HEIGHT, _READOUT_HEIGHT = 0.95, 1.35  # inch
_VECTOR_SPIKES = 1500  # a panel of more spikes is drawn as an image, which stays small
_VOLTAGE_POINTS = 400
_PLACE: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
_COLOURS = {"float": svg.FLOAT, "chip": svg.CHIP}


@svg.style()
def draw(sample: SampleTrace, class_names: Sequence[str], key: str = "trace") -> str:
    """All layers over one time axis [ms], the readout beneath, as an SVG element; `key` is unique on the page."""
    rasters = [
        (layer, side)
        for layer in sample.layers
        for side in ("float", "chip")
        if getattr(layer, f"times_{side}") is not None
    ]
    readouts = [side for side in ("float", "chip") if getattr(sample, f"readout_{side}") is not None]
    heights = [_RASTER_HEIGHT] * len(rasters) + [_READOUT_HEIGHT] * len(readouts)
    layout = ConstrainedLayoutEngine(h_pad=0.03, hspace=0.03)
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.45), layout=layout)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (layer, side) in zip(panels, rasters, strict=False):
        _raster(axes, layer, side)
    for axes, side in zip(panels[len(rasters) :], readouts, strict=True):
        _readout(axes, sample, side, class_names)
    panels[-1].set_xlabel("time [ms]")
    panels[-1].set_xlim(0, sample.duration)
    of_class = "" if sample.label is None else f" of class {class_names[sample.label]}"
    return svg.inline(figure, key, f"Spikes of one sample{of_class} in {len(sample.layers)} layers")


def _raster(axes: Axes, layer: RasterLayer, side: str) -> None:
    times: np.ndarray = getattr(layer, f"times_{side}")
    units: np.ndarray = getattr(layer, f"units_{side}")
    shared = layer.times_chip is None
    colour = svg.SHARED if shared else _COLOURS[side]
    # Dots shrink as units and spikes crowd the panel, but stay visible.
    size = float(np.clip(400.0 / layer.n_units, 1.6, 9.0) * (0.7 if len(times) > 5000 else 1.0))
    axes.scatter(
        times,
        units,
        s=size,
        color=colour,
        linewidths=0,
        rasterized=len(times) > _VECTOR_SPIKES,
        clip_on=False,
    )
    axes.set_ylim(-0.5 - 0.02 * layer.n_units, layer.n_units - 0.5 + 0.02 * layer.n_units)
    axes.set_yticks([])
    axes.grid(axis="x")
    _label(axes, svg.shorten(layer.name, 18), "float and chip" if shared else side, colour)
    _note(axes, words.counted(layer.n_units, "unit"), words.counted(len(times), "spike"))


def _readout(axes: Axes, sample: SampleTrace, side: str, names: Sequence[str]) -> None:
    volts: np.ndarray = getattr(sample, f"readout_{side}")
    winner: int | None = getattr(sample, f"predicted_{side}")
    colour = _COLOURS[side]
    stride = max(1, len(volts) // _VOLTAGE_POINTS)
    time = (np.arange(len(volts)) + 1)[::stride] * sample.dt
    order = [c for c in range(len(names)) if c not in (sample.label, winner)]
    for c in order:
        axes.plot(time, volts[::stride, c], color=svg.MUTED, linewidth=0.6, alpha=0.55)
    if sample.label not in (winner, None):
        axes.plot(time, volts[::stride, sample.label], color=svg.INK, linewidth=1.4, linestyle=(0, (4, 2)))
    if winner is not None:
        axes.plot(time, volts[::stride, winner], color=colour, linewidth=1.8)
    axes.set_yticks([])
    axes.grid(axis="x")
    _label(axes, "readout voltage", side, colour)
    answer = "" if winner is None else svg.shorten(names[winner], 18)
    if sample.label is None:
        _note(axes, answer, "")
        return
    true = svg.shorten(names[sample.label], 18)
    if winner is None:
        _note(axes, "dashed, true class:", true)
    elif winner == sample.label:
        _note(axes, f"right: {true}", "")
    else:
        _note(axes, f"wrong: {answer}", f"dashed: {true}")


def _label(axes: Axes, name: str, side: str, colour: str) -> None:
    """Left of a panel: what it shows, and of which network in its colour."""
    place = _PLACE | {"ha": "right"}
    axes.annotate(name, (0, 0.5), (-8, 1), va="bottom", **place)
    axes.annotate(side, (0, 0.5), (-8, -2), va="top", color=colour, fontweight="bold", **place)


def _note(axes: Axes, first: str, second: str) -> None:
    """Right of a panel: two short lines."""
    axes.annotate(first, (1, 0.5), (8, 1), va="bottom", **_PLACE)
    axes.annotate(second, (1, 0.5), (8, -2), va="top", **_PLACE)
