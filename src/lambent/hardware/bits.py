"""Bits of weights, one number or one for each layer."""

from __future__ import annotations

from collections.abc import Sequence


def layer_bits(weight_bits: int | Sequence[int], n_layers: int) -> tuple[int, ...]:
    """`weight_bits` as one number for each layer.

    Raises:
        ValueError: they are no whole numbers from 2 to 8, or not one for each layer.
    """
    bits = (weight_bits,) * n_layers if isinstance(weight_bits, int) else weight_bits
    if not isinstance(bits, Sequence) or not all(isinstance(b, int) and 2 <= b <= 8 for b in bits):
        raise ValueError(f"weight_bits must be whole numbers from 2 to 8, got {weight_bits}")
    if len(bits) != n_layers:
        raise ValueError(f"weight_bits must be one number or one for each of {n_layers} layers, got {weight_bits}")
    return tuple(bits)
