"""N-MNIST and N-Caltech101 (Orchard et al. 2015, doi:10.3389/fnins.2015.00437): events of 40 bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.data.dataset import SpikeDataset
from lambent.data.readers.folders import labelled_files
from lambent.data.readers.structured import from_samples
from lambent.machine.files import read_file

EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "u1")])
"""An event as readers give it: column, row, time [us], polarity."""

_BYTES = 5  # of an event: x, y, then a bit of polarity and 23 of time, the highest first
_OVERFLOW_ROW, _OVERFLOW = 240, 1 << 13  # an entry of this row is no event; it says that so many us have gone by


def read_nmnist(path: str | Path) -> NDArray[Any]:
    """The events of a ``.bin`` file of N-MNIST or N-Caltech101: structured array with x, y, t [us] and p.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is cut off inside an event.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("one.bin").write_bytes(bytes([3, 1, 0x80, 0x05, 0xDC]))
        >>> lb.data.read_nmnist("one.bin").tolist()
        [(3, 1, 1500, 1)]
    """
    content = np.frombuffer(read_file(path), np.uint8)
    if left := len(content) % _BYTES:
        raise ValueError(f"{path}: cut off inside an event, at byte {len(content) - left}; no file of 5-byte events")
    x, y, high, middle, low = content.reshape(-1, _BYTES).T.astype(np.int64)
    overflow = y == _OVERFLOW_ROW
    t = ((high & 0x7F) << 16 | middle << 8 | low) + np.cumsum(overflow) * _OVERFLOW
    events = np.empty(len(x), EVENT)
    for name, values in zip("xytp", (x, y, t, high >> 7), strict=True):
        events[name] = values
    return events[~overflow]


def from_nmnist(
    folder: str | Path,
    duration: float | None = None,
    *,
    sensor_size: Sequence[int] = (34, 34, 2),
    crop: bool = False,
) -> SpikeDataset:
    """The files of N-MNIST, one folder per class: its ``Train`` or its ``Test``. Units are (2, 34, 34).

    Args:
        folder: holds folders 0 to 9 of ``.bin`` files.
        duration: length of every sample [ms]. Give training and test set the same. Left out, the first whole
            millisecond past the last event.
        sensor_size: (width, height, polarities); N-Caltech101 fits into (240, 180, 2).
        crop: drop events at or past `duration` instead of raising.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are no such files, or one is damaged (named).

    Example:
        >>> from pathlib import Path
        >>> for digit in "07":
        ...     Path("Train", digit).mkdir(parents=True)
        ...     _ = Path("Train", digit, "00001.bin").write_bytes(bytes([3, 1, 0x80, 0x05, 0xDC]))
        >>> lb.data.from_nmnist("Train", duration=300.0)
        SpikeDataset(2 samples, 2 classes, 2 spikes (1 a sample), 2312 units, 300 ms)
    """
    files, class_names = labelled_files(folder, ".bin")
    samples = ((str(file), read_nmnist(file), label) for file, label in files)
    return from_samples(samples, sensor_size, duration, class_names, crop=crop)
