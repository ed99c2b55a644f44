"""`Cochlea`: from recordings to the spikes that the auditory nerve's first targets would send."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import ArrayLike, NDArray

from lambent.encode.audio import mono, resample
from lambent.encode.cochlea_kernels import (
    bushy_cells_at_rest,
    bushy_spikes,
    hair_cells_at_rest,
    release_transmitter,
)
from lambent.encode.membrane import RATE, REACH, block_length, transfer_table
from lambent.engines.threads import in_threads
from lambent.events import Events

_LEVEL = 0.3  # root mean square of what is heard
_RAMP = 30.0  # [ms]
_TAIL = 50.0  # silence after the sound [ms]
_GROUP = 25  # channels a thread takes at a time: their velocities fit its cache
_STEP = 1e3 / RATE  # [ms]


class Cochlea:
    """The auditory chain of the Heidelberg data sets: recordings to spikes of bushy cells.

    Cramer, Stradmann, Schemmel & Zenke, "The Heidelberg spiking data sets", IEEE TNNLS 33 (2022) 2744,
    doi:10.1109/TNNLS.2020.3044364, appendix: the sound, at an RMS level of 0.3 and with ramps of 30 ms, moves
    a hydrodynamic basilar membrane (`lambent.encode.membrane`); at every place a hair cell with pools of
    transmitter (Meddis 1986, 1988) drives 40 nerve fibres, which fire at random and then rest for 1 ms; they
    converge on a leaky integrate-and-fire cell, whose spikes are the output. Time runs in steps of 1/16 ms.
    After the sound come 50 ms of silence.

    The fibres' noise follows from `seed` and the recording alone, so a recording gives the same spikes in
    any batch, order and number of threads; another seed gives another rendition.

    Args:
        channels: places along the membrane, from high (unit 0) to low frequencies.
        seed: of the noise, not negative.

    Raises:
        TypeError, ValueError: `channels` or `seed` is no integer, or too small.

    Example:
        >>> cochlea = Cochlea(140, seed=1)
        >>> events = cochlea(np.sin(np.arange(4000.0)), 8000)
        >>> len(events), events.n_units, events.duration
        (1, 140, 550.0)
    """

    def __init__(self, channels: int = 700, *, seed: int = 0) -> None:
        for name, value, least in (("channels", channels, 2), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.channels, self.seed = int(channels), int(seed)

    def __call__(
        self,
        audio: ArrayLike | Sequence[ArrayLike],
        sampling_rate: int | Sequence[int],
        duration: float | None = None,
        *,
        crop: bool = False,
    ) -> Events:
        """Encode a recording, or a list of them as one batch.

        Args:
            audio: a recording, (samples,) or (samples, channels), which are mixed down; or a list of
                recordings. Arrays or tensors; the level does not matter.
            sampling_rate: of the recording, or of each [Hz].
            duration: of the events [ms]. Left out: that of the longest recording and 50 ms of silence, in
                whole milliseconds.
            crop: cut what comes past `duration` instead of raising.

        Returns:
            Events on `channels` units, one sample per recording, times on multiples of 1/16 ms.

        Raises:
            TypeError: `audio` holds no numbers, or a sampling rate is no whole number.
            ValueError: a recording is empty, silent, a single sample or not finite, or the recordings don't
                fit `sampling_rate` or `duration`; names the recording.
        """
        several = isinstance(audio, (list, tuple)) and len(audio) > 0 and np.ndim(audio[0]) > 0
        recordings: Sequence[Any] = audio if several else [audio]  # type: ignore[assignment]
        rates = sampling_rate if isinstance(sampling_rate, Sequence) else [sampling_rate] * len(recordings)
        if len(rates) != len(recordings):
            raise ValueError(f"{len(recordings)} recordings but {len(rates)} sampling rates")
        sounds = [_prepare(x, rate, f"recording {i}: " if several else "") for i, (x, rate) in
                  enumerate(zip(recordings, rates, strict=True))]
        steps = [len(x) for x, _ in sounds]
        needed = max(steps) * _STEP
        if duration is None:
            duration = float(np.ceil(needed))
        elif needed > duration and not crop:
            i = int(np.argmax(steps))
            raise ValueError(
                f"recording {i} lasts {needed:g} ms with the {_TAIL:g} ms after it, longer than the duration of "
                f"{duration:g} ms; crop=True cuts"
            )
        return self._encode(sounds, duration)

    def _encode(self, sounds: list[tuple[NDArray[np.float32], int]], duration: float) -> Events:
        groups = np.array_split(np.arange(self.channels), -(-self.channels // _GROUP))
        prepared = []
        for sound, digest in sounds:
            sound = sound[: int(np.ceil(duration / _STEP))]
            seeds = np.random.SeedSequence([self.seed, digest]).generate_state(self.channels, np.uint64)
            length = block_length(len(sound))
            prepared.append((_spectra(sound, length), len(sound), transfer_table(self.channels, length), seeds))
        tasks = [(sound, group) for sound in prepared for group in groups]
        spikes = iter(in_threads(lambda task: _respond(*task[0], task[1]), tasks))
        times, units = [], []
        for _ in sounds:
            found = [next(spikes) for _ in groups]
            step, unit = (np.concatenate(x) for x in zip(*found, strict=True))
            order = np.argsort(step, kind="stable")
            times.append(step[order] * _STEP)
            units.append(unit[order])
        return Events.from_lists(times, units, self.channels, duration)

    def __repr__(self) -> str:
        return f"Cochlea({self.channels}, seed={self.seed})"


def _prepare(audio: ArrayLike, rate: int, where: str) -> tuple[NDArray[np.float32], int]:
    """The sound as the ear gets it, at `RATE` and with silence after it, and a digest of the recording."""
    try:
        x = mono(audio)
        if not isinstance(rate, (int, np.integer)) and not float(rate).is_integer():
            raise TypeError(f"sampling_rate must be a whole number of Hz, got {rate}")
        if rate < 1:
            raise ValueError(f"sampling_rate must be positive, got {rate}")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}{error}") from error
    digest = hashlib.blake2b(x.tobytes() + str(int(rate)).encode(), digest_size=8).digest()
    x = resample(x, int(rate), RATE)
    x *= _LEVEL / np.sqrt(np.mean(x**2))
    ramp = min(int(_RAMP / _STEP), len(x) // 2)
    rise = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / max(ramp, 1)) ** 2
    x[:ramp] *= rise
    x[len(x) - ramp :] *= rise[::-1]
    return np.pad(x, (0, int(_TAIL / _STEP))).astype(np.float32), int.from_bytes(digest, "little")


def _spectra(sound: NDArray[np.float32], length: int) -> NDArray[np.complex64]:
    """Spectra of the overlapping blocks of a sound, (blocks, length // 2 + 1)."""
    hop = length - 2 * REACH
    blocks = -(-len(sound) // hop)
    padded = np.pad(sound, (REACH, blocks * hop + REACH - len(sound)))
    return np.stack([scipy.fft.rfft(padded[b * hop : b * hop + length]) for b in range(blocks)])


def _respond(
    spectra: NDArray[np.complex64],
    steps: int,
    table: NDArray[np.complex64],
    seeds: NDArray[np.uint64],
    group: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Steps and units of the spikes of a group of neighbouring channels, block after block of the sound."""
    rows = slice(group[0], group[-1] + 1)
    hair_cells, bushy_cells = hair_cells_at_rest(len(group)), bushy_cells_at_rest(seeds[rows])
    length = 2 * (table.shape[1] - 1)
    hop = length - 2 * REACH
    found = []
    for b, spectrum in enumerate(spectra):
        velocity = scipy.fft.irfft(table[rows] * spectrum, length, overwrite_x=True)
        here = velocity[:, REACH : REACH + min(hop, steps - b * hop)]
        release_transmitter(here, hair_cells)
        found.append(bushy_spikes(here, bushy_cells, b * hop))
    step, unit = (np.concatenate(x) for x in zip(*found, strict=True))
    return step, unit + group[0].astype(np.int32)
