"""Connections whose weights all places of a map share: convolutions, and pools, whose weight is fixed.

Kernels see one form of them all: weights (channels in, places of the kernel, channels out of a group), and for each
place of a map the places of the kernel that take it somewhere, and where to. Loops go over these and over channels;
there is no index per synapse.
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lambent.connections.connections import (
    Connections,
    Entries,
    as_floats,
    check_entries,
    check_size,
    delay_steps,
    places,
)
from lambent.connections.delayed import by_source, gather, room_in, side_by_side
from lambent.connections.graded import scaled, value_at
from lambent.machine.compiling import fast, fast_inline
from lambent.machine.waiting import Check


class Geometry(NamedTuple):
    """How a kernel moves over a map, (height, width) each; a signal has a height of 1."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def size_out(self) -> tuple[int, int]:
        """Height and width of the targets' map."""
        rows, columns = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return rows, columns

    @property
    def places_out(self) -> int:
        """Places of the targets' map."""
        return math.prod(self.size_out)

    def as_tensor(self) -> Tensor:
        """For an operation, which takes tensors."""
        return torch.tensor([*self.size, *self.kernel, *self.stride, *self.padding, *self.dilation, self.groups])


def geometry_of(numbers: Any) -> Geometry:
    """The reverse of `Geometry.as_tensor`."""
    *pairs, groups = numbers.tolist()
    return Geometry(*((pairs[k], pairs[k + 1]) for k in range(0, 10, 2)), groups)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def reach(geometry: Geometry) -> np.ndarray:
    """(places in, places of the kernel) int32: the place of the target, -1 where there is none."""
    axes = []
    for n, out, k, s, p, d in zip(geometry.size, geometry.size_out, *geometry[1:5], strict=True):
        beyond = np.arange(n)[:, None] + p - d * np.arange(k)
        axes.append(np.where((beyond % s == 0) & (beyond >= 0) & (beyond < s * out), beyond // s, -1))
    rows, columns = axes[0][:, None, :, None], axes[1][None, :, None, :]
    there = (rows >= 0) & (columns >= 0)
    table = np.where(there, rows * geometry.size_out[1] + columns, -1)
    table = table.reshape(math.prod(geometry.size), -1).astype(np.int32)
    table.flags.writeable = False  # it is kept
    return table


@lru_cache(maxsize=64)
def paths(geometry: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`reach` without its gaps, all uint32: where each place's begin (places in + 1,), kernel places, target places."""
    table = reach(geometry)
    place, kernel_place = np.nonzero(table >= 0)
    begin = np.searchsorted(place, np.arange(len(table) + 1))
    found = begin.astype(np.uint32), kernel_place.astype(np.uint32), table[place, kernel_place].astype(np.uint32)
    for array in found:
        array.flags.writeable = False  # they are kept
    return found


@dataclass(frozen=True, eq=False)
class Shared(Connections):
    """Connections by a kernel that moves over a map, or, with one axis, along a signal."""

    n_in: int = field(init=False)
    n_out: int = field(init=False)
    geometry: Geometry = field(init=False)

    axes: ClassVar[int] = 2

    def _lay_out(
        self, shape_in: Any, out_channels: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: Any
    ) -> None:
        """Settle the geometry and the numbers of units."""
        channels, *size = _numbers("shape_in", shape_in, self.axes + 1, 1)
        check_size("groups", groups)
        check_size("out_channels", out_channels)
        for name, n in (("the channels of shape_in", channels), ("out_channels", out_channels)):
            if n % groups:
                raise ValueError(f"{name} must be a multiple of groups = {groups}, got {n}")
        given = (("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1))
        # a signal is a map of one row, in which nothing moves
        pairs: list[Any] = [(least, *_numbers(name, x, self.axes, least))[-2:] for name, x, least in given]
        geometry = Geometry((1, *size)[-2:], *pairs, groups)  # type: ignore[arg-type]
        if min(geometry.size_out) < 1:
            raise ValueError(f"kernel {kernel} is larger than the {_by(size)} that it moves over, padding included")
        self._set("geometry", geometry)
        self._set("n_in", channels * math.prod(size))
        self._set("n_out", out_channels * geometry.places_out)

    @property
    def shape_out(self) -> tuple[int, ...]:
        return self.n_out // self.geometry.places_out, *self.geometry.size_out[-self.axes :]

    def shared(self, values: Tensor) -> Tensor:
        return self._by_channel(values)[:, None].expand(-1, self.geometry.places_out).flatten()

    def _by_channel(self, values: Tensor) -> Tensor:
        """The mean of values (n_out,) over each channel."""
        return values.view(-1, self.geometry.places_out).mean(1)

    def _by_source(self, values: Tensor) -> Tensor:
        """Values of the shape of a parameter as (channels in, places of the kernel, channels out of a group)."""
        raise NotImplementedError

    def entries(self) -> Entries:
        own: Any = self
        to = torch.from_numpy(reach(self.geometry).astype(np.int64))
        place, k = (to >= 0).nonzero(as_tuple=True)
        weight = self._by_source(own.weight)[:, k]
        delay = None if own.delay is None else self._by_source(own.delay)[:, k].flatten()
        target = self._channel_places(weight) + to[place, k, None]
        channel = torch.arange(len(weight)).view(-1, 1, 1)
        source = (channel * len(to) + place[:, None]).expand_as(target)
        return Entries(source.flatten(), target.flatten(), weight.flatten(), delay)

    def _channel_places(self, weight: Tensor) -> Tensor:
        """(channels in, 1, channels out of a group): where the targets of each channel begin."""
        return torch.from_numpy(channel_places(self.geometry, *weight.shape[::2]).astype(np.int64))[:, None]

    def on_grid(self, dt: float, n_steps: int, dtype: torch.dtype, as_places: bool) -> list[Tensor]:
        own: Any = self
        weight = self._by_source(own.weight).to(dtype).contiguous()
        if own.delay is None:
            return [weight, self.geometry.as_tensor()]
        delay = self._by_source(own.delay).contiguous()
        steps = delay_steps(delay, dt).clamp(max=n_steps)
        if as_places:
            steps = places(steps, self._channel_places(weight), self.n_out, n_steps)
        return [weight, delay.to(dtype), steps.to(torch.int32), self.geometry.as_tensor()]

    @staticmethod
    def arrays(tensors: Sequence[np.ndarray]) -> Any:
        weight, geometry = tensors[0], geometry_of(tensors[-1])
        if len(tensors) == 4:
            return DelayedKernelArrays(weight, tensors[2].view(np.uint32), *paths(geometry))
        first = channel_places(geometry, *weight.shape[::2])[:, None]
        return KernelArrays(weight, np.ascontiguousarray(np.broadcast_to(first, weight.shape)), *paths(geometry))

    @staticmethod
    def rows(tensors: Sequence[Tensor]) -> int:
        if len(tensors) == 2:
            return 1
        geometry = geometry_of(tensors[-1])
        n_out = geometry.groups * tensors[0].shape[2] * geometry.places_out
        return 1 + int(tensors[2].numpy().view(np.uint32).max()) // n_out

    @staticmethod
    def gradient_shapes(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[tuple[int, ...]]:
        shape = tuple(tensors[0].shape)
        return [shape if w else (0, 0, 0) for w in wanted[: len(tensors) // 2]]

    @staticmethod
    def gradients(collected: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        rest = [x.new_empty(0) for x in tensors[len(collected) :]]
        if len(collected) == 1:
            return [collected[0], *rest]
        weight, late = collected
        return [weight, late * tensors[0] if late.numel() else late, *rest]


@dataclass(frozen=True, eq=False)
class Conv2d(Shared):
    """A convolution of maps, as `torch.nn.Conv2d` has it: a spike reaches the places whose kernel covers its own.

    Units lie as (channels, height, width), the last counting fastest, on both sides.

    Args:
        shape_in: channels, height and width of the sources.
        out_channels: channels of the targets.
        kernel, stride, padding, dilation: a number, or one each for height and width.
        groups: channels in this many groups, connected each to its own.
        weight: (out_channels, in_channels / groups, kernel height, kernel width); left out, normal with standard
            deviation 1 / sqrt(connections to a unit).
        delay: of the shape of the weights, shared as they are, or a number [ms], or None for none.

    Raises:
        TypeError, ValueError: a size that is no positive whole number or does not fit the others, or tensors of another
            shape.

    >>> import lambent as lb
    >>> conv = lb.connections.Conv2d((1, 28, 28), 16, 5, stride=2)
    >>> conv.n_in, conv.shape_out, conv.weight.shape
    (784, (16, 12, 12), torch.Size([16, 1, 5, 5]))
    """

    shape_in: tuple[int, ...]
    out_channels: int
    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    weight: Tensor | None = None
    delay: Tensor | float | None = None

    def __post_init__(self) -> None:
        self._lay_out(
            self.shape_in, self.out_channels, self.kernel, self.stride, self.padding, self.dilation, self.groups
        )
        super().__post_init__()

    def _settle(self) -> None:
        self._set("weight", self.drawn(torch.ones(self.n_out)) if self.weight is None else as_floats(self.weight, ()))
        if self.delay is not None:
            self._set("delay", as_floats(self.delay, self.parameter_shape))

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        return self.out_channels, self.shape_in[0] // self.groups, *self.geometry.kernel[-self.axes :]

    @property
    def fan_in(self) -> float:
        return math.prod(self.parameter_shape[1:])

    def per_weight(self, values: Tensor) -> Tensor:
        return self._by_channel(values).view(-1, *[1] * (self.axes + 1))

    def _by_source(self, values: Tensor) -> Tensor:
        grouped = torch.as_tensor(values).flatten(2).unflatten(0, (self.groups, -1))
        return grouped.permute(0, 2, 3, 1).flatten(0, 1)

    def checks(self, prefix: str = "") -> Iterator[Check]:
        def where(k: int) -> str:
            return f"[{', '.join(map(str, np.unravel_index(k, self.parameter_shape)))}]"

        for name, lowest in (("weight", -torch.inf), ("delay", 0.0)):
            value = getattr(self, name)
            if value is not None:
                yield check_entries(prefix + name, value.detach().flatten(), where, lowest)


class Conv1d(Conv2d):
    """A convolution of signals, as `torch.nn.Conv1d` has it.

    As `Conv2d`, with one number in the place of two: units lie as (channels, length), and weights are
    (out_channels, in_channels / groups, kernel).

    >>> import lambent as lb
    >>> lb.connections.Conv1d((1, 700), 8, 21, stride=7, delay=2.0).shape_out  # along a cochlea
    (8, 98)
    """

    axes: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class SumPool2d(Shared):
    """Sums over windows of a map, each channel by itself: all spikes of a window reach one target.

    Args:
        shape_in: channels, height and width of the sources.
        kernel: the window, a number, or one each for height and width.
        stride: likewise; left out, the kernel.
        padding: likewise.
        weight: of every connection; left out, 1. It is not trained, unless told to (``layer.weight.requires_grad_()``).
        delay: (window height, window width), the same in all windows, or a number [ms], or None for none.

    Raises:
        TypeError, ValueError: a size that is no positive whole number or does not fit the others, or delays of another
            shape.

    >>> import lambent as lb
    >>> lb.connections.SumPool2d((16, 12, 12), 2).shape_out
    (16, 6, 6)
    """

    shape_in: tuple[int, ...]
    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None
    padding: int | tuple[int, ...] = 0
    weight: Tensor | float | None = None
    delay: Tensor | float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("delay",)
    buffers: ClassVar[tuple[str, ...]] = ("weight",)

    def __post_init__(self) -> None:
        stride = self.kernel if self.stride is None else self.stride
        channels = _numbers("shape_in", self.shape_in, 3, 1)[0]
        self._lay_out(self.shape_in, channels, self.kernel, stride, self.padding, 1, channels)
        weight = torch.tensor(self._usual) if self.weight is None else as_floats(self.weight, ())
        if weight.shape != ():
            raise ValueError(f"weight must be one number, got a tensor of shape {tuple(weight.shape)}")
        self._set("weight", weight)
        super().__post_init__()

    def _settle(self) -> None:
        if self.delay is not None:
            self._set("delay", as_floats(self.delay, self.parameter_shape))

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        return self.geometry.kernel

    @property
    def _usual(self) -> float:
        """The weight, if none is given."""
        return 1.0

    @property
    def fan_in(self) -> float:
        return math.prod(self.geometry.kernel)

    def per_weight(self, values: Tensor) -> Tensor:
        return values.mean()

    def shared(self, values: Tensor) -> Tensor:
        return values.mean().expand_as(values)

    def drawn(self, scale: Tensor) -> Tensor:
        """The weight that it has if none is given: there is nothing to draw."""
        return torch.full((), self._usual, dtype=scale.dtype, device=scale.device)

    def _by_source(self, values: Tensor) -> Tensor:
        by_place = torch.as_tensor(values).reshape(1, -1, 1)  # one for all places of the window, or one each
        return by_place.expand(self.shape_in[0], math.prod(self.geometry.kernel), 1)

    def checks(self, prefix: str = "") -> Iterator[Check]:
        weight = torch.as_tensor(self.weight)
        yield check_entries(prefix + "weight", weight.detach().view(1), lambda k: "of the pool")
        if self.delay is not None:
            delay, columns = torch.as_tensor(self.delay).detach().flatten(), self.geometry.kernel[1]
            yield check_entries(prefix + "delay", delay, lambda k: f"{list(divmod(k, columns))}", 0.0)


class AvgPool2d(SumPool2d):
    """Means over windows of a map: `SumPool2d` whose weight, if none is given, is 1 / places of the window.

    >>> import lambent as lb
    >>> lb.connections.AvgPool2d((16, 12, 12), 2).weight
    tensor(0.2500)
    """

    @property
    def _usual(self) -> float:
        return 1 / math.prod(self.geometry.kernel)


def channel_places(geometry: Geometry, channels: int, n_out: int) -> np.ndarray:
    """(channels in, channels out of a group) uint32: where each channel's targets begin."""
    group = np.arange(channels) // (channels // geometry.groups)
    return ((group[:, None] * n_out + np.arange(n_out)) * geometry.places_out).astype(np.uint32)


class KernelArrays(NamedTuple):
    """A kernel that moves over a map.

    Attributes:
        weight: (channels in, places of the kernel, channels out of a group).
        offset: of the same shape, uint32: where the targets' channel begins relative to the start of the next step's
            row.
        begin, kernel_place, target: see `paths`.
    """

    weight: np.ndarray
    offset: np.ndarray
    begin: np.ndarray
    kernel_place: np.ndarray
    target: np.ndarray

    delayed = False

    @staticmethod
    @fast_inline
    def deliver(window, row, arrays, units, values, first, last):
        weight, offset, begin, kernel_place, target = arrays
        for e in range(first, last):
            c, place = divmod(np.uint32(units[e]), np.uint32(begin.shape[0] - 1))
            p = value_at(values, e)
            for h in range(begin[place], begin[place + 1]):
                k, at = kernel_place[h], np.uint64(target[h])
                for o in range(weight.shape[2]):
                    window[row, at + offset[c, k, o]] += scaled(p, weight[c, k, o])

    @staticmethod
    @fast_inline
    def weigh(drift, row, arrays, unit):
        weight, offset, begin, kernel_place, target = arrays
        total = weight.dtype.type(0)
        c, place = divmod(np.uint32(unit), np.uint32(begin.shape[0] - 1))
        for h in range(begin[place], begin[place + 1]):
            k, at = kernel_place[h], np.uint64(target[h])
            for o in range(weight.shape[2]):
                total += weight[c, k, o] * drift[row, at + offset[c, k, o]]
        return total

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        if gradients[0].shape[0] > 0:
            _gather(gradients[0], arrays, history, begin, steps, units, values, first, last)


class DelayedKernelArrays(NamedTuple):
    """The same with delays, which `offset` holds."""

    weight: np.ndarray
    offset: np.ndarray
    begin: np.ndarray
    kernel_place: np.ndarray
    target: np.ndarray

    delayed = True

    deliver = staticmethod(KernelArrays.deliver)
    weigh = staticmethod(KernelArrays.weigh)

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        if gradients[0].shape[0] + gradients[1].shape[0] > 0 or d_times is not None:
            _collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last)


@fast
def _gather(gradient, arrays, history, start, steps, units, values, first, last):
    """Add to each weight's gradient what `history` holds where the sources' spikes arrived."""
    _weight, offset, begin, kernel_place, target = arrays
    for e in range(first, last):
        row = steps[e] - start + 1
        c, place = divmod(np.uint32(units[e]), np.uint32(begin.shape[0] - 1))
        p = value_at(values, e)
        for h in range(begin[place], begin[place + 1]):
            k, at = kernel_place[h], np.uint64(target[h])
            for o in range(gradient.shape[2]):
                gradient[c, k, o] += scaled(p, history[row, at + offset[c, k, o]])


@fast
def _collect(gradients, d_times, arrays, history, drift, start, steps, units, values, first, last):
    weight, offset, begin, kernel_place, target = arrays
    channels, kernel, n_out = weight.shape
    flat, reach = weight.reshape(-1), offset.reshape(-1)
    of_weight, of_delay = room_in(gradients[0], flat), room_in(gradients[1], flat)
    both = side_by_side(history, drift)
    places = begin.shape[0] - 1
    end, order, arrival, worth = by_source(d_times, channels * places, start, steps, units, values, first, last)
    since = 0
    for u in range(end.shape[0]):
        c, place = divmod(np.uint32(u), np.uint32(places))
        for h in range(begin[place], begin[place + 1]):
            entry = (np.uint64(c) * np.uint64(kernel) + kernel_place[h]) * np.uint64(n_out)
            gather(
                of_weight, of_delay, d_times, flat, reach, target[h], entry, entry + np.uint64(n_out),
                both, order, arrival, worth, since, end[u],
            )  # fmt: skip
        since = end[u]


def _numbers(name: str, value: Any, n: int, least: int) -> tuple[int, ...]:
    """`n` whole numbers from `value`, or n times it if it is a number and not a shape."""
    numbers = (value,) * n if isinstance(value, Integral) and name != "shape_in" else value
    if not isinstance(numbers, (tuple, list)) or not all(isinstance(x, Integral) for x in numbers):
        raise TypeError(f"{name} must be {_counted(name, n)}, got {value!r}")
    if len(numbers) != n or min(numbers) < least:
        raise ValueError(f"{name} must be {_counted(name, n)}, at least {least}; got {value!r}")
    return tuple(int(x) for x in numbers)


def _counted(name: str, n: int) -> str:
    return f"{n} whole numbers" if name == "shape_in" else f"a whole number{f' or {n}' if n > 1 else ''}"


def _by(size: Sequence[int]) -> str:
    return " by ".join(map(str, size))
