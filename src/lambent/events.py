"""`Events`: a ragged batch of timed spikes, the only thing that passes between layers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lambent.machine.showing import html_table

_FLOATS = (torch.float32, torch.float64)
_EXCESS = 0.01  # steps
_BLOCK = 1 << 20  # spikes checked at a time, so that a check needs little memory beside the spikes


def n_steps(duration: float, dt: float) -> int:
    """Number of grid steps of `dt` [ms] that cover `duration` [ms].

    What is left of less than a hundredth of a step, and may come from rounding, is no step of its own.

    Raises:
        ValueError: these are more than fit in int32.
    """
    exact = duration / dt
    steps = max(1.0, np.ceil(exact - min(exact * 2.0**-22, _EXCESS)))
    if steps >= 2**31:
        raise ValueError(
            f"{duration:g} ms are more than 2**31 - 1 steps of {dt:g} ms; take longer steps or shorter samples"
        )
    return int(steps)


def check_n_units(n_units: Any) -> int:
    """`n_units`, if it is a number of units.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is out of range.
    """
    try:
        n = operator.index(n_units)
    except TypeError:
        raise TypeError(f"n_units must be a whole number, got {n_units!r}") from None
    if not 1 <= n < 2**31:
        raise ValueError(f"n_units must be at least 1 and fit in int32, got {n}")
    return n


def check_layout(times: NDArray[Any], units: NDArray[Any], offsets: NDArray[np.integer[Any]], duration: float) -> None:
    """Raise ValueError if packed arrays do not fit each other, or `duration` [ms] is none. See `check_spikes`."""
    for name, x in (("times", times), ("units", units), ("offsets", offsets)):
        if x.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {x.shape}")
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be positive and finite [ms], got {duration}")
    if len(times) != len(units):
        raise ValueError(f"{len(times)} times but {len(units)} units")
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(times):
        raise ValueError(f"offsets must run from 0 to the number of spikes ({len(times)})")
    decreases = offsets[1:] < offsets[:-1]
    if decreases.any():
        raise ValueError(f"offsets decrease at sample {int(decreases.argmax())}")


def check_spikes(
    times: NDArray[np.floating[Any]],
    units: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    n_units: int,
    duration: float,
) -> None:
    """Validate packed spikes: sample b owns the entries ``offsets[b]:offsets[b + 1]``.

    Args:
        times: (n_spikes,) [ms].
        units: (n_spikes,).
        offsets: (batch + 1,).
        n_units: number of units.
        duration: length of every sample [ms].

    Raises:
        ValueError: arrays that do not fit each other, a time that is NaN, negative, at or past `duration`
            or earlier than the one before it, a unit out of range. Names the sample and the entry.
    """
    check_layout(times, units, offsets, duration)
    firsts = offsets[:-1][offsets[1:] > offsets[:-1]]  # the first spike of a sample follows nothing
    for start in range(0, len(times), _BLOCK):
        stop, second = min(start + _BLOCK, len(times)), max(start, 1)
        t, u = times[start:stop], units[start:stop]
        earlier = np.zeros(len(t), dtype=bool)
        earlier[second - start :] = times[second:stop] < times[second - 1 : stop - 1]
        earlier[firsts[slice(*np.searchsorted(firsts, (start, stop)))] - start] = False
        for bad, what in (
            (np.isnan(t), "time is NaN"),
            (t < 0, "negative time"),
            (t >= float(duration), f"time at or past the duration of {duration:g} ms"),
            ((u < 0) | (u >= n_units), f"unit outside [0, {n_units})"),
            (earlier, "earlier than the spike before it"),
        ):
            if bad.any():
                entry = start + int(bad.argmax())
                raise ValueError(f"{locate(entry, offsets)}: {what} (time {times[entry]}, unit {units[entry]})")


def locate(entry: int, offsets: NDArray[np.integer[Any]], first_sample: int = 0) -> str:
    """Say in words which sample, and which of its entries, a position in packed arrays is."""
    sample = int(np.searchsorted(offsets, entry, side="right")) - 1
    return f"sample {first_sample + sample}, entry {entry - int(offsets[sample])}"


class Events:
    """A batch of spike trains.

    Args:
        times: (n_spikes,) float32 or float64, spike times [ms]; takes part in autograd.
        units: (n_spikes,) integer, the unit of each spike, stored as int32.
        offsets: (batch + 1,) integer, sample ``b`` owns entries ``offsets[b]:offsets[b + 1]``, stored as
            int64.
        n_units: number of units; every unit is in ``[0, n_units)``.
        duration: length of every sample [ms]; every time is in ``[0, duration)``.
        counts: (batch, n_units) float, differentiable spike counts as a layer hands them out. Left out,
            `counts()` counts the spikes, without a gradient.
        check: validate; the engines, whose output is right by construction, switch it off.
        padded: `times` and `units` may go on past ``offsets[-1]`` (see `padded`).

    Raises:
        TypeError: a tensor has the wrong dtype, the argument is no tensor, or `n_units` no whole number.
        ValueError: unsorted, negative, NaN or too late times, units out of range, broken offsets, `counts` of another
            shape. The message names the sample and the entry.

    Example:
        >>> events = lb.Events.from_lists([[1.0, 2.5], [0.5]], [[0, 3], [1]], n_units=4, duration=10.0)
        >>> events
        Events(3 spikes, batch 2, 4 units, 10 ms, torch.float32, cpu)
        >>> events[0].times, events.offsets
        (tensor([1.0000, 2.5000]), tensor([0, 2, 3]))
        >>> events.counts().tolist()
        [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
    """

    plot: ClassVar[Callable[..., Any]]
    """`lambent.plot.raster` as a method."""

    __slots__ = ("_counts", "_padded", "_times", "_units", "duration", "n_units", "offsets")

    def __init__(
        self,
        times: Tensor,
        units: Tensor,
        offsets: Tensor,
        n_units: int,
        duration: float,
        *,
        counts: Tensor | None = None,
        check: bool = True,
        padded: bool = False,
    ) -> None:
        if check:
            _check(times, units, offsets, n_units, duration, counts)
        self._times = times
        self._units = units.to(torch.int32)
        self.offsets = offsets.to(torch.int64)
        self.n_units = int(n_units)
        self.duration = float(duration)
        self._counts = counts
        self._padded = padded

    # -- construction ---------------------------------------------------------------------------------

    @classmethod
    def from_lists(
        cls,
        times: Sequence[Any],
        units: Sequence[Any],
        n_units: int,
        duration: float,
        dtype: torch.dtype = torch.float32,
    ) -> Events:
        """Build a batch from one sequence of times [ms] and one of units per sample.

        Raises:
            TypeError: as `Events`, or a sample is no sequence.
            ValueError: as `Events`, or the two lists do not fit each other.
        """
        if len(times) != len(units):
            raise ValueError(f"times lists {len(times)} samples, units {len(units)}")
        for name, lists in (("times", times), ("units", units)):
            for b, x in enumerate(lists):
                if np.ndim(x) == 0:
                    raise TypeError(f"sample {b}: {name} must be a sequence of numbers, got {x!r}")
        t = [torch.as_tensor(x, dtype=dtype).reshape(-1) for x in times]
        u = [_as_units(x, b) for b, x in enumerate(units)]
        for b, (tb, ub) in enumerate(zip(t, u, strict=True)):
            if len(tb) != len(ub):
                raise ValueError(f"sample {b}: {len(tb)} times but {len(ub)} units")
        offsets = torch.tensor([0] + [len(x) for x in t], dtype=torch.int64).cumsum(0)
        return cls(
            torch.cat(t) if t else torch.empty(0, dtype=dtype),
            torch.cat(u) if u else torch.empty(0, dtype=torch.int32),
            offsets,
            n_units,
            duration,
        )

    @classmethod
    def from_dense(cls, spikes: Tensor, dt: float, dtype: torch.dtype = torch.float32) -> Events:
        """Build a batch from a (batch, steps, units) tensor of non-negative integer spike counts per step.

        A count of c gives c spikes at the start of the step, time ``n * dt`` [ms].

        Raises:
            TypeError: `spikes` is no tensor.
            ValueError: wrong number of dimensions, negative or fractional counts.

        Example:
            >>> lb.Events.from_dense(torch.tensor([[[1, 0], [0, 2]]]), dt=0.5).times
            tensor([0.0000, 0.5000, 0.5000])
        """
        if not isinstance(spikes, Tensor):
            raise TypeError(f"spikes must be a tensor, got {type(spikes).__name__}")
        if spikes.ndim != 3:
            raise ValueError(f"spikes must be (batch, steps, units), got shape {tuple(spikes.shape)}")
        if not dt > 0:
            raise ValueError(f"dt must be positive, got {dt}")
        counts = spikes.to(torch.int64)
        bad = (counts != spikes) | (counts < 0)
        if bad.any():
            at = bad.nonzero()[0].tolist()
            raise ValueError(
                f"sample {at[0]}, step {at[1]}, unit {at[2]}: {spikes[tuple(at)].item()} is no non-negative spike count"
            )
        steps, n_units = spikes.shape[1:]
        b, n, u = counts.nonzero(as_tuple=True)
        repeats = counts[b, n, u]
        per_sample = counts.sum((1, 2))
        offsets = torch.cat([per_sample.new_zeros(1), per_sample.cumsum(0)])
        times = (n.repeat_interleave(repeats).to(torch.float64) * dt).to(dtype)
        return cls(times, u.repeat_interleave(repeats).to(torch.int32), offsets, n_units, steps * dt)

    @staticmethod
    def cat(batches: Sequence[Events]) -> Events:
        """Join batches sample after sample.

        Raises:
            ValueError: no batches, or they differ in `n_units` or `duration`.

        Example:
            >>> first = lb.Events.from_lists([[1.0]], [[0]], n_units=2, duration=5.0)
            >>> len(lb.Events.cat([first, first, first]))
            3
        """
        if not batches:
            raise ValueError("Events.cat needs at least one batch")
        first = batches[0]
        for i, e in enumerate(batches):
            if (e.n_units, e.duration) != (first.n_units, first.duration):
                raise ValueError(
                    f"batch {i} has n_units={e.n_units}, duration={e.duration}; "
                    f"batch 0 has n_units={first.n_units}, duration={first.duration}"
                )
        shifts = np.cumsum([0] + [len(e.times) for e in batches])
        offsets = [e.offsets[1:] + int(s) for e, s in zip(batches, shifts, strict=False)]
        tracked = any(e._counts is not None for e in batches)
        return Events(
            torch.cat([e.times for e in batches]),
            torch.cat([e.units for e in batches]),
            torch.cat([first.offsets[:1], *offsets]),
            first.n_units,
            first.duration,
            counts=torch.cat([e.counts() for e in batches]) if tracked else None,
            check=False,
        )

    # -- views ----------------------------------------------------------------------------------------

    @property
    def times(self) -> Tensor:
        """Spike times [ms], (n_spikes,)."""
        self._trim()
        return self._times

    @property
    def units(self) -> Tensor:
        """The unit of each spike, int32 (n_spikes,)."""
        self._trim()
        return self._units

    def _trim(self) -> None:
        """Cut the padding off, for which the number of spikes must be known: the host waits for the device."""
        if self._padded:
            n_spikes = int(self.offsets[-1])
            self._times, self._units, self._padded = self._times[:n_spikes], self._units[:n_spikes], False

    def padded(self) -> Events:
        """The same spikes, for code that can do with padding and so need not wait to know how many there are.

        A layer that runs ahead of a device (`lambent.run_ahead`) hands out buffers with room to spare. Here `times`
        and `units` are those buffers; what follows entry ``offsets[-1]`` is at time 0, of any unit, and belongs to
        the sample `batch_size`.
        """
        return Events(
            self._times, self._units, self.offsets, self.n_units, self.duration, counts=self._counts, check=False
        )

    def counts(self) -> Tensor:
        """Spikes per sample and unit, float (batch, n_units).

        From a layer the tensor carries a gradient, which enters the adjoint at each spike of the unit
        (see `lambent.LIF`); otherwise it is a plain count.
        """
        if self._counts is not None:
            return self._counts
        index = self.samples() * self.n_units + self.units
        flat = torch.bincount(index, minlength=self.batch_size * self.n_units)
        return flat.reshape(self.batch_size, self.n_units).to(self.times.dtype)

    def samples(self) -> Tensor:
        """The sample each spike belongs to, int64 (n_spikes,)."""
        end = self.offsets.new_full((1,), len(self.times))
        sizes = torch.cat([self.offsets, end]).diff()  # that of the padding comes last
        sample = torch.arange(self.batch_size + 1, device=self.offsets.device)
        return torch.repeat_interleave(sample, sizes, output_size=len(self.times))

    def steps(self, dt: float) -> Tensor:
        """The grid step floor(t / dt) of each spike, int32 (n_spikes,).

        A time that rounding has put just before a step is of that step.

        Raises:
            ValueError: `dt` is not positive, or so small that the times' precision cannot tell steps apart, or int32
                cannot count them.
        """
        if not dt > 0:
            raise ValueError(f"dt must be positive, got {dt}")
        steps, times = n_steps(self.duration, dt), self.times.detach()
        # a product n * dt is off by half of eps; the rest is for the arithmetic here
        slack = torch.finfo(times.dtype).eps + 2.0**-51
        if steps * slack > 0.5:
            raise ValueError(
                f"{times.dtype} cannot tell steps of {dt:g} ms apart at {self.duration:g} ms; "
                "take longer steps, shorter samples or times in float64"
            )
        step = torch.floor(times.to(torch.float64) * ((1 + slack) / dt)).to(torch.int32)
        return step.clamp_(max=steps - 1)

    def to_dense(self, dt: float) -> Tensor:
        """Spike counts per step, float (batch, steps, n_units) with steps = ceil(duration / dt).

        Example:
            >>> lb.Events.from_lists([[0.2, 1.7]], [[0, 1]], n_units=2, duration=2.0).to_dense(1.0)
            tensor([[[1., 0.],
                     [0., 1.]]])
        """
        step = self.steps(dt)
        steps = n_steps(self.duration, dt)
        index = (self.samples() * steps + step) * self.n_units + self.units
        flat = torch.bincount(index, minlength=self.batch_size * steps * self.n_units)
        return flat.reshape(self.batch_size, steps, self.n_units).to(self.times.dtype)

    @property
    def batch_size(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self._times.device

    def __len__(self) -> int:
        return self.batch_size

    def __iter__(self) -> Iterator[Events]:
        return (self[b] for b in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Events:
        """The chosen samples as a batch; an integer gives a batch of one."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"sample {index} of a batch of {len(self)}")
            index = [int(index) % len(self)]
        return self.take(torch.arange(len(self), device=self.device)[index].reshape(-1))

    def take(self, chosen: Tensor, n_spikes: int | None = None) -> Events:
        """The samples `chosen`, int64 (n,), in that order.

        Args:
            n_spikes: how many spikes they have together; where known, nothing waits for a device.
        """
        starts, sizes = self.offsets[:-1][chosen], self.offsets.diff()[chosen]
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        total = int(offsets[-1]) if n_spikes is None else n_spikes
        entry = torch.arange(total, device=self.device)
        entry = entry + (starts - offsets[:-1]).repeat_interleave(sizes, output_size=total)
        return Events(
            self.times[entry],
            self.units[entry],
            offsets,
            self.n_units,
            self.duration,
            counts=None if self._counts is None else self._counts[chosen],
            check=False,
        )

    def to(self, *args: Any, **kwargs: Any) -> Events:
        """Move to a device (all tensors) or change the float dtype (times, counts), as `torch.Tensor.to`.

        Raises:
            TypeError: a type other than float32 or float64.
        """
        times = self.times.to(*args, **kwargs)
        if times.dtype not in _FLOATS:
            raise TypeError(f"times must be float32 or float64, got {times.dtype}")
        if times.dtype != self.times.dtype:
            times = within(times, self.duration)
        return Events(
            times,
            self.units.to(times.device),
            self.offsets.to(times.device),
            self.n_units,
            self.duration,
            counts=None if self._counts is None else self._counts.to(*args, **kwargs),
            check=False,
        )

    def pin_memory(self) -> Events:
        """A copy in page-locked memory, for asynchronous transfer to a GPU."""
        return Events(
            self.times.pin_memory(),
            self.units.pin_memory(),
            self.offsets.pin_memory(),
            self.n_units,
            self.duration,
            counts=None if self._counts is None else self._counts.pin_memory(),
            check=False,
        )

    def _repr_html_(self) -> str:
        rows = [
            ("samples", f"{len(self):,}"),
            ("spikes", f"{len(self.times):,}"),
            ("units", f"{self.n_units:,}"),
            ("duration", f"{self.duration:g} ms"),
            ("times", f"{self.times.dtype}, {self.device}"),
        ]
        return html_table("Events", rows)

    def __repr__(self) -> str:
        return (
            f"Events({len(self.times)} spikes, batch {len(self)}, {self.n_units} units, "
            f"{self.duration:g} ms, {self.times.dtype}, {self.device})"
        )


def within(times: Tensor, duration: float) -> Tensor:
    """The times, those that rounding took to `duration` moved to the last one before it; gradients pass."""
    last = torch.nextafter(times.new_full((), duration), times.new_zeros(()))
    return times + (times.detach().clamp(max=last) - times.detach())


def _as_units(x: Any, sample: int) -> Tensor:
    u = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x).reshape(-1)
    if len(u) == 0:
        return u.to(torch.int32)
    if u.is_floating_point() or u.dtype is torch.bool or u.is_complex():
        raise TypeError(f"sample {sample}: units must be integers, got {u.dtype}")
    return u.to(torch.int64)  # narrowed by Events once checked, so that no overflow passes unseen


def _check(times: Tensor, units: Tensor, offsets: Tensor, n_units: int, duration: float, counts: Tensor | None) -> None:
    for name, x in (("times", times), ("units", units), ("offsets", offsets)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(x).__name__}")
        if x.device != times.device:
            raise ValueError(f"{name} is on {x.device}, times on {times.device}")
        if name != "times" and (x.is_floating_point() or x.dtype is torch.bool or x.is_complex()):
            raise TypeError(f"{name} must be integers, got {x.dtype}")
    if times.dtype not in _FLOATS:
        raise TypeError(f"times must be float32 or float64 [ms], got {times.dtype}")
    t, u, o = (x.detach().cpu().numpy() for x in (times, units, offsets))
    check_spikes(t, u, o, check_n_units(n_units), duration)
    if counts is not None and (not counts.is_floating_point() or counts.device != times.device):
        raise TypeError(f"counts must be floating point and on {times.device}, got {counts.dtype} on {counts.device}")
    if counts is not None and counts.shape != (len(offsets) - 1, n_units):
        raise ValueError(f"counts must have shape ({len(offsets) - 1}, {n_units}), got {tuple(counts.shape)}")
