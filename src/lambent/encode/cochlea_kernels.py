"""Compiled loops of the cochlea: hair cells, their fibres and bushy cells, channel by channel."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lambent.encode.membrane import RATE

FIBRES = 40
"""Auditory nerve fibres that converge on a bushy cell."""

# Meddis 1986, doi:10.1121/1.393460, and 1988, doi:10.1121/1.396050: rates [1/s] of the pools of transmitter
_PERMEABILITY, _OFFSET, _HALF = 2000.0, 5.0, 300.0  # g, A, B: release g (s + A)+ / (s + A + B)
_FACTORY, _LOSS, _REUPTAKE, _REPROCESSING = 5.05, 2500.0, 6580.0, 66.3  # y, l, r, x
_FIRING = 50000.0  # h: firing rate per transmitter in the cleft
# Bushy cells, Cramer et al. 2020
_TAU_MEM, _TAU_SYN, _WEIGHT = 1e-3, 5e-4, 13e3 / FIBRES  # [s], [s], [1/s]
REFRACTORY = round(1e-3 * RATE)
"""Refractory period of fibres and of bushy cells [steps]."""

_DT = 1 / RATE


CHANNEL = np.dtype(
    [
        ("pool", np.float64),  # transmitter free in the hair cell, in the cleft, and on its way back
        ("cleft", np.float64),
        ("store", np.float64),
        ("wait", np.float64),  # hazard until the next spike of a fibre
        ("ready", np.int64),  # fibres that are not refractory
        ("fired", np.int64, (REFRACTORY,)),  # fibres that fired in the last steps, by step modulo the length
        ("current", np.float64),  # of the bushy cell
        ("voltage", np.float64),
        ("resting", np.int64),  # steps until it may integrate again
        ("random", np.uint64),
    ]
)
"""What a channel carries from block to block."""

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


def at_rest(seeds: NDArray[np.uint64]) -> NDArray[Any]:
    """Channels in silence, of `CHANNEL`, one per seed: hair cells in their steady state, cells empty."""
    release = _PERMEABILITY * _OFFSET / (_OFFSET + _HALF)
    state = np.zeros(len(seeds), CHANNEL)
    state["cleft"] = _FACTORY * release / (_LOSS * release + _FACTORY * (_LOSS + _REUPTAKE))
    state["pool"] = state["cleft"] * (_LOSS + _REUPTAKE) / release
    state["store"] = state["cleft"] * _REUPTAKE / _REPROCESSING
    state["ready"] = FIBRES
    state["random"] = seeds
    _first_waits(state)
    return state


@_jit
def _first_waits(state: NDArray[Any]) -> None:
    for channel in state:
        channel["wait"] = _exponential(channel)


@_jit
def _exponential(channel: Any) -> float:
    """A draw from the exponential distribution; the generator is SplitMix64, a state per channel."""
    z = channel["random"] + np.uint64(0x9E3779B97F4A7C15)
    channel["random"] = z
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return -np.log(((z >> np.uint64(11)) + 0.5) * 2.0**-53)


@_jit
def fibre_spikes(probability: float, ready: int, wait: float, channel: Any) -> tuple[int, float]:
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
        wait = _exponential(channel)
        if ready <= 0:
            return fired, wait
    return fired, wait - hazard * ready


@_jit
def bushy_spikes(
    velocity: NDArray[np.float32], state: NDArray[Any], first_step: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Spikes of the bushy cells.

    Args:
        velocity: (channels, steps) of the basilar membrane.
        state: (channels,) of `CHANNEL`; left as it is after the last step.
        first_step: number of the first step.

    Returns:
        Steps and channels of the spikes, (n_spikes,) each, channel after channel.
    """
    channels, steps = velocity.shape
    out_steps = np.empty(channels * (steps // REFRACTORY + 1), np.int32)
    out_channels = np.empty_like(out_steps)
    n = 0
    keep_mem, keep_syn = np.exp(-_DT / _TAU_MEM), np.exp(-_DT / _TAU_SYN)
    for i in range(channels):
        channel, drive = state[i], velocity[i]
        pool, cleft, store = channel["pool"], channel["cleft"], channel["store"]
        wait, ready, fired = channel["wait"], channel["ready"], channel["fired"]
        current, voltage, resting = channel["current"], channel["voltage"], channel["resting"]
        for j in range(steps):
            open_ = max(drive[j] + _OFFSET, 0.0)
            released = _DT * _PERMEABILITY * open_ / (open_ + _HALF) * pool
            returned = _DT * _REPROCESSING * store
            pool = max(pool + _DT * _FACTORY * max(1.0 - pool, 0.0) - released + returned, 0.0)
            store += _DT * _REUPTAKE * cleft - returned
            cleft += released - _DT * (_LOSS + _REUPTAKE) * cleft

            slot = (first_step + j) % REFRACTORY
            ready += fired[slot]
            spikes, wait = fibre_spikes(_DT * _FIRING * cleft, ready, wait, channel)
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
        channel["pool"], channel["cleft"], channel["store"] = pool, cleft, store
        channel["wait"], channel["ready"] = wait, ready
        channel["current"], channel["voltage"], channel["resting"] = current, voltage, resting
    return out_steps[:n], out_channels[:n]
