"""Layers: torch modules that map events to events (`Spiking`, `LIF`, `LI` ...) or to tensors (`LIReadout`)."""

from lambent.layers.calibration import calibrate
from lambent.layers.channel import Channel
from lambent.layers.dropout import EventDropout
from lambent.layers.integrators import LI
from lambent.layers.lif import LIF
from lambent.layers.readout import LIReadout
from lambent.layers.recording import Recording, record
from lambent.layers.short import AdaptiveLIF, Resonator
from lambent.layers.spiking import Spiking
from lambent.layers.streaming import Stream

__all__ = [
    "LI",
    "LIF",
    "AdaptiveLIF",
    "Channel",
    "EventDropout",
    "LIReadout",
    "Recording",
    "Resonator",
    "Spiking",
    "Stream",
    "calibrate",
    "record",
]
