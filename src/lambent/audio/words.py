"""Sound as it comes in, from a microphone or a file, cut into words at the silence between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambent.audio.reading import read_audio

MICROPHONE_RATE = 16000
"""Samples per second of what the microphone hears [Hz]."""

_FRAME = 0.02  # [s]; loud or not is asked of so much sound at a time
_BEFORE = 3  # frames kept from before a word's first loud one, and after its last
_PAUSE = 10  # quiet frames that end a word
_SHORTEST = 4  # loud frames of a word; less is a click


def cut_words(
    blocks: Iterable[NDArray[np.floating]],
    rate: int,
    level: float,
    longest: float,
    notice: Callable[[float], None] = lambda level: None,
) -> Iterator[tuple[float, NDArray[np.floating]]]:
    """Cut a stream of sound into words: what is loud, between two pauses of 0.2 s.

    Args:
        blocks: consecutive pieces of the sound, (samples,) each, of any length.
        rate: sampling rate [Hz].
        level: root mean square of 20 ms, about their mean, from which they are loud.
        longest: a word ends after so many seconds even if no pause comes.
        notice: called with the level of every 20 ms.

    Yields:
        The beginning of each word [s] and its sound (samples,), as soon as it has ended.
    """
    word: list[NDArray[np.floating]] = []
    before: deque[NDArray[np.floating]] = deque(maxlen=_BEFORE)
    loud = quiet = start = 0
    for n, frame in enumerate(_frames(blocks, max(1, round(rate * _FRAME)))):
        is_loud = False
        if len(frame):
            here = float(np.std(frame))  # whatever constant a microphone adds
            is_loud = here >= level
            notice(here)
        if not word and is_loud:
            word, start, loud, quiet = list(before), n - len(before), 0, 0
        if word or is_loud:
            word.append(frame)
            loud, quiet = loud + is_loud, 0 if is_loud else quiet + 1
            if quiet == _PAUSE or len(word) * _FRAME >= longest or len(frame) == 0:
                if loud >= _SHORTEST:
                    yield start * _FRAME, np.concatenate(word[: len(word) - max(0, quiet - _BEFORE)])
                word = []
                before.clear()
        else:
            before.append(frame)


def _frames(blocks: Iterable[NDArray[np.floating]], size: int) -> Iterator[NDArray[np.floating]]:
    """The stream in frames of `size`, and an empty one at the end."""
    rest: NDArray[np.floating] = np.empty(0)
    for block in blocks:
        rest = np.concatenate([rest, block])
        whole = len(rest) // size * size
        yield from rest[:whole].reshape(-1, size)
        rest = rest[whole:]
    yield np.empty(0)


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
