"""`Source`: the spikes of a sample's inputs, as packets."""

from __future__ import annotations

import numpy as np

from lambent.hardware.spinnaker2.constants import Constants
from lambent.hardware.spinnaker2.packets import Kind, Packet, key


class Source:
    """Sends the input spikes of each step, read by DMA from the chip's DRAM.

    Args:
        element: its number.
        constants: of the chip.

    Attributes:
        cycles: of the last tick.
    """

    def __init__(self, element: int, constants: Constants) -> None:
        self.element, self.constants, self.cycles = element, constants, 0
        self._units, self._upto, self._step = np.zeros(0, np.int64), np.zeros(1, np.int64), 0

    def start(self, units: np.ndarray, upto: np.ndarray) -> None:
        """Begin a sample, whose spikes of step i are those of ``units[upto[i]:upto[i + 1]]``."""
        self._units, self._upto, self._step = units, upto, 0

    def tick(self, inbox: list[Packet]) -> list[Packet]:
        """The spikes of one step; nothing comes in."""
        i, self._step = self._step, self._step + 1
        sent = self._units[self._upto[i] : self._upto[i + 1]] if i + 1 < len(self._upto) else ()
        self.cycles = self.constants.tick_cycles + self.constants.packet_cycles * len(sent)
        return [Packet(key(Kind.SPIKE, self.element, 0, int(unit))) for unit in sent]
