"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent import data, encode, hardware, losses, quantize, training
from lambent.events import Events
from lambent.layers import LIF, LIReadout
from lambent.machine.waiting import run_ahead
from lambent.nir import export_nir, import_nir

__all__ = [
    "LIF",
    "Events",
    "LIReadout",
    "data",
    "encode",
    "export_nir",
    "hardware",
    "import_nir",
    "losses",
    "quantize",
    "run_ahead",
    "training",
]
