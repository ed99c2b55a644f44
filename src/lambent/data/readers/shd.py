"""Reading of files in the layout of the Heidelberg data sets (Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lambent.data.packing import Packed, check_units, pack_units
from lambent.events import check_n_units, locate, time_scale
from lambent.machine.hdf5 import (
    ROWS,
    Hdf5,
    check_seal,
    find_rows,
    has_attribute,
    holds,
    open_hdf5,
    read_attribute,
    read_column,
)
from lambent.machine.hdf5_heap import Rows

T = TypeVar("T")

_SHD_UNITS = 700
_SHD_FILES = ("shd_train", "shd_test", "ssc_train", "ssc_valid", "ssc_test")
_SAY_UNIT = 'say what they are: time_unit="s", "ms", "us" or "ns" (--time-unit)'
_LONG = 10.0  # s; samples that last longer are taken for ones in another unit of time


def read_shd(
    path: Path, duration: float | None, n_units: int | None, crop: bool, time_unit: str | None
) -> dict[str, Any]:
    """Read a file into the arguments of `SpikeDataset`, which see; units are checked, times are not.

    The spikes are never in memory twice: a gzipped file is unpacked into an unnamed temporary file, and what
    `write_shd` wrote is compared with its digest before. Nothing is looked at that lies outside of the file.
    """
    scale = time_scale(time_unit or "s")
    with open_hdf5(path) as h5:
        try:
            return _read(h5, duration, n_units, crop, time_unit, scale, path.name)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _read(
    h5: Hdf5, duration: float | None, n_units: int | None, crop: bool, time_unit: str | None, scale: float, name: str
) -> dict[str, Any]:
    for needed in ("spikes/times", "spikes/units", "labels"):
        if not holds(h5, needed):
            raise ValueError(f"no dataset {needed}")
    times, units = find_rows(h5, "spikes/times", "fiu"), find_rows(h5, "spikes/units", "iu")
    values = find_rows(h5, "spikes/values", "fiu") if holds(h5, "spikes/values") else None
    labels = read_column(h5, "labels", "iu")
    if values is not None and len(values) != len(times):
        raise ValueError(f"spikes/times has {len(times)} rows, spikes/values {len(values)}")
    if not len(times) == len(units) == len(labels):
        raise ValueError(f"spikes/times has {len(times)} rows, spikes/units {len(units)}, labels {len(labels)}")
    check_seal(h5)
    keys = read_column(h5, "extra/keys", "SO") if holds(h5, "extra/keys") else None
    speakers = read_column(h5, "extra/speaker", "iu") if holds(h5, "extra/speaker") else None
    files = read_column(h5, "extra/files", "SO") if holds(h5, "extra/files") else None
    level = read_attribute(h5, "level", "S", ())
    n_units = _number_of_units(units, h5, name, n_units)
    ours = has_attribute(h5, "duration_ms")
    if ours and time_unit not in (None, "s"):
        raise ValueError(f"its times are in seconds, as lambent writes them, not in {time_unit}")
    if not ours and time_unit is None and times.dtype.kind != "f":
        raise ValueError(f"spikes/times holds {times.dtype}, and seconds are floats; {_SAY_UNIT}")
    if duration is None:
        duration = _noted(h5, "duration_ms", "iuf", float, _check_duration)
    if crop and duration is None:
        raise ValueError("crop=True needs a duration to crop to")
    packed, latest = _read_spikes(times, units, values, n_units, duration if crop else None, scale)
    seconds = latest * 1e-3
    if not ours and time_unit is None and seconds > _LONG and (duration is None or latest >= duration):
        raise ValueError(f"spikes/times go up to {seconds:g}, a long time for the seconds of this layout; {_SAY_UNIT}")
    return dict(
        packed._asdict(),
        labels=labels,
        n_units=n_units,
        duration=float(np.floor(latest)) + 1.0 if duration is None else duration,
        class_names=None if keys is None else [k.decode(errors="replace") for k in keys],
        speakers=speakers,
        files=None if files is None else [os.fsdecode(name) for name in files],
        level=None if level is None else level.item().decode(errors="replace"),
    )


def _number_of_units(units: Rows, h5: Hdf5, name: str, wanted: int | None) -> int:
    """How many units there are: what the file says, by itself or as one of the Heidelberg sets, else `wanted`.

    Where neither is there, as many as the largest needs.

    Raises:
        ValueError: the two contradict each other.
    """
    said = None
    try:
        said = _noted(h5, "n_units", "iu", int, check_n_units)
    except ValueError:  # damaged, which is no matter where the number is given
        if wanted is None:
            raise
    if said is None and (name.lower().split(".")[0] in _SHD_FILES or holds(h5, "extra/meta_info")):
        said = _SHD_UNITS
    if wanted is not None:
        wanted = check_n_units(wanted)
        if said not in (None, wanted):
            raise ValueError(f"its spikes are of {said} units, {wanted} are wanted")
        return wanted
    if said is not None:
        return said
    if not units.lengths.any():
        raise ValueError("without spikes it does not say how many units there are; give n_units (--n-units)")
    blocks = (units.read(first, first + ROWS) for first in range(0, len(units), ROWS))
    return max(0, *(int(block.max(initial=0)) for block in blocks), 0) + 1


def milliseconds(times: NDArray[Any], scale: float = 1e3) -> NDArray[np.float32]:
    """Times in a file, of a unit of `scale` ms, as `SpikeDataset` keeps them."""
    with np.errstate(over="ignore"):  # infinite then, which is refused
        return (times.astype(np.float64) * scale).astype(np.float32)


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
    times: Rows, units: Rows, values: Rows | None, n_units: int, crop_at: float | None, scale: float
) -> tuple[Packed, float]:
    """All spikes, without those at or past `crop_at` [ms]; and the latest time [ms]."""
    for name, rows in (("units", units), ("values", values)):
        if rows is not None and (times.lengths != rows.lengths).any():
            i = int((times.lengths != rows.lengths).argmax())
            raise ValueError(f"sample {i} has {times.lengths[i]} spikes/times but {rows.lengths[i]} spikes/{name}")
    total = int(times.lengths.sum())
    all_times = np.empty(total, dtype=np.float32)
    all_units = pack_units(np.empty(total, dtype=np.uint16), n_units)
    all_values = None if values is None else np.empty(total, dtype=np.float32)
    offsets = np.zeros(len(times) + 1, dtype=np.int64)
    end, latest = 0, 0.0
    for first in range(0, len(times), ROWS):
        ms, u = milliseconds(times.read(first, first + ROWS), scale), units.read(first, first + ROWS)
        latest = max(latest, float(ms.max(where=np.isfinite(ms), initial=0.0)))  # what is not finite is found later
        inside = np.concatenate([[0], np.cumsum(times.lengths[first : first + ROWS])])
        try:
            check_units(u, inside, n_units, first)
        except ValueError as e:
            raise ValueError(f"spikes/units: {e}; n_units (--n-units) says how many there are") from e
        v = None if values is None else _read_values(values, inside, first)
        if crop_at is not None:
            keep = ~(ms >= crop_at)  # NaN stays, to be found later
            ms, u, v = ms[keep], u[keep], None if v is None else v[keep]
            inside = np.concatenate([[0], np.cumsum(keep)])[inside]
        all_times[end : end + len(ms)] = ms
        all_units[end : end + len(u)] = u
        if all_values is not None:
            all_values[end : end + len(ms)] = v
        offsets[first + 1 : first + len(inside)] = end + inside[1:]
        end += len(ms)
    return Packed(all_times[:end], all_units[:end], offsets, None if all_values is None else all_values[:end]), latest


def _read_values(values: Rows, offsets: NDArray[np.int64], first: int) -> NDArray[np.float32]:
    """The values of the samples from `first` on."""
    found = values.read(first, first + ROWS)
    with np.errstate(over="ignore"):  # infinite then
        kept = found.astype(np.float32)
    if not (finite := np.isfinite(kept)).all():
        entry = int((~finite).argmax())
        where = locate(entry, offsets, first)
        raise ValueError(f"spikes/values: {where}: value {found[entry]} is not finite, as float32")
    return kept
