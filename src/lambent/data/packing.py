"""Storage of packed spike trains: sample i owns the entries offsets[i]:offsets[i + 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambent.events import Events, locate

Packed = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]
"""Times [ms], units and offsets."""


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
