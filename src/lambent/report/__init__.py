"""One self-contained HTML page about a trained network, from plain values; `ReportData` says which."""

from lambent.report.cores import CoreUse
from lambent.report.costs import CostFigure
from lambent.report.hearing import Hearing
from lambent.report.html import render, write
from lambent.report.model import LayerRates, LayerSize, RasterLayer, ReportData, SampleTrace, WeightMatrix
from lambent.report.spreads import Spread
from lambent.report.streams import Detections

__all__ = [
    "CoreUse",
    "CostFigure",
    "Detections",
    "Hearing",
    "LayerRates",
    "LayerSize",
    "RasterLayer",
    "ReportData",
    "SampleTrace",
    "Spread",
    "WeightMatrix",
    "render",
    "write",
]
