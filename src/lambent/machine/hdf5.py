"""Reading HDF5 files that may be damaged or meant to harm: every fault is a ValueError naming the dataset.

What lies outside of the file (external storage, virtual datasets, links to other files) is never looked at, nothing is
read that the file is too small to hold, and rows of variable length are found by `lambent.machine.hdf5_heap`, as HDF5's
own reader runs for ever on some damaged files.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import h5py
import numpy as np

from lambent.machine.files import is_gzipped, open_file, unpacked
from lambent.machine.hdf5_heap import Heap, Rows, read_references

H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on damaged files."""

_MAX_VALUES = 1 << 28  # in one dataset; a file that claims more is broken
_MAX_DEFLATION = 1032  # bytes that one byte of the file can stand for, with the best of HDF5's compression
_MAX_TEXT = 256  # bytes of a string
_MAX_OBJECTS = 100_000  # in a file that is read as a whole
_MAX_DEPTH = 32  # groups in groups
_SEAL = "lambent_digest"

ROWS = 128
"""Rows of variable length that are best read at a time."""


class Hdf5(h5py.File):
    """An HDF5 file open for reading, with the bytes of it."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(raw, "r")
        self.heap = Heap(raw, self.userblock_size)
        if self.id.get_create_plist().get_sizes() != (8, 8):
            raise ValueError("its addresses are not of 8 bytes, as they are in files of today")


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[Hdf5]:
    """An HDF5 file, plain or gzipped.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no HDF5 file, or damaged.
    """
    with open_file(path) as raw:
        if is_gzipped(raw):
            with unpacked(path, raw) as plain, _hdf5(path, cast(BinaryIO, plain)) as h5:
                yield h5
        else:
            with _hdf5(path, raw) as h5:
                yield h5


@contextmanager
def _hdf5(path: str | os.PathLike[str], raw: BinaryIO) -> Iterator[Hdf5]:
    try:
        h5 = Hdf5(raw)
    except H5_ERRORS as error:
        raise ValueError(f"{path}: no HDF5 file, or damaged ({error})") from error
    with h5:
        yield h5


def holds(h5: Hdf5, where: str) -> bool:
    """Whether there is anything at `where`; null datasets, as mlGeNN writes for what it leaves out, are nothing."""
    try:
        if not _is_there(h5, where):
            return False
        found = h5[where]
        return not (isinstance(found, h5py.Dataset) and found.shape is None)
    except H5_ERRORS:
        return True  # damaged, as who reads it will say


def read_text(h5: Hdf5, where: str) -> str:
    """An ASCII string of fixed or variable length, alone or as the one entry of a vector."""
    dataset = find_dataset(h5, where)
    info = h5py.check_string_dtype(dataset.dtype)
    if dataset.size != 1 or info is None or dataset.dtype.itemsize > _MAX_TEXT:
        raise ValueError(f"{where}: must be one string, got {dataset.dtype} of shape {dataset.shape}")
    if info.length is None:
        raw = _texts(h5, dataset, where)[0]
        if len(raw) > _MAX_TEXT:
            raise ValueError(f"{where}: is a string of {len(raw)} bytes")
    else:
        raw = _values(h5, dataset, where).item()
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: is no ASCII text") from error


def read_numbers(h5: Hdf5, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Finite numbers of one of `shapes`; where one number is allowed, a vector of one will do."""
    dataset = find_dataset(h5, where)
    if dataset.dtype.kind not in "biuf":
        raise ValueError(f"{where}: must be numbers, got {dataset.dtype}")
    alone = dataset.shape == (1,) and () in shapes
    if dataset.shape not in shapes and not alone:
        wanted = " or ".join(str(s) if s else "one number" for s in dict.fromkeys(shapes))
        raise ValueError(f"{where}: must be {wanted}, got shape {dataset.shape}")
    values = _values(h5, dataset, where)
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: holds NaN or infinity")
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    return values.reshape(()) if alone else values


