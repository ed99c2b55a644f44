"""From scores that go on to words: smoothing, threshold and refractory time; and how good that is, by the truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lambent.runs.truth import Said
from lambent.training.confidence import confidence

BACKGROUND = {
    "unknown", "silence", "noise", "background", "background noise", "other", "others", "garbage", "none", "nothing",
    "filler",
}  # fmt: skip
"""Classes that are no words to report, whatever the case, with `_` as a blank or around them."""

_LOGITS = np.linspace(-4.0, 14.0, 181)
THRESHOLDS = 1 / (1 + np.exp(-_LOGITS))
"""Thresholds of a curve, finer where confidence is nearly 1."""


def keywords(class_names: Sequence[str], background: Sequence[str] = ()) -> NDArray[np.bool_]:
    """(classes,) which classes are words to report: not `BACKGROUND`, nor those named.

    Raises:
        ValueError: a name is that of no class, or no word is left.
    """
    for name in background:
        if name not in class_names:
            raise ValueError(f"there is no class {name!r}; the classes are {', '.join(class_names)}")
    found = np.array(
        [n not in background and n.replace("_", " ").strip().lower() not in BACKGROUND for n in class_names]
    )
    if not found.any():
        raise ValueError(f"no word is left to listen for; the classes are {', '.join(class_names)}")
    return found


@dataclass(frozen=True)
class Rule:
    """When a word is reported.

    Attributes:
        threshold: confidence from which one is.
        smoothing: over which confidence is averaged [ms].
        refractory: after one, for how long none is [ms].

    Raises:
        ValueError: a value is out of range.
    """

    threshold: float = 0.8
    smoothing: float = 400.0
    refractory: float = 500.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be a confidence above 0 and up to 1, got {self.threshold}")
        for name in ("smoothing", "refractory"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more [ms], got {getattr(self, name)}")


class Detection(NamedTuple):
    """A word that was reported.

    Attributes:
        time: end of the sound that decided it [s]; what was heard, not when it was known.
        word: number of its class.
        confidence: smoothed, at that moment.
    """

    time: float
    word: int
    confidence: float


class Smooth:
    """Confidence (n, classes) of scores that go on, averaged over the last `smoothing` ms.

    Args:
        hop: between two scores [ms].
        temperature: see `lambent.training.confidence`.
    """

    def __init__(self, hop: float, smoothing: float, temperature: float) -> None:
        self._temperature = temperature
        self._last: deque[NDArray[np.float64]] = deque(maxlen=max(1, round(smoothing / hop)))

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of further scores (n, classes)."""
        out = np.empty(scores.shape)
        for i, p in enumerate(confidence(scores, self._temperature)):
            self._last.append(p)
            out[i] = np.mean(self._last, axis=0)
        return out


class Detector:
    """Words of confidences that go on.

    A word is reported when it becomes the likeliest and its confidence reaches the threshold, and once until that is
    over.

    Args:
        words: (classes,) which classes are words.
        hop: between two confidences [ms].

    Attributes:
        heard: number of confidences so far.
    """

    def __init__(self, words: NDArray[np.bool_], rule: Rule, hop: float) -> None:
        self._words, self._threshold, self._hop = np.flatnonzero(words), rule.threshold, hop
        self._pause = max(1, round(rule.refractory / hop))
        self.heard, self._free, self._loud = 0, 0, -1

    def __call__(self, sure: NDArray[np.float64]) -> list[Detection]:
        """The words in further confidences (n, classes)."""
        own = sure[:, self._words]
        best = own.argmax(1)
        top = own[np.arange(len(own)), best]
        loud = np.where(top >= self._threshold, self._words[best], -1)
        begins = np.flatnonzero((loud >= 0) & (loud != np.concatenate([[self._loud], loud[:-1]])))
        found = []
        for i in begins:
            if self.heard + i >= self._free:
                found.append(Detection((self.heard + i + 1) * self._hop / 1e3, int(loud[i]), float(top[i])))
                self._free = self.heard + int(i) + self._pause
        if len(loud):
            self.heard, self._loud = self.heard + len(loud), int(loud[-1])
        return found


class Matched(NamedTuple):
    """What detections were, by the truth.

    Attributes:
        hits: detections, and the word that each was of.
        false: detections of what was not said.
        missed: words that were not detected.
    """

    hits: list[tuple[Detection, Said]]
    false: list[Detection]
    missed: list[Said]


def matched(found: Sequence[Detection], truth: Sequence[Said], class_names: Sequence[str], within: float) -> Matched:
    """Compare detections with the truth, both in the order of time.

    A word is detected by the first detection of its class between its start and `within` seconds after its end; every
    other detection is a false alarm, a second one of a word, too.

    Args:
        truth: the words to detect; others are left out.
    """
    left, hits, false = list(truth), [], []
    for detection in found:
        name = class_names[detection.word]
        own = next((s for s in left if s.word == name and s.start <= detection.time <= s.end + within), None)
        if own is None:
            false.append(detection)
        else:
            left.remove(own)
            hits.append((detection, own))
    return Matched(hits, false, left)
