"""`Renditions`: further versions of a recording to train on, in noise and at other levels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambent.audio.reading import is_silent, read_audio, resample
from lambent.data.readers.tables import AUDIO

_SNR = (5.0, 25.0)  # [dB], where noise is given without it


@dataclass(frozen=True)
class Renditions:
    """How often, and how differently, each recording to train on is encoded.

    The first rendition is the recording as it is. Every further one hears it with another noise of its nerve fibres
    and, if asked, in noise and at another level. All draws follow from a seed, the recording and the
    rendition's number.

    Args:
        number: of renditions of each recording, at least 1.
        snr: range from which the signal-to-noise ratio is drawn, evenly [dB]: the mean square of the whole recording to
            that of the noise. Left out: 5 to 25 dB if there is `noise`, else no noise.
        noise: a folder of sound files, in folders of any depth, or one file, of which excerpts are taken at random.
            Left out: pink noise.
        loudness: range from which a change of level is drawn, evenly [dB].

    Raises:
        FileNotFoundError: there is no such noise.
        ValueError: no number of renditions, ranges that are none, or noise or levels for no further rendition; or a
            folder without sound files.

    Example:
        >>> lb.data.Renditions(3, snr=(10, 30))
        Renditions(number=3, snr=(10.0, 30.0), noise=None, loudness=None)
    """

    number: int = 1
    snr: tuple[float, float] | None = None
    noise: str | Path | None = None
    loudness: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.number, int) or isinstance(self.number, bool) or self.number < 1:
            raise ValueError(f"the number of renditions must be a whole number of at least 1, got {self.number!r}")
        for name in ("snr", "loudness"):
            if (found := getattr(self, name)) is not None:
                object.__setattr__(self, name, _range(name, found))
        if self.noise is not None:
            self.noise_files()
            if self.snr is None:
                object.__setattr__(self, "snr", _SNR)
        if self.number == 1 and (self.snr or self.loudness):
            raise ValueError(
                "the first rendition is the recording as it is; noise and loudness need renditions of 2 or more"
            )

    def noise_files(self) -> list[Path]:
        """The files of the noise, in a fixed order; empty where it is made.

        Raises:
            FileNotFoundError, ValueError: there are none.
        """
        if self.noise is None:
            return []
        folder = Path(self.noise)
        if folder.is_file():
            return [folder]
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder of noise")
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO and path.name[0] != ".")
        if not found:
            raise ValueError(f"{folder}: no sound files to take noise from")
        return found

    def check(self) -> None:
        """Read all of the noise once.

        Raises:
            OSError, ValueError: a file that is no sound, or silent; names it.
        """
        for path in self.noise_files():
            if is_silent(read_audio(path)[0]):
                raise ValueError(f"{path}: silent, which is no noise")

    def vary(self, audio: NDArray[np.float64], rate: int, rendition: int, seed: int) -> NDArray[np.float64]:
        """A rendition of a recording, (samples,) at `rate` Hz; number 0 is the recording itself, and silence stays."""
        if rendition == 0 or is_silent(audio):
            return audio
        digest = hashlib.blake2b(audio.tobytes() + str(rate).encode(), digest_size=8).digest()
        rng = np.random.default_rng([seed, rendition, int.from_bytes(digest, "little")])
        if self.snr is not None:
            noise = _pink(len(audio), rng)
            if files := self.noise_files():
                path = files[rng.integers(len(files))]
                noise = _excerpt(_noise(path, path.stat().st_mtime_ns, rate), len(audio), rng)
            ratio = 10 ** (rng.uniform(*self.snr) / 20)
            power = np.mean(noise**2)
            audio = audio + noise * (audio.std() / (ratio * np.sqrt(power)) if power else 0.0)
        if self.loudness is not None:
            audio = audio * 10 ** (rng.uniform(*self.loudness) / 20)
        return audio


def _range(name: str, found: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = map(float, found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a range of two numbers [dB], got {found!r}") from error
    if not -200 <= low <= high <= 200:
        raise ValueError(f"{name} must be a range from low to high [dB], got {low:g} to {high:g}")
    return low, high


@lru_cache(maxsize=8)
def _noise(path: Path, changed: int, rate: int) -> NDArray[np.float64]:
    """A file of noise at `rate` Hz, without a constant, as it was when it was `changed` last."""
    audio, own = read_audio(path)
    return resample(audio - audio.mean(), own, rate)


def _excerpt(noise: NDArray[np.float64], samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """So much of it from a random place on, and on from the beginning where it ends."""
    start = int(rng.integers(len(noise)))
    return np.take(noise, range(start, start + samples), mode="wrap")


def _pink(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of equal power in every octave, as rooms have more of than of white noise."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    spectrum[0] = 0.0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, samples)
