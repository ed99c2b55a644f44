"""Augmentations of labelled spike trains.

Each is a small object with one method, ``aug(events, labels, generator) -> Events``:

* `events`: a batch as `SpikeDataset`, or on a device `DeviceDataset`, hands it out; it is left as it was.
* `labels`: int64 (batch,), the class of each sample. Only `Blend` looks at it; no augmentation changes it.
* `generator`: the `torch.Generator` all random numbers are drawn from, so that the same generator state and
  the same batch give the same result. For events on a device it may be one of that device, or one of the CPU:
  then the numbers are those that events on the CPU would get, and travel.

The result has the same batch size, units and duration. Spikes that would leave the units or the duration are
dropped, except where a class says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from lambent.data import device, host
from lambent.data.dataset import SpikeDataset
from lambent.events import Events
from lambent.machine.waiting import makes_wait

__all__ = [
    "Augmentation",
    "Blend",
    "Compose",
    "Dilate",
    "Drop",
    "JitterTimes",
    "Mask",
    "ShiftChannels",
    "ShiftTime",
    "WarpChannels",
]


class Augmentation(Protocol):
    """What the training loop calls on every batch."""

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """The batch, changed at random."""
        ...


@dataclass(frozen=True)
class Compose:
    """Several augmentations, one after the other.

    Example:
        >>> noisy = lb.data.augment.Compose([lb.data.augment.ShiftChannels(1), lb.data.augment.Drop(0.1)])
        >>> events, labels = lb.data.yin_yang(4, seed=0).batch([0, 1])
        >>> len(noisy(events, labels, torch.Generator().manual_seed(0)))
        2
    """

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
        if not isinstance(self.max_shift, Integral):
            raise TypeError(f"max_shift must be a whole number, got {self.max_shift!r}")
        if self.max_shift < 0:
            raise ValueError(f"max_shift must not be negative, got {self.max_shift}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one shift a sample."""
        bounds = (-self.max_shift, self.max_shift + 1)
        shift = torch.randint(*bounds, (len(events),), generator=generator, device=generator.device)
        return operations_for(events).move(events, unit_shift=shift)


