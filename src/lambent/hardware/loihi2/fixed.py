"""`FixedWeights`: a layer that knows which integers its weights become."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lambent.hardware.loihi2.rounding import Integers
from lambent.layers import LIReadout, Spiking

_Layer = TypeVar("_Layer", Spiking, LIReadout)


class FixedWeights(nn.Module, Generic[_Layer]):
    """A float layer and the integers that its weights become, which the conversion for the chip keeps.

    Attributes:
        layer: the float layer.
        bits, step, resolution, scale: those of `Integers`, as buffers.
    """

    bits: Tensor
    step: Tensor
    resolution: Tensor
    scale: Tensor

    def __init__(self, layer: _Layer, integers: Integers) -> None:
        super().__init__()
        self.layer: _Layer = layer
        for name, value in integers._asdict().items():
            self.register_buffer(name, torch.from_numpy(np.array(value)))

    @property
    def integers(self) -> Integers:
        """What the weights are rounded to."""
        return Integers(int(self.bits), int(self.step), self.resolution.numpy(), self.scale.numpy())

    def extra_repr(self) -> str:
        """Bits, for printing."""
        return f"weight_bits={int(self.bits)}"
