"""Neuromorphic chips: file formats, bit-exact models, export, cost; and what this machine needs instead."""

from lambent.hardware import loihi2
from lambent.hardware.host_energy import HostCost, measure_host

__all__ = ["HostCost", "loihi2", "measure_host"]
