"""Augmentations of labelled spike trains.

Each is a small object with one method, ``aug(events, labels, generator) -> Events``:

* `events`: a batch on the CPU, as `SpikeDataset` hands it out; it is left as it was.
* `labels`: int64 (batch,), the class of each sample. Only `Blend` looks at it; no augmentation changes it.
* `generator`: the `torch.Generator` all random numbers are drawn from, so that the same generator state and
  the same batch give the same result.

The result has the same batch size, units and duration. Spikes that would leave the units or the duration are
dropped, except where a class says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from lambent.data.dataset import SpikeDataset
from lambent.data.kernels import centres, move_spikes, sort_samples
from lambent.data.packing import Packed, as_events, gather
from lambent.events import Events

__all__ = [
    "Augmentation",
    "Blend",
    "Compose",
    "Dilate",
    "Drop",
    "JitterTimes",
    "ShiftChannels",
    "ShiftTime",
]


class Augmentation(Protocol):
    """What the training loop calls on every batch."""

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """The batch, changed at random."""
        ...


@dataclass(frozen=True)
class Compose:
    """Several augmentations, one after the other."""

    steps: Sequence[Augmentation]

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """The batch after all steps."""
        for step in self.steps:
            events = step(events, labels, generator)
        return events


@dataclass(frozen=True)
class ShiftChannels:
    """Move each sample along the units by a whole number drawn evenly from ``-max_shift .. max_shift``.

    For inputs whose units are an axis, such as the frequency channels of a cochlea (Nowotny, Turner & Knight
    2025, arXiv:2212.01232).

    Args:
        max_shift: largest shift [units].
    """

    max_shift: int

    def __post_init__(self) -> None:
        if self.max_shift < 0:
            raise ValueError(f"max_shift must not be negative, got {self.max_shift}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one shift a sample."""
        shift = torch.randint(-self.max_shift, self.max_shift + 1, (len(events),), generator=generator)
        return _move(events, unit_shift=shift)


