"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent import connections, data, encode, hardware, losses, neurons, plot, quantize, training
from lambent.events import Events
from lambent.layers import LIF, EventDropout, LIReadout, Spiking, calibrate, record
from lambent.machine.waiting import run_ahead
from lambent.nir import export_nir, import_nir
from lambent.saving import load, save
from lambent.training import fit

Events.plot = plot.raster  # here, since events know nothing of drawing

__all__ = [
    "LIF",
    "EventDropout",
    "Events",
    "LIReadout",
    "Spiking",
    "calibrate",
    "connections",
    "data",
    "encode",
    "export_nir",
    "fit",
    "hardware",
    "import_nir",
    "load",
    "losses",
    "neurons",
    "plot",
    "quantize",
    "record",
    "run_ahead",
    "save",
    "training",
]
