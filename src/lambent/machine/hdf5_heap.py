"""Rows of variable length in HDF5 files, found without HDF5's own reader, which runs for ever on some damaged heaps.

HDF5 keeps such rows, and strings, in global heaps: a dataset holds for each its length and where it lies. The layout is
that of "Disk Format: Level 1E" and of the vlen datatype in the HDF5 file format specification, with 8-byte addresses.
Whatever a damaged file says, no more is read than a few times the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO

import h5py
import numpy as np

_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_ALIGNED = 8


class Heap:
    """The global heaps of an open file.

    Args:
        raw: the bytes of the file.
        base: where the addresses in it begin to count.

    Attributes:
        size: bytes of the file.
    """

    def __init__(self, raw: BinaryIO, base: int) -> None:
        self.size = raw.seek(0, 2)
        self._raw, self._base = raw, base
        self._found: dict[int, dict[int, tuple[int, int]]] = {}  # for each heap, where its objects lie
        self._searched = 0

    def bytes_at(self, at: int, size: int) -> bytes:
        """`size` bytes of the file.

        Raises:
            ValueError: it ends before.
        """
        if not 0 <= at <= at + size <= self.size:
            raise ValueError("it is cut off")
        self._raw.seek(at)
        return self._raw.read(size)

    def find(self, address: int, index: int, size: int) -> int:
        """Where object `index`, of `size` bytes, of the heap at `address` lies.

        Raises:
            ValueError: there is no such heap or object.
        """
        objects = self._found.get(address)
        if objects is None:
            objects = self._found[address] = self._objects(address)
        at, room = objects.get(index, (0, -1))
        if size > room:
            raise ValueError("a row cannot be found")
        return at

    def _objects(self, address: int) -> dict[int, tuple[int, int]]:
        start = self._base + address
        head = self.bytes_at(start, 16)
        size = int.from_bytes(head[8:], "little")
        self._searched += size
        if head[:5] != b"GCOL\x01" or self._searched > self.size:  # heaps do not overlap
            raise ValueError("a row cannot be found")
        heap = self.bytes_at(start, size)
        found: dict[int, tuple[int, int]] = {}
        at = 16
        while at + 16 <= size:
            index, room = struct.unpack_from("<H6xQ", heap, at)
            if index == 0:  # the rest is free
                break
            if room > size - at - 16 or index in found:
                raise ValueError("a heap of rows is not what it was")
            found[index] = (start + at + 16, room)
            at += 16 + -(-room // _ALIGNED) * _ALIGNED
        return found


class Rows:
    """A dataset of rows.

    Args:
        heap: that of the file.
        references: structured array, for each row its length, and address and index in the heap.
        dtype: of the entries.
        where: what the dataset is called in messages.

    Attributes:
        lengths: (rows,) int64.
    """

    def __init__(self, heap: Heap, references: np.ndarray, dtype: np.dtype[Any], where: str) -> None:
        self.lengths = references["length"].astype(np.int64)
        self.dtype = dtype
        self._heap, self._references, self._where = heap, references, where
        if int(self.lengths.sum()) * dtype.itemsize > heap.size:  # every row lies there of its own
            raise ValueError("it says more than the file holds")

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, first: int, last: int) -> np.ndarray:
        """The entries of the rows from `first` to before `last`, one row after the other.

        Raises:
            ValueError: the file is damaged.
        """
        heap, size = self._heap, self.dtype.itemsize
        parts = []
        try:
            for length, address, index in self._references[first:last].tolist():
                if length:
                    parts.append(heap.bytes_at(heap.find(address, index, length * size), length * size))
        except ValueError as error:
            raise ValueError(f"{self._where}: damaged ({error})") from error
        return np.frombuffer(b"".join(parts), self.dtype)


def read_references(dataset: h5py.Dataset, heap: Heap) -> np.ndarray:
    """Where the rows of a dataset lie, of any shape in C order: (rows,) with length, address and index.

    Raises:
        ValueError, OSError, RuntimeError: it is damaged, or laid out in an uncommon way.
    """
    n, layout = dataset.size, dataset.id.get_create_plist().get_layout()
    if n == 0:
        return np.empty(0, _REFERENCE)
    if layout == h5py.h5d.CONTIGUOUS:
        at = dataset.id.get_offset()
        if at is None or dataset.id.get_storage_size() != n * _REFERENCE.itemsize:
            raise ValueError("its rows are not in the file")
        return np.frombuffer(heap.bytes_at(at, n * _REFERENCE.itemsize), _REFERENCE)
    if layout != h5py.h5d.CHUNKED or dataset.ndim != 1:
        raise ValueError("its rows are laid out in a way that lambent does not read")
    (chunk,) = dataset.chunks
    references = np.zeros(n, _REFERENCE)
    if chunk > 2 * n + 1024:
        raise ValueError("its chunks are larger than all of it")
    for i in range(min(dataset.id.get_num_chunks(), -(-n // chunk))):
        (first,) = dataset.id.get_chunk_info(i).chunk_offset
        mask, packed = dataset.id.read_direct_chunk((first,))
        part = np.frombuffer(_unfiltered(packed, mask, dataset, chunk * _REFERENCE.itemsize), _REFERENCE)
        references[first : first + chunk] = part[: max(0, n - first)]
    return references


def _unfiltered(packed: bytes, mask: int, dataset: h5py.Dataset, size: int) -> bytes:
    """A chunk as it was before filters were applied, of those that HDF5 applies to rows."""
    layout = dataset.id.get_create_plist()
    for i in reversed(range(layout.get_nfilters())):
        if mask >> i & 1:
            continue
        code = layout.get_filter(i)[0]
        if code == h5py.h5z.FILTER_DEFLATE:
            try:
                packed = zlib.decompressobj().decompress(packed, size + 1)
            except zlib.error as error:
                raise ValueError(f"a chunk is damaged: {error}") from error
        elif code == h5py.h5z.FILTER_SHUFFLE:
            packed = np.frombuffer(packed, np.uint8).reshape(_REFERENCE.itemsize, -1).T.tobytes()
        else:
            raise ValueError("its rows are compressed in a way that lambent does not read; rewrite it with gzip")
    if len(packed) != size:
        raise ValueError("a chunk is damaged")
    return packed
