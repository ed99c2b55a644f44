"""The level at which a recording is heard: as published, as recorded, or held by a slow automatic gain control."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.audio.level_kernels import STATE, control
from lambent.audio.membrane import RATE

HEARD = 0.3
"""Root mean square of speech as the cochlea gets it (Cramer et al. 2020)."""

SPEECH = -26.0
"""Level of speech in recordings as they should be [dB below full scale], by ITU-T P.56 and P.830: what a fixed gain
brings to `HEARD`, and where a gain control begins."""

LOUDEST = 10.0
"""Samples beyond are no sound in [-1, 1] but integers that were made floats."""

LEVELS = ("rms", "recorded", "agc")

_FAINTEST = -50.0  # speech that a gain control still brings to `HEARD` [dB]; what is fainter stays fainter
_BLUR, _ATTACK, _RELEASE = 0.02, 0.1, 2.0  # time constants of the gain control [s]
_LOWEST = 20.0  # what is slower is no sound but a constant that drifts [Hz]


@dataclass(frozen=True)
class Level:
    """How the level of a sound is treated.

    Attributes:
        kind: "rms", "recorded" or "agc".
        gain: for "recorded", beside the one that brings speech of usual level to `HEARD` [dB].
    """

    kind: str
    gain: float = 0.0

    @property
    def streams(self) -> bool:
        """Whether it needs nothing of a sound's future."""
        return self.kind != "rms"

    def __str__(self) -> str:
        return f"{self.kind}:{self.gain:g}" if self.gain else self.kind

    def started(self) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        """A function that brings a stream at `RATE` Hz to its level, block after block, (samples,) each.

        Samples are in [-1, 1]. Blocks of any lengths give the same as the whole at once.

        Raises:
            ValueError: "rms" needs to know the whole recording.
        """
        if not self.streams:
            raise ValueError('level "rms" needs the whole recording; streams take "recorded" or "agc"')
        state = np.zeros(1, STATE)
        state["now"] = state["power"] = 10 ** ((SPEECH - self.gain) / 10)
        state["fresh"] = True
        highpass = math.exp(-2 * math.pi * _LOWEST / RATE)
        times = (_BLUR, _ATTACK, _RELEASE) if self.kind == "agc" else (math.inf,) * 3
        blur, attack, release = (-math.expm1(-1 / (RATE * tau)) for tau in times)
        faintest = 10 ** (min(_FAINTEST, SPEECH - self.gain) / 10)

        def heard(block: NDArray[Any]) -> NDArray[np.float64]:
            sound = np.array(block, np.float64)
            control(sound, state, highpass, blur, attack, release, faintest, HEARD)
            return sound

        return heard

    def of(self, recording: NDArray[np.float64]) -> NDArray[np.float64]:
        """A whole recording at `RATE` Hz, (samples,), brought to its level.

        Raises:
            ValueError: samples far outside of [-1, 1], where that matters.
        """
        if self.streams:
            most = float(np.abs(recording).max())
            if most > LOUDEST:
                raise ValueError(
                    f'level "{self}" takes samples in [-1, 1], and the largest is {most:.6g}; divide by full scale'
                )
            return self.started()(recording)
        return recording * (HEARD / np.sqrt(np.mean(recording**2)))


def parse_level(text: str) -> Level:
    """A `Level` as it is written: rms, recorded, recorded:GAIN with a gain in dB, or agc.

    Raises:
        TypeError: no text.
        ValueError: none of these.

    Example:
        >>> from lambent.audio.level import parse_level
        >>> parse_level("recorded:-6")
        Level(kind='recorded', gain=-6.0)
    """
    if not isinstance(text, str):
        raise TypeError(f"level must be a text such as 'rms', got {text!r}")
    kind, colon, gain = text.partition(":")
    try:
        number = float(gain) if colon else 0.0
    except ValueError:
        number = math.nan
    if kind not in LEVELS or (colon and kind != "recorded") or not abs(number) <= 100:
        raise ValueError(f"level must be rms, recorded, recorded:GAIN (from -100 to 100 dB) or agc, got {text!r}")
    return Level(kind, number)
