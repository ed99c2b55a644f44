"""Lists of labelled recordings: from folders and from tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lambent.data.readers.tables import AUDIO, read_table
from lambent.machine.files import open_file

_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}  # of the Speech Commands
_TABLES = {
    "": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing"),
}  # what tables of a folder are called
_NOISE = {"_background_noise_", "background_noise"}  # folders that are no class

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Recording:
    """A sound file and what is known of it.

    Attributes:
        path: the file.
        label: its class.
        speaker: who spoke, None where unknown.
        split: the split it belongs to, "" for the training data.
        name: what it is called in its folder or table.
    """

    path: Path
    label: str
    speaker: str | None = None
    split: str = ""
    name: str = field(default="", compare=False)


def list_recordings(
    source: str | Path | Mapping[str, str | Path],
    *,
    root: str | Path | None = None,
    speaker_pattern: str | None = None,
    notice: Notice = lambda text: None,
) -> list[Recording]:
    """The recordings of a folder or of tables, in a fixed order.

    A folder holds one folder per class. All files in it that are not hidden are taken for recordings, but for those
    of a folder ``_background_noise_``. Its own splits are kept: those of ``validation_list.txt`` and
    ``testing_list.txt``, as the Speech Commands (Warden 2018) have them, or, where there is a ``train.csv`` and a
    ``val.csv`` or ``test.csv``, those of these tables.

    A table is a CSV file, separated by commas, semicolons or tabs, under a heading that names a column of paths
    (path, file, filename, wav, ...) and one of classes (label, class, word, category, target, ...), and perhaps
    columns of speakers and splits. Without a heading they are path, label, speaker, split. Paths are relative to the
    table, or to `root`. Training data may be called "train" or nothing.

    Who spoke is known from a table, from a folder between class and file, or from the name of the file, as in
    ``SPEAKER_nohash_0.wav`` and ``yes_SPEAKER_nohash_0.wav``; otherwise not.

    Args:
        source: a folder, a table, or a table for each split, by its name; "train" or "" for the training data.
        root: folder to which the paths in tables are relative.
        speaker_pattern: a regular expression with one group, which is searched for in the name of a file in its folder
            or table and holds the speaker.
        notice: called with what a reader may want to know: columns that are not used, splits that were found.

    Raises:
        FileNotFoundError: there is no such folder or table.
        ValueError: no recordings, one that comes twice or lies in no class, a broken table or a bad pattern; names it.

    Example:
        >>> from pathlib import Path
        >>> for name in ("yes/anna/1.wav", "no/anna/1.wav", "no/ben/1.wav"):
        ...     Path("words", name).parent.mkdir(parents=True, exist_ok=True)
        ...     Path("words", name).touch()
        >>> [(r.label, r.speaker) for r in lb.data.list_recordings("words")]
        [('no', 'anna'), ('no', 'ben'), ('yes', 'anna')]
    """
    pattern = None if speaker_pattern is None else _pattern(speaker_pattern)
    if isinstance(source, Mapping):
        recordings = _from_tables(source, root, notice)
    elif Path(source).is_dir():
        if root is not None:
            raise ValueError("a root is for tables; a folder has its files in it")
        recordings = _from_folder(Path(source), notice)
    else:
        recordings = _from_tables({"": source}, root, notice, own_splits=True)
    if not recordings:
        where = ", ".join(map(str, source.values())) if isinstance(source, Mapping) else source
        raise ValueError(f"{where}: no recordings; a folder needs one folder of sound files per class")
    if pattern is not None:
        recordings = _by_pattern(recordings, pattern, notice)
    return recordings


# -- folders ------------------------------------------------------------------------------------------------


def _from_folder(folder: Path, notice: Notice) -> list[Recording]:
    if tables := _tables_of(folder):
        notice(f"{folder}: its classes and splits are those of {_names(tables.values())}")
        return _from_tables(tables, folder, notice)
    recordings = []
    names: dict[Path, Path] = {}
    noise = set()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in inside.parts):
            continue
        if len(inside.parts) == 1:
            if path.suffix.lower() in AUDIO:
                raise ValueError(f"{path}: lies in no class; put it into a folder named after its class")
            continue  # a licence, a list
        if inside.parts[0].casefold() in _NOISE:
            noise.add(inside.parts[0])
            continue
        if (other := names.setdefault(path.with_suffix(""), path)) != path:
            raise ValueError(f"{path} and {other.name}: two files of one name; remove one")
        speaker = inside.parts[1] if len(inside.parts) > 2 else _speaker(path.stem)
        recordings.append(Recording(path, inside.parts[0], speaker, name=inside.as_posix()))
    for name in sorted(noise):
        notice(f"{folder / name}: is no class, and was left out")
    return _listed(recordings, folder, notice)


def _tables_of(folder: Path) -> dict[str, Path]:
    """The tables of a folder by their splits; none unless there is one of training data and another."""
    found: dict[str, Path] = {}
    for split, stems in _TABLES.items():
        there = [path for stem in stems for end in (".csv", ".tsv") if (path := folder / f"{stem}{end}").is_file()]
        if len(there) > 1:
            raise ValueError(f"{folder}: {_names(there)} are tables of one split; name the ones to take")
        if there:
            found[split] = there[0]
    return found if "" in found and len(found) > 1 else {}


def _listed(recordings: list[Recording], folder: Path, notice: Notice) -> list[Recording]:
    """With the splits of the lists that lie in the folder, if any."""
    position = {r.name: i for i, r in enumerate(recordings)}
    for split, name in _LISTS.items():
        path = folder / name
        if not path.is_file():
            continue
        with open_file(path) as file:
            try:
                lines = [line.strip() for line in file.read().decode("utf-8-sig").splitlines()]
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: no list of files ({error})") from error
        lines = [line.removeprefix("./") for line in lines if line]
        found = [position[line] for line in lines if line in position]
        if lines and not found:
            raise ValueError(f"{path}: names no file of the folder; the first line is {lines[0]!r}")
        for i in found:
            if recordings[i].split not in ("", split):
                raise ValueError(f"{path}: {recordings[i].name} is in {_LISTS[recordings[i].split]}, too")
            recordings[i] = replace(recordings[i], split=split)
        missing = len(lines) - len(found)
        notice(f"{path}: {len(found)} recordings for {split}" + f"; {missing} lines name no file" * (missing > 0))
    return recordings


# -- tables -------------------------------------------------------------------------------------------------


def _from_tables(
    tables: Mapping[str, str | Path], root: str | Path | None, notice: Notice, own_splits: bool = False
) -> list[Recording]:
    """The recordings of tables.

    Args:
        own_splits: a split is what the table says in its column; otherwise it must not say another one.
    """
    recordings: list[Recording] = []
    lines: dict[Path, str] = {}
    for split, source in tables.items():
        table = Path(source)
        split = "" if split == "train" else split
        base = table.parent if root is None else Path(root)
        if not base.is_dir() and root is not None:
            raise FileNotFoundError(f"{base}: no such folder")
        rows, unused = read_table(table, base)
        if unused:
            notice(f"{table}: columns that are not used: {', '.join(unused)}")
        for row in rows:
            path = base / row.path
            if first := lines.get(path):
                raise ValueError(f"{row.where}: {row.path} was listed in {first} already")
            lines[path] = f"line {row.where.rpartition(' ')[2]}" if len(tables) == 1 else row.where
            here = (row.split or "") if own_splits else split
            if not own_splits and row.split is not None and not _same_split(row.split, split):
                said = row.split or "train"
                raise ValueError(f"{row.where}: is in the split {said!r}, the table is for {split or 'train'!r}")
            speaker = row.speaker or _speaker(PurePosixPath(row.path).stem)
            recordings.append(Recording(path, row.label, speaker, here, row.path))
    return recordings


def _same_split(a: str, b: str) -> bool:
    a, b = (next((split for split, names in _TABLES.items() if x.casefold() in names), x.casefold()) for x in (a, b))
    return a == b


# -- speakers -----------------------------------------------------------------------------------------------


def _speaker(stem: str) -> str | None:
    """Who spoke, from a name such as ``SPEAKER_nohash_0`` or ``yes_SPEAKER_nohash_0``."""
    name, found, _ = stem.partition("_nohash_")
    return name.rpartition("_")[2] or None if found else None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"the speaker pattern {text!r} is no regular expression: {error}") from error
    if pattern.groups != 1:
        raise ValueError(
            f"the speaker pattern {text!r} has {pattern.groups} groups; put one pair of parentheses around the speaker"
        )
    return pattern


def _by_pattern(recordings: Sequence[Recording], pattern: re.Pattern[str], notice: Notice) -> list[Recording]:
    found = [pattern.search(r.name) for r in recordings]
    if not any(match and match[1] for match in found):
        raise ValueError(f"the speaker pattern {pattern.pattern!r} fits no file, such as {recordings[0].name}")
    speakers = [(match and match[1]) or r.speaker for match, r in zip(found, recordings, strict=True)]
    if missing := [r.name for r, speaker in zip(recordings, speakers, strict=True) if speaker is None]:
        notice(f"the speaker pattern does not fit {len(missing)} files, whose speakers are unknown: {missing[0]} ...")
    return [replace(r, speaker=speaker) for r, speaker in zip(recordings, speakers, strict=True)]


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)
