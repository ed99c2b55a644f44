"""Images as spike latencies: IDX files (MNIST and its relatives) and folders of PNG files."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lambent.data.dataset import SpikeDataset
from lambent.data.packing import pack_units
from lambent.data.readers.folders import labelled_files
from lambent.encode._spikes import check_window
from lambent.events import check_n_units
from lambent.machine.files import is_gzipped, open_file, unpacked

_IMAGES = 1024  # made spikes at a time, which takes 24 bytes a pixel


def from_idx(
    images: str | Path, labels: str | Path, t_late: float = 30.0, t_early: float = 0.0, duration: float = 60.0
) -> SpikeDataset:
    """Images and labels of two IDX files, plain or gzipped, such as MNIST's `train-images-idx3-ubyte.gz`.

    Each pixel is a unit, row by row. It spikes once, the earlier the brighter it is: at `t_early` [ms] if it is white
    (255), linearly towards `t_late` for black; black pixels (0) don't spike (Wunderlich & Pehle 2021, Methods).

    Args:
        images: file of unsigned bytes (images, rows, columns).
        labels: file of unsigned bytes (images,).
        t_late, t_early: times of black and white [ms].
        duration: length of every sample [ms].

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is no such IDX file or is damaged, the numbers of images and labels differ, or not
            ``0 <= t_early < t_late < duration``.

    Example:
        >>> from pathlib import Path
        >>> white = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 255, 0])  # an image of 1 x 2 pixels
        >>> _ = Path("images").write_bytes(white), Path("labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
        >>> events, label = lb.data.from_idx("images", "labels")[0]
        >>> events.times, events.units, label
        (tensor([0.]), tensor([0], dtype=torch.int32), 7)
    """
    pixels, classes = _read_idx(Path(images), 3), _read_idx(Path(labels), 1)
    if len(pixels) != len(classes):
        raise ValueError(f"{images} holds {len(pixels)} images, {labels} {len(classes)} labels")
    return _latencies(pixels, classes, None, t_late, t_early, duration)


def from_image_folder(
    folder: str | Path, t_late: float = 30.0, t_early: float = 0.0, duration: float = 60.0
) -> SpikeDataset:
    """PNG files in one folder per class, all of one size; colours become grey. Latencies as in `from_idx`.

    Classes are the folders' names in alphabetical order (numbers in numerical order), images go by name in each.
    Hidden files and folders, and folders without images, are passed over.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are no images, one can't be read or has another size than the first (named), or times
            are not ``0 <= t_early < t_late < duration``.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     Image.new("L", (4, 4), 255).save(f"pets/{name}/1.png")
        >>> lb.data.from_image_folder("pets").class_names
        ['cat', 'dog']
    """
    files, class_names = labelled_files(folder, ".png")
    first = _read_png(files[0][0])
    pixels = np.empty((len(files), *first.shape), np.uint8)
    for n, (file, _) in enumerate(files):
        image = _read_png(file)
        if image.shape != first.shape:
            raise ValueError(f"{file} has size {image.shape}, {files[0][0]} {first.shape}; all must be alike")
        pixels[n] = image
    labels = np.array([label for _, label in files])
    return _latencies(pixels, labels, class_names, t_late, t_early, duration)


def _read_png(file: Path) -> NDArray[np.uint8]:
    try:
        with open_file(file) as raw, Image.open(raw) as image:
            if image.mode.startswith("I"):  # 16 bits: conversion would cut, not scale
                return (np.asarray(image) >> 8).astype(np.uint8)
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as e:
        raise ValueError(f"{file} is no readable PNG image: {e}") from None


def _read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The unsigned bytes of an IDX file (magic number, big-endian sizes, values)."""
    with open_file(file) as raw:
        if not is_gzipped(raw):
            return _idx_values(file, raw, dimensions)
        with unpacked(file, raw) as plain:
            return _idx_values(file, plain, dimensions)


def _idx_values(file: Path, raw: IO[bytes], dimensions: int) -> NDArray[np.uint8]:
    size = raw.seek(0, 2)
    raw.seek(0)
    start, header = raw.read(4), raw.read(4 * dimensions)
    if start != bytes([0, 0, 8, dimensions]) or len(header) < 4 * dimensions:
        raise ValueError(f"{file} is no IDX file of unsigned bytes with {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", header)
    if (left := size - 4 - len(header)) != math.prod(shape):
        raise ValueError(f"{file} should hold {shape} values, but {left} bytes follow its header")
    return np.frombuffer(raw.read(), np.uint8).reshape(shape)


def _latencies(
    pixels: NDArray[np.uint8], labels: NDArray[np.integer], class_names: list[str] | None,
    t_late: float, t_early: float, duration: float,
) -> SpikeDataset:  # fmt: skip
    check_window(t_early, t_late, duration)
    flat = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
    counts = np.count_nonzero(flat, 1)
    n_units = check_n_units(flat.shape[1])
    times = np.empty(counts.sum(), np.float32)
    units = pack_units(np.empty(len(times), np.uint16), n_units)
    end = 0
    for first in range(0, len(flat), _IMAGES):
        block = flat[first : first + _IMAGES]
        sample, unit = block.nonzero()
        darkness = 255 - block[sample, unit]
        order = np.argsort(sample * 256 + darkness, kind="stable")  # by time in each sample
        here = slice(end, end := end + len(order))
        times[here] = t_early + darkness[order].astype(np.float64) / 255 * (t_late - t_early)
        units[here] = unit[order]
    return SpikeDataset(times, units, np.concatenate([[0], np.cumsum(counts)]), labels, n_units, duration, class_names)
