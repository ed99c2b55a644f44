"""Quantisation of models for a chip: after training, or while it goes on."""

from lambent.quantize.aware import quantization_aware
from lambent.quantize.post_training import quantized_model

__all__ = ["quantization_aware", "quantized_model"]
