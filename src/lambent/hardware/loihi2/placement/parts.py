"""`parts_of`: cutting a layer into the fewest equal parts that each fit on a core.

Units of an image are cut into tiles over space that hold all channels, as all channels of a place listen to the same
units and share the same kernels; channels are split only where a single place is too much. Other units are cut in
order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.placement.blocks import Block
from lambent.hardware.loihi2.placement.core import AXONS_IN, MEMORY, UNITS, shared_memory, store

_FINE = 64  # parts up to which every number is tried; then steps of a 64th, so that effort grows with its logarithm


def parts_of(block: Block, n_in: int, sent: np.ndarray, axons_out: int) -> np.ndarray:
    """The part of every unit of `block`, int64 (units,), numbered from 0.

    Args:
        n_in: number of the network's inputs.
        sent: (units,) number of cores of later layers that each unit sends to.
        axons_out: output axons of a core.

    Raises:
        ValueError: the layer does not fit, however many parts there are; names the limit.
    """
    _check_one_unit(block)
    if sent.max(initial=0) > axons_out:
        raise ValueError(f"{block.name}: one unit sends to more than the {axons_out:,} cores it has axons for")
    return _tiles(block, sent, axons_out) if len(block.shape) == 3 else _runs(block, n_in, sent, axons_out)


def cores_reached(parts: np.ndarray, synapses: csr_array) -> np.ndarray:
    """(sources,) number of parts with a synapse of each source of `synapses` (units, sources)."""
    reached = _members(parts) @ synapses.astype(np.int32)
    return np.bincount(reached.indices, minlength=synapses.shape[1])


def _members(parts: np.ndarray) -> csr_array:
    """(parts, units), 1 where a unit belongs to a part."""
    one = np.ones(len(parts), np.int32)
    return csr_array((one, (parts, np.arange(len(parts)))), shape=(int(parts.max()) + 1, len(parts)))


def _check_one_unit(block: Block) -> None:
    fan_in = np.diff(block.synapses.indptr)
    widest = int(fan_in.argmax())
    needs, axons = store(block, [widest]).memory, int(fan_in[widest])
    if axons > AXONS_IN or needs > MEMORY:
        limit = f"{AXONS_IN:,} input axons" if axons > AXONS_IN else f"{MEMORY / 1024:.0f} KiB of synaptic memory"
        raise ValueError(
            f"{block.name}: unit {widest} has {axons:,} inputs ({needs / 1024:.1f} KiB), a core has {limit}; "
            f"what fits is at most {min(AXONS_IN, axons * MEMORY // needs):,} inputs a unit: prune, or split the layer"
        )


def _runs(block: Block, n_in: int, sent: np.ndarray, axons_out: int) -> np.ndarray:
    """Units in order, the same number in each part."""
    size = len(sent)
    own = block.synapses[:, n_in + block.first : n_in + block.first + size]
    n = max(-(-size // UNITS), block.synapses.nnz * block.weight_bits // (8 * MEMORY), 1)
    while True:
        n = min(n, size)
        parts = np.arange(size) * n // size
        if all(_fits(block, np.flatnonzero(parts == i)) for i in range(n)):
            axons = np.bincount(parts, weights=sent + (cores_reached(parts, own) if own.nnz else 0))
            if axons.max() <= axons_out:
                return parts
            if n == size:
                raise ValueError(
                    f"{block.name}: its units send to so many cores that {n:,} cores lack axons for it: split the layer"
                )
            n = max(n, int(axons.sum()) // axons_out)  # more parts never need fewer axons in all
        n += max(1, n // _FINE)


def _fits(block: Block, rows: np.ndarray) -> bool:
    stored = store(block, rows)
    return len(rows) <= UNITS and stored.memory <= MEMORY and int(np.count_nonzero(stored.entries)) <= AXONS_IN


def _tiles(block: Block, sent: np.ndarray, axons_out: int) -> np.ndarray:
    """Rectangles of the image, with all channels or as many as fit."""
    channels, height, width = block.shape
    for n in _channel_splits(channels):
        group = np.arange(channels) * n // channels
        images = [_Image(block, np.flatnonzero(group == g), sent, axons_out) for g in range(n)]
        found = [
            (rows * columns, axons, rows, columns)
            for rows in _divisions(height)
            for columns, axons in _fewest_columns(images, rows, width)
        ]
        if found:
            _, _, rows, columns = min(found)
            tile = _grid(height, width, rows, columns)
            return (group[:, None] * (rows * columns) + tile).reshape(-1)
    raise ValueError(f"{block.name}: not even single units fit on cores: fewer channels or smaller kernels are needed")


def _channel_splits(channels: int) -> Iterator[int]:
    n = 1
    while n < channels:
        yield n
        n += max(1, n // 8)
    yield channels


def _divisions(side: int) -> list[int]:
    """The numbers of rows worth trying, the least for each height of a tile."""
    return sorted({math.ceil(side / tile) for tile in range(1, side + 1)})


def _grid(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """The tile of every place, (height * width,)."""
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return (row[:, None] * columns + column).reshape(-1)


def _fewest_columns(images: list[_Image], rows: int, width: int) -> Iterator[tuple[int, int]]:
    """The least number of columns at which every tile fits, by bisection, and input axons of all tiles; or nothing."""

    def axons(columns: int) -> int | None:
        taken = [image.axons(rows, columns) for image in images]
        return None if None in taken else sum(x for x in taken if x is not None)

    best, total = width, axons(width)
    if total is None:
        return
    low = 0
    while best - low > 1:
        middle = (low + best) // 2
        found = axons(middle)
        if found is None:
            low = middle
        else:
            best, total = middle, found
    yield best, total


class _Image:
    """Some channels of a layer, place by place: what they listen to together decides which tiles fit."""

    def __init__(self, block: Block, channels: np.ndarray, sent: np.ndarray, axons_out: int) -> None:
        _, self._height, self._width = block.shape
        places = self._height * self._width
        units = (channels[:, None] * places + np.arange(places)).reshape(-1)
        place = np.tile(np.arange(places), len(channels))
        self._block, self._channels, self._axons_out = block, channels, axons_out
        self._sources = csr_array(_members(place) @ block.synapses[units].astype(np.int32))
        self._sent = np.bincount(place, weights=sent[units], minlength=places)

    def axons(self, rows: int, columns: int) -> int | None:
        """Input axons of all of rows x columns tiles; None if a tile does not fit."""
        tile = _grid(self._height, self._width, rows, columns)
        units = np.bincount(tile) * len(self._channels)
        if units.max() > UNITS or np.bincount(tile, weights=self._sent).max() > self._axons_out:
            return None
        axons = np.diff((_members(tile) @ self._sources).indptr)
        if axons.max() > AXONS_IN:
            return None
        if self._block.kernel.size and shared_memory(self._block, self._channels, units, axons).max() > MEMORY:
            return None
        return int(axons.sum())
