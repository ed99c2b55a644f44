"""How Triton sees neurons: a named tuple of device functions, which kernels take as a constant."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

import triton
from triton import language as tl

from lambent.neurons import arithmetic


@triton.jit
def where(condition, a, b):
    """As `lambent.neurons.arithmetic.where`."""
    return tl.where(condition, a, b)


@triton.jit
def maximum(a, b):
    """As `lambent.neurons.arithmetic.maximum`."""
    return tl.maximum(a, b)


@triton.jit
def exp(x):
    """As `lambent.neurons.arithmetic.exp`."""
    return tl.exp(x)


@triton.jit
def log(x):
    """As `lambent.neurons.arithmetic.log`."""
    return tl.log(x)


@triton.jit
def sqrt(x):
    """As `lambent.neurons.arithmetic.sqrt`."""
    return tl.sqrt(x)


@triton.jit
def sin(x):
    """As `lambent.neurons.arithmetic.sin`."""
    return tl.sin(x)


@triton.jit
def cos(x):
    """As `lambent.neurons.arithmetic.cos`."""
    return tl.cos(x)


@triton.jit
def tanh(x):
    """As `lambent.neurons.arithmetic.tanh`."""
    return 1 - 2 / (tl.exp(2 * x) + 1)


_OWN: dict[Any, Any] = {
    getattr(arithmetic, own.__name__): own for own in (where, maximum, exp, log, sqrt, sin, cos, tanh)
}


class GpuNeuron(NamedTuple):
    """The functions of `lambent.neurons.neuron.Units`, and the class itself; None for those that it lacks.

    Attributes:
        units: the class, as a constant: Triton takes a bare class of named tuples for one of its values.
    """

    units: Any
    advance: Any
    level: Any
    above: Any
    marks: Any
    reset: Any
    jump: Any
    lift: Any
    retreat: Any
    drift: Any
    gradient: Any
    spike_gradient: Any

    @property
    def cache_key(self) -> str:
        """What Triton's cache on disk keeps kernels by; without, it would know functions by their names alone."""
        units = self.units.value
        return repr((units.__qualname__, units._fields, *(x and x.cache_key for x in self[1:])))


def _device(function: Callable[..., Any]) -> Any:
    """A neuron's function for Triton: what it uses of `arithmetic` is Triton's own."""
    # only what is called: Triton looks at annotations too, and knows none of ours
    used = {k: function.__globals__[k] for k in function.__code__.co_names if k in function.__globals__}
    own = {k: _OWN.get(v, v) if isinstance(v, FunctionType) else v for k, v in used.items()}
    names = {"__name__": function.__module__, "tl": tl} | own
    device = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )  # fmt: skip
    device.__qualname__, device.__module__ = function.__qualname__, function.__module__
    return triton.jit(device)


@lru_cache(maxsize=64)
def gpu_neuron(cls: type) -> GpuNeuron:
    """The functions of units of this class."""
    names = GpuNeuron._fields[1:]
    return GpuNeuron(
        tl.constexpr(cls), *(_device(getattr(cls, name)) if hasattr(cls, name) else None for name in names)
    )


def numbers(cls: Any) -> dict[str, int]:
    """How many numbers of each sort a unit has, as constants of kernels."""
    return {
        "FIELDS": len(cls._fields), "STATES": cls.n_states, "MARKS": cls.n_marks,
        "STEP": len(cls.step_gradients), "SPIKE": len(cls.spike_gradients),
    }  # fmt: skip


@triton.jit
def columns_of(size: tl.constexpr, BLOCK: tl.constexpr, APART: tl.constexpr):
    """The units of this program: all of a layer, or those of its tile; `gpu_forward` says why they may lie apart."""
    columns = tl.arange(0, BLOCK)
    if size > BLOCK:
        columns += tl.program_id(1) * BLOCK
    if APART:
        columns = tl.max_contiguous(columns, [1])
    return columns


@triton.jit
def unit_of(fields, columns, inside, size: tl.constexpr, NEURON: tl.constexpr, FIELDS: tl.constexpr):
    """All units of a layer from `fields` (FIELDS, size), a block of columns for each field.

    Columns past the last are like unit 0, at rest: with numbers of no meaning, they might run away and overflow.
    """
    there = tl.where(inside, columns, 0)
    values = ()
    for k in tl.static_range(FIELDS):
        values = values + (tl.load(fields + k * size + there),)  # type: ignore[assignment]  # noqa: RUF005
    return NEURON.units(*values)


@triton.jit
def same(value, N: tl.constexpr):
    """A tuple of N times `value`."""
    values = ()
    for _ in tl.static_range(N):
        values = values + (value,)  # type: ignore[assignment]  # noqa: RUF005
    return values


@triton.jit
def where_each(condition, a, b, N: tl.constexpr):
    """`a` where the condition holds, `b` elsewhere, of tuples of N."""
    values = ()
    for k in tl.static_range(N):
        values = values + (tl.where(condition, a[k], b[k]),)  # type: ignore[assignment]  # noqa: RUF005
    return values


@triton.jit
def plus(a, b, N: tl.constexpr):
    """The sum of tuples of N."""
    values = ()
    for k in tl.static_range(N):
        values = values + (a[k] + b[k],)  # type: ignore[assignment]  # noqa: RUF005
    return values


@triton.jit
def load_each(pointer, stride, columns, inside, N: tl.constexpr):
    """A tuple of N blocks of columns, each `stride` entries behind the one before."""
    values = ()
    for k in tl.static_range(N):
        values = values + (tl.load(pointer + k * stride + columns, mask=inside, other=0.0),)  # type: ignore[assignment]  # noqa: RUF005
    return values


@triton.jit
def store_each(pointer, stride, columns, inside, values, N: tl.constexpr):
    """The reverse of `load_each`."""
    for k in tl.static_range(N):
        tl.store(pointer + k * stride + columns, values[k], mask=inside)
