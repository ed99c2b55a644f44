"""Encoded words, kept on the disk until all of a set are done, so that an interrupted call can go on."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.machine.files import open_file, replacing


@dataclass(frozen=True)
class Word:
    """What became of a recording: its spikes, or why there are none."""

    times: NDArray[np.float32]  # [ms]
    units: NDArray[Any]
    length: float  # [ms]
    clipped: bool = False
    problem: str = ""


def save_words(parts: Path, maker: str, words: Mapping[str, Word]) -> None:
    """Keep words by their keys in a new file in the folder `parts`.

    Args:
        maker: the encoder and its settings, all that the words depend on beside their keys.
    """
    made = list(words.values())
    part = parts / f"{len(list(parts.glob('*.npz'))):06d}.npz"
    with replacing(part) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            maker=maker,
            keys=np.array(list(words)),
            ends=np.cumsum([len(word.times) for word in made]),
            times=np.concatenate([word.times for word in made]),
            units=np.concatenate([word.units for word in made]),
            lengths=np.array([word.length for word in made]),
            clipped=np.array([word.clipped for word in made]),
        )


def load_words(parts: Path, maker: str) -> dict[str, Word]:
    """The words in the folder `parts` that this `maker` has made; damaged files are passed over."""
    words: dict[str, Word] = {}
    for part in sorted(parts.glob("*.npz")):
        try:
            with open_file(part) as file, np.load(file) as z:
                kept = {name: z[name] for name in z.files}
            if str(kept["maker"]) != maker:
                continue
            times, units = (np.split(kept[name], kept["ends"][:-1]) for name in ("times", "units"))
            rows = zip(times, units, kept["lengths"], kept["clipped"], strict=True)
            made = [Word(t, u, float(length), bool(clipped)) for t, u, length, clipped in rows]
            words |= dict(zip(map(str, kept["keys"]), made, strict=True))
        except (OSError, zipfile.BadZipFile, ValueError, EOFError, KeyError, TypeError, IndexError, zlib.error):
            continue  # damaged: encode those again
    return words