@dataclass(frozen=True)
class WarpChannels:
    """Shift and stretch each sample along the units, by amounts that need not be whole, as voices differ in pitch and
    in the length of the vocal tract.

    For inputs whose units are an axis, as with `ShiftChannels` (vocal tract length perturbation: Jaitly & Hinton 2013).

    Args:
        shift: the largest shift either way, as a share of the units; drawn evenly.
        stretch: units lie further from the middle of the axis by a factor drawn from
            ``[1 / (1 + stretch), 1 + stretch]``, evenly in its logarithm.

    Example:
        >>> voice = lb.data.augment.WarpChannels(shift=0.03, stretch=0.15)
    """

    shift: float = 0.0
    stretch: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift < 1:
            raise ValueError(f"shift must be a share of the units in [0, 1), got {self.shift}")
        if not 0 <= self.stretch < math.inf:
            raise ValueError(f"stretch must be finite and not negative, got {self.stretch}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws a shift and a factor a sample."""
        shift, factor = 2 * _uniform(2 * len(events), generator).view(2, -1) - 1
        factor = torch.exp(math.log1p(self.stretch) * factor)
        shift = self.shift * events.n_units * shift + (1 - factor) * events.n_units / 2
        return operations_for(events).move(events, unit_factor=factor, unit_shift=shift)


@dataclass(frozen=True)
class Mask:
    """Leave out a band of units and a span of time of each sample (SpecAugment: Park et al. 2019, arXiv:1904.08779).

    Args:
        units: the widest band, as a share of the units; its width is drawn evenly from 0 on, then its place.
        time: the longest span, as the share of the sample's spikes that lie in it, so that a short word loses a short
            span; likewise.

    Example:
        >>> gaps = lb.data.augment.Mask(units=0.2, time=0.1)
    """

    units: float = 0.0
    time: float = 0.0

    def __post_init__(self) -> None:
        for name in ("units", "time"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share in [0, 1], got {getattr(self, name)}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws a width and a place for either, for each sample."""
        operations, spikes = operations_for(events), events.padded()
        draws = _uniform(4 * len(events), generator).view(4, -1).to(events.device, non_blocking=True)
        sample = spikes.samples().clamp(max=len(events) - 1)  # padding's is past the last

        def inside(at: Tensor, width: Tensor, place: Tensor) -> Tensor:
            first = place * (1 - width)
            return (at >= first[sample]) & (at < (first + width)[sample])

        hidden = inside((spikes.units + 0.5) / events.n_units, self.units * draws[0], draws[1])
        number = torch.arange(len(sample), device=events.device) - events.offsets[sample]  # within the sample
        hidden |= inside((number + 0.5) / events.offsets.diff()[sample], self.time * draws[2], draws[3])
        return operations.move(events, keep=~hidden)


@dataclass(frozen=True)
class ShiftTime:
    """Move each sample in time by an amount drawn evenly from ``[-max_ms, max_ms)``.

    Args:
        max_ms: largest shift [ms].
        inside: share of a sample's spikes, the middle ones, that no shift moves out of the duration: it ends there.
    """

    max_ms: float
    inside: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_ms < math.inf:
            raise ValueError(f"max_ms must be finite and not negative, got {self.max_ms}")
        if not 0 <= self.inside <= 1:
            raise ValueError(f"inside must be a share in [0, 1], got {self.inside}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one shift a sample."""
        shift = (2 * _uniform(len(events), generator) - 1) * self.max_ms
        if self.inside:
            room_before, room_behind = self._room(events)
            shift = torch.maximum(torch.minimum(shift.to(events.device, non_blocking=True), room_behind), -room_before)
        return operations_for(events).move(events, time_shift=shift)

    def _room(self, events: Events) -> tuple[Tensor, Tensor]:
        """How far [ms] each sample can go either way; 0 for one without spikes."""
        times = torch.cat([events.padded().times.double(), events.offsets.new_zeros(1, dtype=torch.float64)])
        first, n = events.offsets[:-1], events.offsets.diff()
        skipped = ((1 - self.inside) / 2 * n).long()
        begin = times[first + skipped]
        end = times[(first + n - 1 - skipped).clamp(min=0)]
        return torch.where(n > 0, begin, 0.0), torch.where(n > 0, events.duration - end, 0.0)


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
        spikes = _drawn_for(events, generator)
        dtype, place = spikes.times.dtype, generator.device
        noise = torch.randn(len(spikes.times), generator=generator, device=place, dtype=dtype)
        times = noise.to(events.device, non_blocking=True).mul_(self.std_ms).add_(spikes.times)
        last = float(np.nextafter(np.float32(events.duration), np.float32(0)))
        moved = (times.clamp_(0.0, last), spikes.units, events.offsets)
        return operations_for(events).sort(Events(*moved, events.n_units, events.duration, spikes.values, check=False))


@dataclass(frozen=True)
class Dilate:
    """Stretch each sample in time by a factor drawn from ``[low, high]``, evenly in its logarithm.

    Args:
        low, high: bounds of the factor; below 1 the sample gets shorter.
        about_centre: the mean time of a sample's spikes stays where it is, in place of time 0.
    """

    low: float
    high: float
    about_centre: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise ValueError(f"need 0 < low <= high, got low={self.low}, high={self.high}")

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one factor a sample."""
        span = math.log(self.high / self.low)
        factor = self.low * torch.exp(_uniform(len(events), generator) * span)
        operations = operations_for(events)
        if not self.about_centre:
            return operations.move(events, factor=factor)
        factor = factor.to(events.device, non_blocking=True)
        centre = torch.nan_to_num(operations.centres(events)[0])
        return operations.move(events, factor=factor, time_shift=(1 - factor) * centre)


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
        return operations_for(events).move(events, keep=~_coins(events, self.p, generator))


class Blend:
    """Mix samples with others of their class (Nowotny, Turner & Knight 2025, arXiv:2212.01232).

    A sample to be blended is joined by one drawn evenly from the samples of its class in `dataset`. Both are
    moved, along time and by whole units, half-way towards each other's centre of mass, and each spike of
    either is kept with probability 0.5.

    Where either has values (`Events.values`), those of the other count as 1.

    Args:
        dataset: where partners come from, normally the training set; its arrays are not copied. For events on
            a device, a `DeviceDataset` on that device.
        p: probability that a sample is blended.

    Raises:
        ValueError: `p` is no probability. On a call: the batch differs from `dataset` in units or duration,
            or a label has no sample in `dataset`.
    """

    def __init__(self, dataset: SpikeDataset | device.DeviceDataset, p: float = 0.5) -> None:
        _check_probability(p)
        self.dataset = dataset
        self.p = p
        labels = torch.as_tensor(dataset.labels)
        self._by_class = labels.argsort(stable=True)
        self._sizes = labels.bincount(minlength=dataset.n_classes)
        self._starts = self._sizes.cumsum(0) - self._sizes

    def __call__(self, events: Events, labels: Tensor, generator: Generator) -> Events:
        """Draws one number a sample, one a blended sample and one a spike of the blended pairs."""
        self._check_fit(events, labels)
        draws = torch.rand(len(events), generator=generator, device=generator.device)
        blended = (draws < self.p).nonzero()[:, 0].to(events.device, non_blocking=True)
        if not len(blended):
            return events
        drawn = _uniform(len(blended), generator).to(events.device, non_blocking=True)
        sizes, starts = self._sizes[labels[blended]], self._starts[labels[blended]]
        partners = self._by_class[starts + torch.minimum((drawn * sizes).long(), sizes - 1)]
        own, other = operations_for(events).take(events, blended), self.dataset.batch(partners)[0]
        time_shift, unit_shift = _half_way(own, other)
        own = operations_for(own).move(own, None, time_shift, unit_shift, _coins(own, 0.5, generator))
        other = operations_for(other).move(other, None, -time_shift, -unit_shift, _coins(other, 0.5, generator))
        blends = _pair(own, other)
        source = torch.arange(len(events), device=events.device)
        source[blended] = len(events) + torch.arange(len(own), device=events.device)
        together = Events.cat([events, blends])
        return operations_for(together).take(together, source)

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


def operations_for(events: Events) -> ModuleType:
    """The module whose `move`, `sort`, `take` and `centres` work where the events are.

    Raises:
        ValueError: the spikes carry gradients, which an augmentation would lose.
    """
    spikes = events.padded()
    if spikes.times.requires_grad or (spikes.values is not None and spikes.values.requires_grad):
        raise ValueError("augmentations change data; these spikes carry gradients, as a layer's do: detach them")
    # the compiled loops of `host` know no values
    return host if events.device.type == "cpu" and spikes.values is None else device


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability in [0, 1], got {p}")


def _uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)


def _coins(events: Events, p: float, generator: Generator) -> Tensor:
    """For each spike, True with probability `p`."""
    return torch.rand(len(_drawn_for(events, generator).times), generator=generator, device=generator.device) < p


def _drawn_for(events: Events, generator: Generator) -> Events:
    """What numbers are drawn for: the spikes, or from a device's own generator, its padding too, without waiting."""
    return events.padded() if makes_wait(generator.device) else events


def _pair(first: Events, second: Events) -> Events:
    """Sample b of `first` and sample b of `second` together as one, for every b."""
    n, both = len(first), Events.cat([first, second])
    on = operations_for(both)
    order = torch.arange(2 * n, device=first.device).reshape(2, n).T.flatten()
    both = on.take(both, order)
    both.offsets = both.offsets[::2].contiguous()
    return on.sort(both)


def _half_way(own: Events, other: Events) -> tuple[Tensor, Tensor]:
    """Half of what lies between the centres of mass, time [ms] and whole units; 0 if one has no spikes."""
    (own_time, own_unit), (other_time, other_unit) = (operations_for(x).centres(x) for x in (own, other))
    time_shift = torch.nan_to_num((other_time - own_time) / 2)
    unit_shift = torch.nan_to_num((other_unit - own_unit) / 2).round().long()
    return time_shift, unit_shift
