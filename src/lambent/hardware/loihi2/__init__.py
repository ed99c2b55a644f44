"""Loihi 2: NetX files, a bit-exact model of the chip, and export of trained networks."""

from lambent.hardware.loihi2.aware import AwareLIF, AwareLIReadout
from lambent.hardware.loihi2.cost import Cost, Counts, Parameters, estimate_cost
from lambent.hardware.loihi2.export import LayerReport, NetxReport, export_netx
from lambent.hardware.loihi2.lava import from_lava, load_lava, save_lava
from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network, Recording
from lambent.hardware.loihi2.netx import load_netx, save_netx
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire, Sigma, SigmaDelta
from lambent.hardware.loihi2.placement.mapping import Mapping, map_to_cores
from lambent.hardware.loihi2.readout import Average, Readout

__all__ = [
    "CUBA",
    "Average",
    "AwareLIF",
    "AwareLIReadout",
    "ConvLayer",
    "Cost",
    "Counts",
    "InputLayer",
    "Layer",
    "LayerReport",
    "Loihi2Layer",
    "Loihi2Network",
    "Mapping",
    "NetxReport",
    "Neuron",
    "Parameters",
    "Readout",
    "Recording",
    "ResonateAndFire",
    "Sigma",
    "SigmaDelta",
    "estimate_cost",
    "export_netx",
    "from_lava",
    "load_lava",
    "load_netx",
    "map_to_cores",
    "save_lava",
    "save_netx",
]
