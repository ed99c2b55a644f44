"""Loihi 2: NetX files, a bit-exact model of the chip, and export of trained networks."""

from lambent.hardware.loihi2.cost import Cost, Counts, Parameters, estimate_cost
from lambent.hardware.loihi2.export import LayerReport, NetxReport, export_netx
from lambent.hardware.loihi2.layers import ConvLayer, InputLayer, Layer, Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.netx.file import load_netx, save_netx
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire, Sigma, SigmaDelta
from lambent.hardware.loihi2.placement.mapping import Mapping, map_to_cores
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.hardware.loihi2.simulator import Run

__all__ = [
    "CUBA",
    "Average",
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
    "ResonateAndFire",
    "Run",
    "Sigma",
    "SigmaDelta",
    "estimate_cost",
    "export_netx",
    "load_netx",
    "map_to_cores",
    "save_netx",
]
