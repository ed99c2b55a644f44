"""What the header of a sound file says of its size: libsndfile takes a half-copied one for a shorter whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_UNKNOWN = (0, 2**32 - 1)  # sizes that a program writes which does not know yet
_W64 = bytes.fromhex("2e91cf11a5d628db04c10000")  # of `riff`, after its four letters
_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")


def missing_bytes(file: BinaryIO) -> int:
    """How many bytes of sound a WAV, RF64, W64, AIFF, AU or CAF file lacks that its header announces; 0 for others."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(40)
    for start, length in _sound(file, head):
        return max(0, start + length - size)
    return 0


def _sound(file: BinaryIO, head: bytes) -> Iterator[tuple[int, int]]:
    """Where the sound begins and its length, if the header says so."""
    kind = head[:4]
    if kind == b".snd" and len(head) >= 12:
        start, length = struct.unpack(">II", head[4:12])
        if length not in _UNKNOWN:
            yield start, length
    elif kind in (b"RIFF", b"RIFX") or (kind == b"RF64" and head[12:16] == b"ds64" and len(head) >= 36):
        order = ">" if kind == b"RIFX" else "<"
        for name, start, length in _chunks(file, 12, order + "4sI"):
            if name == b"data":
                if kind == b"RF64" and length in _UNKNOWN:
                    length = struct.unpack("<Q", head[28:36])[0]
                if length not in _UNKNOWN:
                    yield start, length
    elif kind == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        yield from ((start, length) for name, start, length in _chunks(file, 12, ">4sI") if name == b"SSND")
    elif kind == b"caff":
        yield from ((start, n) for name, start, n in _chunks(file, 8, ">4sq", even=1) if name == b"data" and n >= 0)
    elif kind == b"riff" and head[4:16] == _W64:
        for name, start, length in _chunks(file, 40, "<16sQ", even=8, counts_itself=True):
            if name == _W64_DATA:
                yield start, length


def _chunks(
    file: BinaryIO, position: int, layout: str, even: int = 2, counts_itself: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk from `position` on, whose heads have this layout.

    Args:
        even: lengths are rounded up to a multiple of this many bytes.
        counts_itself: whether a length includes the head.
    """
    n = struct.calcsize(layout)
    while True:
        file.seek(position)
        head = file.read(n)
        if len(head) < n:
            return
        name, length = struct.unpack(layout, head)
        length -= n if counts_itself else 0
        yield name, position + n, length
        if length < 0:
            return
        position += n + -(-length // even) * even