def read_whole(h5: Hdf5, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Numbers as `read_numbers` that must be whole, int64."""
    values = read_numbers(h5, where, *shapes)
    truncated = _to_int64(values, where)
    if (truncated != values).any():
        raise ValueError(f"{where}: must be whole numbers")
    return truncated


def read_truncated(h5: Hdf5, where: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Numbers as `read_numbers`, rounded toward zero, int64."""
    return _to_int64(read_numbers(h5, where, *shapes), where)


def read_shape(h5: Hdf5, where: str) -> tuple[int, ...]:
    """A shape of units: (n,), or (channels, height, width); a lone number is (n,)."""
    sizes = tuple(int(n) for n in read_whole(h5, where, (), (1,), (2,), (3,)).reshape(-1))
    if min(sizes) < 1 or math.prod(sizes) > _MAX_VALUES:
        raise ValueError(f"{where}: {list(sizes)} is no shape of a layer")
    return sizes


def read_column(h5: Hdf5, where: str, kinds: str) -> np.ndarray:
    """A vector of numbers or texts of a dtype of one of `kinds`; texts as bytes."""
    dataset = find_dataset(h5, where)
    if dataset.ndim != 1:
        raise ValueError(f"{where} must have one dimension, got shape {dataset.shape}")
    if dataset.dtype.kind == "O" and "O" in kinds and h5py.check_string_dtype(dataset.dtype) is not None:
        return np.array([*_texts(h5, dataset, where), b""], object)[:-1]
    if dataset.dtype.kind not in kinds.replace("O", ""):
        raise ValueError(f"{where} has the wrong type, {dataset.dtype}")
    return _values(h5, dataset, where)


def find_rows(h5: Hdf5, where: str, kinds: str) -> Rows:
    """Rows of variable length of numbers of a dtype of one of `kinds`."""
    dataset = find_dataset(h5, where)
    base = h5py.check_vlen_dtype(dataset.dtype)
    if dataset.ndim != 1 or base is None or np.dtype(base).kind not in kinds:
        wanted = "numbers" if "f" in kinds else "integers"
        found = f"{dataset.dtype} of shape {dataset.shape}" if base is None else f"rows of {base}"
        raise ValueError(f"{where} must hold a row of {wanted}, of variable length, for each sample, got {found}")
    return _rows(h5, dataset, where)


def has_attribute(h5: Hdf5, name: str) -> bool:
    """Whether the root has an attribute of this name."""
    try:
        return name in h5.attrs
    except H5_ERRORS as error:
        raise ValueError(f"attribute {name}: damaged ({error})") from error


def read_attribute(h5: Hdf5, name: str, kinds: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """An attribute of the root, of a dtype of one of `kinds` and of `shape`; None if there is none."""
    if not has_attribute(h5, name):
        return None
    try:
        found = h5.attrs.get_id(name)
        if found.dtype.kind not in kinds or found.shape != shape:
            raise ValueError(f"attribute {name}: unexpected {found.dtype} of shape {found.shape}")
        return np.asarray(h5.attrs[name])
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"attribute {name}: damaged ({error})") from error


def find_dataset(h5: Hdf5, where: str) -> h5py.Dataset:
    """The dataset `where`, which lies in the file and is of no absurd size."""
    try:
        if not _is_there(h5, where):
            raise KeyError(where)
        dataset = h5[where]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{where}: must be a dataset, not a group")
        shape, _ = dataset.shape, dataset.dtype
        layout = dataset.id.get_create_plist()
        outside = layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL
    except KeyError as error:
        raise ValueError(f"{where}: missing, or damaged") from error
    except (OSError, RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"{where}: damaged ({error})") from error
    if outside:
        raise ValueError(f"{where}: its values lie in another file, which is not opened")
    if shape is None:
        raise ValueError(f"{where}: missing, it is a null dataset")
    if dataset.size > _MAX_VALUES:
        raise ValueError(f"{where}: absurd shape {shape}")
    return dataset


def _is_there(h5: Hdf5, where: str) -> bool:
    """Whether there is something at `where`.

    Raises:
        ValueError: the way there leads over a link.
    """
    found = h5
    for name in where.strip("/").split("/"):
        if not isinstance(found, h5py.Group) or not found.id.links.exists(name.encode()):
            return False
        if found.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{where}: is a link, which is not followed")
        found = found[name]
    return True


def _values(h5: Hdf5, dataset: h5py.Dataset, where: str) -> np.ndarray:
    try:
        _check_room(h5, dataset, dataset.nbytes)
        return np.asarray(dataset[()])
    except H5_ERRORS as error:
        raise ValueError(f"{where}: damaged ({error})") from error


def _check_room(h5: Hdf5, dataset: h5py.Dataset, n_bytes: int) -> None:
    stored = dataset.id.get_storage_size()
    if stored > h5.heap.size or n_bytes > _MAX_DEFLATION * stored:  # HDF5 would make up zeros
        raise ValueError("its values are not in the file")


def _texts(h5: Hdf5, dataset: h5py.Dataset, where: str) -> list[bytes]:
    """The strings of variable length in a dataset, in a row."""
    rows = _rows(h5, dataset, where)
    return [rows.read(i, i + 1).tobytes() for i in range(len(rows))]


def _rows(h5: Hdf5, dataset: h5py.Dataset, where: str) -> Rows:
    try:
        _check_room(h5, dataset, 16 * dataset.size)
        kind = dataset.id.get_type()
        if isinstance(kind, h5py.h5t.TypeVlenID):
            base = np.dtype(h5py.check_vlen_dtype(dataset.dtype))
            if base.kind not in "biuf" or not kind.get_super().equal(h5py.h5t.py_create(base)):
                raise ValueError(f"its rows hold {base} in a form of their own")
        else:
            base = np.dtype("u1")
        return Rows(h5.heap, read_references(dataset, h5.heap), base, where)
    except H5_ERRORS as error:
        raise ValueError(f"{where}: damaged ({error})") from error


def _to_int64(values: np.ndarray, where: str) -> np.ndarray:
    if values.size and not np.abs(values.astype(np.float64)).max() < 2**62:
        raise ValueError(f"{where}: values are out of range")
    return values.astype(np.int64)


# -- the file as a whole ----------------------------------------------------------------------------------------------


def seal(raw: BinaryIO) -> None:
    """Note in an HDF5 file what it holds, as the last thing that is written, so that `check_seal` finds any damage.

    Args:
        raw: the file, closed by h5py, to read and write.
    """
    with Hdf5(raw) as h5:
        digest = _digest(h5)
    with h5py.File(raw, "r+") as written:
        written.attrs[_SEAL] = np.bytes_(digest)


def check_seal(h5: Hdf5) -> None:
    """Compare what a file holds with its seal, if it has one.

    Raises:
        ValueError: it is damaged, or something else than what was sealed.
    """
    if (kept := read_attribute(h5, _SEAL, "S", ())) is not None and kept.item() != _digest(h5).encode():
        raise ValueError(
            "damaged, or edited: it holds something else than lambent wrote; if the change is yours, delete the "
            f"attribute {_SEAL}"
        )


def check_hdf5(path: str | os.PathLike[str]) -> None:
    """Read all of a file, so that another package that reads it next finds nothing damaged, and nothing outside of it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no HDF5 file, damaged, or holds something that lambent does not read; or it is not what was
            sealed.
    """
    with open_hdf5(path) as h5:
        try:
            _digest(h5)
            check_seal(h5)
        except H5_ERRORS as error:
            raise ValueError(f"{path}: {error}") from error


def _digest(h5: Hdf5) -> str:
    total = hashlib.blake2b(digest_size=16)
    for where in _walk(h5):
        total.update(f"{where}\n".encode())
        try:
            found = h5[where]
            for name in sorted(found.attrs):
                if name != _SEAL and (kept := found.attrs.get_id(name)).dtype.kind in "biufcS":
                    total.update(f"{name} {kept.dtype.str} {kept.shape}\n".encode())
                    total.update(np.asarray(found.attrs[name]).tobytes())
        except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise ValueError(f"{where}: damaged ({error})") from error
        if isinstance(found, h5py.Dataset):
            for part in _contents(h5, where):
                total.update(part)
    return total.hexdigest()


def _contents(h5: Hdf5, where: str) -> Iterator[Any]:
    """What tells a dataset from others, in pieces of bytes."""
    found = h5[where]
    if isinstance(found, h5py.Dataset) and found.shape is None:
        yield b"null"
        return
    dataset = find_dataset(h5, where)
    ragged = h5py.check_vlen_dtype(dataset.dtype) is not None
    text = h5py.check_string_dtype(dataset.dtype)
    if ragged or (text is not None and text.length is None):
        rows = _rows(h5, dataset, where)
        yield f"rows {rows.dtype.str} {dataset.shape}\n".encode()
        yield rows.lengths
        for first in range(0, len(rows), ROWS):
            yield rows.read(first, first + ROWS)
    elif dataset.dtype.kind in "biufcS":
        yield f"{dataset.dtype.str} {dataset.shape}\n".encode()
        yield np.ascontiguousarray(_values(h5, dataset, where))
    else:
        raise ValueError(f"{where}: holds {dataset.dtype}, which lambent does not read")


def _walk(h5: Hdf5) -> Iterator[str]:
    """Every group and dataset, the root first."""
    left, seen = ["/"], 0
    while left:
        where = left.pop()
        yield where
        seen += 1
        if seen > _MAX_OBJECTS or where.count("/") > _MAX_DEPTH:
            raise ValueError(f"{where}: lies too deep, or is one of too many")
        try:
            found = h5[where]
            names = sorted(found) if isinstance(found, h5py.Group) else []
            for name in names:
                if found.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                    raise ValueError(f"{where.rstrip('/')}/{name}: is a link, which is not followed")
        except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise ValueError(f"{where}: damaged ({error})") from error
        left += [f"{where.rstrip('/')}/{name}" for name in reversed(names)]
