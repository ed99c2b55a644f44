"""Layers: torch modules that map events to events (`LIF`) or to tensors (`LIReadout`)."""

from lambent.layers.lif import LIF
from lambent.layers.readout import LIReadout

__all__ = ["LIF", "LIReadout"]
