"""Recordings divided into splits: by class or by speaker, and never the same sound on two sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lambent.audio.reading import is_silent, read_audio
from lambent.data.readers.recordings import Recording
from lambent.machine.threads import in_threads

_BLOCK = 256  # files read before Ctrl-C is heard


def contents(paths: Sequence[Path]) -> list[str | None]:
    """What tells sounds apart: equal for files of the same samples and sampling rate.

    Silence, which says nothing of whose it is, differs in every file. None where a file cannot be read.
    """

    def content(path: Path) -> str | None:
        try:
            audio, rate = read_audio(path)
        except (OSError, ValueError):
            return None
        if is_silent(audio):
            return f"silent {path}"
        return hashlib.blake2b(audio.tobytes() + str(rate).encode(), digest_size=16).hexdigest()

    return [x for i in range(0, len(paths), _BLOCK) for x in in_threads(content, paths[i : i + _BLOCK])]


def divide(
    recordings: Sequence[Recording],
    shares: Mapping[str, float],
    by: str,
    seed: int = 0,
    same: Sequence[str | None] | None = None,
) -> list[Recording]:
    """Put a share of the recordings into each named split, at random; what is left is training data.

    Args:
        recordings: without splits yet.
        shares: split to share of the recordings, each in (0, 1), in all below 1.
        by: "class" takes the share of every class; "speaker" takes whole speakers, so that a split holds
            none that another one has. A recording of an unknown speaker is as one of a speaker of its own.
        seed: of the draw.
        same: for each recording what tells its sound from others. Those of the same sound stay on one side, and so do
            all of their speakers, if these are kept together. Left out: all differ, as those where it is None.

    Raises:
        ValueError: bad shares, recordings that have splits already, or too few speakers or recordings of a class for a
            share.

    Example:
        >>> from pathlib import Path
        >>> for speaker in ("anna", "ben", "cleo", "dora"):
        ...     Path("spoken/yes", speaker).mkdir(parents=True)
        ...     Path("spoken/yes", speaker, "1.wav").touch()
        >>> spoken = lb.data.divide(lb.data.list_recordings("spoken"), {"test": 0.25}, by="speaker")
        >>> [(r.speaker, r.split) for r in spoken]
        [('anna', ''), ('ben', ''), ('cleo', 'test'), ('dora', '')]
    """
    check_shares(recordings, shares, by)
    rng = np.random.default_rng(seed)
    first = _first_of_same(same or [None] * len(recordings))
    if by == "class":
        splits = _by_class([r.label for r in recordings], first, shares, rng)
    else:
        splits = _by_speaker(_groups(recordings, first), shares, rng)
    return [replace(r, split=split) for r, split in zip(recordings, splits, strict=True)]


def check_shares(recordings: Sequence[Recording], shares: Mapping[str, float], by: str) -> None:
    """Raise ValueError where recordings cannot be divided like this, whatever they sound like."""
    if by not in ("class", "speaker"):
        raise ValueError(f"splits are made by class or speaker, not by {by!r}")
    for name, share in shares.items():
        if not name or name == "train" or not 0 < share < 1:
            raise ValueError(f"a split is a name other than train and a share between 0 and 1, not {name}={share:g}")
    if sum(shares.values()) >= 1:
        raise ValueError(f"the splits take {sum(shares.values()):g} of the recordings; nothing is left to train on")
    if done := next((r for r in recordings if r.split), None):
        raise ValueError(f"{done.path} is in the split {done.split!r} already")


def _first_of_same(same: Sequence[str | None]) -> list[int]:
    """For each recording the position of the first one of its sound."""
    firsts: dict[str, int] = {}
    return [i if x is None else firsts.setdefault(x, i) for i, x in enumerate(same)]


def _by_class(
    labels: Sequence[str], first: Sequence[int], shares: Mapping[str, float], rng: np.random.Generator
) -> list[str]:
    split: dict[int, str] = {}  # of each sound; one of several classes has it from the first of these
    for label in sorted(set(labels)):
        sounds = list(dict.fromkeys(i for i, x in zip(first, labels, strict=True) if x == label))
        ends = np.round(np.cumsum([0, *shares.values()]) * len(sounds)).astype(int)
        left = rng.permutation([i for i in sounds if i not in split]).tolist()
        for name, wanted in zip(shares, np.diff(ends), strict=True):
            lacking = max(0, wanted - sum(split.get(i) == name for i in sounds))
            split |= dict.fromkeys(left[:lacking], name)
            left = left[lacking:]
        split |= dict.fromkeys(left, "")
        if {split[i] for i in sounds} != {"", *shares}:
            raise ValueError(f"class {label!r}: {len(sounds)} recordings are too few to give every split some")
    return [split[i] for i in first]


def _groups(recordings: Sequence[Recording], first: Sequence[int]) -> list[str]:
    """The speaker of each recording, or the first of those who share a recording, whom nothing tells apart."""
    # no speaker is called as a file of nobody is here
    speakers = [r.speaker if r.speaker is not None else f"\0{r.path}" for r in recordings]
    leader: dict[str, str] = {speaker: speaker for speaker in speakers}

    def find(x: str) -> str:
        while leader[x] != x:
            leader[x] = x = leader[leader[x]]
        return x

    for speaker, i in zip(speakers, first, strict=True):
        a, b = sorted((find(speaker), find(speakers[i])))
        leader[b] = a
    return [find(speaker) for speaker in speakers]


def _by_speaker(speakers: Sequence[str], shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    sizes = Counter(speakers)
    if len(sizes) <= len(shares):
        raise ValueError(
            f"{len(sizes)} speakers are too few for {len(shares)} splits and training data; those who share a "
            "recording count as one"
        )
    left = [str(x) for x in rng.permutation(sorted(sizes))]
    chosen: dict[str, str] = {}
    for n, (name, share) in enumerate(shares.items()):
        wanted = share * len(speakers)
        taken = 0
        spare = len(left) - (len(shares) - n)  # later splits and the training data get a speaker each
        while spare > 0 and (taken == 0 or taken + sizes[left[0]] / 2 <= wanted):
            taken += sizes[left[0]]
            chosen[left.pop(0)] = name
            spare -= 1
    return [chosen.get(speaker, "") for speaker in speakers]
