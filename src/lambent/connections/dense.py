"""Dense connections: every source to every target, with or without a delay for each pair."""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numba.core.types import none
from numba.extending import overload
from torch import Tensor

from lambent.connections.connections import Connections, Entries, as_floats, between, check_entries, delay_steps, places
from lambent.connections.delayed import DelayedArrays, by_source
from lambent.machine.compiling import PART, fast_inline
from lambent.machine.waiting import Check


@dataclass(frozen=True, eq=False)
class Dense(Connections):
    """Every source connected to every target.

    Args:
        n_in, n_out: number of sources and targets.
        weight: (n_in, n_out); left out, normal with standard deviation 1 / sqrt(n_in).
        delay: (n_in, n_out) or a number [ms], or None for none.

    Raises:
        TypeError, ValueError: a size that is no positive whole number, or tensors of another shape.

    >>> import lambent as lb
    >>> dense = lb.connections.Dense(3, 2, delay=1.0)
    >>> dense.weight.shape, dense.entries().target
    (torch.Size([3, 2]), tensor([0, 1, 0, 1, 0, 1]))
    """

    weight: Tensor | None = None
    delay: Tensor | float | None = None

    def _settle(self) -> None:
        self._set("weight", self.drawn(torch.ones(self.n_out)) if self.weight is None else as_floats(self.weight, ()))
        if self.delay is not None:
            self._set("delay", as_floats(self.delay, self.parameter_shape))

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        return self.n_in, self.n_out

    @property
    def fan_in(self) -> float:
        return self.n_in

    def per_weight(self, values: Tensor) -> Tensor:
        return values

    def checks(self, prefix: str = "") -> Iterator[Check]:
        for name, lowest in (("weight", -torch.inf), ("delay", 0.0)):
            value = getattr(self, name)
            if value is not None:
                entries = value.detach().flatten()
                yield check_entries(prefix + name, entries, lambda k: between(*divmod(k, self.n_out)), lowest)

    def entries(self) -> Entries:
        source = torch.arange(self.n_in).repeat_interleave(self.n_out)
        target = torch.arange(self.n_out).repeat(self.n_in)
        delay = None if self.delay is None else torch.as_tensor(self.delay).flatten()
        return Entries(source, target, torch.as_tensor(self.weight).flatten(), delay)

    def on_grid(self, dt: float, n_steps: int, dtype: torch.dtype, as_places: bool) -> list[Tensor]:
        weight = torch.as_tensor(self.weight).to(dtype)
        if self.delay is None:
            return [weight]
        delay = torch.as_tensor(self.delay)
        # what arrives after the last step may as well arrive in the first one after it
        steps = delay_steps(delay, dt).clamp(max=n_steps)
        if as_places:
            steps = places(steps, torch.arange(self.n_out), self.n_out, n_steps)
        return [weight, delay.to(dtype), steps.to(torch.int32)]

    @staticmethod
    def arrays(tensors: Sequence[np.ndarray]) -> Any:
        if len(tensors) == 1:
            return DenseArrays(tensors[0])
        weight, _, places = tensors
        start = np.arange(weight.shape[0] + 1, dtype=np.uint64) * weight.shape[1]
        # unsigned, since Numba checks whether a signed index counts from the end
        return DelayedArrays(weight.reshape(-1), start, places.view(np.uint32).reshape(-1))

    @staticmethod
    def rows(tensors: Sequence[Tensor]) -> int:
        if len(tensors) == 1 or not tensors[2].numel():
            return 1
        return 1 + int(tensors[2].numpy().view(np.uint32).max()) // tensors[2].shape[1]

    @staticmethod
    def gradient_shapes(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[tuple[int, ...]]:
        shape = tuple(tensors[0].shape)
        return [shape if w else (0, 0) for w in wanted[: min(len(tensors), 2)]]

    @staticmethod
    def gradients(collected: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        if len(collected) == 1:
            return [collected[0]]
        weight, late = collected
        return [weight, late * tensors[0] if late.numel() else late, tensors[2].new_empty(0)]


class DenseArrays(NamedTuple):
    """Dense connections without delays."""

    weight: np.ndarray

    delayed = False

    @staticmethod
    @fast_inline
    def deliver(window, row, arrays, units, values, first, last):
        _add(window, row, arrays.weight, units, values, first, last)

    @staticmethod
    @fast_inline
    def weigh(drift, row, arrays, unit):
        weight = arrays.weight
        total = weight.dtype.type(0)
        for j in range(weight.shape[1]):
            total += weight[unit, j] * drift[row, j]
        return total

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        if gradients[0].shape[0] > 0:
            end, _, arrival, worth = by_source(None, gradients[0].shape[0], begin, steps, units, values, first, last)
            start = 0
            for u in range(end.shape[0]):
                _add(gradients[0], u, history, arrival, worth, start, end[u])
                start = end[u]


@fast_inline
def add_rows(target, at, source, index, first, last):
    """Add to row `at` of `target` the rows index[first:last] of `source`, eight at a time."""
    k = first
    while k + 7 < last:
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        e, f, g, h = index[k + 4], index[k + 5], index[k + 6], index[k + 7]
        for j in range(source.shape[1]):
            x = (source[a, j] + source[b, j]) + (source[c, j] + source[d, j])
            y = (source[e, j] + source[f, j]) + (source[g, j] + source[h, j])
            target[at, j] += x + y
        k += 8
    if k + 3 < last:
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        for j in range(source.shape[1]):
            target[at, j] += (source[a, j] + source[b, j]) + (source[c, j] + source[d, j])
        k += 4
    while k < last:
        a = index[k]
        for j in range(source.shape[1]):
            target[at, j] += source[a, j]
        k += 1


@fast_inline
def _add_scaled_rows(target, at, source, index, values, first, last):
    """As `add_rows`, each row times the value of its spike."""
    k = first
    while k + 3 < last:
        a, b, c, d = index[k], index[k + 1], index[k + 2], index[k + 3]
        p, q, r, s = values[k], values[k + 1], values[k + 2], values[k + 3]
        for j in range(source.shape[1]):
            target[at, j] += (p * source[a, j] + q * source[b, j]) + (r * source[c, j] + s * source[d, j])
        k += 4
    while k < last:
        a, p = index[k], values[k]
        for j in range(source.shape[1]):
            target[at, j] += p * source[a, j]
        k += 1


def _add(target, at, source, index, values, first, last):
    """`add_rows`, or with values `_add_scaled_rows`."""
    raise TypeError("for compiled kernels")


@overload(_add, jit_options=PART)
def _choose(target, at, source, index, values, first, last):
    if values == none:
        return lambda target, at, source, index, values, first, last: add_rows(target, at, source, index, first, last)
    return lambda target, at, source, index, values, first, last: _add_scaled_rows(
        target, at, source, index, values, first, last
    )
