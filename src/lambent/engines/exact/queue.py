"""A heap of units by the time at which each will spike next, whose entries can be changed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lambent.machine.compiling import inline, jit


class Queue(NamedTuple):
    """A binary heap.

    Attributes:
        time: (units,) when each unit is due, infinity for never.
        heap: (units,) the units that are due, the earliest first; only the first `size[0]` entries count.
        place: (units,) where in `heap` each unit stands, -1 for nowhere.
        size: (1,).
    """

    time: np.ndarray
    heap: np.ndarray
    place: np.ndarray
    size: np.ndarray


@jit
def new_queue(units):
    """A queue in which no unit is due."""
    return Queue(
        np.full(units, math.inf),
        np.empty(units, np.int64),
        np.full(units, -1, np.int64),
        np.zeros(1, np.int64),
    )


@jit
def clear(queue):
    """Let no unit be due."""
    queue.time[:] = math.inf
    queue.place[:] = -1
    queue.size[0] = 0


@inline
def earliest(queue):
    """The time at which the next unit is due, or infinity."""
    return queue.time[queue.heap[0]] if queue.size[0] else math.inf


@inline
def _settle(queue, unit, place):
    """Put `unit` into the heap at the hole `place`, moved up or down to where it belongs."""
    time, heap = queue.time, queue.heap
    key, size = time[unit], queue.size[0]
    while place > 0 and time[heap[(place - 1) // 2]] > key:
        heap[place] = heap[(place - 1) // 2]
        queue.place[heap[place]] = place
        place = (place - 1) // 2
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and time[heap[child + 1]] < time[heap[child]]:
            child += 1
        if time[heap[child]] >= key:
            break
        heap[place] = heap[child]
        queue.place[heap[place]] = place
        place = child
    heap[place] = unit
    queue.place[unit] = place


@inline
def set_due(queue, unit, time):
    """Let `unit` be due at `time`; infinity takes it out of the queue."""
    place = queue.place[unit]
    if place < 0 and time == math.inf:
        return
    queue.time[unit] = time
    if time < math.inf:
        if place < 0:
            place = queue.size[0]
            queue.size[0] += 1
        _settle(queue, unit, place)
        return
    queue.place[unit] = -1
    queue.size[0] -= 1
    last = queue.heap[queue.size[0]]
    if last != unit:
        _settle(queue, last, place)
