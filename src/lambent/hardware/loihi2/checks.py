"""Checking values of the chip: integers of the right shape and range."""

from __future__ import annotations

from typing import Any

import numpy as np


def integers(where: str, value: Any, low: int, high: int, *shapes: tuple[int, ...]) -> np.ndarray:
    """A read-only int32 copy of `value`, which must have one of `shapes` and lie within `low` to `high`.

    Raises:
        TypeError: `value` is no integer.
        ValueError: it has another shape or is out of range. Messages start with `where`.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{where}: must be integers, got {array.dtype}")
    if array.shape not in shapes:
        wanted = " or ".join(str(s) if s else "one number" for s in dict.fromkeys(shapes))
        raise ValueError(f"{where}: must be {wanted}, got shape {array.shape}")
    if array.min() < low or array.max() > high:
        worst = array.min() if array.min() < low else array.max()
        raise ValueError(f"{where}: {worst} is outside {low} to {high}")
    array = np.array(array, np.int32, order="C")
    array.flags.writeable = False
    return array


def check_signs(matrices: dict[str, np.ndarray]) -> None:
    """Weights that share an exponent lie within -256 to 254 if they have both signs, else within +-255.

    Args:
        matrices: by the name for error messages.

    Raises:
        ValueError: a weight does not; the message starts with its matrix' name.
    """
    both = min(w.min() for w in matrices.values()) < 0 < max(w.max() for w in matrices.values())
    low, high = (-256, 254) if both else (-255, 255)
    for where, w in matrices.items():
        if w.min() < low or w.max() > high:
            worst = w.min() if w.min() < low else w.max()
            signs = "both signs" if both else "one sign"
            raise ValueError(f"{where}: {worst} is outside {low} to {high}, as weights have {signs}")
