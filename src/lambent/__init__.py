"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent import data, encode, hardware, losses, quantize, training
from lambent.events import Events
from lambent.layers import LIF, LIReadout

__all__ = ["LIF", "Events", "LIReadout", "data", "encode", "hardware", "losses", "quantize", "training"]
