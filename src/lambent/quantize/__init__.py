"""Quantisation of trained models."""

from lambent.quantize.post_training import quantized_model

__all__ = ["quantized_model"]
