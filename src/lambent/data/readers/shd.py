"""Reading of files in the layout of the Heidelberg data sets (Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364)."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from lambent.data.packing import check_units, pack_units
from lambent.events import check_n_units

T = TypeVar("T")

_ROWS = 128  # samples read at a time: HDF5 hands out every row as an array of its own
_SHD_UNITS = 700


def read_shd(path: Path, duration: float | None, n_units: int | None, crop: bool) -> dict[str, Any]:
    """Read a file into the arguments of `SpikeDataset`, which see; units are checked, times are not.

    The spikes are never in memory twice: a gzipped file is unpacked into an unnamed temporary file, a first
    pass counts the spikes, a second fills the arrays.
    """
    with _open(path) as f:
        times, units = _rows(f, path, "spikes/times", "f"), _rows(f, path, "spikes/units", "iu")
        labels = _column(f, path, "labels", "iu")
        if not len(times) == len(units) == len(labels):
            raise ValueError(
                f"{path}: spikes/times has {len(times)} rows, spikes/units {len(units)}, labels {len(labels)}"
            )
        keys = _column(f, path, "extra/keys", "SO") if "extra/keys" in f else None
        speakers = _column(f, path, "extra/speaker", "iu") if "extra/speaker" in f else None
        if n_units is None:
            n_units = _noted(f, path, "n_units", check_n_units) or _SHD_UNITS
        n_units = check_n_units(n_units)
        if duration is None:
            duration = _noted(f, path, "duration_ms", _check_duration)
        if crop and duration is None:
            raise ValueError("crop=True needs a duration to crop to")
        packed = _read_spikes(times, units, n_units, duration if crop else None, path)
    if duration is None:
        last = packed[0].max(where=np.isfinite(packed[0]), initial=0.0)  # what is not finite is found later
        duration = float(np.floor(last)) + 1.0
    names = None if keys is None else [k.decode(errors="replace") if isinstance(k, bytes) else str(k) for k in keys]
    return dict(
        zip(("times", "units", "offsets"), packed, strict=True),
        labels=labels,
        n_units=n_units,
        duration=duration,
        class_names=names,
        speakers=speakers,
    )


def milliseconds(seconds: NDArray[Any]) -> NDArray[np.float32]:
    """Times in a file [s] as `SpikeDataset` keeps them."""
    return (seconds.astype(np.float64) * 1e3).astype(np.float32)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    with ExitStack() as stack:
        raw: BinaryIO = stack.enter_context(open(path, "rb"))
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            plain = stack.enter_context(tempfile.TemporaryFile())
            try:
                shutil.copyfileobj(gzip.GzipFile(fileobj=raw), plain, 1 << 20)
            except (EOFError, zlib.error, gzip.BadGzipFile) as e:
                raise ValueError(f"{path}: broken or truncated gzip file ({e})") from e
            raw = plain
        raw.seek(0)
        try:
            f = stack.enter_context(h5py.File(raw, "r"))
        except OSError as e:
            raise ValueError(f"{path}: no HDF5 file, or a truncated one ({e})") from e
        yield f


def _noted(f: h5py.File, path: Path, name: str, check: Callable[[Any], T]) -> T | None:
    """An attribute of the file, checked; None if it has none of this name."""
    try:
        return check(f.attrs[name]) if name in f.attrs else None
    except (TypeError, ValueError) as e:
        raise ValueError(f"{path}: attribute {name}: {e}") from e


def _check_duration(x: Any) -> float:
    if not (isinstance(x, Real) and 0 < float(x) < np.inf):
        raise ValueError(f"duration must be positive and finite [ms], got {x!r}")
    return float(x)


def _dataset(f: h5py.File, path: Path, name: str) -> h5py.Dataset:
    d = f.get(name)
    if not isinstance(d, h5py.Dataset):
        raise ValueError(f"{path}: no dataset {name}")
    if d.ndim != 1:
        raise ValueError(f"{path}: {name} must have one dimension, got shape {d.shape}")
    return d


def _rows(f: h5py.File, path: Path, name: str, kinds: str) -> h5py.Dataset:
    d = _dataset(f, path, name)
    base = h5py.check_vlen_dtype(d.dtype)
    if base is None or np.dtype(base).kind not in kinds:
        wanted = "floats" if kinds == "f" else "integers"
        raise ValueError(f"{path}: {name} must hold rows of {wanted} of variable length, got {d.dtype}")
    return d


def _column(f: h5py.File, path: Path, name: str, kinds: str) -> NDArray[Any]:
    d = _dataset(f, path, name)
    if d.dtype.kind not in kinds:
        raise ValueError(f"{path}: {name} has the wrong type, {d.dtype}")
    return _slice(d, slice(None), path)


def _slice(d: h5py.Dataset, rows: slice, path: Path) -> NDArray[Any]:
    try:
        return d[rows]
    except (OSError, RuntimeError) as e:
        raise ValueError(f"{path}: cannot read {d.name.lstrip('/')} ({e})") from e


def _blocks(d: h5py.Dataset, path: Path) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
    """For every `_ROWS` samples: the first sample, all their spikes, and the length of each."""
    base = h5py.check_vlen_dtype(d.dtype)
    for first in range(0, len(d), _ROWS):
        rows = _slice(d, slice(first, first + _ROWS), path)
        sizes = np.fromiter((len(r) for r in rows), dtype=np.int64, count=len(rows))
        yield first, np.concatenate([np.asarray(r, dtype=base) for r in rows]), sizes


def _read_spikes(
    times: h5py.Dataset, units: h5py.Dataset, n_units: int, crop_at: float | None, path: Path
) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.int64]]:
    """All spikes as (times [ms], units, offsets), without those at or past `crop_at` [ms]."""
    total = sum(int(sizes.sum()) for _, _, sizes in _blocks(times, path))
    all_times = np.empty(total, dtype=np.float32)
    all_units = pack_units(np.empty(total, dtype=np.uint16), n_units)
    offsets = np.zeros(len(times) + 1, dtype=np.int64)
    end = 0
    for (first, t, t_sizes), (_, u, u_sizes) in zip(_blocks(times, path), _blocks(units, path), strict=True):
        if (t_sizes != u_sizes).any():
            i = int((t_sizes != u_sizes).argmax())
            raise ValueError(f"{path}: sample {first + i} has {t_sizes[i]} spikes/times but {u_sizes[i]} spikes/units")
        inside = np.concatenate([[0], np.cumsum(t_sizes)])
        try:
            check_units(u, inside, n_units, first)
        except ValueError as e:
            raise ValueError(f"{path}: spikes/units: {e}") from e
        ms = milliseconds(t)
        if crop_at is not None:
            keep = ~(ms >= crop_at)  # NaN stays, to be found later
            ms, u = ms[keep], u[keep]
            inside = np.concatenate([[0], np.cumsum(keep)])[inside]
        all_times[end : end + len(ms)] = ms
        all_units[end : end + len(u)] = u
        offsets[first + 1 : first + len(inside)] = end + inside[1:]
        end += len(ms)
    return all_times[:end], all_units[:end], offsets
