"""Storage of packed spike trains: sample i owns the entries offsets[i]:offsets[i + 1]."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lambent.events import Events, locate


class Packed(NamedTuple):
    """Times [ms], units, offsets, and values where spikes have any."""

    times: NDArray[Any]
    units: NDArray[Any]
    offsets: NDArray[np.int64]
    values: NDArray[Any] | None = None


def pack_units(units: NDArray[Any], n_units: int) -> NDArray[Any]:
    """Units as uint16, or int32 where there are more than 65,535; they must already be in range."""
    return units.astype(np.uint16 if n_units <= 65535 else np.int32, copy=False)


def as_events(packed: Packed, n_units: int, duration: float) -> Events:
    """Packed spikes, known to be valid, as `Events` that share their memory; units must be int32."""
    times, units, offsets = (torch.from_numpy(x) for x in packed[:3])
    values = None if packed.values is None else torch.from_numpy(packed.values)
    return Events(times, units, offsets, n_units, duration, values, check=False)


def gather(packed: Packed, chosen: NDArray[np.int64]) -> Packed:
    """The `chosen` samples (n,), in the order given, with units as int32."""
    starts, stops = packed.offsets[chosen], packed.offsets[chosen + 1]
    offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
    np.cumsum(stops - starts, out=offsets[1:])
    slices = [slice(a, b) for a, b in zip(starts, stops, strict=True)]

    def joined(x: NDArray[Any], kind: Any) -> NDArray[Any]:
        new = np.empty(offsets[-1], dtype=kind)
        if slices:
            np.concatenate([x[s] for s in slices], out=new)
        return new

    values = None if packed.values is None else joined(packed.values, packed.values.dtype)
    return Packed(joined(packed.times, packed.times.dtype), joined(packed.units, np.int32), offsets, values)


def check_units(units: NDArray[Any], offsets: NDArray[np.int64], n_units: int, first_sample: int = 0) -> None:
    """Raise ValueError, naming sample and entry, if a unit lies outside ``[0, n_units)``."""
    if len(units) and (int(units.min()) < 0 or int(units.max()) >= n_units):
        entry = int(((units < 0) | (units >= n_units)).argmax())
        where = locate(entry, offsets, first_sample)
        raise ValueError(f"{where}: unit {units[entry]} outside [0, {n_units})")
