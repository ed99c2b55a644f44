"""One self-contained HTML page about a trained network, from plain values; `ReportData` says which."""

from lambent.report.costs import CostFigure
from lambent.report.html import render, write
from lambent.report.model import LayerRates, LayerSize, RasterLayer, ReportData, SampleTrace, WeightMatrix

__all__ = [
    "CostFigure",
    "LayerRates",
    "LayerSize",
    "RasterLayer",
    "ReportData",
    "SampleTrace",
    "WeightMatrix",
    "render",
    "write",
]
