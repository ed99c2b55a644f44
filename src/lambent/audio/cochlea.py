"""`Cochlea`: from recordings to the spikes that the auditory nerve's first targets would send."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lambent.audio.cochlea_kernels import (
    bushy_cells_at_rest,
    bushy_spikes,
    hair_cells_at_rest,
    release_transmitter,
)
from lambent.audio.level import Level, parse_level
from lambent.audio.membrane import RATE, REACH, block_length, transfer_table
from lambent.audio.reading import check_rate, full_scale, is_silent, mono, resample
from lambent.audio.streaming import heard_blocks
from lambent.events import Events
from lambent.machine.threads import in_threads

_RAMP = 30.0  # [ms]
_GROUP = 25  # channels a thread takes at a time: their velocities fit its cache
_STEP = 1e3 / RATE  # [ms]
TAIL = 50.0
"""Silence after the sound [ms]."""

Spikes = tuple[NDArray[np.int32], NDArray[np.int32]]  # steps and units


class Cochlea:
    """The auditory chain of the Heidelberg data sets: recordings to spikes of bushy cells.

    Cramer, Stradmann, Schemmel & Zenke, "The Heidelberg spiking data sets", IEEE TNNLS 33 (2022) 2744,
    doi:10.1109/TNNLS.2020.3044364, appendix: the sound, at an RMS level of 0.3 and with ramps of 30 ms, moves
    a hydrodynamic basilar membrane (`lambent.audio.membrane`); at every place a hair cell with pools of
    transmitter (Meddis 1986, 1988) drives 40 nerve fibres, which fire at random and then rest for 1 ms; they
    converge on a leaky integrate-and-fire cell, whose spikes are the output. Time runs in steps of 1/16 ms.
    After the sound come 50 ms of silence. A recording whose samples are all equal gives no spikes.

    The published level makes the hiss of a silent room as loud as a word, and is known only once a recording has ended;
    `level` has others, which work on streams.

    The fibres' noise follows from `seed` and the recording alone, so a recording gives the same spikes in
    any batch, order and number of threads; another seed gives another rendition.

    Args:
        channels: places along the membrane, from high (unit 0) to low frequencies.
        seed: of the noise, not negative.
        level: "rms", as published: every recording is brought to a root mean square of 0.3. "recorded": its own level,
            by a fixed gain that brings speech of -26 dB below full scale, the usual level (ITU-T P.56), to 0.3;
            "recorded:6" adds 6 dB. "agc": a slow automatic gain control, which follows sound that grows louder with a
            time constant of 0.1 s, and fainter with one of 2 s, and lifts nothing by more than 24 dB above that gain.
            These two need samples in [-1, 1], or integers that fill the range of their type.

    Raises:
        TypeError, ValueError: `channels` or `seed` is no integer, or too small; or there is no such level.

    Example:
        >>> cochlea = Cochlea(140, seed=1)
        >>> events = cochlea(np.sin(np.arange(4000.0)), 8000)
        >>> len(events), events.n_units, events.duration
        (1, 140, 550.0)
    """

    def __init__(self, channels: int = 700, *, seed: int = 0, level: str = "rms") -> None:
        for name, value, least in (("channels", channels, 2), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.channels, self.seed = int(channels), int(seed)
        self._level = parse_level(level)
        self.level = str(self._level)

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
                recordings. Arrays or tensors.
            sampling_rate: of the recording, or of each, from 1 kHz to 1 MHz [Hz].
            duration: of the events [ms]. Left out: that of the longest recording and 50 ms of silence, in
                whole milliseconds.
            crop: cut what comes past `duration` instead of raising.

        Returns:
            Events on `channels` units, one sample per recording, times on multiples of 1/16 ms.

        Raises:
            TypeError: `audio` holds no numbers, or a sampling rate is no integer.
            ValueError: a recording is empty, a single sample, not finite or not in [-1, 1] where that matters, or the
                recordings don't fit `sampling_rate` or `duration`; names the recording.
        """
        several = isinstance(audio, (list, tuple)) and len(audio) > 0 and np.ndim(audio[0]) > 0
        recordings: Sequence[Any] = audio if several else [audio]  # type: ignore[assignment]
        rates: Any = sampling_rate if np.ndim(sampling_rate) else [sampling_rate] * len(recordings)
        if len(rates) != len(recordings):
            raise ValueError(f"{len(recordings)} recordings but {len(rates)} sampling rates")
        sounds = [
            _prepare(x, rate, self._level, f"recording {i}: " if several else "")
            for i, (x, rate) in enumerate(zip(recordings, rates, strict=True))
        ]
        needed = max(len(sound) for sound, _ in sounds) * _STEP
        if duration is None:
            duration = float(np.ceil(needed))
        elif not (np.isfinite(duration) and duration > 0):
            raise ValueError(f"duration must be positive and finite [ms], got {duration}")
        elif needed > duration and not crop:
            raise ValueError(
                f"a recording lasts {needed:g} ms with the {TAIL:g} ms after it, and duration is {duration:g} ms; "
                "crop=True cuts"
            )
        times, units = zip(*self._spikes(sounds, int(np.ceil(duration / _STEP))), strict=True)
        return Events.from_lists(times, units, self.channels, duration)

    def stream(self, blocks: Iterable[ArrayLike], sampling_rate: int, block: float = 100.0) -> Iterator[Events]:
        """Encode sound without end as it comes in.

        As for a recording, but without ramps, and the fibres' noise follows from `seed` alone. The membrane looks 100
        ms ahead (`lambent.audio.streaming.LOOKAHEAD`), so that spikes come so much later than their sound, and a block.
        Incoming blocks of any lengths give the same spikes. After the last come 50 ms of silence, and what fills the
        block. Silence is no exception here: fibres fire now and then, as between words.

        Args:
            blocks: consecutive pieces of the sound, (samples,) each, in [-1, 1] or integers that fill their type.
            sampling_rate: from 1 kHz to 1 MHz [Hz].
            block: length of what is handed out, a whole number of milliseconds.

        Yields:
            `Events` of one sample, of `block` ms, with times from its beginning on.

        Raises:
            TypeError, ValueError: no such sound, or `level` is "rms", which needs a whole recording.

        Example:
            >>> cochlea = Cochlea(140, level="agc")
            >>> sound = 0.1 * np.sin(np.arange(8000.0))
            >>> [events.duration for events in cochlea.stream([sound[:3000], sound[3000:]], 16000)]
            [100.0, 100.0, 100.0, 100.0, 100.0, 100.0]
        """
        if not (block >= 1 and float(block).is_integer()):
            raise ValueError(f"block must be a whole number of milliseconds, got {block}")
        check_rate(sampling_rate)
        self._level.started()  # refuses what cannot be streamed
        size, after = round(block / _STEP), round(TAIL / _STEP)
        found = heard_blocks(blocks, sampling_rate, self._level, self.channels, self.seed, size, after, _GROUP)
        return (Events.from_lists([step * _STEP], [unit], self.channels, float(block)) for step, unit in found)

    def _spikes(
        self, sounds: list[tuple[NDArray[np.float32], int]], most: int
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.int32]]]:
        """Times [ms] and units of each sound's spikes in its first steps, at `most` so many."""
        groups = np.array_split(np.arange(self.channels), -(-self.channels // _GROUP))
        tasks: list[Any] = []
        heard = [sound.any() for sound, _ in sounds]
        for sound, digest in (x for x, loud in zip(sounds, heard, strict=True) if loud):
            length = block_length(len(sound))
            spectra, table = _spectra(sound, length), transfer_table(self.channels, length)
            seeds = np.random.SeedSequence([self.seed, digest]).generate_state(self.channels, np.uint64)
            tasks += [(spectra, min(len(sound), most), table, seeds, group) for group in groups]
        found = iter(in_threads(lambda task: _respond(*task), tasks))
        for loud in heard:
            if not loud:
                yield np.empty(0), np.empty(0, np.int32)
                continue
            step, unit = _join([next(found) for _ in groups])
            order = np.argsort(step, kind="stable")
            yield step[order] * _STEP, unit[order]

    def __repr__(self) -> str:
        level = "" if self.level == "rms" else f", level='{self.level}'"
        return f"Cochlea({self.channels}, seed={self.seed}{level})"


def _prepare(audio: ArrayLike, rate: int, level: Level, where: str) -> tuple[NDArray[np.float32], int]:
    """The sound as the ear gets it, at `RATE` and with silence after it, and a digest of the recording.

    All zeros where there is nothing to hear.
    """
    try:
        x, rate = mono(audio), check_rate(rate)
        digest = hashlib.blake2b(x.tobytes() + str(rate).encode(), digest_size=8).digest()
        x = np.zeros(-(-len(x) * RATE // rate)) if is_silent(x) else _heard(x / full_scale(audio), rate, level)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}{error}") from error
    ramp = min(int(_RAMP / _STEP), len(x) // 2)
    rise = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / max(ramp, 1)) ** 2
    x[:ramp] *= rise
    x[len(x) - ramp :] *= rise[::-1]
    return np.pad(x, (0, int(TAIL / _STEP))).astype(np.float32), int.from_bytes(digest, "little")


def _heard(x: NDArray[np.float64], rate: int, level: Level) -> NDArray[np.float64]:
    """A recording at `RATE` and the level at which it is heard."""
    if level.streams:
        return level.of(resample(x - x[0], rate, RATE))  # so that a constant makes no click
    x = x - x.mean()  # a constant that the microphone added
    return level.of(resample(x / np.abs(x).max(), rate, RATE))


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
    seeds: NDArray[Any],
    group: NDArray[np.integer],
) -> Spikes:
    """The spikes of a group of neighbouring channels in the first `steps` of a sound, block after block."""
    rows = slice(group[0], group[-1] + 1)
    hair_cells, bushy_cells = hair_cells_at_rest(len(group)), bushy_cells_at_rest(seeds[rows])
    length = 2 * (table.shape[1] - 1)
    hop = length - 2 * REACH
    found = []
    for spectrum, first in zip(spectra, range(0, steps, hop), strict=False):
        block = scipy.fft.irfft(table[rows] * spectrum, length, overwrite_x=True)
        block = block[:, REACH : REACH + min(hop, steps - first)]
        release_transmitter(block, hair_cells)
        found.append(bushy_spikes(block, bushy_cells, first))
    step, unit = _join(found)
    return step, unit + np.int32(group[0])


def _join(found: list[Spikes]) -> Spikes:
    step, unit = (np.concatenate(x) for x in zip(*found, strict=True))
    return step, unit
