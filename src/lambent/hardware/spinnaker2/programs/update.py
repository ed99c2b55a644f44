"""`Update`: the weights, their moments, and one step of Adam."""

from __future__ import annotations

import numpy as np

from lambent.hardware.spinnaker2.kernels import adam
from lambent.hardware.spinnaker2.memory import Memory
from lambent.hardware.spinnaker2.place import Placement


class Update:
    """Some rows of a slice's weights: gradients are summed up in the order of samples, then Adam (Kingma & Ba 2015).

        g = sum of gradients + decay w        m = 0.9 m + 0.1 g        v = 0.999 v + 0.001 g^2
        w -= rate (m / (1 - 0.9^t)) / (sqrt(v / (1 - 0.999^t)) + 1e-8)

    Blocks of memory, not packets, come in and go out: elements read them from one another by DMA.

    Args:
        placement: where the network lies.
        part: which rows.

    Attributes:
        cycles: of the last tick.
    """

    def __init__(self, placement: Placement, part: int) -> None:
        rows = placement.parts[part]
        own = placement.slices[rows.slice]
        layer = placement.network.layers[own.layer]
        number = placement.groups * placement.group_size + part
        self.memory = Memory(f"element {number} (update of {layer.name})", placement.constants)
        shape = (rows.last - rows.first, own.last - own.first)
        names = ("weights", "gradient", "first", "second")
        self.weights, self.gradient, self.first, self.second = (
            self.memory.array(name, shape, np.float32) for name in names
        )
        self.weights[:] = layer.matrix[rows.first : rows.last, own.first : own.last]
        self.constants, self.cycles = placement.constants, 0
        self._steps = 0

    def start(self, rate: float, decay: float) -> None:
        """Begin a batch that is learned at a rate, with a weight decay."""
        self.gradient[:] = 0
        self._rate, self._decay = np.float32(rate), np.float32(decay)

    def tick(self, inbox: list[np.ndarray]) -> list[np.ndarray]:
        """The gradients of a batch's samples, in their order, come in; the weights that they make go out."""
        for block in inbox:
            self.gradient += block
        self._steps += 1
        corrected = (np.float32(1 - 0.9**self._steps), np.float32(1 - 0.999**self._steps))
        weights, gradient = self.weights.reshape(-1), self.gradient.reshape(-1)
        adam(weights, gradient, self.first.reshape(-1), self.second.reshape(-1), self._rate, self._decay, *corrected)
        c, moved = self.constants, self.gradient.nbytes * (len(inbox) + 1)
        each = c.weight_cycles + len(inbox)
        self.cycles = c.tick_cycles + moved // c.dma_bytes_per_cycle + self.gradient.size * each
        return [self.weights]
