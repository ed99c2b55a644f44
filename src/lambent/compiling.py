"""How kernels are compiled: by Numba, and kept until a file that may have gone into one changes.

Numba keeps a compiled function until the file that it stands in changes, whatever happens to functions of other files
that were compiled into it: after an update of the package it would go on computing as the old one did. So all are
kept in a folder named after the contents of every folder that holds kernels. Constants and functions that kernels use
must stand in such folders.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_settings: Any = numba.config  # what NUMBA_CACHE_DIR and the like set
_UNUSED = 30 * 24 * 3600  # seconds after which a folder of another version goes; a program may still run it


def _folder(package: Path, base: Path) -> Path | None:
    """The folder in `base` for what is compiled of the files as they are now; None if it cannot be written."""
    contents = {path: path.read_bytes() for path in sorted(package.rglob("*.py"))}
    rooms = {path.parent for path, content in contents.items() if b"\nfrom lambent.compiling import" in content}
    digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=8)
    for path, content in contents.items():
        if path.parent in rooms:
            digest.update(f"{path.relative_to(package)} {len(content)} ".encode() + content)
    folder = base / f"lambent-{digest.hexdigest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        for other in base.glob("lambent-*"):
            if time.time() - other.stat().st_mtime > _UNUSED:
                shutil.rmtree(other)
    except OSError:  # read-only, or another process removes the same
        return folder if os.access(folder, os.W_OK) else None
    return folder


_PACKAGE = Path(__file__).parent
_CACHE = _folder(_PACKAGE, Path(_settings.CACHE_DIR or _PACKAGE / "__pycache__"))


def kernel(**options: Any) -> Callable[[F], F]:
    """A decorator that compiles a function with Numba, which runs it without the global interpreter lock.

    Division by zero gives infinity or NaN, as in NumPy.

    Args:
        options: more options of `numba.njit`.
    """
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy", **options)

    def decorate(function: F) -> F:
        before = _settings.CACHE_DIR  # read for every function that is decorated, not only for ours
        _settings.CACHE_DIR = str(_CACHE or before)
        try:
            return compiled(function)
        finally:
            _settings.CACHE_DIR = before

    return decorate


jit = kernel()
inline = kernel(forceinline=True)
"""For small functions: a call would count a reference to every array that it is given."""
