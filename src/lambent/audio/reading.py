"""Sound as arrays: reading files, mixing down, and what a recording must be to be encoded."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lambent.audio.headers import missing_bytes
from lambent.machine.files import open_file

_LOWEST_RATE, _HIGHEST_RATE = 1000, 1_000_000  # [Hz]; beyond lies no sound but a damaged file
_MOST_CHANNELS = 32  # of a recording; more means that the axes were swapped
_MOST_SAMPLES = 1 << 27  # 50 minutes at 44.1 kHz, and 1 GB; of silence a FLAC file needs little to hold more
_BLOCK = 1 << 20  # samples
_UNKNOWN = 1 << 62  # samples at least that libsndfile says of a file that does not say
_CANCELLED = 0.1  # as loud as the loudest channel is what is left of channels that cancel; 32 at random are 0.18


def read_audio(path: str | Path) -> tuple[NDArray[np.float64], int]:
    """Read a sound file: wav, flac, ogg and whatever else libsndfile reads.

    Returns:
        The sound, mixed down to one channel, (samples,) in [-1, 1], and its sampling rate [Hz].

    Raises:
        OSError: there is no such file, or it must not be read.
        ImportError: the package soundfile is missing.
        ValueError: no audio, damaged or cut off; or nothing to encode, see `mono` and `check_rate`.

    Example:
        >>> import soundfile
        >>> soundfile.write("beep.wav", 0.1 * np.sin(np.arange(8000.0)), 8000)
        >>> samples, rate = lb.encode.read_audio("beep.wav")
        >>> samples.shape, rate
        ((8000,), 8000)
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("reading audio files needs soundfile: pip install 'lambent[audio]'") from error
    with open_file(path) as raw:
        missing = missing_bytes(raw)
        raw.seek(0)
        try:
            with soundfile.SoundFile(raw) as file:
                samples, rate, expected = _samples(file), file.samplerate, file.frames
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path}: no audio that can be read ({error.error_string})") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if missing:
        raise ValueError(f"{path}: cut off: {missing:,} bytes of sound that its header announces are missing")
    if len(samples) < expected:
        raise ValueError(f"{path}: cut off or damaged after {len(samples)} of {expected} samples")
    try:
        return mono(samples), check_rate(rate)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _samples(file: Any) -> NDArray[np.float64]:
    """All samples of an open file, a block at a time: it may announce anything."""
    if file.frames >= _UNKNOWN:  # which libsndfile does not read
        raise ValueError("does not say how many samples it holds; convert it, as with: ffmpeg -i a.flac b.flac")
    blocks, left = [file.read(0, dtype="float64")], _MOST_SAMPLES // max(1, file.channels)
    while len(block := file.read(_BLOCK, dtype="float64")):
        blocks.append(block)
        left -= len(block)
        if left < 0:
            raise ValueError(f"more than {_MOST_SAMPLES:,} samples; cut it into pieces")
    return np.concatenate(blocks)


def mono(audio: ArrayLike) -> NDArray[np.float64]:
    """A recording as one channel of finite numbers, (samples,): the mean of its channels.

    Where that nearly cancels, as of a stereo recording with one side turned over, it is the loudest channel.

    Args:
        audio: (samples,) or (samples, channels); floats or integers, unsigned ones centred on half their range.

    Raises:
        TypeError: no array of numbers.
        ValueError: empty, only one sample, NaN or infinite samples, or a shape that is no recording's.
    """
    x = audio.detach().cpu().numpy() if isinstance(audio, torch.Tensor) else np.asarray(audio)
    if x.dtype.kind not in "fiu":
        raise TypeError(f"audio must be an array of numbers, got {x.dtype}")
    if x.ndim not in (1, 2) or (x.ndim == 2 and not 1 <= x.shape[1] <= _MOST_CHANNELS):
        raise ValueError(f"audio must be (samples,) or (samples, channels), got shape {x.shape}")
    if len(x) == 0:
        raise ValueError("empty: no samples")
    if x.dtype.kind == "u":
        x = x - (np.iinfo(x.dtype).max + 1) / 2
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"sample {int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(1)))} is NaN or infinite")
    if x.ndim == 2:
        loud = x.std(0)
        mixed = x.mean(1)
        x = mixed if mixed.std() >= _CANCELLED * loud.max() else x[:, loud.argmax()]
    if len(x) == 1:
        raise ValueError("only one sample")
    return x


def full_scale(audio: ArrayLike) -> float:
    """The largest number that samples of this type stand for: 1 of floats, half the range of integers."""
    x = audio.dtype if isinstance(audio, torch.Tensor) else np.asarray(audio).dtype
    if isinstance(x, torch.dtype):
        return 1.0 if x.is_floating_point else 2.0 ** (torch.iinfo(x).bits - 1)
    return 1.0 if x.kind == "f" else 2.0 ** (np.iinfo(x).bits - 1)


def is_silent(audio: NDArray[np.float64]) -> bool:
    """Whether all samples (samples,) are equal: a microphone that is switched off, with whatever constant it adds."""
    return bool((audio == audio[0]).all())


def check_rate(rate: int) -> int:
    """`rate`, if recordings have such rates: from 1 kHz to 1 MHz.

    Raises:
        TypeError: no integer.
        ValueError: outside of that.
    """
    if not isinstance(rate, (int, np.integer)):
        raise TypeError(f"sampling_rate must be an integer [Hz], got {rate!r}")
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise ValueError(f"sampling_rate must be from {_LOWEST_RATE} to {_HIGHEST_RATE} Hz, got {rate}")
    return int(rate)


def resample(audio: NDArray[np.float64], rate: int, target: int) -> NDArray[np.float64]:
    """`audio` (samples,) at another sampling rate [Hz]."""
    from scipy.signal import resample_poly  # would be a third of `import lambent`

    common = gcd(rate, target)
    return resample_poly(audio, target // common, rate // common)
