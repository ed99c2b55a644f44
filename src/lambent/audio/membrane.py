"""The basilar membrane: velocity at every place as a linear filter of the sound.

Hydrodynamic long-wave model of Sieroka, Dosch & Rupp, "Semirealistic models of the cochlea", J. Acoust. Soc.
Am. 120 (2006) 297, doi:10.1121/1.2204438, with the values of the Heidelberg data sets (Cramer et al. 2020).
CGS units, as there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import hankel1, hankel2

from lambent.machine.threads import in_threads

RATE = 16000
"""Samples per second inside the model: its step is 1/16 ms and sound above 8 kHz is not heard."""

REACH = 1600
"""Samples (100 ms) past which the response to a click is negligible, before and after."""

_LENGTH = 3.5  # of the membrane [cm]
_STIFFNESS, _TENSION = 1e9, 3500.0  # stiffness: 1e9 exp(-alpha x) - 3500 [g/(s^2 cm^2)]
_ALPHA = 3.0  # [1/cm]
_MASS = 0.05  # [g/cm^2]
_HEIGHT = 0.1  # of the fluid column [cm]
_DENSITY = 1.0  # of the fluid [g/cm^3]
_DAMPING = 0.15 * np.sqrt(_STIFFNESS * _MASS)  # at the base [g/(s cm^2)]


def places(channels: int) -> NDArray[np.float64]:
    """Where the channels lie, (channels,) [cm] from the base (high frequencies) to the apex (low ones)."""
    return np.linspace(0.0, _LENGTH, channels)


def transfer(frequency: NDArray[Any], place: NDArray[Any]) -> NDArray[np.complex128]:
    """Velocity of the membrane per amplitude of the sound.

    The wave number is integrated along the membrane in closed form: with ``u = exp(alpha x / 2)`` the
    impedance is a quadratic polynomial over u squared, and the integral an arc sine.

    Args:
        frequency: (n,) positive [Hz].
        place: (channels,) [cm].

    Returns:
        (channels, n). As in the published tool the phase is that of time running as exp(-i omega t), so the
        inverse Fourier transform of numpy gives a response that *precedes* the sound (by up to 50 ms at the
        apex). The data sets are made so, and what is trained on them expects it.
    """
    omega, x = 2 * np.pi * frequency[None], place[:, None]

    def impedance(x: NDArray[np.float64]) -> NDArray[np.complex128]:
        spring = _STIFFNESS * np.exp(-_ALPHA * x) - _TENSION
        return spring - _MASS * omega**2 - 1j * omega * _DAMPING * np.exp(-_ALPHA * x / 2)

    def wave_number(x: NDArray[np.float64]) -> NDArray[Any]:
        return omega * np.sqrt(_DENSITY / (_HEIGHT * impedance(x)))

    b, r = _TENSION + _MASS * omega**2, omega * _DAMPING

    def angle(x: NDArray[np.float64]) -> NDArray[Any]:
        return np.arcsin((2 * b * np.exp(_ALPHA * x / 2) + 1j * r) / np.sqrt(4 * b * _STIFFNESS - r**2))

    base = np.zeros((1, 1))
    phase_base = 2 * wave_number(base) / _ALPHA
    phase = phase_base + 2 * omega / _ALPHA * np.sqrt(_DENSITY / (_HEIGHT * b)) * (angle(x) - angle(base))
    pressure = np.sqrt(phase / wave_number(x)) * hankel1(0, phase)
    pressure_base = np.sqrt(phase_base / wave_number(base)) * hankel1(0, phase_base)
    k = 2 * omega / _ALPHA * np.sqrt(2 / (_HEIGHT * _STIFFNESS))
    entrance = 1j * np.sqrt(2 * _STIFFNESS / _HEIGHT) * hankel2(0, k) / hankel2(1, k)
    return 2 * omega / impedance(x) * pressure / pressure_base * entrance


@lru_cache(maxsize=4)
def _responses(channels: int) -> NDArray[np.float32]:
    """Responses to a click, (channels, 2 * REACH): the times from 0 on, then those before 0."""
    n = 2 * REACH
    frequency = np.arange(1, n // 2 + 1) * (RATE / n)

    def spectrum(x: NDArray[np.float64]) -> NDArray[np.float32]:
        return scipy.fft.irfft(np.pad(transfer(frequency, x), ((0, 0), (1, 0))), n).astype(np.float32)

    return _shared(in_threads(spectrum, np.array_split(places(channels), min(channels, 16))))


def block_length(samples: int) -> int:
    """Length of the Fourier transforms that suit a sound of so many samples: few lengths, all quick."""
    wanted = min(samples + 2 * REACH, 1 << 14)
    unit = (1 << (wanted - 1).bit_length()) >> 3
    return -(-wanted // unit) * unit


@lru_cache(maxsize=8)
def transfer_table(channels: int, length: int) -> NDArray[np.complex64]:
    """Transfer functions for `scipy.fft.irfft` of `length`, (channels, length // 2 + 1)."""
    response = _responses(channels)

    def spectrum(rows: NDArray[np.float32]) -> NDArray[np.complex64]:
        middle = np.zeros((len(rows), length - 2 * REACH), np.float32)
        return scipy.fft.rfft(np.concatenate([rows[:, :REACH], middle, rows[:, REACH:]], axis=1))

    return _shared(in_threads(spectrum, np.array_split(response, min(channels, 16))))


def _shared(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The parts in one array that nobody can change by mistake."""
    whole = np.concatenate(parts)
    whole.flags.writeable = False
    return whole