@dataclass(frozen=True)
class ShiftTime:
    """Move each sample in time by an amount drawn evenly from ``[-max_ms, max_ms)``.

    Args:
        max_ms: largest shift [ms].
    """

    max_ms: float

    def __post_init__(self) -> None:
        if not 0 <= self.max_ms < math.inf:
            raise ValueError(f"max_ms must be finite and not negative, got {self.max_ms}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one shift a sample."""
        shift = (2 * _uniform(len(events), generator) - 1) * self.max_ms
        return _move(events, time_shift=shift)


@dataclass(frozen=True)
class JitterTimes:
    """Move each spike in time by a Gaussian amount. Spikes past an end of the sample are put at that end.

    Args:
        std_ms: standard deviation [ms].
    """

    std_ms: float

    def __post_init__(self) -> None:
        if not 0 <= self.std_ms < math.inf:
            raise ValueError(f"std_ms must be finite and not negative, got {self.std_ms}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one normal number a spike."""
        noise = torch.randn(len(events.times), generator=generator, dtype=events.times.dtype)
        times = noise.mul_(self.std_ms).add_(events.times)
        last = float(np.nextafter(np.float32(events.duration), np.float32(0)))
        moved = (times.clamp_(0.0, last), events.units, events.offsets)
        return _sorted(Events(*moved, events.n_units, events.duration, check=False))


@dataclass(frozen=True)
class Dilate:
    """Stretch each sample in time by a factor drawn from ``[low, high]``, evenly in its logarithm.

    Args:
        low, high: bounds of the factor; below 1 the sample gets shorter.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise ValueError(f"need 0 < low <= high, got low={self.low}, high={self.high}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one factor a sample."""
        span = math.log(self.high / self.low)
        factor = self.low * torch.exp(_uniform(len(events), generator) * span)
        return _move(events, factor=factor)


@dataclass(frozen=True)
class Drop:
    """Leave out each spike with a probability.

    Args:
        p: probability in ``[0, 1]``.
    """

    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p)

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one number a spike."""
        keep = torch.rand(len(events.times), generator=generator) >= self.p
        return _move(events, keep=keep)


class Blend:
    """Mix samples with others of their class (Nowotny, Turner & Knight 2025, arXiv:2212.01232).

    A sample to be blended is joined by one drawn evenly from the samples of its class in `dataset`. Both are
    moved, along time and by whole units, half-way towards each other's centre of mass, and each spike of
    either is kept with probability 0.5.

    Args:
        dataset: where partners come from, normally the training set; its arrays are not copied.
        p: probability that a sample is blended.

    Raises:
        ValueError: `p` is no probability. On a call: the batch differs from `dataset` in units or duration,
            or a label has no sample in `dataset`.
    """

    def __init__(self, dataset: SpikeDataset, p: float = 0.5) -> None:
        _check_probability(p)
        self.dataset = dataset
        self.p = p
        self._by_class = torch.from_numpy(np.argsort(dataset.labels, kind="stable"))
        self._sizes = torch.from_numpy(np.bincount(dataset.labels, minlength=dataset.n_classes))
        self._starts = self._sizes.cumsum(0) - self._sizes

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one number a sample, one a blended sample and one a spike of the blended pairs."""
        self._check_fit(events, labels)
        blended = torch.rand(len(events), generator=generator) < self.p
        if not blended.any():
            return events
        drawn = _uniform(int(blended.sum()), generator)
        sizes, starts = self._sizes[labels[blended]], self._starts[labels[blended]]
        partners = self._by_class[starts + (drawn * sizes).long().clamp_(max=sizes - 1)]
        own, other = _take(events, blended.nonzero()[:, 0]), self.dataset.batch(partners)[0]
        time_shift, unit_shift = _half_way(own, other)
        own = _move(own, None, time_shift, unit_shift, _coins(own, generator))
        other = _move(other, None, -time_shift, -unit_shift, _coins(other, generator))
        blends = _pair(own, other)
        source = torch.arange(len(events))
        source[blended] = len(events) + torch.arange(len(own))
        return _take(Events.cat([events, blends]), source)

    def _check_fit(self, events: Events, labels: Tensor) -> None:
        d = self.dataset
        if (events.n_units, events.duration) != (d.n_units, d.duration):
            raise ValueError(
                f"the batch has {events.n_units} units and {events.duration:g} ms, "
                f"the data set of Blend {d.n_units} units and {d.duration:g} ms"
            )
        known = (labels >= 0) & (labels < len(self._sizes))
        known &= self._sizes[labels.clamp(0, len(self._sizes) - 1)] > 0
        if not known.all():
            raise ValueError(f"the data set of Blend has no sample of class {int(labels[~known][0])}")

    def __repr__(self) -> str:
        return f"Blend({self.dataset!r}, p={self.p})"


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability in [0, 1], got {p}")


def _uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _coins(events: Events, generator: Generator) -> Tensor:
    return torch.rand(len(events.times), generator=generator) < 0.5


def _move(
    events: Events,
    factor: Tensor | None = None,
    time_shift: Tensor | None = None,
    unit_shift: Tensor | None = None,
    keep: Tensor | None = None,
) -> Events:
    """`move_spikes` for `Events`; what is left out changes nothing."""
    times, units, offsets = _arrays(events)
    n = len(events)
    packed = move_spikes(
        times,
        units,
        offsets,
        np.ones(n) if factor is None else factor.numpy(),
        np.zeros(n) if time_shift is None else time_shift.numpy(),
        np.zeros(n, dtype=np.int64) if unit_shift is None else unit_shift.numpy(),
        np.ones(len(times), dtype=np.bool_) if keep is None else keep.numpy(),
        events.n_units,
        times.dtype.type(events.duration),
    )
    return as_events(packed, events.n_units, events.duration)


def _sorted(events: Events) -> Events:
    """The batch, sorted by time inside each sample."""
    times, units, offsets = _arrays(events)
    times, units = sort_samples(times, units, offsets, events.duration)
    return as_events((times, units, offsets), events.n_units, events.duration)


def _take(events: Events, chosen: Tensor) -> Events:
    """The chosen samples; quicker than indexing, for there are no gradients to keep."""
    return as_events(gather(*_arrays(events), chosen.numpy()), events.n_units, events.duration)


def _pair(first: Events, second: Events) -> Events:
    """Sample b of `first` and sample b of `second` together as one, for every b."""
    n = len(first)
    both = _take(Events.cat([first, second]), torch.arange(2 * n).reshape(2, n).T.flatten())
    both.offsets = both.offsets[::2].contiguous()
    return _sorted(both)


def _half_way(own: Events, other: Events) -> tuple[Tensor, Tensor]:
    """Half of what lies between the centres of mass, time [ms] and whole units; 0 if one has no spikes."""
    (own_time, own_unit), (other_time, other_unit) = centres(*_arrays(own)), centres(*_arrays(other))
    time_shift = np.nan_to_num((other_time - own_time) / 2)
    unit_shift = np.nan_to_num((other_unit - own_unit) / 2).round().astype(np.int64)
    return torch.from_numpy(time_shift), torch.from_numpy(unit_shift)


def _arrays(events: Events) -> Packed:
    return events.times.numpy(), events.units.numpy(), events.offsets.numpy()
