"""Batches of an epoch, from a data set or from whatever else gives batches, the same whenever they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from lambent.data import DeviceDataset, SpikeDataset
from lambent.events import Events
from lambent.training.state import generator


class Batches(Protocol):
    """What a trainer takes its batches from."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[Events, Any]]:
        """The batches of an epoch in its order, from number `first` on."""

    def in_order(self, size: int) -> Iterator[tuple[Events, Any]]:
        """All samples once, in their own order."""


class OfDataset:
    """Shuffled batches of a data set in memory or on a device."""

    def __init__(self, data: SpikeDataset | DeviceDataset, batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.batch_size)

    def epoch(self, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[Events, Any]]:
        """See `Batches`."""
        order = torch.randperm(len(self.data), generator=generator(seed, 1, epoch))
        for chosen in order.split(self.batch_size)[first:]:
            yield self.data.batch(chosen)

    def in_order(self, size: int) -> Iterator[tuple[Events, Any]]:
        """See `Batches`."""
        yield from self.data.batches(size)


class OfLoader:
    """The batches of a `torch.utils.data.DataLoader` or any other iterable of (events, targets) with a length."""

    def __init__(self, loader: Iterable[Any], device: torch.device) -> None:
        if not hasattr(loader, "__len__"):
            raise TypeError(f"data must be a SpikeDataset or batches with a length, got {type(loader).__name__}")
        self.loader, self.device = loader, device

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def _moved(self) -> Iterator[tuple[Any, Any]]:
        for batch in self.loader:
            if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
                raise TypeError(f"batches must be pairs of lambent.Events and targets, got {type(batch).__name__}")
            events, targets = batch
            if not isinstance(events, (Events, Tensor)):  # tensors are for models that begin with an encoder
                raise TypeError(
                    f"batches must be pairs of lambent.Events and targets, got {type(events).__name__} for events"
                )
            yield events.to(self.device), targets.to(self.device) if hasattr(targets, "to") else targets

    def epoch(self, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[Events, Any]]:
        """See `Batches`; the order is that of torch's own random numbers, seeded for the epoch."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator(seed, 1, epoch).initial_seed())
            for n, batch in enumerate(self._moved()):
                if n >= first:
                    yield batch

    def in_order(self, size: int) -> Iterator[tuple[Events, Any]]:
        """See `Batches`."""
        yield from self._moved()
