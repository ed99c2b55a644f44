"""Lists of labelled recordings: from folders, from a table, and how they are divided into splits."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from lambent.machine.files import open_file

_AUDIO = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"}
_COLUMNS = ("path", "label", "speaker", "split")


@dataclass(frozen=True)
class Recording:
    """A sound file and what is known of it.

    Attributes:
        path: the file.
        label: its class.
        speaker: who spoke, None where unknown.
        split: the split it belongs to, "" for the training data.
    """

    path: Path
    label: str
    speaker: str | None = None
    split: str = ""


def list_recordings(source: str | Path) -> list[Recording]:
    """The recordings of a folder or of a table, in a fixed order.

    A folder holds one folder per class. All files in it that are not hidden are taken for recordings. The
    speaker is the folder between class and file, or what comes before ``_nohash_`` in the name, as in the
    Speech Commands (Warden 2018); otherwise unknown.

    A table is a CSV file of path, label and, optionally, speaker and split, in this order or under a heading that
    names the columns. Paths are relative to the table. Training data may be called "train" or nothing.

    Raises:
        FileNotFoundError: there is no such folder or table.
        ValueError: no recordings, one that comes twice or lies in no class, or a broken table; names it.

    Example:
        >>> from pathlib import Path
        >>> for name in ("yes/anna/1.wav", "no/anna/1.wav", "no/ben/1.wav"):
        ...     Path("words", name).parent.mkdir(parents=True, exist_ok=True)
        ...     Path("words", name).touch()
        >>> [(r.label, r.speaker) for r in lb.data.list_recordings("words")]
        [('no', 'anna'), ('no', 'ben'), ('yes', 'anna')]
    """
    source = Path(source)
    recordings = _from_folder(source) if source.is_dir() else _from_table(source)
    if not recordings:
        raise ValueError(f"{source}: no recordings; a folder needs one folder of sound files per class")
    return recordings


def _from_folder(folder: Path) -> list[Recording]:
    recordings = []
    names: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in inside.parts):
            continue
        if len(inside.parts) == 1:
            if path.suffix.lower() in _AUDIO:
                raise ValueError(f"{path}: lies in no class; put it into a folder named after its class")
            continue  # a licence, a list
        if (other := names.setdefault(path.with_suffix(""), path)) != path:
            raise ValueError(f"{path} and {other.name}: two files of one name; remove one")
        recordings.append(Recording(path, inside.parts[0], _speaker(inside)))
    return recordings


def _speaker(inside: Path) -> str | None:
    if len(inside.parts) > 2:
        return inside.parts[1]
    name, found, _ = inside.stem.partition("_nohash_")
    return name if found else None


def _from_table(table: Path) -> list[Recording]:
    recordings: list[Recording] = []
    lines: dict[Path, int] = {}
    columns, wanted = list(_COLUMNS), "path,label[,speaker[,split]]"
    with open_file(table) as raw, TextIOWrapper(raw, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            for n, row in enumerate(row for row in reader if any(map(str.strip, row))):
                cells = [cell.strip() for cell in row]
                where = f"{table}, line {reader.line_num}"
                if n == 0 and (named := _heading(cells, where)):
                    columns, wanted = named, ",".join(named)
                    continue
                found = dict.fromkeys(_COLUMNS, "") | dict(zip(columns, cells, strict=False))
                path, label, speaker, split = (found[name] for name in _COLUMNS)
                if len(cells) > len(columns) or not (path and label):
                    raise ValueError(f"{where}: expected {wanted}, got {row}")
                here = table.parent / path
                if (first := lines.setdefault(here, reader.line_num)) != reader.line_num:
                    raise ValueError(f"{where}: {path} was listed in line {first} already")
                recordings.append(Recording(here, label, speaker or None, "" if split.casefold() == "train" else split))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{table}: no table of comma-separated values ({error})") from error
    return recordings


def _heading(cells: Sequence[str], where: str) -> list[str]:
    """The columns that a table's first row names; none if it is no heading."""
    names = [cell.casefold() for cell in cells]
    if not {"path", "label"} <= set(names):
        return []
    for name, times in Counter(names).items():
        if name not in _COLUMNS or times > 1:
            what = "twice" if name in _COLUMNS else f"where only {', '.join(_COLUMNS)} are known"
            raise ValueError(f"{where}: the heading names a column {name!r} {what}; remove it")
    return names


