"""Lists of spikes.

Those of step t are `units[offsets[t]:offsets[t + 1]]`. If they carry values these are `values` at the same
places; otherwise `values` is empty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lambent.machine.compiling import inline, jit


class Spikes(NamedTuple):
    """The spikes of one sample.

    Attributes:
        offsets: (steps + 1,) int64.
        units: (n_spikes,) int32.
        values: (n_spikes,) int32, or (0,) where every spike is worth 1.
    """

    offsets: np.ndarray
    units: np.ndarray
    values: np.ndarray


class Drive(NamedTuple):
    """One sample for units that are driven by numbers.

    Attributes:
        mantissas: (steps, n) int32.
    """

    mantissas: np.ndarray


Sample = Spikes | Drive
"""What a layer is given of one sample."""


NO_VALUES = np.zeros(0, np.int32)


def pack(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and units of the entries of `dense` (n_in, steps) that are not 0."""
    there = dense if dense.itemsize == 1 else dense != 0
    flat = np.zeros(-(-dense.size // 8) * 8, np.uint8)
    flat[: dense.size] = np.ascontiguousarray(there).view(np.uint8).reshape(-1)
    return _by_step(flat, flat.view(np.uint64), int(np.count_nonzero(flat)), dense.shape[1])


@jit
def _by_step(flat: np.ndarray, words: np.ndarray, n: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and units of the `n` bytes of a flat (n_in, steps) that are not 0; `words` are eight bytes each."""
    offsets = np.zeros(steps + 1, np.int64)
    places = np.empty(n + 1, np.int64)
    total = 0
    for w in range(len(words)):  # most bytes are 0
        if words[w] != 0:
            for place in range(8 * w, 8 * w + 8):
                places[total] = place
                total += flat[place] != 0
    for place in places[:n]:
        offsets[place % steps + 1] += 1
    for t in range(steps):
        offsets[t + 1] += offsets[t]
    units = np.empty(n, np.int32)
    free = offsets[:-1].copy()
    for place in places[:n]:
        t = place % steps
        units[free[t]] = place // steps
        free[t] += 1
    return offsets, units


@jit
def pack_events(
    event_steps: np.ndarray, event_units: np.ndarray, n_in: int, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets, units and counts from the step and unit of each event in order of time.

    Several events of one unit in one step are one entry, which counts them.
    """
    offsets = np.zeros(steps + 1, np.int64)
    units = np.empty(len(event_units), np.int32)
    counts = np.zeros(len(event_units), np.int32)
    latest = np.full(n_in, -1, np.int64)
    entry = np.zeros(n_in, np.int64)
    total = 0
    for e in range(len(event_units)):
        unit, step = event_units[e], event_steps[e]
        if latest[unit] != step:
            latest[unit] = step
            entry[unit] = total
            units[total] = unit
            total += 1
            offsets[step + 1] += 1
        counts[entry[unit]] += 1
    for t in range(steps):
        offsets[t + 1] += offsets[t]
    return offsets, units[:total], counts[:total]


@inline
def grown(entries: np.ndarray, used: int, wanted: int) -> np.ndarray:
    """`entries`, or a copy of its `used` ones in a longer array, so that `wanted` fit."""
    if wanted <= len(entries):
        return entries
    longer = np.empty(max(wanted, 2 * len(entries)), entries.dtype)
    for e in range(used):  # a slice would compile for seconds
        longer[e] = entries[e]
    return longer


@inline
def record(rows: np.ndarray, t: int, values: np.ndarray) -> None:
    """Row t of `rows` becomes `values`, if it has rows."""
    if len(rows) > 0:
        for j in range(len(values)):
            rows[t, j] = values[j]
