"""Packets: keys, payloads, and the buffer in which those of an element wait.

A packet of SpiNNaker2 has a key of 32 bits, by which routers know where it goes, and 0, 32 or 128 bits of payload. Here

    kind (2 bits) | sender's element (8) | layer (6) | unit (16)

so that sorting by keys sorts by sender, and then by unit: the order in which an element takes them, and sums them up.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

ELEMENTS, LAYERS, UNITS = 1 << 8, 1 << 6, 1 << 16
"""How many of each a key can tell apart."""


class Kind(IntEnum):
    """What a packet says.

    SPIKE: the unit spiked; no payload.
    ERROR: to a unit that spiked: what moving that spike would do to the loss (32 bits), and if the rule asks for it
        what one more spike would (128 bits, of which two words are used).
    VALUE: of a unit, once a sample: a readout's answer, what the loss wants of it, a push of a silent output (32 bits).
    """

    SPIKE = 0
    ERROR = 1
    VALUE = 2


class Packet(NamedTuple):
    """A packet under way.

    Attributes:
        key: 32 bits; see `key`.
        payload: float32 words: none, one or four.
    """

    key: int
    payload: tuple[np.float32, ...] = ()

    @property
    def bits(self) -> int:
        """Of key and payload."""
        return 32 + 32 * len(self.payload)


class Key(NamedTuple):
    """A key, unpacked."""

    kind: Kind
    element: int
    layer: int
    unit: int


def key(kind: Kind, element: int, layer: int, unit: int) -> int:
    """The 32 bits.

    Raises:
        ValueError: a part does not fit; names it, and how many there can be.

    >>> from lambent.hardware.spinnaker2.packets import Kind, key, unpack
    >>> unpack(key(Kind.ERROR, 3, 1, 119))
    Key(kind=<Kind.ERROR: 1>, element=3, layer=1, unit=119)
    """
    for name, value, most in (("element", element, ELEMENTS), ("layer", layer, LAYERS), ("unit", unit, UNITS)):
        if not 0 <= value < most:
            raise ValueError(f"{name} {value} does not fit into a key, which tells {most:,} apart")
    return kind << 30 | element << 22 | layer << 16 | unit


def unpack(packed: int) -> Key:
    """The parts of a key."""
    return Key(Kind(packed >> 30), packed >> 22 & 0xFF, packed >> 16 & 0x3F, packed & 0xFFFF)


class Fifo:
    """The packets that wait for an element; one that finds it full is counted, and lost.

    Attributes:
        capacity: packets that can wait.
        received, lost: counts since it was made.
        highest: the most that waited at once.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.received, self.lost, self.highest = capacity, 0, 0, 0
        self._waiting: list[Packet] = []

    def put(self, packet: Packet) -> None:
        """Let a packet wait."""
        if len(self._waiting) >= self.capacity:
            self.lost += 1
            return
        self.received += 1
        self._waiting.append(packet)
        self.highest = max(self.highest, len(self._waiting))

    def take(self) -> list[Packet]:
        """All that wait, sorted by their keys."""
        waiting, self._waiting = sorted(self._waiting, key=lambda packet: packet.key), []
        return waiting
