"""Histograms: spikes per unit of each layer, weights before and after quantisation."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lambent.plot.histograms import bin_edges
from lambent.report import svg
from lambent.report.model import LayerRates, WeightMatrix

_SIZE = (3.7, 2.4)
_BINS = 40  # at most


@svg.style()
def draw_rates(layer: LayerRates, key: str) -> str:
    """How many units spike how often, the silent ones as a bar of their own, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    mean = layer.mean_spikes
    active = mean[mean > 0]
    silent = len(mean) - len(active)
    top = float(active.max()) if len(active) else 1.0
    width = top / min(_BINS, max(8, len(mean) // 4))
    if len(active):
        edges = np.arange(0, top + 0.5 * width, width)
        edges[-1] = max(edges[-1], top)
        heights, edges = np.histogram(active, edges)
        axes.bar(edges[:-1], heights, width=np.diff(edges) * 0.92, align="edge", color=svg.FLOAT)
    if silent:
        axes.bar(-1.6 * width, silent, width=1.4 * width, align="edge", color=svg.CHIP)
    axes.set_xlim(-2 * width, top + 0.5 * width)
    axes.set_xticks([tick for tick in MaxNLocator(nbins=6).tick_values(0, top) if 0 <= tick <= top])
    _finish(axes, "mean spikes per sample", "units")
    share = silent / len(mean)
    axes.set_title(f"{svg.shorten(layer.name, 22)}: {share:.1%} silent".replace("%", " %"))
    label = f"Spikes per unit of layer {layer.name}: {silent} of {len(mean)} units silent"
    return svg.inline(figure, key, label)


@svg.style()
def draw_weights(matrix: WeightMatrix, key: str) -> str:
    """Float weights as an outline, quantised ones as bars over the same bins, as an SVG element."""
    figure, axes = svg.new_axes(*_SIZE)
    values = matrix.values.ravel()
    edges = bin_edges(values, None if matrix.quantised is None else matrix.quantised.ravel())
    if matrix.quantised is not None:
        heights, _ = np.histogram(matrix.quantised, edges)
        axes.stairs(heights, edges, fill=True, color=svg.CHIP, alpha=0.65, label="quantised")
    heights, _ = np.histogram(values, edges)
    axes.stairs(heights, edges, color=svg.FLOAT, linewidth=1.3, label="float")
    _finish(axes, "weight", "connections")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_title(svg.shorten(matrix.name, 30))
    svg.legend_above(axes)
    return svg.inline(figure, key, f"Histogram of {values.size} weights of {matrix.name}")


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="x", visible=False)


def quantisation_error(matrix: WeightMatrix) -> tuple[int, float] | None:
    """Levels in use and root mean square rounding error as a share of that of the weights.

    Levels are those of the unit that uses most: weights lead from the first axis to units that may each have a scale of
    their own on the chip, so that all levels together would be many more than the chip has.
    """
    if matrix.quantised is None:
        return None
    power = float(np.mean(matrix.values**2))
    error = float(np.mean((matrix.quantised - matrix.values) ** 2))
    levels = np.sort(matrix.quantised.reshape(len(matrix.quantised), -1), axis=0)
    most = 1 + int((np.diff(levels, axis=0) != 0).sum(0).max())
    return most, float(np.sqrt(error / power)) if power else 0.0
