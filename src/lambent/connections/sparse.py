"""Sparse connections: those that there are, by source (CSR), with or without a delay for each."""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lambent.connections.connections import Connections, Entries, as_floats, between, check_entries, delay_steps, places
from lambent.connections.delayed import DelayedArrays
from lambent.connections.dense import Dense
from lambent.connections.graded import scaled, value_at
from lambent.machine.compiling import fast_inline
from lambent.machine.waiting import Check

_OF_DENSE_ROW, _OF_SOURCE, _OF_ENTRY = 0.045, 8.0, 0.5  # ns for one spike: a number of a row, a source, an entry
_LARGEST = 2**24  # numbers of a dense matrix


@dataclass(frozen=True, eq=False)
class Sparse(Connections):
    """Connections between some pairs of units.

    Args:
        n_in, n_out: number of sources and targets.
        density: share of all pairs that are connected, drawn at random; in place of `indices`.
        indices: (2, n) integers, the sources and targets of the connections; they are sorted by source.
        weight: (n,), in the order of `indices`; left out, normal with standard deviation 1 / sqrt(mean fan-in).
        delay: (n,) or a number [ms], or None for none.

    Raises:
        TypeError, ValueError: a size that is no positive whole number, neither or both of `density` and `indices`,
            units out of range, or tensors of another shape.

    >>> import lambent as lb
    >>> sparse = lb.connections.Sparse(4, 3, indices=[[0, 0, 2], [1, 2, 0]])
    >>> sparse.entries().source
    tensor([0, 0, 2])
    """

    density: float | None = None
    indices: Tensor | None = None
    weight: Tensor | None = None
    delay: Tensor | float | None = None

    buffers: ClassVar[tuple[str, ...]] = ("indices",)

    def _settle(self) -> None:
        if (self.density is None) == (self.indices is None):
            raise ValueError("give either density or indices")
        if self.density is not None:
            if not isinstance(self.density, Real):
                raise TypeError(f"density must be a number, got {self.density!r}")
            if not 0 < self.density <= 1:
                raise ValueError(f"density must lie in (0, 1], got {self.density}")
            pairs = self.n_in * self.n_out
            chosen = _some_of(pairs, max(1, round(self.density * pairs)))
            indices = torch.stack([chosen // self.n_out, chosen % self.n_out])
            self._set("density", None)  # settled
        else:
            indices = _checked(self.indices, self.n_in, self.n_out)
        order = indices[0].argsort(stable=True)
        self._set("indices", indices[:, order])
        for name in ("weight", "delay"):
            value = getattr(self, name)
            if value is not None:
                value = as_floats(value, self.parameter_shape if name == "delay" else ())
                self._set(name, value[order] if value.shape == self.parameter_shape else value)
        if self.weight is None:
            self._set("weight", self.drawn(torch.ones(self.n_out)))

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        return (len(self._pairs()[0]),)

    @property
    def fan_in(self) -> float:
        return max(1.0, len(self._pairs()[0]) / self.n_out)

    def per_weight(self, values: Tensor) -> Tensor:
        return values[self._pairs()[1]]

    def checks(self, prefix: str = "") -> Iterator[Check]:
        source, target = self._pairs()

        def where(k: int) -> str:
            return between(int(source[k]), int(target[k]))

        for name, lowest in (("weight", -torch.inf), ("delay", 0.0)):
            value = getattr(self, name)
            if value is not None:
                yield check_entries(prefix + name, value.detach(), where, lowest)

    def entries(self) -> Entries:
        source, target = self._pairs()
        delay = None if self.delay is None else torch.as_tensor(self.delay)
        return Entries(source, target, torch.as_tensor(self.weight), delay)

    def on_grid(self, dt: float, n_steps: int, dtype: torch.dtype, as_places: bool) -> list[Tensor]:
        source, target, weight, delay = self.entries()
        start = torch.searchsorted(source, torch.arange(self.n_in + 1, device=source.device))
        if delay is None:
            return [weight.to(dtype), start, target.to(torch.int32)]
        steps = delay_steps(delay, dt).clamp(max=n_steps)
        reach = places(steps, target, self.n_out, n_steps)
        return [weight.to(dtype), delay.to(dtype), start, reach.to(torch.int32), torch.tensor(self.n_out)]

    def in_kernels(self) -> Connections:
        """Dense, with zeros, where that is faster: a row is added many numbers at once, entries one by one."""
        source, target, weight, delay = self.entries()
        entries = len(source) / self.n_in
        pays = _OF_DENSE_ROW * self.n_out < _OF_SOURCE + _OF_ENTRY * entries
        if delay is not None or not pays or self.n_in * self.n_out > _LARGEST:
            return self
        whole = weight.new_zeros(self.n_in * self.n_out).index_add(0, source * self.n_out + target, weight)
        return Dense(self.n_in, self.n_out, whole.view(self.n_in, self.n_out))

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Sources and targets."""
        source, target = torch.as_tensor(self.indices)
        return source, target

    @staticmethod
    def arrays(tensors: Sequence[np.ndarray]) -> Any:
        if len(tensors) == 3:
            return SparseArrays(tensors[0], tensors[1].view(np.uint64), tensors[2].view(np.uint32))
        return DelayedArrays(tensors[0], tensors[2].view(np.uint64), tensors[3].view(np.uint32))

    @staticmethod
    def rows(tensors: Sequence[Tensor]) -> int:
        if len(tensors) == 3 or not len(tensors[3]):
            return 1
        return 1 + int(tensors[3].numpy().view(np.uint32).max()) // int(tensors[4])

    @staticmethod
    def gradient_shapes(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[tuple[int, ...]]:
        n = len(tensors[0])
        return [(n if w else 0,) for w in wanted[: 1 if len(tensors) == 3 else 2]]

    @staticmethod
    def gradients(collected: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        rest = [x.new_empty(0) for x in tensors[len(collected) :]]
        if len(collected) == 1:
            return [collected[0], *rest]
        weight, late = collected
        return [weight, late * tensors[0] if len(late) else late, *rest]


class SparseArrays(NamedTuple):
    """Sparse connections.

    Attributes:
        weight: one entry each.
        start: (from + 1,) source u owns the entries start[u]:start[u + 1].
        reach: one entry each, uint32: the place of the target relative to the start of the next step's row.
    """

    weight: np.ndarray
    start: np.ndarray
    reach: np.ndarray

    delayed = False

    deliver = staticmethod(DelayedArrays.deliver)
    weigh = staticmethod(DelayedArrays.weigh)

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        if gradients[0].shape[0] > 0:
            _gather(gradients[0], arrays.start, arrays.reach, history, begin, steps, units, values, first, last)


@fast_inline
def _gather(gradient, start, reach, history, begin, steps, units, values, first, last):
    """Add to each connection's gradient what `history` holds where the source's spikes arrived."""
    for k in range(first, last):
        row = steps[k] - begin + 1
        u, p = units[k], value_at(values, k)
        for c in range(start[u], start[u + 1]):
            gradient[c] += scaled(p, history[row, reach[c]])


def _some_of(total: int, n: int) -> Tensor:
    """`n` different numbers below `total`, sorted; in memory for about n, not for all."""
    if n > total // 4:
        return torch.randperm(total)[:n].sort().values
    found = torch.randint(total, (n,)).unique()
    while len(found) < n:
        found = torch.cat([found, torch.randint(total, (n,))]).unique()
    return found[torch.randperm(len(found))[:n]].sort().values


def _checked(given: Any, n_in: int, n_out: int) -> Tensor:
    indices = torch.as_tensor(given)
    if not indices.numel():
        indices = indices.long()
    if indices.ndim != 2 or len(indices) != 2 or indices.is_floating_point() or indices.dtype is torch.bool:
        shape = tuple(indices.shape)
        raise ValueError(f"indices must be integers of shape (2, n), got {indices.dtype} of shape {shape}")
    for name, x, n in (("source", indices[0], n_in), ("target", indices[1], n_out)):
        outside = (x < 0) | (x >= n)
        if outside.any():
            entry = int(outside.nonzero()[0])
            raise ValueError(f"indices: connection {entry} has {name} {int(x[entry])}, outside [0, {n})")
    return indices.to(torch.int64)
