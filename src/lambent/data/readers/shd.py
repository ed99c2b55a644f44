"""Reading of files in the layout of the Heidelberg data sets (Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lambent.data.packing import check_units, pack_units
from lambent.events import check_n_units
from lambent.machine.hdf5 import ROWS, Hdf5, check_seal, find_rows, holds, open_hdf5, read_attribute, read_column
from lambent.machine.hdf5_heap import Rows

T = TypeVar("T")

_SHD_UNITS = 700


def read_shd(path: Path, duration: float | None, n_units: int | None, crop: bool) -> dict[str, Any]:
    """Read a file into the arguments of `SpikeDataset`, which see; units are checked, times are not.

    The spikes are never in memory twice: a gzipped file is unpacked into an unnamed temporary file, and what
    `write_shd` wrote is compared with its digest before. Nothing is looked at that lies outside of the file.
    """
    with open_hdf5(path) as h5:
        try:
            return _read(h5, duration, n_units, crop)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _read(h5: Hdf5, duration: float | None, n_units: int | None, crop: bool) -> dict[str, Any]:
    for name in ("spikes/times", "spikes/units", "labels"):
        if not holds(h5, name):
            raise ValueError(f"no dataset {name}")
    times, units = find_rows(h5, "spikes/times", "f"), find_rows(h5, "spikes/units", "iu")
    labels = read_column(h5, "labels", "iu")
    if not len(times) == len(units) == len(labels):
        raise ValueError(f"spikes/times has {len(times)} rows, spikes/units {len(units)}, labels {len(labels)}")
    check_seal(h5)
    keys = read_column(h5, "extra/keys", "SO") if holds(h5, "extra/keys") else None
    speakers = read_column(h5, "extra/speaker", "iu") if holds(h5, "extra/speaker") else None
    files = read_column(h5, "extra/files", "SO") if holds(h5, "extra/files") else None
    level = read_attribute(h5, "level", "S", ())
    if n_units is None:
        n_units = _noted(h5, "n_units", "iu", int, check_n_units) or _SHD_UNITS
    n_units = check_n_units(n_units)
    if duration is None:
        duration = _noted(h5, "duration_ms", "iuf", float, _check_duration)
    if crop and duration is None:
        raise ValueError("crop=True needs a duration to crop to")
    packed = _read_spikes(times, units, n_units, duration if crop else None)
    if duration is None:
        last = packed[0].max(where=np.isfinite(packed[0]), initial=0.0)  # what is not finite is found later
        duration = float(np.floor(last)) + 1.0
    return dict(
        zip(("times", "units", "offsets"), packed, strict=True),
        labels=labels,
        n_units=n_units,
        duration=duration,
        class_names=None if keys is None else [k.decode(errors="replace") for k in keys],
        speakers=speakers,
        files=None if files is None else [os.fsdecode(name) for name in files],
        level=None if level is None else level.item().decode(errors="replace"),
    )


def milliseconds(seconds: NDArray[Any]) -> NDArray[np.float32]:
    """Times in a file [s] as `SpikeDataset` keeps them."""
    return (seconds.astype(np.float64) * 1e3).astype(np.float32)


def _noted(h5: Hdf5, name: str, kinds: str, kind: type, check: Callable[[Any], T]) -> T | None:
    """A number that is an attribute of the file, checked; None if it has none of this name."""
    found = read_attribute(h5, name, kinds, ())
    try:
        return None if found is None else check(kind(found))
    except (TypeError, ValueError) as error:
        raise ValueError(f"attribute {name}: {error}") from error


def _check_duration(x: float) -> float:
    if not 0 < x < np.inf:
        raise ValueError(f"duration must be positive and finite [ms], got {x!r}")
    return x


def _read_spikes(
    times: Rows, units: Rows, n_units: int, crop_at: float | None
) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.int64]]:
    """All spikes as (times [ms], units, offsets), without those at or past `crop_at` [ms]."""
    if (times.lengths != units.lengths).any():
        i = int((times.lengths != units.lengths).argmax())
        raise ValueError(f"sample {i} has {times.lengths[i]} spikes/times but {units.lengths[i]} spikes/units")
    total = int(times.lengths.sum())
    all_times = np.empty(total, dtype=np.float32)
    all_units = pack_units(np.empty(total, dtype=np.uint16), n_units)
    offsets = np.zeros(len(times) + 1, dtype=np.int64)
    end = 0
    for first in range(0, len(times), ROWS):
        ms, u = milliseconds(times.read(first, first + ROWS)), units.read(first, first + ROWS)
        inside = np.concatenate([[0], np.cumsum(times.lengths[first : first + ROWS])])
        try:
            check_units(u, inside, n_units, first)
        except ValueError as e:
            raise ValueError(f"spikes/units: {e}") from e
        if crop_at is not None:
            keep = ~(ms >= crop_at)  # NaN stays, to be found later
            ms, u = ms[keep], u[keep]
            inside = np.concatenate([[0], np.cumsum(keep)])[inside]
        all_times[end : end + len(ms)] = ms
        all_units[end : end + len(u)] = u
        offsets[first + 1 : first + len(inside)] = end + inside[1:]
        end += len(ms)
    return all_times[:end], all_units[:end], offsets
