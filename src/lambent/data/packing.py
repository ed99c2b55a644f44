"""Storage and checks of packed spike trains: sample i owns the entries offsets[i]:offsets[i + 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambent.events import Events

Packed = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]
"""Times [ms], units and offsets."""

_BLOCK = 1 << 20  # spikes checked at a time, so that a check needs little memory beside the spikes


def pack_units(units: NDArray[Any], n_units: int) -> NDArray[Any]:
    """Units as uint16, or int32 where there are more than 65,535; they must already be in range."""
    return units.astype(np.uint16 if n_units <= 65535 else np.int32, copy=False)


def as_events(packed: Packed, n_units: int, duration: float) -> Events:
    """Packed spikes, known to be valid, as `Events` that share their memory; units must be int32."""
    times, units, offsets = (torch.from_numpy(x) for x in packed)
    return Events(times, units, offsets, n_units, duration, check=False)


def gather(times: NDArray[Any], units: NDArray[Any], offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> Packed:
    """The `chosen` samples (n,), in the order given, with units as int32."""
    starts, stops = offsets[chosen], offsets[chosen + 1]
    new_offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
    np.cumsum(stops - starts, out=new_offsets[1:])
    new_times = np.empty(new_offsets[-1], dtype=times.dtype)
    new_units = np.empty(new_offsets[-1], dtype=np.int32)
    if len(chosen):
        slices = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
        np.concatenate([times[s] for s in slices], out=new_times)
        np.concatenate([units[s] for s in slices], out=new_units)
    return new_times, new_units, new_offsets


def check_units(units: NDArray[Any], offsets: NDArray[np.int64], n_units: int, first_sample: int = 0) -> None:
    """Raise ValueError, naming sample and entry, if a unit lies outside ``[0, n_units)``."""
    if len(units) and (int(units.min()) < 0 or int(units.max()) >= n_units):
        entry = int(((units < 0) | (units >= n_units)).argmax())
        where = locate(entry, offsets, first_sample)
        raise ValueError(f"{where}: unit {units[entry]} outside [0, {n_units})")


def check_spikes(
    times: NDArray[np.float32],
    units: NDArray[Any],
    offsets: NDArray[np.int64],
    n_units: int,
    duration: float,
) -> None:
    """Validate packed spikes.

    Args:
        times: (n_spikes,) [ms].
        units: (n_spikes,) integers.
        offsets: (samples + 1,).
        n_units: number of units.
        duration: length of every sample [ms].

    Raises:
        ValueError: arrays that do not fit each other, a time that is NaN, negative, at or past `duration`
            or earlier than the one before it, a unit out of range. Names the sample and the entry.
    """
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be positive and finite [ms], got {duration}")
    for name, x in (("times", times), ("units", units), ("offsets", offsets)):
        if x.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {x.shape}")
    if len(times) != len(units):
        raise ValueError(f"{len(times)} times but {len(units)} units")
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(times):
        raise ValueError(f"offsets must run from 0 to the number of spikes ({len(times)})")
    if (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets decrease at sample {int((np.diff(offsets) < 0).argmax())}")
    check_units(units, offsets, n_units)
    for start in range(0, len(times), _BLOCK):
        _check_times(times, offsets, duration, start, min(start + _BLOCK, len(times)))


def _check_times(
    times: NDArray[np.float32], offsets: NDArray[np.int64], duration: float, start: int, stop: int
) -> None:
    t = times[start:stop]
    before = times[max(start - 1, 0) : stop - 1]
    earlier = np.zeros(stop - start, dtype=bool)
    earlier[-len(before) :] = t[-len(before) :] < before if len(before) else False
    firsts = offsets[np.searchsorted(offsets, start) : np.searchsorted(offsets, stop)]
    earlier[firsts - start] = False  # the first spike of a sample follows nothing
    for bad, what in (
        (np.isnan(t), "time is NaN"),
        (t < 0, "negative time"),
        (t >= duration, f"time at or past the duration of {duration:g} ms"),
        (earlier, "earlier than the spike before it"),
    ):
        if bad.any():
            entry = start + int(bad.argmax())
            raise ValueError(f"{locate(entry, offsets)}: {what} (time {times[entry]} ms)")


def locate(entry: int, offsets: NDArray[np.int64], first_sample: int = 0) -> str:
    """Say in words which sample, and which of its entries, a position in packed arrays is."""
    sample = int(np.searchsorted(offsets, entry, side="right")) - 1
    return f"sample {first_sample + sample}, entry {entry - int(offsets[sample])}"
