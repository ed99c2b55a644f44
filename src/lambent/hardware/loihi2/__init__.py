"""Loihi 2: NetX files, a bit-exact model of the chip, and export of trained networks."""

from lambent.hardware.loihi2.cost import Cost, Counts, Parameters, estimate_cost
from lambent.hardware.loihi2.export import LayerReport, NetxReport, export_netx
from lambent.hardware.loihi2.mapping import Mapping, map_to_cores
from lambent.hardware.loihi2.network import Loihi2Layer, Loihi2Network
from lambent.hardware.loihi2.netx import load_netx, save_netx
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.simulator import Run

__all__ = [
    "Cost",
    "Counts",
    "LayerReport",
    "Loihi2Layer",
    "Loihi2Network",
    "Mapping",
    "NetxReport",
    "Parameters",
    "Readout",
    "Run",
    "estimate_cost",
    "export_netx",
    "load_netx",
    "map_to_cores",
    "save_netx",
]
