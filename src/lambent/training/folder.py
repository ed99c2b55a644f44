"""A folder of a training: files that appear whole, and errors that name them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from lambent.machine.files import is_temporary, open_file, read_file, replacing
from lambent.training.lock import LOCK

_SEAL = "crc"
_COMMENT = b"lambent crc "
_DIGITS = 20

_HINTS = {
    "best.pt": "; was the run trained to the end of an epoch?",
    "checkpoint.pt": ": there is nothing to go on from; begin again, with --overwrite",
}


class Folder:
    """A folder, and how files get into it and out."""

    holds: ClassVar[Mapping[str, Sequence[str]]] = {"checkpoint.pt": ("model", "optimizer", "state")}
    """What must be in a file."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name

    def names(self) -> list[str]:
        """What lies in the folder, but for locks and temporary files."""
        return [path.name for path in self.folder.iterdir() if path.name != LOCK and not is_temporary(path.name)]

    def need(self, name: str) -> Path:
        """The path of a file that must be there.

        Raises:
            FileNotFoundError: it is not.
        """
        path = self.path(name)
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing{_HINTS.get(name, '')}")
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run, which holds an object.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self.need(name)
        value = from_json(read_file(path), str(path))
        if name == "cost.json" and "error" in value:  # why there is no cost
            return value
        return holding(value, str(path), self.holds.get(name, ()))

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary per epoch so far.

        Raises:
            ValueError: the file is damaged; names the line.
        """
        path = self.path("metrics.jsonl")
        lines = read_file(path).splitlines() if path.exists() else []
        found = [from_json(line, f"{path}, line {n}", ("epoch", "seconds")) for n, line in enumerate(lines, 1)]
        for n, metrics in enumerate(found, 1):
            if metrics["epoch"] != n or not all(type(x) in (int, float) for x in metrics.values()):
                raise ValueError(f"{path}, line {n}: damaged: must hold the numbers of epoch {n}")
        return found

    def check_metrics(self, epochs: int) -> None:
        """Raise ValueError if metrics.jsonl lacks one of the epochs that are done by the checkpoint."""
        if (n := len(self.metrics())) < epochs:
            raise ValueError(
                f"{self.path('metrics.jsonl')}: holds {n} epochs, and checkpoint.pt is of epoch {epochs}; they are not "
                "of the same training"
            )

    def record(self, metrics: Mapping[str, float]) -> None:
        """Append an epoch to metrics.jsonl, dropping lines of epochs that are done again after a crash."""
        earlier = [m for m in self.metrics() if m["epoch"] < metrics["epoch"]]
        self.write_text("metrics.jsonl", "".join(_sealed(m) + "\n" for m in [*earlier, dict(metrics)]))

    def load(self, name: str) -> dict[str, Any]:
        """Read a file written by `save`, which holds a dictionary.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self.need(name)
        with open_file(path) as file:
            try:
                raw = file.read()
                _check_archive(raw)
                value = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
            except Exception as error:
                raise ValueError(f"{path}: damaged checkpoint: {error}") from error
        return holding(value, str(path), self.holds.get(name, ()))

    def save(self, name: str, value: dict[str, Any]) -> None:
        """Write a dictionary of tensors and plain values."""
        written = io.BytesIO()  # where torch writes itself, a full disk ends in more than an OSError
        torch.save(value, written)
        self._write(name, lambda path: path.write_bytes(_sealed_archive(written.getvalue())))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, _sealed(value, indent=1) + "\n")

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        with replacing(self.path(name)) as path:
            write(path)


def from_json(text: bytes, where: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The dictionary with `keys` that a text holds; ValueError, saying `where`, if it holds none."""
    try:
        found = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: damaged: {error}") from error
    value = holding(found, where, keys)
    seal = value.pop(_SEAL, None)
    if seal is not None and seal != _checksum(value):
        raise ValueError(f"{where}: damaged, or edited; if the change is yours, remove {_SEAL!r} from it")
    return value


def _whole(digits: str) -> int:
    """A whole number that fits in 64 bits or nearly so: a larger one is none of ours, and may be no float."""
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _sealed(value: dict[str, Any], **options: Any) -> str:
    """A dictionary as JSON, with a checksum that `from_json` looks at."""
    return json.dumps(value | {_SEAL: _checksum(value)}, **options)


def _checksum(value: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(value).encode()):08x}"


def _sealed_archive(raw: bytes) -> bytes:
    """A zip archive, such as torch writes, with a comment that holds the checksum of all before it."""
    comment = _COMMENT + b"%08x" % zlib.crc32(raw)
    return raw[:-2] + struct.pack("<H", len(comment)) + comment


def _check_archive(raw: bytes) -> None:
    """Raise ValueError if an archive is not what was sealed, or by its own checksums, which torch does not look at."""
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):  # as torch never writes them
            raise ValueError("a file in it is packed, and may be far larger than it")
        if broken := parts.testzip():
            raise ValueError(f"{broken} is not what was written")
        if any(part.external_attr & 0x10 for part in parts.infolist()):  # of a directory torch reads nothing
            raise ValueError("a file in it is called a directory")
        comment = parts.comment
    if comment.startswith(_COMMENT):
        archive = raw[: -len(comment) - 2] + bytes(2)
        if comment != _COMMENT + b"%08x" % zlib.crc32(archive):
            raise ValueError("it is not what was written")


def holding(value: Any, where: str, keys: Sequence[str]) -> dict[str, Any]:
    """`value`, if it is a dictionary that holds `keys`."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: damaged: must hold names and values, got {type(value).__name__}")
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{where}: damaged: lacks {', '.join(missing)}")
    return value
