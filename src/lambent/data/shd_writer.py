"""Writing of files in the layout of the Heidelberg data sets (Cramer et al. 2020, doi:10.1109/TNNLS.2020.3044364)."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lambent.data.dataset import SpikeDataset
from lambent.data.readers.shd import milliseconds
from lambent.machine.files import replacing
from lambent.machine.hdf5 import seal

_SPIKES = 1 << 20  # spikes converted at a time


def write_shd(path: str | Path, dataset: SpikeDataset, speaker_names: Sequence[str] | None = None) -> None:
    """Write a data set in the Heidelberg layout; gzipped if the name ends in ``.gz``.

    Times are stored in the shortest of float16, float32 and float64 [s] from which `SpikeDataset.from_shd`
    gets back exactly the same milliseconds. Duration, number of units and the level of recordings are noted as
    attributes of the file, the files that samples were made of as ``extra/files``; the values of graded spikes are
    rows of float32, ``spikes/values``.
    The file appears under its name only once it is complete. It carries a digest of what it holds, so that damage is
    noticed on reading.

    Args:
        path: the file.
        dataset: what to write.
        speaker_names: the name of each speaker, kept as ``extra/speaker_names``; optional.

    Raises:
        TypeError: `dataset` is no `SpikeDataset`, or `path` no path.
        OSError: the file cannot be written, for one because the disk is full.
        ValueError: a speaker of the data set has no name among `speaker_names`.

    Example:
        >>> data = lb.data.yin_yang(6, seed=0)
        >>> lb.data.write_shd("points.h5", data)
        >>> lb.data.SpikeDataset.from_shd("points.h5").checksum() == data.checksum()
        True
    """
    if not isinstance(dataset, SpikeDataset) or not isinstance(path, (str, os.PathLike)):
        kinds = f"{type(path).__name__}, {type(dataset).__name__}"
        raise TypeError(f"write_shd takes a path and a lambent.data.SpikeDataset, in this order, got {kinds}")
    path = Path(path)
    if speaker_names is not None and (
        dataset.speakers is None or dataset.speakers.max(initial=-1) >= len(speaker_names)
    ):
        raise ValueError(f"{len(speaker_names)} speaker names do not cover the speakers of the data set")
    time_type = _time_type(dataset.times)
    with replacing(path) as part, open(part, "w+b") as file, ExitStack() as stack:
        packed = path.suffix == ".gz"
        # HDF5 writes through Python's file, which, unlike its own, reports a full disk as such.
        plain = stack.enter_context(tempfile.TemporaryFile()) if packed else file
        with h5py.File(plain, "w") as f:
            _fill(f, dataset, time_type)
            if speaker_names is not None:
                f["extra/speaker_names"] = np.array([n.encode() for n in speaker_names], dtype=bytes)
        seal(plain)
        if packed:
            plain.seek(0)
            # No name and no time in the header: the same data give the same file.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as out:
                shutil.copyfileobj(plain, out, 1 << 20)


def as_stored(times: NDArray[np.float32]) -> NDArray[np.float32]:
    """Times [ms] as they come back from seconds in float32, for which `write_shd` needs four bytes each."""
    return milliseconds(_seconds(times, np.float32))


def _time_type(times: NDArray[np.float32]) -> type:
    """The shortest float type that holds these times [ms] as seconds without loss."""
    blocks = [times[i : i + _SPIKES] for i in range(0, len(times), _SPIKES)]
    for kind in (np.float16, np.float32):
        if all(np.array_equal(milliseconds(_seconds(t, kind)), t) for t in blocks):
            return kind
    return np.float64


def _seconds(times: NDArray[np.float32], kind: type) -> NDArray[Any]:
    return (times.astype(np.float64) / 1e3).astype(kind)


def _fill(f: h5py.File, dataset: SpikeDataset, time_type: type) -> None:
    f.attrs["n_units"] = dataset.n_units
    f.attrs["duration_ms"] = dataset.duration
    if dataset.level is not None:
        f.attrs["level"] = np.bytes_(dataset.level.encode())
    f["labels"] = dataset.labels
    f["extra/keys"] = np.array([n.encode() for n in dataset.class_names], dtype=bytes)
    if dataset.speakers is not None:
        f["extra/speaker"] = dataset.speakers
    if dataset.files is not None:
        f["extra/files"] = np.array([os.fsencode(name) for name in dataset.files], dtype=bytes)
    n = len(dataset)
    times = f.create_dataset("spikes/times", (n,), dtype=h5py.vlen_dtype(time_type))
    units = f.create_dataset("spikes/units", (n,), dtype=h5py.vlen_dtype(dataset.units.dtype))
    if dataset.values is not None:
        values = f.create_dataset("spikes/values", (n,), dtype=h5py.vlen_dtype(np.float32))
    for i in range(n):
        row = slice(dataset.offsets[i], dataset.offsets[i + 1])
        times[i] = _seconds(dataset.times[row], time_type)
        units[i] = dataset.units[row]
        if dataset.values is not None:
            values[i] = dataset.values[row]
