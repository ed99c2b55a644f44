"""Models of neuromorphic chips."""

from lambent.hardware import loihi2

__all__ = ["loihi2"]
