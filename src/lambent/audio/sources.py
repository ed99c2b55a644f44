"""Sound as it comes in, from a microphone or a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambent.audio.reading import read_audio

MICROPHONE_RATE = 16000
"""Samples per second of what the microphone hears [Hz]."""


def file_blocks(path: str | Path, seconds: float = 0.1) -> tuple[Iterator[NDArray[np.floating]], int]:
    """A file as a microphone would hand it out: blocks, and the sampling rate [Hz].

    Raises:
        As `read_audio`.
    """
    audio, rate = read_audio(path)
    size = max(1, round(seconds * rate))
    return (audio[i : i + size] for i in range(0, len(audio), size)), rate


def microphone_blocks(seconds: float = 0.1) -> Iterator[NDArray[np.floating]]:
    """What the default microphone hears at `MICROPHONE_RATE`, without end.

    Raises:
        ImportError: the package sounddevice is missing.
        OSError: there is no microphone, or not the system's library for it.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError("a microphone needs sounddevice: pip install 'lambent[microphone]'") from error
    try:
        with sounddevice.InputStream(samplerate=MICROPHONE_RATE, channels=1, dtype="float32") as stream:
            while True:
                block, _ = stream.read(round(seconds * MICROPHONE_RATE))
                yield block[:, 0].copy()
    except sounddevice.PortAudioError as error:
        raise OSError(f"no microphone to listen to: {error}") from error
