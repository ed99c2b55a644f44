"""Neuromorphic chips: file formats, bit-exact models, export."""

from lambent.hardware import loihi2

__all__ = ["loihi2"]
