"""Tables of recordings: CSV files as people have them, of any usual heading, separator and encoding."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from lambent.machine.files import open_file

AUDIO = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"}
"""What the names of sound files end in."""

COLUMNS = {
    "path": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "wav", "wav_file", "wav_filename",
        "wav_path", "audio", "audio_file", "audio_filename", "audio_path", "fname", "slice_file_name", "clip",
        "recording", "link",
    ),
    "label": (
        "label", "class", "word", "keyword", "command", "category", "target", "class_name", "label_name", "transcript",
        "transcription", "text", "sentence",
    ),
    "speaker": ("speaker", "speaker_id", "speakerid", "spk", "spk_id", "client_id", "subject", "voice"),
    "split": ("split", "set", "subset", "partition"),
}  # fmt: skip
"""What columns are called in headings; of several of one meaning the first of the list is taken."""

_SEPARATORS = ",;\t"
_TRAINING = {"train", "training"}


class Row(NamedTuple):
    """A recording as a table has it.

    Attributes:
        where: table and line, for messages.
        path: as it is written there.
        speaker: "" where unknown.
        split: None where the table does not say; "" for training data.
    """

    where: str
    path: str
    label: str
    speaker: str
    split: str | None


def read_table(table: Path, root: Path) -> tuple[list[Row], list[str]]:
    """The rows of a CSV file, and the names of its columns that are not used.

    Cells are separated by commas, semicolons or tabs. Columns go by the heading (`COLUMNS`); without one they are
    path, label, speaker and split, and the first cell then must be a sound file, or a heading nobody understood would
    become a recording.

    Args:
        table: UTF-8, with or without byte-order mark, or UTF-16 with it.
        root: folder to which the paths are relative.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no table, an unknown heading, or a row that lacks path or label; names the line.
    """
    with open_file(table) as raw:
        marked = raw.read(2) in (b"\xff\xfe", b"\xfe\xff")
        raw.seek(0)
        with TextIOWrapper(raw, newline="", encoding="utf-16" if marked else "utf-8-sig") as file:
            try:
                separator, names, begins = _layout(file, table, root)
                file.seek(0)
                return _rows(file, table, separator, names, begins)
            except (csv.Error, UnicodeError) as error:
                raise ValueError(f"{table}: no table of comma-separated values ({error})") from error


def _layout(file: TextIOWrapper, table: Path, root: Path) -> tuple[str, list[str], bool]:
    """The separator, the names of the columns, and whether these stand in a heading."""
    problems = []
    for separator in _SEPARATORS:
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            cells = next(([cell.strip() for cell in row] for row in reader if any(map(str.strip, row))), None)
        except csv.Error as error:
            problems.append((0, f"{table}: no table of comma-separated values ({error})"))
            continue
        if cells is None:
            return separator, [], False  # an empty file
        names = [cell.casefold().replace(" ", "_").replace("-", "_") for cell in cells]
        found = {meaning: [name for name in names if name in known] for meaning, known in COLUMNS.items()}
        where = f"{table}, line {reader.line_num}"
        if twice := [name for known in found.values() for name in known if known.count(name) > 1]:
            raise ValueError(f"{where}: the heading names a column {twice[0]!r} twice; remove one")
        if found["path"] and found["label"]:
            return separator, names, True
        if Path(cells[0]).suffix.lower() in AUDIO or os.path.isfile(root / cells[0]):
            if 2 <= len(cells) <= len(COLUMNS):
                return separator, list(COLUMNS), False
            problems.append(
                (2 if len(cells) > 1 else -1, f"{where}: expected path,label[,speaker[,split]], got {cells}")
            )
        elif found["path"] or found["label"]:
            lacking = "path" if found["label"] else "label"
            known = ", ".join(COLUMNS[lacking])
            problems.append((3, f"{where}: the heading names no column of {lacking}s; call it one of {known}"))
        else:
            what = f"{where}: neither a heading such as path,label nor a recording, but {cells}"
            problems.append((0, f"{what}; a heading names a column {COLUMNS['path'][0]} and one {COLUMNS['label'][0]}"))
    raise ValueError(max(problems, key=lambda x: x[0])[1])


def _rows(
    file: TextIOWrapper, table: Path, separator: str, names: Sequence[str], heading: bool
) -> tuple[list[Row], list[str]]:
    chosen = {
        meaning: names.index(name)
        for meaning, known in COLUMNS.items()
        if (name := next((name for name in known if name in names), None)) is not None
    }
    wanted = separator.join(names) if heading else "path,label[,speaker[,split]]"
    rows = []
    reader = csv.reader(file, delimiter=separator, strict=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if heading:
            heading = False
            continue
        where = f"{table}, line {reader.line_num}"
        if any(cells[len(names) :]):
            raise ValueError(f"{where}: expected {wanted}, got {row}")
        found = {meaning: cells[i] if i < len(cells) else "" for meaning, i in chosen.items()}
        if not (found["path"] and found["label"]):
            raise ValueError(f"{where}: expected {wanted}, got {row}")
        split = found.get("split") or None
        if split is not None and split.casefold() in _TRAINING:
            split = ""
        rows.append(Row(where, found["path"], found["label"], found.get("speaker", ""), split))
    return rows, [name for i, name in enumerate(names) if name and i not in chosen.values()]
