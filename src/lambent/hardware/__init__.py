"""Neuromorphic chips: file formats, bit-exact models, export, cost; and what this machine needs instead."""

from typing import TYPE_CHECKING

from lambent.machine.lazy import on_demand

if TYPE_CHECKING:
    from lambent.hardware import loihi2 as loihi2
    from lambent.hardware import spinnaker2 as spinnaker2
    from lambent.hardware.host_energy import HostCost as HostCost
    from lambent.hardware.host_energy import measure_host as measure_host

__getattr__, __dir__, __all__ = on_demand(
    __name__,
    {
        "loihi2": "lambent.hardware",
        "spinnaker2": "lambent.hardware",
        "HostCost": "lambent.hardware.host_energy",
        "measure_host": "lambent.hardware.host_energy",
    },
)