def divide(recordings: Sequence[Recording], shares: Mapping[str, float], by: str, seed: int = 0) -> list[Recording]:
    """Put a share of the recordings into each named split, at random; what is left is training data.

    Args:
        recordings: without splits yet.
        shares: split to share of the recordings, each in (0, 1), in all below 1.
        by: "class" takes the share of every class; "speaker" takes whole speakers, so that a split holds
            none that another one has.
        seed: of the draw.

    Raises:
        ValueError: bad shares, recordings that have splits already, unknown speakers, or too few speakers or
            recordings of a class for a share.

    Example:
        >>> from pathlib import Path
        >>> for speaker in ("anna", "ben", "cleo", "dora"):
        ...     Path("spoken/yes", speaker).mkdir(parents=True)
        ...     Path("spoken/yes", speaker, "1.wav").touch()
        >>> spoken = lb.data.divide(lb.data.list_recordings("spoken"), {"test": 0.25}, by="speaker")
        >>> [(r.speaker, r.split) for r in spoken]
        [('anna', ''), ('ben', ''), ('cleo', 'test'), ('dora', '')]
    """
    if by not in ("class", "speaker"):
        raise ValueError(f"splits are made by class or speaker, not by {by!r}")
    for name, share in shares.items():
        if not name or name == "train" or not 0 < share < 1:
            raise ValueError(f"a split is a name other than train and a share between 0 and 1, not {name}={share:g}")
    if sum(shares.values()) >= 1:
        raise ValueError(f"the splits take {sum(shares.values()):g} of the recordings; nothing is left to train on")
    if done := next((r for r in recordings if r.split), None):
        raise ValueError(f"{done.path} is in the split {done.split!r} already")
    groups = [r.label if by == "class" else r.speaker for r in recordings]
    if None in groups:
        raise ValueError(
            f"the speaker of {recordings[groups.index(None)].path} is unknown; put the files of each speaker into "
            "a folder CLASS/SPEAKER, or list path,label,speaker in a CSV file"
        )
    rng = np.random.default_rng(seed)
    splits = _by_class(groups, shares, rng) if by == "class" else _by_speaker(groups, shares, rng)
    return [replace(r, split=split) for r, split in zip(recordings, splits, strict=True)]


def _by_class(labels: Sequence[str | None], shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    splits = [""] * len(labels)
    for label in sorted(set(labels), key=str):
        members = rng.permutation([i for i, x in enumerate(labels) if x == label])
        ends = np.round(np.cumsum([0, *shares.values()]) * len(members)).astype(int)
        if (np.diff(ends) == 0).any() or ends[-1] == len(members):
            raise ValueError(f"class {label!r}: {len(members)} recordings are too few to give every split some")
        for name, first, end in zip(shares, ends, ends[1:], strict=False):
            for i in members[first:end]:
                splits[i] = name
    return splits


def _by_speaker(speakers: Sequence[str | None], shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    sizes = Counter(speakers)
    if len(sizes) <= len(shares):
        raise ValueError(f"{len(sizes)} speakers are too few for {len(shares)} splits and training data")
    left = [str(x) for x in rng.permutation(sorted(map(str, sizes)))]
    chosen: dict[str, str] = {}
    for n, (name, share) in enumerate(shares.items()):
        wanted = share * len(speakers)
        taken = 0
        spare = len(left) - (len(shares) - n)  # later splits and the training data get a speaker each
        while spare > 0 and (taken == 0 or taken + sizes[left[0]] / 2 <= wanted):
            taken += sizes[left[0]]
            chosen[left.pop(0)] = name
            spare -= 1
    return [chosen.get(str(speaker), "") for speaker in speakers]
