"""Batches on a device: a data set in its memory, and what `host` does to batches as torch operations there.

No spike passes through the host and nothing loops over spikes. Spikes that are dropped leave padding behind
(`Events.padded`), so that the host need not wait to learn how many are left; `take` waits, and with it `augment.Blend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Generator, Tensor

from lambent.data.dataset import Batch, Indices, SpikeDataset
from lambent.events import Events


class DeviceDataset:
    """A `SpikeDataset` in the memory of a device, 8 bytes a spike, 12 with values; batches are put together there.

    Args:
        dataset: the samples; the host keeps them too.
        device: where they go, for instance "cuda".

    Attributes:
        events: all samples as one batch.
        targets: int64 or float32 (samples, ...) on the device, or None.

    Example:
        >>> words = lb.data.DeviceDataset(lb.data.yin_yang(6, seed=0), "cpu")  # or "cuda"
        >>> events, labels = words.batch([4, 1])
        >>> len(events), labels.device
        (2, device(type='cpu'))
    """

    def __init__(self, dataset: SpikeDataset, device: torch.device | str) -> None:
        self._dataset = dataset
        self._sizes = torch.from_numpy(dataset.offsets).diff()
        times, units, offsets = (torch.tensor(x) for x in (dataset.times, dataset.units, dataset.offsets))
        values = None if dataset.values is None else torch.tensor(dataset.values)
        self.events = Events(times, units, offsets, dataset.n_units, dataset.duration, values, check=False).to(device)
        self.targets = None if dataset.targets is None else torch.tensor(dataset.targets, device=device)
        self.n_units, self.duration = dataset.n_units, dataset.duration
        self.class_names, self.n_classes = dataset.class_names, dataset.n_classes

    @property
    def labels(self) -> Tensor:
        """Class labels int64 (samples,), on the device.

        Raises:
            ValueError: the targets are something else, or there are none.
        """
        _ = self._dataset.labels
        return cast(Tensor, self.targets)

    def __len__(self) -> int:
        return len(self.events)

    def batch(self, indices: Indices) -> Batch:
        """The chosen samples, in the order given: Events and targets (batch, ...), on the device, or None.

        For indices on the host nothing waits for the device.

        Raises:
            IndexError: an index on the host outside the set.
        """
        n_spikes = None
        if not (isinstance(indices, Tensor) and indices.is_cuda):
            indices = torch.from_numpy(self._dataset.positions(indices))
            n_spikes = int(self._sizes[indices].sum())
        chosen = indices.to(self.events.device, non_blocking=True)
        return self.events.take(chosen, n_spikes), None if self.targets is None else self.targets[chosen]

    def batches(self, batch_size: int, shuffle: bool = False, generator: Generator | None = None) -> Iterator[Batch]:
        """Once through the set in batches, as `SpikeDataset.batches`; `generator` is one of the CPU.

        Raises:
            ValueError: `batch_size` below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        order = torch.randperm(len(self), generator=generator) if shuffle else torch.arange(len(self))
        return (self.batch(some) for some in order.split(batch_size))

    def __repr__(self) -> str:
        return f"DeviceDataset({self._dataset!r}, {self.events.device})"


def move(
    events: Events,
    factor: Tensor | None = None,
    time_shift: Tensor | None = None,
    unit_shift: Tensor | None = None,
    keep: Tensor | None = None,
    unit_factor: Tensor | None = None,
) -> Events:
    """As `host.move`; the arguments may also lie on the CPU. `keep` has an entry for every one of `events.padded()`."""
    padded, batch = events.padded(), len(events)
    times, units, sample = padded.times.double(), padded.units, padded.samples()
    inside = sample < batch
    if keep is not None:
        inside &= keep.to(events.device, non_blocking=True)
    sample = sample.clamp(max=batch - 1)
    if factor is not None:
        times = factor.to(events.device, non_blocking=True)[sample] * times
    if time_shift is not None:
        times = times + time_shift.to(events.device, non_blocking=True)[sample]
    if unit_factor is not None or unit_shift is not None:
        middle = units + 0.5
        if unit_factor is not None:
            middle = unit_factor.to(events.device, non_blocking=True)[sample] * middle
        if unit_shift is not None:
            middle = middle + unit_shift.to(events.device, non_blocking=True)[sample]
        units = middle.floor().to(units.dtype)
    times = times.to(padded.times.dtype)  # what is judged is the number rounded to its type
    last = times.new_full((), events.duration)
    inside &= (times >= 0) & (times < last) & (units >= 0) & (units < events.n_units)
    before = torch.cat([events.offsets.new_zeros(1), inside.cumsum(0)])
    place = torch.where(inside, before[:-1], len(times))  # what is dropped goes past the end
    given = (times, units) if padded.values is None else (times, units, padded.values)
    times, units, *values = (x.new_zeros(len(x) + 1).scatter(0, place, x)[:-1] for x in given)
    kept = before[events.offsets]
    return Events(times, units, kept, events.n_units, events.duration, *values, check=False, padded=True)


def sort(events: Events) -> Events:
    """As `host.sort`; padding stays where it is."""
    padded = events.padded()
    sample = padded.samples()
    times = padded.times.masked_fill(sample == len(events), 0.0)
    order = times.argsort(stable=True)
    order = order[sample[order].argsort(stable=True)]
    moved = times[order], padded.units[order], events.offsets
    values = None if padded.values is None else padded.values[order]
    return Events(*moved, events.n_units, events.duration, values, check=False, padded=True)


def take(events: Events, chosen: Tensor) -> Events:
    """As `host.take`."""
    return events.take(chosen)


def centres(events: Events) -> tuple[Tensor, Tensor]:
    """As `host.centres`."""
    spikes, sizes = events.padded(), events.offsets.diff()
    sums = torch.stack([spikes.times.double(), spikes.units.double()], 1)
    sums = sums.new_zeros(len(events) + 1, 2).index_add_(0, spikes.samples(), sums)[:-1]  # without the padding's
    mean = sums / sizes.unsqueeze(1)
    return mean[:, 0], mean[:, 1]
