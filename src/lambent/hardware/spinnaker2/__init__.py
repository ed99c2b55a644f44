"""SpiNNaker2: EventProp on the chip, modelled packet by packet, and a fast path of the same numbers."""

from lambent.hardware.chip import Overrun
from lambent.hardware.spinnaker2.convert import to_chip, to_torch
from lambent.hardware.spinnaker2.cost import Cost, UpdateCost, estimate_cost, update_cost
from lambent.hardware.spinnaker2.export import check_export, nir_for_py_spinnaker2
from lambent.hardware.spinnaker2.machine import Machine
from lambent.hardware.spinnaker2.network import Spinnaker2Network, load_network
from lambent.hardware.spinnaker2.place import Placement, place
from lambent.hardware.spinnaker2.rounding import convert
from lambent.hardware.spinnaker2.rules import CrossEntropy, FirstSpike, Rule
from lambent.hardware.spinnaker2.running import Recording, run_network
from lambent.hardware.spinnaker2.setting import bena2024_data, bena2024_model
from lambent.hardware.spinnaker2.training import ChipTraining, chip_accuracy, train_on_chip

__all__ = [
    "ChipTraining",
    "Cost",
    "CrossEntropy",
    "FirstSpike",
    "Machine",
    "Overrun",
    "Placement",
    "Recording",
    "Rule",
    "Spinnaker2Network",
    "UpdateCost",
    "bena2024_data",
    "bena2024_model",
    "check_export",
    "chip_accuracy",
    "convert",
    "estimate_cost",
    "load_network",
    "nir_for_py_spinnaker2",
    "place",
    "run_network",
    "to_chip",
    "to_torch",
    "train_on_chip",
    "update_cost",
]
