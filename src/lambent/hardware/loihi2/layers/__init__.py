"""Layers of the chip as plain values: what NetX files say of them, checked."""

from lambent.hardware.loihi2.layers.base import BIAS_LIMIT, MAX_DELAY, MAX_UNITS, Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer

__all__ = ["BIAS_LIMIT", "MAX_DELAY", "MAX_UNITS", "ConvLayer", "InputLayer", "Layer", "Loihi2Layer"]
