"""A folder of a training: files that appear whole, and errors that name them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from lambent.machine.files import replacing


class Folder:
    """A folder, and how files get into it and out."""

    holds: ClassVar[Mapping[str, Sequence[str]]] = {"checkpoint.pt": ("model", "optimizer", "state")}
    """What must be in a file."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name

    def need(self, name: str) -> Path:
        """The path of a file that must be there.

        Raises:
            FileNotFoundError: it is not.
        """
        path = self.path(name)
        if not path.exists():
            hint = "; was the run trained to the end of an epoch?" if name == "best.pt" else ""
            raise FileNotFoundError(f"{path} is missing{hint}")
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run, which holds an object.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self.need(name)
        value = from_json(path.read_bytes(), str(path))
        if name == "cost.json" and "error" in value:  # why there is no cost
            return value
        return holding(value, str(path), self.holds.get(name, ()))

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary per epoch so far.

        Raises:
            ValueError: the file is damaged; names the line.
        """
        path = self.path("metrics.jsonl")
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [from_json(line, f"{path}, line {n}", ("epoch", "seconds")) for n, line in enumerate(lines, 1)]

    def record(self, metrics: Mapping[str, float]) -> None:
        """Append an epoch to metrics.jsonl, dropping lines of epochs that are done again after a crash."""
        earlier = [m for m in self.metrics() if m["epoch"] < metrics["epoch"]]
        self.write_text("metrics.jsonl", "".join(json.dumps(m) + "\n" for m in [*earlier, metrics]))

    def load(self, name: str) -> dict[str, Any]:
        """Read a file written by `save`, which holds a dictionary.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self.need(name)
        try:
            value = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{path}: damaged checkpoint: {error}") from error
        return holding(value, str(path), self.holds.get(name, ()))

    def save(self, name: str, value: dict[str, Any]) -> None:
        """Write a dictionary of tensors and plain values."""
        self._write(name, lambda path: torch.save(value, path))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(value, indent=1) + "\n")

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        with replacing(self.path(name)) as path:
            write(path)


def from_json(text: bytes, where: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The dictionary with `keys` that a text holds; ValueError, saying `where`, if it holds none."""
    try:
        return holding(json.loads(text), where, keys)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: damaged: {error}") from error


def holding(value: Any, where: str, keys: Sequence[str]) -> dict[str, Any]:
    """`value`, if it is a dictionary that holds `keys`."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: damaged: must hold names and values, got {type(value).__name__}")
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{where}: damaged: lacks {', '.join(missing)}")
    return value
