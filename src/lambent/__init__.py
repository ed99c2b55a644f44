"""lambent: train spiking networks with exact event-based gradients and see them run on the chip."""

from lambent.events import Events

__all__ = ["Events"]
