"""What the functions of a neuron may use beside + - * /: the same names for torch, Numba and Triton.

Numba takes the overloads here, and `lambent.engines.grid.gpu_units` puts Triton's functions in their place.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from numba.extending import overload


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, `b` elsewhere."""
    return torch.where(condition, a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of the two."""
    return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))


def exp(x: Any) -> Any:
    """e to the power of x."""
    return torch.exp(torch.as_tensor(x))


def log(x: Any) -> Any:
    """The natural logarithm of x."""
    return torch.log(torch.as_tensor(x))


def sqrt(x: Any) -> Any:
    """The square root of x."""
    return torch.sqrt(torch.as_tensor(x))


def sin(x: Any) -> Any:
    """The sine of x."""
    return torch.sin(torch.as_tensor(x))


def cos(x: Any) -> Any:
    """The cosine of x."""
    return torch.cos(torch.as_tensor(x))


def tanh(x: Any) -> Any:
    """The hyperbolic tangent of x."""
    return torch.tanh(torch.as_tensor(x))


@overload(where, jit_options={"forceinline": True}, strict=False)
def _where(condition: Any, a: Any, b: Any) -> Any:
    return lambda condition, a, b: a if condition else b


@overload(maximum, jit_options={"forceinline": True}, strict=False)
def _maximum(a: Any, b: Any) -> Any:
    return lambda a, b: a if a > b else b


@overload(exp, jit_options={"forceinline": True}, strict=False)
def _exp(x: Any) -> Any:
    return lambda x: math.exp(x)


@overload(log, jit_options={"forceinline": True}, strict=False)
def _log(x: Any) -> Any:
    return lambda x: math.log(x)


@overload(sqrt, jit_options={"forceinline": True}, strict=False)
def _sqrt(x: Any) -> Any:
    return lambda x: math.sqrt(x)


@overload(sin, jit_options={"forceinline": True}, strict=False)
def _sin(x: Any) -> Any:
    return lambda x: math.sin(x)


@overload(cos, jit_options={"forceinline": True}, strict=False)
def _cos(x: Any) -> Any:
    return lambda x: math.cos(x)


@overload(tanh, jit_options={"forceinline": True}, strict=False)
def _tanh(x: Any) -> Any:
    return lambda x: math.tanh(x)
