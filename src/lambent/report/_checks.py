"""Checks on plain values; every error names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from lambent.data.dataset import check_name


def text(name: str, value: Any) -> None:
    """A non-empty string without control characters.

    Raises:
        TypeError, ValueError: naming the field.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    check_name(name, value)


def texts(name: str, value: Any) -> None:
    """A mapping from names to strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, got {type(value).__name__}")
    for key, entry in value.items():
        text(f"a key of {name}", key)
        text(f"{name}[{key!r}]", entry)


def number(name: str, value: Any) -> None:
    """A real number, finite or not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")


def count(name: str, value: Any, at_least: int = 0) -> None:
    """An integer of at least `at_least`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")


def positive(name: str, value: Any) -> None:
    """A finite number above 0."""
    number(name, value)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def share(name: str, value: Any) -> None:
    """A number in 0..1."""
    number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in 0..1, got {value}")


def instances(name: str, values: Sequence[Any], kind: type) -> None:
    """A sequence of objects of one class."""
    for i, value in enumerate(values):
        if not isinstance(value, kind):
            raise TypeError(f"{name}[{i}] must be a {kind.__name__}, got {type(value).__name__}")


def floats(name: str, value: Any, ndim: int | None = None) -> np.ndarray:
    """`value` as a float64 array of `ndim` dimensions (None: any) that holds no NaN and no infinity."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return array


def indices(name: str, value: Any, n: int) -> np.ndarray:
    """`value` as an int64 array of one dimension with entries in ``[0, n)``."""
    array = np.asarray(value)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got {array.dtype}")
    outside = np.flatnonzero((array < 0) | (array >= n))
    if outside.size:
        raise ValueError(f"{name}[{outside[0]}] is {array[outside[0]]}, outside [0, {n})")
    return array.astype(np.int64)
