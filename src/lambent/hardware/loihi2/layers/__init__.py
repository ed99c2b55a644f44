"""Layers of the chip as plain values: what NetX files say of them, checked."""
