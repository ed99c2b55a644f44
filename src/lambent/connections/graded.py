"""Values of graded spikes in compiled kernels: an array with one for each spike, or None where all are 1.

The type picks what is compiled, so that a kernel without values is as if these functions were not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core.types import none
from numba.extending import overload


def value_at(values: Any, k: Any) -> Any:
    """The value of spike k, or None."""
    return None if values is None else values[k]


def scaled(value: Any, x: Any) -> Any:
    """`x` times the value of a spike."""
    return x if value is None else value * x


def room_for(values: Any, n: Any) -> Any:
    """Room for `n` values, if there are any."""
    return None if values is None else np.empty(n, values.dtype)


def put(room: Any, at: Any, values: Any, k: Any) -> None:
    """Entry `at` of what `room_for` made becomes the value of spike k."""
    if values is not None:
        room[at] = values[k]


@overload(value_at, jit_options={"forceinline": True}, strict=False)
def _value_at(values: Any, k: Any) -> Any:
    return (lambda values, k: None) if values == none else (lambda values, k: values[k])


@overload(scaled, jit_options={"forceinline": True}, strict=False)
def _scaled(value: Any, x: Any) -> Any:
    return (lambda value, x: x) if value == none else (lambda value, x: value * x)


@overload(room_for, jit_options={"forceinline": True}, strict=False)
def _room_for(values: Any, n: Any) -> Any:
    return (lambda values, n: None) if values == none else (lambda values, n: np.empty(n, values.dtype))


@overload(put, jit_options={"forceinline": True}, strict=False)
def _put(room: Any, at: Any, values: Any, k: Any) -> Any:
    if values == none:
        return lambda room, at, values, k: None

    def run(room, at, values, k):
        room[at] = values[k]

    return run
