"""Samples of structured events as a data set: of tonic, of a list, or one after the other from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lambent.data.dataset import SpikeDataset
from lambent.events import Start, pack_records

Sample = tuple[str, Any, Any]
"""What a sample is called in messages, its events, its target."""


def from_tonic(
    dataset: Any,
    sensor_size: int | Sequence[int] | None = None,
    duration: float | None = None,
    *,
    time_unit: str = "us",
    start: Start = None,
    crop: bool = False,
    progress: bool = True,
) -> SpikeDataset:
    """A data set of tonic, or anything like it: a sequence of pairs, structured events and target.

    tonic is not needed for it; install it yourself (it is under the GPL) and make the set without a transform.

    Args:
        dataset: with ``len(dataset)`` and ``dataset[i]``, events with fields x, y, t, p as `Events.from_structured`
            takes them, and a target: a class label or a class name, numbers, or None.
        sensor_size: (width, height, polarities); left out, ``dataset.sensor_size``.
        duration: length of every sample [ms]. Give training and test set the same. Left out, the first whole
            millisecond past the last event.
        time_unit, start, crop: as for `Events.from_structured`.
        progress: show a bar on a terminal.

    Raises:
        TypeError, ValueError: as `Events.from_structured` and `SpikeDataset`; names the sample.

    Example:
        >>> fields = [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")]
        >>> waves = [np.array([(3, 1, 1500, True)], fields), np.array([(0, 0, 900, False)], fields)]
        >>> samples = [(waves[0], "left"), (waves[1], "right")]
        >>> data = lb.data.from_tonic(samples, sensor_size=(4, 2, 2))
        >>> data, data.class_names
        (SpikeDataset(2 samples, 2 classes, 2 spikes (1 a sample), 16 units, 2 ms), ['left', 'right'])
    """
    if sensor_size is None:
        sensor_size = getattr(dataset, "sensor_size", None)
    if sensor_size is None:
        raise ValueError("the data set does not say its sensor_size; pass (width, height, polarities)")
    names = getattr(dataset, "classes", None)
    names = list(names) if isinstance(names, (list, tuple)) and all(isinstance(x, str) for x in names) else None
    return from_samples(_samples(dataset, progress), sensor_size, duration, names, time_unit, start, crop)


def from_samples(
    samples: Iterable[Sample],
    sensor_size: int | Sequence[int],
    duration: float | None,
    class_names: Sequence[str] | None = None,
    time_unit: str = "us",
    start: Start = None,
    crop: bool = False,
) -> SpikeDataset:
    """A data set of samples, of which one at a time is in memory as it was given."""
    targets: list[Any] = []

    def records() -> Iterator[tuple[str, Any]]:
        for name, events, target in samples:
            targets.append(target)
            yield name, events

    packed = pack_records(records(), sensor_size, duration, time_unit, start, crop)
    labels, class_names = _labels(targets, class_names)
    return SpikeDataset(*packed[:3], labels, packed.n_units, packed.duration, class_names)


def _samples(dataset: Any, progress: bool) -> Iterator[Sample]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    hidden = not (progress and console.is_terminal)
    for i in track(range(len(dataset)), "reading", console=console, transient=True, disable=hidden):
        sample = dataset[i]
        if not isinstance(sample, tuple) or len(sample) != 2:
            raise TypeError(f"sample {i}: expected a pair (events, target), got {type(sample).__name__}")
        yield f"sample {i}", *sample


def _labels(targets: list[Any], class_names: Sequence[str] | None) -> tuple[Any, Sequence[str] | None]:
    """Targets as an array, or None, and the names of classes."""
    if all(x is None for x in targets):
        return None if targets else [], None
    if all(isinstance(x, str) for x in targets):
        class_names = sorted(set(targets))
        return np.array([class_names.index(x) for x in targets]), class_names
    try:
        labels = np.array([np.asarray(x) for x in targets])
    except ValueError:
        raise ValueError("targets must have one shape; theirs differ") from None
    classes = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    return labels, class_names if classes else None
