"""`Events`: a ragged batch of timed spikes, the only thing that passes between layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lambent.events.checks import as_float32, check_n_units, check_spikes, locate, n_steps, warn_of_seconds
from lambent.events.structured import Start, pack_records
from lambent.machine.showing import html_table
from lambent.machine.warn import warn_caller

_FLOATS = (torch.float32, torch.float64)
_SMALL_BATCH = 32  # an axis so short may well be that of the samples


class Events:
    """A batch of spike trains.

    Args:
        times: (n_spikes,) float32 or float64, spike times [ms]; takes part in autograd.
        units: (n_spikes,) integer, the unit of each spike, stored as int32.
        offsets: (batch + 1,) integer, sample ``b`` owns entries ``offsets[b]:offsets[b + 1]``, stored as
            int64.
        n_units: number of units; every unit is in ``[0, n_units)``.
        duration: length of every sample [ms]; every time is in ``[0, duration)``.
        values: (n_spikes,) float, the payload of each spike, stored in the type of `times`; takes part in autograd.
            A spike of value p on a connection of weight w adds p w. None, for spikes that are all 1, costs nothing.
        counts: (batch, n_units) float, differentiable spike counts as a layer hands them out. Left out,
            `counts()` counts the spikes, without a gradient.
        check: validate; the engines, whose output is right by construction, switch it off.
        padded: `times` and `units` may go on past ``offsets[-1]`` (see `padded`).

    Raises:
        TypeError: a tensor has the wrong dtype, the argument is no tensor, or `n_units` no whole number.
        ValueError: unsorted, negative, NaN or too late times, units out of range, broken offsets, values that are not
            finite, `values` or `counts` of another shape. The message names the sample and the entry.

    Warns:
        UserWarning: the times look like seconds: samples of at most 10 ms, 100 spikes or more, and more than three per
            unit and millisecond on average.

    Example:
        >>> events = lb.Events.from_lists([[1.0, 2.5], [0.5]], [[0, 3], [1]], n_units=4, duration=10.0)
        >>> events
        Events(3 spikes, batch 2, 4 units, 10 ms, torch.float32, cpu)
        >>> events[0].times, events.offsets
        (tensor([1.0000, 2.5000]), tensor([0, 2, 3]))
        >>> events.counts().tolist()
        [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
    """

    __slots__ = (
        "_counts", "_padded", "_times", "_units", "_values", "dt", "duration", "n_units", "offsets", "payload_bits"
    )  # fmt: skip
    # Of the layer that they come from, 0 of none known:
    # dt: its time step [ms], None of one in continuous time
    # payload_bits: what its spikes carry

    def __init__(
        self,
        times: Tensor,
        units: Tensor,
        offsets: Tensor,
        n_units: int,
        duration: float,
        values: Tensor | None = None,
        *,
        counts: Tensor | None = None,
        check: bool = True,
        padded: bool = False,
    ) -> None:
        if check:
            _check(times, units, offsets, n_units, duration, counts, values)
            warn_of_seconds(len(times), n_units, len(offsets) - 1, duration)
        units, offsets = units.to(torch.int32), offsets.to(torch.int64)
        values = None if values is None else values.to(times.dtype)
        self._fill(times, units, offsets, counts, int(n_units), float(duration), values, padded)

    def _fill(
        self,
        times: Tensor,
        units: Tensor,
        offsets: Tensor,
        counts: Tensor | None,
        n_units: int,
        duration: float,
        values: Tensor | None = None,
        padded: bool = False,
    ) -> None:
        self._times, self._units, self._values, self.offsets, self._counts = times, units, values, offsets, counts
        self.n_units, self.duration, self._padded = n_units, duration, padded
        self.dt: float | None = 0.0
        self.payload_bits = 0

    def __getstate__(self) -> tuple[Any, ...]:
        """What a copy or a file keeps, without padding."""
        return self.times, self.units, self.offsets, self._counts, self.n_units, self.duration, self.values

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what a file holds.

        Raises:
            TypeError, ValueError: as for a new `Events`.
        """
        times, units, offsets, counts, n_units, duration, *values = state  # older files hold no values
        if not (isinstance(times, Tensor) and times.is_meta):  # of which there is nothing to check
            _check(times, units, offsets, n_units, duration, counts, *values)
        self._fill(*state)

    # -- construction ---------------------------------------------------------------------------------

    @classmethod
    def from_lists(
        cls,
        times: Sequence[Any],
        units: Sequence[Any],
        n_units: int,
        duration: float,
        dtype: torch.dtype = torch.float32,
        values: Sequence[Any] | None = None,
    ) -> Events:
        """Build a batch from one sequence of times [ms], one of units and, if there are any, one of values per sample.

        Raises:
            TypeError: as `Events`, or a sample is no sequence.
            ValueError: as `Events`, or the lists do not fit each other.
        """
        if len(times) != len(units):
            raise ValueError(f"times lists {len(times)} samples, units {len(units)}")
        if values is not None and len(values) != len(times):
            raise ValueError(f"times lists {len(times)} samples, values {len(values)}")
        for name, lists in (("times", times), ("units", units), ("values", () if values is None else values)):
            for b, x in enumerate(lists):
                if np.ndim(x) == 0:
                    raise TypeError(f"sample {b}: {name} must be a sequence of numbers, got {x!r}")
        t = [_as_times(x, duration, dtype) for x in times]
        u = [_as_units(x, b) for b, x in enumerate(units)]
        for b, (tb, ub) in enumerate(zip(t, u, strict=True)):
            if len(tb) != len(ub):
                raise ValueError(f"sample {b}: {len(tb)} times but {len(ub)} units")
        v = None if values is None else [torch.as_tensor(x, dtype=dtype).reshape(-1) for x in values]
        for b, (tb, vb) in enumerate(zip(t, v or (), strict=False)):
            if len(tb) != len(vb):
                raise ValueError(f"sample {b}: {len(tb)} times but {len(vb)} values")
        offsets = torch.tensor([0] + [len(x) for x in t], dtype=torch.int64).cumsum(0)
        return cls(
            torch.cat(t) if t else torch.empty(0, dtype=dtype),
            torch.cat(u) if u else torch.empty(0, dtype=torch.int32),
            offsets,
            n_units,
            duration,
            torch.cat(v) if v else None,
        )

    @classmethod
    def from_dense(
        cls,
        spikes: Tensor | NDArray[Any],
        dt: float,
        dtype: torch.dtype = torch.float32,
        batch_first: bool | None = None,
    ) -> Events:
        """Build a batch from a (batch, steps, units) tensor or array of non-negative integer spike counts per step.

        A count of c gives c spikes at the start of the step, time ``n * dt`` [ms].

        Args:
            spikes: (batch, steps, units), or (steps, batch, units) with ``batch_first=False``.
            dt: length of a step [ms].
            dtype: of the times.
            batch_first: whether the batch is the first axis. Left out it is, and there is a UserWarning if that means
                few steps (32 or less) of over three times as many samples: snnTorch and Norse have time first.

        Raises:
            TypeError: `spikes` is neither a tensor nor an array.
            ValueError: wrong number of dimensions, negative or fractional counts.

        Example:
            >>> lb.Events.from_dense(torch.tensor([[[1, 0], [0, 2]]]), dt=0.5).times
            tensor([0.0000, 0.5000, 0.5000])

            Numbers that are no counts, as the values of graded spikes:

            >>> x = torch.tensor([[[0.5, 0.0], [0.0, -2.0]]])
            >>> lb.Events.from_dense(x != 0, dt=0.5).with_values(x[x != 0]).values
            tensor([ 0.5000, -2.0000])
        """
        if not isinstance(spikes, (Tensor, np.ndarray)):
            raise TypeError(f"spikes must be a tensor or a NumPy array, got {type(spikes).__name__}")
        spikes = torch.as_tensor(spikes)
        if spikes.ndim != 3:
            raise ValueError(f"spikes must be (batch, steps, units), got shape {tuple(spikes.shape)}")
        if not dt > 0:
            raise ValueError(f"dt must be positive, got {dt}")
        if batch_first is None and spikes.shape[0] > 3 * spikes.shape[1] and spikes.shape[1] <= _SMALL_BATCH:
            warn_caller(
                f"spikes of shape {tuple(spikes.shape)} are taken as {spikes.shape[0]} samples of {spikes.shape[1]} "
                "steps. Is time the first axis, as in snnTorch and Norse? Then pass batch_first=False, else "
                "batch_first=True"
            )
        if batch_first is False:
            spikes = spikes.transpose(0, 1)
        b, n, u = spikes.nonzero(as_tuple=True)
        found = spikes[b, n, u]
        repeats = found.to(torch.int64)
        bad = (repeats != found) | (repeats < 0)
        if bad.any():
            i = int(bad.nonzero()[0])
            raise ValueError(
                f"sample {b[i]}, step {n[i]}, unit {u[i]}: {found[i].item()} is no non-negative spike count; "
                "numbers become the values of graded spikes by Events.from_dense(x != 0, dt).with_values(x[x != 0])"
            )
        batch, steps, n_units = spikes.shape
        edges = torch.searchsorted(b, torch.arange(batch + 1, device=b.device))
        offsets = torch.cat([repeats.new_zeros(1), repeats.cumsum(0)])[edges]
        times = (n.repeat_interleave(repeats).to(torch.float64) * dt).to(dtype)
        return cls(times, u.repeat_interleave(repeats).to(torch.int32), offsets, n_units, steps * dt)

    @classmethod
    def from_structured(
        cls,
        records: Any,
        sensor_size: int | Sequence[int],
        duration: float | None = None,
        *,
        time_unit: str = "us",
        start: Start = None,
        crop: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> Events:
        """Build a batch from events as cameras and `tonic` give them: structured arrays with fields x, y, t and p.

        An event is a spike of unit ``(p * height + y) * width + x``: units lie as (polarities, height, width), the last
        axis fastest, as the channels, rows and columns of torch's images. `t` may also be called timestamp or
        ts, and `p` polarity; fields that a sensor of one row or one polarity does not need may be absent. Events that
        are not in the order of time are sorted; those at equal times keep their order.

        Args:
            records: one array, or a sequence with one for each sample; mappings from fields to arrays, such as a loaded
                ``.npz``, will do too.
            sensor_size: (width, height, polarities), as tonic's; one number for units in a row. Of a single polarity
                the values of p don't matter.
            duration: length of every sample [ms]; left out, the first whole millisecond past the last event.
            time_unit: of t: "us" (cameras, tonic), "ns", "ms" or "s".
            start: the t that is time 0, or "first": each sample begins with its first event. Left out it is 0, and
                times that look like those of a camera's clock are refused.
            crop: drop events at or past `duration` instead of raising.
            dtype: of the times.

        Raises:
            TypeError: no structured arrays, or fields of the wrong type.
            ValueError: fields that are missing or don't fit each other, x, y, p or t out of range; names the sample
                and the entry. Or `start` is left out where all samples begin later than 1 s and than any of them lasts.

        Example:
            >>> camera = np.array([(3, 1, 1500, True), (0, 0, 2000, False)], "i2, i2, i8, ?")
            >>> camera.dtype.names = "x", "y", "t", "p"
            >>> events = lb.Events.from_structured(camera, sensor_size=(4, 2, 2))
            >>> events.times, events.units, events.n_units, events.duration
            (tensor([1.5000, 2.0000]), tensor([15,  0], dtype=torch.int32), 16, 3.0)
        """
        if isinstance(records, Mapping) or (isinstance(records, np.ndarray) and records.dtype != object):
            records = [records]
        named = ((f"sample {b}", record) for b, record in enumerate(records))
        kind = torch.empty(0, dtype=dtype).numpy().dtype.type
        packed = pack_records(named, sensor_size, duration, time_unit, start, crop, kind)
        times, units, offsets = (torch.from_numpy(x) for x in packed[:3])
        return cls(times, units, offsets, packed.n_units, packed.duration)

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
            _joined(batches),
            counts=torch.cat([e.counts() for e in batches]) if tracked else None,
            check=False,
        )

    @staticmethod
    def merge(batches: Sequence[Events]) -> Events:
        """Units side by side: sample b of the result has the spikes of sample b of every batch.

        The units of each batch come after those of the batches before it. Gradients of times and counts pass. This
        is how layers are skipped, or how two populations feed one, see the example.

        Raises:
            ValueError: no batches, or they differ in samples, `duration`, device or dtype.

        Example:
            A layer beside a way around it:

            >>> class Skip(torch.nn.Module):
            ...     def __init__(self, layer):
            ...         super().__init__()
            ...         self.layer = layer
            ...
            ...     def forward(self, events):
            ...         return lb.Events.merge([events, self.layer(events)])
            >>> model = torch.nn.Sequential(Skip(lb.LIF(5, 20)), lb.LIReadout(25, 3))
            >>> events, _ = lb.data.yin_yang(4, seed=0).batch(range(4))
            >>> model(events).shape
            torch.Size([4, 3])
        """
        if not batches:
            raise ValueError("Events.merge needs at least one batch")
        first = batches[0]
        for i, e in enumerate(batches):
            for name in ("batch_size", "duration", "device", "dtype"):
                own, other = getattr(first, name), getattr(e, name)
                if own != other:
                    raise ValueError(f"batch {i} has {name} {other}, batch 0 has {own}")
        n_units = np.cumsum([0] + [e.n_units for e in batches])
        check_n_units(n_units[-1])
        times = torch.cat([e.times for e in batches])
        units = torch.cat([e.units + int(n) for e, n in zip(batches, n_units[:-1], strict=True)])
        sample = torch.cat([e.samples() for e in batches])
        order = times.detach().argsort(stable=True)
        order = order[sample[order].argsort(stable=True)]
        tracked = any(e._counts is not None for e in batches)
        values = _joined(batches)
        return Events(
            times[order],
            units[order],
            torch.stack([e.offsets for e in batches]).sum(0),
            int(n_units[-1]),
            first.duration,
            None if values is None else values[order],
            counts=torch.cat([e.counts() for e in batches], 1) if tracked else None,
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

    @property
    def values(self) -> Tensor | None:
        """The payload of each spike, (n_spikes,) in the type of the times; None where all are 1."""
        self._trim()
        return self._values

    def _trim(self) -> None:
        """Cut the padding off, for which the number of spikes must be known: the host waits for the device."""
        if self._padded:
            n_spikes = int(self.offsets[-1])
            self._times, self._units, self._padded = self._times[:n_spikes], self._units[:n_spikes], False
            self._values = None if self._values is None else self._values[:n_spikes]

    def _values_at(self, entries: Tensor) -> Tensor | None:
        """The values of some spikes; None where all are 1."""
        return None if self.values is None else self.values[entries]

    def padded(self) -> Events:
        """The same spikes, for code that can do with padding and so need not wait to know how many there are.

        A layer that runs ahead of a device (`lambent.run_ahead`) hands out buffers with room to spare. Here `times`
        and `units` are those buffers; what follows entry ``offsets[-1]`` is at time 0, of any unit, and belongs to
        the sample `batch_size`.
        """
        return Events(
            self._times, self._units, self.offsets, self.n_units, self.duration, self._values,
            counts=self._counts, check=False,
        )  # fmt: skip

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

    def windowed_counts(self, window: float) -> Tensor:
        """Spikes per sample, window and unit, float (batch, windows, n_units): `to_dense` with long steps.

        Plain counts: a gradient of `counts` enters at all spikes of a unit alike, whatever their window.

        Args:
            window: length of a window [ms]; the last one may reach past `duration`.

        Example:
            >>> events = lb.Events.from_lists([[1.0, 12.0, 13.0]], [[0, 1, 1]], n_units=2, duration=30.0)
            >>> events.windowed_counts(10.0).tolist()
            [[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]]
        """
        return self._dense(window, None)

    def samples(self) -> Tensor:
        """The sample each spike belongs to, int64 (n_spikes,)."""
        if self.device.type != "cpu":  # where a search is much faster than to repeat
            spike = torch.arange(len(self.times), device=self.device)
            return torch.searchsorted(self.offsets[1:], spike, right=True)
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

        Of graded spikes the sums of their values, whose gradients pass.

        Example:
            >>> lb.Events.from_lists([[0.2, 1.7]], [[0, 1]], n_units=2, duration=2.0).to_dense(1.0)
            tensor([[[1., 0.],
                     [0., 1.]]])
        """
        return self._dense(dt, self.values)

    def _dense(self, dt: float, values: Tensor | None) -> Tensor:
        step = self.steps(dt)
        steps = n_steps(self.duration, dt)
        index = (self.samples() * steps + step) * self.n_units + self.units
        size = self.batch_size * steps * self.n_units
        if values is None:
            flat = torch.bincount(index, minlength=size)
        else:
            flat = values.new_zeros(size).index_add(0, index, values)
        return flat.reshape(self.batch_size, steps, self.n_units).to(self.times.dtype)

    @property
    def batch_size(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def dtype(self) -> torch.dtype:
        """Of the times."""
        return self._times.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self._times.device

    def __len__(self) -> int:
        return self.batch_size

    if TYPE_CHECKING:  # Python iterates by `__getitem__`; with `__iter__` tools that walk through containers, such as
        # torchinfo, would take a sample, which is a batch of one, for a container of itself

        def __iter__(self) -> Iterator[Events]: ...

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
            self._values_at(entry),
            counts=None if self._counts is None else self._counts[chosen],
            check=False,
        )

    def select(self, units: Sequence[int] | NDArray[Any] | Tensor) -> Events:
        """The spikes of some units only, numbered anew: ``units[k]`` becomes unit k.

        Gradients of times and counts pass.

        Args:
            units: integers, each at most once; or a mask (n_units,).

        Raises:
            TypeError: these are no integers.
            ValueError: none is chosen, one twice, one outside the units, or a mask of another length.

        Example:
            >>> events = lb.Events.from_lists([[1.0, 2.0, 3.0]], [[0, 2, 1]], n_units=3, duration=5.0)
            >>> events.select([2, 1]).times, events.select([2, 1]).units
            (tensor([2., 3.]), tensor([0, 1], dtype=torch.int32))
        """
        chosen = torch.as_tensor(units, device=self.device)
        if chosen.dtype is torch.bool:
            if chosen.shape != (self.n_units,):
                raise ValueError(f"a mask must have shape ({self.n_units},), got {tuple(chosen.shape)}")
            chosen = chosen.nonzero()[:, 0]
        if chosen.ndim != 1 or not len(chosen):
            raise ValueError(f"units must be at least one, in one dimension, got shape {tuple(chosen.shape)}")
        if chosen.is_floating_point() or chosen.is_complex():
            raise TypeError(f"units must be integers, got {chosen.dtype}")
        chosen = chosen.to(torch.int64)
        if len(outside := chosen[(chosen < 0) | (chosen >= self.n_units)]):
            raise ValueError(f"unit {int(outside[0])} outside [0, {self.n_units})")
        if len(twice := (chosen.bincount() > 1).nonzero()):
            raise ValueError(f"unit {int(twice[0])} is chosen more than once")
        number = torch.full((self.n_units,), -1, dtype=torch.int32, device=self.device)
        number[chosen] = torch.arange(len(chosen), dtype=torch.int32, device=self.device)
        new = number[self.units]
        kept = self.keep(new >= 0)
        counts = None if self._counts is None else self._counts[:, chosen]
        return Events(
            kept.times, new[new >= 0], kept.offsets, len(chosen), self.duration, kept.values, counts=counts, check=False
        )

    def keep(self, mask: Tensor) -> Events:
        """The spikes where `mask` (n_spikes,) is True.

        Gradients of times pass. Of a layer's counts the share that is left of each unit's spikes is kept, and so is
        that share of the gradient.

        Raises:
            TypeError: `mask` is no tensor of booleans.
            ValueError: it has another shape than `times`.

        Example:
            >>> events = lb.Events.from_lists([[1.0, 2.0, 8.0]], [[0, 2, 1]], n_units=3, duration=10.0)
            >>> events.keep(events.times < 5.0).times
            tensor([1., 2.])
        """
        if not isinstance(mask, Tensor) or mask.dtype is not torch.bool:
            raise TypeError(f"mask must be a tensor of booleans, got {getattr(mask, 'dtype', type(mask).__name__)}")
        if mask.shape != self.times.shape:
            raise ValueError(f"mask must have shape {tuple(self.times.shape)}, got {tuple(mask.shape)}")
        before = torch.cat([self.offsets.new_zeros(1), mask.cumsum(0)])
        kept = Events(
            self.times[mask], self.units[mask], before[self.offsets], self.n_units, self.duration,
            self._values_at(mask), check=False,
        )  # fmt: skip
        if self._counts is not None:
            index = self.samples() * self.n_units + self.units
            total = torch.bincount(index, minlength=self._counts.numel()).reshape(self._counts.shape)
            kept._counts = self._counts * (kept.counts() / total.clamp(min=1)).to(self._counts.dtype)
        return kept

    def to(self, *args: Any, **kwargs: Any) -> Events:
        """Move to a device (all tensors) or change the float dtype (times, values, counts), as `torch.Tensor.to`.

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
            None if self.values is None else self.values.to(*args, **kwargs),
            counts=None if self._counts is None else self._counts.to(*args, **kwargs),
            check=False,
        )

    def with_values(self, values: Tensor | None) -> Events:
        """The same spikes with other values (n_spikes,), or without any.

        Raises:
            TypeError, ValueError: as for a new `Events`.

        Example:
            >>> events = lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], n_units=3, duration=10.0)
            >>> events.with_values(torch.tensor([0.5, 2.0])).to_dense(10.0)
            tensor([[[0.5000, 0.0000, 2.0000]]])
        """
        if values is not None:
            _check_values(values, self.times, self.offsets)
        changed = Events(
            self.times, self.units, self.offsets, self.n_units, self.duration, values, counts=self._counts, check=False
        )
        changed.dt = self.dt
        return changed

    def detach(self) -> Events:
        """The same spikes as plain data, which carry no gradients."""
        return Events(
            self.times.detach(),
            self.units,
            self.offsets,
            self.n_units,
            self.duration,
            None if self.values is None else self.values.detach(),
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
            None if self.values is None else self.values.pin_memory(),
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
            *([] if self.values is None else [("values", _span(self.values))]),
        ]
        return html_table("Events", rows)

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """Draw a raster; see `lambent.plot.raster`."""
        return import_module("lambent.plot").raster(self, *args, **kwargs)  # by name: events know nothing of drawing

    def __repr__(self) -> str:
        graded = "" if self.values is None else "graded "
        return (
            f"Events({len(self.times)} {graded}spikes, batch {len(self)}, {self.n_units} units, "
            f"{self.duration:g} ms, {self.times.dtype}, {self.device})"
        )


def within(times: Tensor, duration: float) -> Tensor:
    """The times, those that rounding took to `duration` moved to the last one before it; gradients pass."""
    last = torch.nextafter(times.new_full((), duration), times.new_zeros(()))
    return times + (times.detach().clamp(max=last) - times.detach())


def _joined(batches: Sequence[Events]) -> Tensor | None:
    """The values of batches one after the other, 1 for those that have none; None if no batch has any."""
    if all(e.values is None for e in batches):
        return None
    return torch.cat([torch.ones_like(e.times) if e.values is None else e.values for e in batches])


def _span(values: Tensor) -> str:
    return f"{values.min().item():g} to {values.max().item():g}" if len(values) else "none"


def _as_times(x: Any, duration: float, dtype: torch.dtype) -> Tensor:
    if dtype is not torch.float32 or isinstance(x, Tensor):
        return torch.as_tensor(x, dtype=dtype).reshape(-1)
    return torch.from_numpy(as_float32(np.asarray(x, np.float64).reshape(-1), duration))


def _as_units(x: Any, sample: int) -> Tensor:
    u = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x).reshape(-1)
    if len(u) == 0:
        return u.to(torch.int32)
    if u.is_floating_point() or u.dtype is torch.bool or u.is_complex():
        raise TypeError(f"sample {sample}: units must be integers, got {u.dtype}")
    return u.to(torch.int64)  # narrowed by Events once checked, so that no overflow passes unseen


def _check(
    times: Tensor, units: Tensor, offsets: Tensor, n_units: int, duration: float, counts: Tensor | None,
    values: Tensor | None = None,
) -> None:  # fmt: skip
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
    if values is not None:
        _check_values(values, times, offsets)


def _check_values(values: Tensor, times: Tensor, offsets: Tensor) -> None:
    if not isinstance(values, Tensor):
        raise TypeError(f"values must be a tensor, got {type(values).__name__}")
    if not values.is_floating_point() or values.device != times.device:
        raise TypeError(f"values must be floating point and on {times.device}, got {values.dtype} on {values.device}")
    if values.shape != times.shape:
        raise ValueError(f"values must have shape {tuple(times.shape)}, got {tuple(values.shape)}")
    finite = torch.isfinite(values.detach().to(times.dtype))
    if not finite.all():
        entry = int((~finite).nonzero()[0])
        raise ValueError(f"{locate(entry, offsets.cpu().numpy())}: value {values[entry].item()} is not finite")
