"""What the functions of a neuron may use beside + - * /: the same names for torch, Numba and Triton.

Numba takes the overloads here, and `lambent.engines.grid.gpu_units` puts Triton's functions in their place.
"""

from __future__ import annotations

from typing import Any

import torch
from numba.extending import overload


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, `b` elsewhere."""
    return torch.where(condition, a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of the two."""
    return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))


@overload(where, jit_options={"forceinline": True}, strict=False)
def _where(condition: Any, a: Any, b: Any) -> Any:
    return lambda condition, a, b: a if condition else b


@overload(maximum, jit_options={"forceinline": True}, strict=False)
def _maximum(a: Any, b: Any) -> Any:
    return lambda a, b: a if a > b else b
