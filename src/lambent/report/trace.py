"""Samples on their way through the network: rasters, and the readout's voltages; in full or in small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

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


_SMALL = (2.5, 2.1)
_OTHERS = 3  # voltages of classes beside the true one and the answer
_SMALL_POINTS = 100
_CELLS = (70, 110)  # rows and columns of an input drawn as an image, at most


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
        note(axes, "recognised:", true)
    else:
        note(axes, f"called: {answer}", f"dashed: {true}")


@svg.style()
def draw_small(sample: SampleTrace, class_names: Sequence[str], key: str) -> str:
    """The input above the voltages of the classes that matter, of the network that is deployed, as an SVG element.

    Spikes are drawn as an image of few cells, and few voltages, so that a page holds one of these for every class.
    """
    figure = Figure(figsize=_SMALL)
    volts: np.ndarray | None = getattr(sample, f"readout_{sample.deployed}")
    above = figure.add_axes((0.03, 0.5 if volts is not None else 0.14, 0.94, 0.3 if volts is not None else 0.66))
    spikes = sample.layers[0]
    rows, columns = min(spikes.n_units, _CELLS[0]), _CELLS[1]
    counts, _, _ = np.histogram2d(
        spikes.units_float, spikes.times_float, (rows, columns), ((0, spikes.n_units), (0, sample.duration))
    )
    image = np.empty((rows, columns, 4))
    image[..., :3] = to_rgb(svg.SHARED)
    image[..., 3] = np.minimum(1.0, counts / max(1.0, float(np.percentile(counts, 99))))
    extent = (0.0, sample.duration, 0.0, float(spikes.n_units))
    above.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="none")
    true = "" if sample.label is None else svg.shorten(class_names[sample.label], 26)
    answer = svg.shorten(class_names[sample.answer], 22)
    above.set_title(true, pad=15)
    said = "recognised" if sample.answer == sample.label else f"called {answer}"
    above.annotate(said, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", color=svg.MUTED)
    panels = [above]
    if volts is not None:
        panels.append(figure.add_axes((0.03, 0.14, 0.94, 0.32)))
        stride = max(1, len(volts) // _SMALL_POINTS)
        others = [
            c for c in np.argsort(-volts.max(0), kind="stable").tolist() if c not in (sample.label, sample.answer)
        ]
        shown = [c for c in (sample.label, sample.answer) if c is not None] + others[:_OTHERS]
        shown = list(dict.fromkeys(shown))
        time = (np.arange(len(volts)) + 1)[::stride] * sample.dt
        label = None if sample.label is None else shown.index(sample.label)
        colour = _COLOURS[sample.deployed]
        class_traces(panels[1], time, volts[::stride][:, shown], shown.index(sample.answer), label, colour)
    for axes in panels:
        axes.set(xlim=(0, sample.duration), yticks=[])
        axes.grid(axis="x")
        axes.tick_params(labelbottom=axes is panels[-1], labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    return svg.inline(figure, key, f"Input and readout of a sample of class {true}, {said}")
