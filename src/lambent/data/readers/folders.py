"""Files in one folder per class."""

from __future__ import annotations

from pathlib import Path


def labelled_files(folder: str | Path, suffix: str) -> tuple[list[tuple[Path, int]], list[str]]:
    """Every file with this suffix and the number of its class, and the classes' names.

    Classes are the folders' names in alphabetical order (numbers in numerical order), files go by name in each.
    Hidden files and folders, and folders without such files, are passed over.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no such files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    found = {x: _files(x, suffix) for x in folder.iterdir() if x.is_dir() and not x.name.startswith(".")}
    classes = sorted((x for x, files in found.items() if files), key=lambda x: _natural(x.name))
    files = [(file, label) for label, c in enumerate(classes) for file in sorted(found[c], key=_by_name)]
    if not files:
        raise ValueError(f"{folder} holds no {suffix[1:].upper()} files in folders, one per class")
    return files, [c.name for c in classes]


def _files(folder: Path, suffix: str) -> list[Path]:
    return [x for x in folder.iterdir() if x.suffix.lower() == suffix and not x.name.startswith(".")]


def _natural(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _by_name(file: Path) -> tuple[bool, int, str]:
    return _natural(file.stem)
