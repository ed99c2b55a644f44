"""One sample through the network: rasters of all layers, float above chip, and the readout voltages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lambent.machine.showing import counted
from lambent.plot.axes import label, note
from lambent.plot.spikes import dots
from lambent.plot.states import class_traces
from lambent.report import svg
from lambent.report.model import RasterLayer, SampleTrace

_WIDTH = 9.6
_RASTER_HEIGHT, _READOUT_HEIGHT = 0.95, 1.35  # inch
_VOLTAGE_POINTS = 400
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
    dots(axes, times, units, layer.n_units, colour, clip_on=False)
    axes.set_yticks([])
    axes.grid(axis="x")
    label(axes, svg.shorten(layer.name, 18), "float and chip" if shared else side, colour)
    note(axes, counted(layer.n_units, "unit"), counted(len(times), "spike"))


def _readout(axes: Axes, sample: SampleTrace, side: str, names: Sequence[str]) -> None:
    volts: np.ndarray = getattr(sample, f"readout_{side}")
    winner: int | None = getattr(sample, f"predicted_{side}")
    colour = _COLOURS[side]
    stride = max(1, len(volts) // _VOLTAGE_POINTS)
    time = (np.arange(len(volts)) + 1)[::stride] * sample.dt
    class_traces(axes, time, volts[::stride], winner, sample.label, colour)
    axes.set_yticks([])
    axes.grid(axis="x")
    label(axes, "readout voltage", side, colour)
    answer = "" if winner is None else svg.shorten(names[winner], 18)
    if sample.label is None:
        note(axes, answer, "")
        return
    true = svg.shorten(names[sample.label], 18)
    if winner is None:
        note(axes, "dashed, true class:", true)
    elif winner == sample.label:
        note(axes, f"right: {true}", "")
    else:
        note(axes, f"wrong: {answer}", f"dashed: {true}")
