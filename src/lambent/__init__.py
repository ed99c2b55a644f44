"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent import connections, data, encode, hardware, losses, neurons, quantize, training
from lambent.events import Events
from lambent.layers import LIF, LIReadout, Spiking
from lambent.machine.waiting import run_ahead
from lambent.nir import export_nir, import_nir
from lambent.saving import load, save

__all__ = [
    "LIF",
    "Events",
    "LIReadout",
    "Spiking",
    "connections",
    "data",
    "encode",
    "export_nir",
    "hardware",
    "import_nir",
    "load",
    "losses",
    "neurons",
    "quantize",
    "run_ahead",
    "save",
    "training",
]
