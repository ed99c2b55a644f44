"""Quantisation of models: after training, or while it goes on."""

from lambent.quantize.aware import AwareLIF, AwareLIReadout, quantization_aware
from lambent.quantize.post_training import quantized_model

__all__ = ["AwareLIF", "AwareLIReadout", "quantization_aware", "quantized_model"]
