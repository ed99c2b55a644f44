"""Pictures of spikes, states, layers and training, drawn with matplotlib ([the plots](docs/plots.md)).

Each function draws on the axes that it is given, or makes a figure, and returns the axes.
"""

from lambent.plot.animation import animate
from lambent.plot.curves import learning
from lambent.plot.detections import detections
from lambent.plot.histograms import delays, weights
from lambent.plot.network import layers
from lambent.plot.spikes import raster
from lambent.plot.states import voltages

__all__ = ["animate", "delays", "detections", "layers", "learning", "raster", "voltages", "weights"]
