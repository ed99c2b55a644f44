"""Compiled loops of the cochlea over channels and steps: hair cells, and the bushy cells that they drive.

What a channel is at the end of a block it carries, in a record of `HAIR_CELL` and one of `BUSHY_CELL`, to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.audio.membrane import RATE
from lambent.machine.compiling import jit

FIBRES = 40
"""Auditory nerve fibres that converge on a bushy cell."""

_DT = 1 / RATE
# Meddis 1986, doi:10.1121/1.393460, and 1988, doi:10.1121/1.396050
_PERMEABILITY, _OFFSET, _HALF = 2000.0, 5.0, 300.0  # g, A, B: transmitter is released at g (s + A) / (s + A + B)
_FACTORY, _LOSS, _REUPTAKE, _REPROCESSING = 5.05, 2500.0, 6580.0, 66.3  # y, l, r, x [1/s]
_FIRING = 50000.0  # h: rate of a fibre per transmitter in the cleft [1/s]
# Cramer et al. 2020
_TAU_MEM, _TAU_SYN, _WEIGHT = 1e-3, 5e-4, 13e3 / FIBRES  # [s], [s], [1/s]
REFRACTORY = round(1e-3 * RATE)
"""Refractory period of fibres and of bushy cells [steps]."""

HAIR_CELL = np.dtype([("pool", float), ("cleft", float), ("store", float)])
"""Transmitter ready for release, in the cleft, and on its way back."""

BUSHY_CELL = np.dtype(
    [
        ("random", np.uint64),
        ("wait", float),  # hazard until the next spike of a fibre
        ("ready", np.int64),  # fibres that are not refractory
        ("fired", np.int64, (REFRACTORY,)),  # fibres that fired in the last steps, by step modulo the length
        ("current", float),
        ("voltage", float),
        ("resting", np.int64),  # steps until it integrates again
    ]
)


def hair_cells_at_rest(channels: int) -> NDArray[Any]:
    """Hair cells after long silence, (channels,) of `HAIR_CELL`."""
    release = _PERMEABILITY * _OFFSET / (_OFFSET + _HALF)
    cells = np.empty(channels, HAIR_CELL)
    cells["cleft"] = _FACTORY * release / (_LOSS * release + _FACTORY * (_LOSS + _REUPTAKE))
    cells["pool"] = cells["cleft"] * (_LOSS + _REUPTAKE) / release
    cells["store"] = cells["cleft"] * _REUPTAKE / _REPROCESSING
    return cells


@jit
def release_transmitter(velocity: NDArray[np.float32], cells: NDArray[Any]) -> None:
    """Turn the membrane's `velocity` (channels, steps) in place into each fibre's probability to fire in a step."""
    for i in range(velocity.shape[0]):
        trace, cell = velocity[i], cells[i]
        pool, cleft, store = cell["pool"], cell["cleft"], cell["store"]
        for j in range(trace.shape[0]):
            opened = max(trace[j] + _OFFSET, 0.0)
            released = _DT * _PERMEABILITY * opened / (opened + _HALF) * pool
            returned = _DT * _REPROCESSING * store
            pool += _DT * _FACTORY * max(1.0 - pool, 0.0) - released + returned
            store += _DT * _REUPTAKE * cleft - returned
            cleft += released - _DT * (_LOSS + _REUPTAKE) * cleft
            trace[j] = _DT * _FIRING * cleft
        cell["pool"], cell["cleft"], cell["store"] = pool, cleft, store


@jit
def bushy_cells_at_rest(seeds: NDArray[np.uint64]) -> NDArray[Any]:
    """Bushy cells without input, one per seed, (channels,) of `BUSHY_CELL`."""
    cells = np.zeros(len(seeds), BUSHY_CELL)
    for i in range(len(seeds)):
        cells[i]["random"], cells[i]["ready"] = seeds[i], FIBRES
        cells[i]["wait"] = _exponential(cells[i])
    return cells


@jit
def _exponential(cell: Any) -> float:
    """A draw from the exponential distribution; the generator is SplitMix64, one per cell."""
    z = cell["random"] + np.uint64(0x9E3779B97F4A7C15)
    cell["random"] = z
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return -np.log(((z >> np.uint64(11)) + 0.5) * 2.0**-53)


@jit
def fibre_spikes(probability: float, ready: int, wait: float, cell: Any) -> tuple[int, float]:
    """How many of `ready` fibres fire in a step, binomial with the `probability` of each.

    The fibres are asked one after the other, step after step, and each uses up ``-log(1 - probability)`` of an
    exponential `wait`; one at which it ends fires. So random numbers are drawn per spike, not per step.

    Returns:
        The number, and what is left of the wait.
    """
    y = probability / (2.0 - probability)  # the logarithm is 2 artanh(y); its series is good to 1e-8 below 0.2
    hazard = 2.0 * y * (1.0 + y * y * (1 / 3 + y * y * (1 / 5 + y * y / 7)))
    fired = 0
    while wait < hazard * ready:
        ready -= int(wait / hazard) + 1
        fired += 1
        wait = _exponential(cell)
        if ready <= 0:
            return fired, wait
    return fired, wait - hazard * ready


@jit
def bushy_spikes(
    probability: NDArray[np.float32], cells: NDArray[Any], first_step: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Spikes of bushy cells.

    Args:
        probability: (channels, steps), of each fibre to fire in a step.
        cells: (channels,) of `BUSHY_CELL`, brought to the end of the block.
        first_step: number of the first step.

    Returns:
        Steps and channels of the spikes, (n_spikes,) each, channel after channel.
    """
    channels, steps = probability.shape
    out_steps = np.empty(channels * (steps // REFRACTORY + 1), np.int32)
    out_channels = np.empty_like(out_steps)
    n = 0
    keep_mem, keep_syn = np.exp(-_DT / _TAU_MEM), np.exp(-_DT / _TAU_SYN)
    for i in range(channels):
        cell, p = cells[i], probability[i]
        wait, ready, fired = cell["wait"], cell["ready"], cell["fired"]
        current, voltage, resting = cell["current"], cell["voltage"], cell["resting"]
        for j in range(steps):
            slot = np.uint64(first_step + j) % np.uint64(REFRACTORY)  # unsigned: no test for an index from the end
            ready += fired[slot]
            spikes, wait = fibre_spikes(p[j], ready, wait, cell)
            fired[slot] = spikes
            ready -= spikes

            current = current * keep_syn + spikes
            if voltage >= 1.0:
                out_steps[n], out_channels[n] = first_step + j, i
                n += 1
                voltage, resting = 0.0, REFRACTORY
            if resting > 0:
                resting -= 1
            else:
                voltage = voltage * keep_mem + _DT * _WEIGHT * current
        cell["wait"], cell["ready"] = wait, ready
        cell["current"], cell["voltage"], cell["resting"] = current, voltage, resting
    return out_steps[:n], out_channels[:n]
