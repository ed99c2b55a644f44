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
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

F = TypeVar("F", bound=Callable[..., Any])

_settings: Any = numba.config  # what NUMBA_CACHE_DIR and the like set
_UNUSED = 30 * 24 * 3600  # seconds after which a folder of another version goes; a program may still run it


def _digest(package: Path) -> str:
    """A name for the contents of all files that may go into a kernel."""
    contents = {path: path.read_bytes() for path in sorted(package.rglob("*.py"))}
    marks = (b"\nfrom lambent.machine.compiling import", b"\nfrom numba")
    rooms = {path.parent for path, content in contents.items() if any(mark in content for mark in marks)}
    digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=8)
    for path, content in contents.items():
        if path.parent in rooms:
            digest.update(f"{path.relative_to(package)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _folder(package: Path) -> Path | None:
    """Where compiled kernels are kept, the first of several places that can be written; None if none can."""
    name = _digest(package)
    if _settings.CACHE_DIR:
        places = [Path(_settings.CACHE_DIR)]
    else:
        places = [package / "__pycache__", Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "~/.cache")))]
    for place in places:
        folder = place / "lambent-kernels" / name
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            folder.touch()
            if os.access(folder, os.W_OK):
                _tidy(folder)
                return folder
    return None


def _tidy(folder: Path) -> None:
    """Remove the folders beside `folder` that have not been used for long."""
    for other in folder.parent.iterdir():
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > _UNUSED:
                shutil.rmtree(other)


_CACHE = _folder(Path(__file__).parents[1])


class _Cache(FunctionCache):
    """Numba's cache of one kernel, and one more for each file outside the package from which a kernel takes functions.

    A kernel may be given named tuples of classes that a user wrote (`lambent.engines.grid.units`), and compiles their
    functions in. What was compiled with another state of that file, or by a program that has no such file, must not
    be found; so these lie in a folder that is named after its contents.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with self._of(sig) as known:
            return super().load_overload(sig, target_context) if known else None

    def save_overload(self, sig: Any, data: Any) -> None:
        with self._of(sig) as known, suppress(OSError):  # it is only a cache that cannot be written
            if known:
                os.makedirs(self._cache_file._cache_path, exist_ok=True)
                super().save_overload(sig, data)

    @contextmanager
    def _of(self, sig: Any) -> Iterator[bool]:
        """Use the cache for these arguments; False where there is none, for classes without a file to look at."""
        digest = hashlib.blake2b(digest_size=8)
        foreign = sorted(
            (x for x in _classes(getattr(sig, "args", sig)) if not x.__module__.startswith("lambent.")),
            key=lambda x: x.__module__,
        )
        for cls in foreign:
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            if cls.__module__ == "__main__" or file is None:
                yield False
                return
            digest.update(f"{cls.__module__} ".encode() + Path(file).read_bytes())
        before = self._cache_file
        if foreign:
            self._cache_file = IndexDataCacheFile(
                cache_path=os.path.join(self._cache_path, digest.hexdigest()),
                filename_base=self._impl.filename_base,
                source_stamp=self._impl.locator.get_source_stamp(),
            )
        try:
            yield True
        finally:
            self._cache_file = before


def _classes(types: Iterable[Any]) -> set[Any]:
    """The classes of named tuples among types of arguments."""
    found = set()
    for kind in types:
        if cls := getattr(kind, "instance_class", None):
            found.add(cls)
        found |= _classes(getattr(kind, "types", ()))  # of a tuple
    return found


def kernel(**options: Any) -> Callable[[F], F]:
    """A decorator that compiles a function with Numba, which runs it without the global interpreter lock.

    Division by zero gives infinity or NaN, as in NumPy.

    Args:
        options: more options of `numba.njit`.
    """
    compiled = numba.njit(nogil=True, cache=_CACHE is not None, error_model="numpy", **options)

    def decorate(function: F) -> F:
        before = _settings.CACHE_DIR  # read for every function that is decorated, not only for ours
        _settings.CACHE_DIR = str(_CACHE or "")
        try:
            made: Any = compiled(function)
            if _CACHE is not None:
                made._cache = _Cache(function)
            return made
        finally:
            _settings.CACHE_DIR = before

    return decorate


jit = kernel()
inline = kernel(forceinline=True)
"""For small functions: a call would count a reference to every array that it is given."""

_SUMS = {"reassoc", "contract", "nsz"}  # sums in any order; infinities and NaN are what they are
fast, fast_inline = kernel(fastmath=_SUMS), kernel(fastmath=_SUMS, forceinline=True)
"""For loops over numbers whose sums may be taken in any order."""


PART: Any = {"nogil": True, "error_model": "numpy", "fastmath": _SUMS, "forceinline": True}
"""The options of `fast_inline`, for Numba's `overload`."""


def part(function: F) -> F:
    """`fast_inline` for a function that has no file of its own, such as one made for a class: kept with its users."""
    return numba.njit(**PART)(function)


@jit
def grown(x):  # type: ignore[no-untyped-def]  # Numba infers
    """`x` with room for twice as many entries: a buffer of a kernel that does not know how many there will be."""
    more = np.empty((2 * x.shape[0], *x.shape[1:]), x.dtype)
    more[: x.shape[0]] = x
    return more
