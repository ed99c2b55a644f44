"""SpiNNaker2: EventProp on the chip, modelled packet by packet, and a fast path of the same numbers."""

from lambent.hardware.spinnaker2.convert import to_chip, to_torch
from lambent.hardware.spinnaker2.machine import Machine
from lambent.hardware.spinnaker2.network import Spinnaker2Network, load_network
from lambent.hardware.spinnaker2.packets import Overrun
from lambent.hardware.spinnaker2.place import Placement, place
from lambent.hardware.spinnaker2.rules import CrossEntropy, FirstSpike, Rule

__all__ = [
    "CrossEntropy",
    "FirstSpike",
    "Machine",
    "Overrun",
    "Placement",
    "Rule",
    "Spinnaker2Network",
    "load_network",
    "place",
    "to_chip",
    "to_torch",
]
