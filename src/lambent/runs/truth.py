"""What was said in long recordings, and when: a table beside each sound file."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import NamedTuple

from lambent.data.readers.tables import AUDIO
from lambent.machine.files import read_file

_COLUMNS = ("start", "end", "word")


class Said(NamedTuple):
    """A word in a recording: from `start` to `end` [s]."""

    start: float
    end: float
    word: str


def find_recordings(places: list[Path]) -> dict[Path, list[Said]]:
    """Sound files, and those of folders, each with what is said in it: NAME.csv beside NAME.wav.

    Raises:
        FileNotFoundError: a file is missing, or has no table.
        ValueError: a folder holds no sound files, or a table is damaged.
    """
    files: list[Path] = []
    for place in places:
        found = [place]
        if place.is_dir():
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in AUDIO and p.name[0] != ".")
            if not found:
                raise ValueError(f"{place}: holds no sound files")
        files += found
    return {path: read_truth(path.with_suffix(".csv")) for path in files}


def read_truth(path: str | Path) -> list[Said]:
    """The words of a recording in the order of time, from a table with the heading start,end,word, in seconds.

    Other columns are passed over; a table without rows says that nothing was said.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: it has another heading, or a line is wrong; names the line.

    Example:
        >>> from pathlib import Path
        >>> from lambent.runs.truth import read_truth
        >>> _ = Path("long.csv").write_text("start,end,word\\n12.5,13.1,yes\\n")
        >>> read_truth("long.csv")
        [Said(start=12.5, end=13.1, word='yes')]
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} is missing: it says what is said in the recording beside it, in lines such as 12.5,13.1,yes under "
            "the heading start,end,word"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text in UTF-8: {error}") from error
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    heading = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in _COLUMNS if name not in heading]:
        raise ValueError(f"{path}: must have the heading start,end,word; {missing[0]!r} is missing")
    reader.fieldnames = heading
    found = []
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        try:
            said = Said(float(row["start"]), float(row["end"]), row["word"].strip())
        except (TypeError, ValueError, AttributeError):
            raise ValueError(f"{where}: start and end must be seconds, and word a word") from None
        if not (0 <= said.start < said.end < math.inf and said.word):
            raise ValueError(f"{where}: must be a word that begins before it ends, got {', '.join(map(str, said))}")
        found.append(said)
    return sorted(found)
