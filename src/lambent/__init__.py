"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent import connections, data, encode, hardware, losses, neurons, plot, quantize, training
from lambent.events import Events
from lambent.layers import LIF, LIReadout, Spiking, record
from lambent.machine.waiting import run_ahead
from lambent.nir import export_nir, import_nir

Events.plot = plot.raster  # here, since events know nothing of drawing

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
    "losses",
    "neurons",
    "plot",
    "quantize",
    "record",
    "run_ahead",
    "training",
]
