"""Reading values out of HDF5 files that may be damaged: every fault is a ValueError naming the dataset."""

from __future__ import annotations

import math
import struct

import h5py
import numpy as np

H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on damaged files."""

_MAX_VALUES = 1 << 28  # in one dataset; a file that claims more is broken
_MAX_DEFLATION = 1032  # bytes that one byte of the file can stand for, with the best of HDF5's compression
_MAX_TEXT = 256  # bytes of a string
_MAX_HEAP = 1 << 24  # bytes of a heap of strings


def holds(h5: h5py.File, where: str) -> bool:
    """Whether there is anything at `where`; null datasets, as mlGeNN writes for what it leaves out, are nothing."""
    if where not in h5:
        return False
    try:
        found = h5[where]
        return not (isinstance(found, h5py.Dataset) and found.shape is None)
    except H5_ERRORS:
        return True  # damaged, as who reads it will say


def read_text(h5: h5py.File, where: str) -> str:
    """An ASCII string of fixed or variable length, alone or as the one entry of a vector."""
    dataset = find_dataset(h5, where)
    info = h5py.check_string_dtype(dataset.dtype)
    if dataset.size != 1 or info is None or dataset.dtype.itemsize > _MAX_TEXT:
        raise ValueError(f"{where}: must be one string, got {dataset.dtype} of shape {dataset.shape}")
    raw = _heap_text(h5, dataset, where) if info.length is None else _values(dataset, where).item()
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: is no ASCII text") from error


def read_numbers(h5: h5py.File, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Finite numbers of one of `shapes`; where one number is allowed, a vector of one will do."""
    dataset = find_dataset(h5, where)
    if dataset.dtype.kind not in "biuf":
        raise ValueError(f"{where}: must be numbers, got {dataset.dtype}")
    alone = dataset.shape == (1,) and () in shapes
    if dataset.shape not in shapes and not alone:
        wanted = " or ".join(str(s) if s else "one number" for s in dict.fromkeys(shapes))
        raise ValueError(f"{where}: must be {wanted}, got shape {dataset.shape}")
    values = _values(dataset, where)
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: holds NaN or infinity")
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    return values.reshape(()) if alone else values


def read_whole(h5: h5py.File, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Numbers as `read_numbers` that must be whole, int64."""
    values = read_numbers(h5, where, *shapes)
    truncated = _to_int64(values, where)
    if (truncated != values).any():
        raise ValueError(f"{where}: must be whole numbers")
    return truncated


def read_truncated(h5: h5py.File, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Numbers as `read_numbers`, rounded toward zero, int64."""
    return _to_int64(read_numbers(h5, where, *shapes), where)


def read_shape(h5: h5py.File, where: str) -> tuple[int, ...]:
    """A shape of units: (n,), or (channels, height, width); a lone number is (n,)."""
    sizes = tuple(int(n) for n in read_whole(h5, where, (), (1,), (2,), (3,)).reshape(-1))
    if min(sizes) < 1 or math.prod(sizes) > _MAX_VALUES:
        raise ValueError(f"{where}: {list(sizes)} is no shape of a layer")
    return sizes


def read_attribute(h5: h5py.File, name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """An attribute of the root, of a dtype of `kind` and of `shape`; None if there is none."""
    try:
        if name not in h5.attrs:
            return None
        found = h5.attrs.get_id(name)
        if found.dtype.kind != kind or found.shape != shape:
            raise ValueError(f"attribute {name}: unexpected {found.dtype} of shape {found.shape}")
        return np.asarray(h5.attrs[name])
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"attribute {name}: damaged ({error})") from error


def find_dataset(h5: h5py.File, where: str) -> h5py.Dataset:
    """The dataset `where`, of no absurd size."""
    try:
        dataset = h5[where]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{where}: must be a dataset, not a group")
        shape, _ = dataset.shape, dataset.dtype
    except KeyError as error:
        raise ValueError(f"{where}: missing, or damaged") from error
    except (OSError, RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"{where}: damaged ({error})") from error
    if shape is None or dataset.size > _MAX_VALUES:
        raise ValueError(f"{where}: absurd or empty shape {shape}")
    return dataset


def _values(dataset: h5py.Dataset, where: str) -> np.ndarray:
    try:
        if dataset.nbytes > _MAX_DEFLATION * dataset.id.get_storage_size():  # HDF5 would make up zeros
            raise ValueError("its values are not in the file")
        return np.asarray(dataset[()])
    except H5_ERRORS as error:
        raise ValueError(f"{where}: damaged ({error})") from error


def _heap_text(h5: h5py.File, dataset: h5py.Dataset, where: str) -> bytes:
    """The one string of variable length in `dataset`.

    HDF5 keeps such strings in a global heap, and its own reader runs forever on some damaged heaps. The
    layout is that of "Disk Format: Level 1E" in the HDF5 file format specification, with 8-byte offsets.
    """
    damaged = ValueError(f"{where}: damaged (its text cannot be found)")
    at = dataset.id.get_offset()
    if at is None or dataset.id.get_storage_size() != 16:
        raise damaged
    with open(h5.filename, "rb") as file:
        file.seek(at)
        length, heap, wanted = struct.unpack("<IQI", file.read(16))
        file.seek(min(heap, 2**62))
        head = file.read(16)
        if len(head) < 16 or head[:5] != b"GCOL\x01" or length > _MAX_TEXT:
            raise damaged
        objects = file.read(min(int.from_bytes(head[8:], "little"), _MAX_HEAP) - 16)
    at = 0
    while at + 16 <= len(objects):
        index, size = struct.unpack_from("<H6xQ", objects, at)
        if index == wanted and length <= size <= len(objects) - at - 16:
            return objects[at + 16 : at + 16 + length]
        at += 16 + (size + 7) // 8 * 8
    raise damaged


def _to_int64(values: np.ndarray, where: str) -> np.ndarray:
    if values.size and not np.abs(values.astype(np.float64)).max() < 2**62:
        raise ValueError(f"{where}: values are out of range")
    return values.astype(np.int64)
