"""How kernels are compiled: by Numba, and kept until a file that may have gone into one changes.

Numba keeps a compiled function until the file that it stands in changes, whatever happens to functions of other files
that were compiled into it: after an update of the package it would go on computing as the old one did. So all are
kept in a folder named after the contents of every folder that holds kernels. Constants and functions that kernels use
must stand in such folders.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, NoneType
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

F = TypeVar("F", bound=Callable[..., Any])

_settings: Any = numba.config  # what NUMBA_CACHE_DIR and the like set
_DIGEST = 16  # bytes
_UNUSED = 30 * 24 * 3600  # seconds after which a folder of another version goes; a program may still run it


def _digest(package: Path) -> str:
    """A name for the contents of all files that may go into a kernel, and for how far it is optimised (NUMBA_OPT)."""
    contents = {path: path.read_bytes() for path in sorted(package.rglob("*.py"))}
    marks = (b"\nfrom lambent.machine.compiling import", b"\nfrom numba")
    rooms = {path.parent for path, content in contents.items() if any(mark in content for mark in marks)}
    digest = hashlib.blake2b(Path(__file__).read_bytes() + str(_settings.OPT).encode(), digest_size=8)
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
        own = Path(os.environ.get("XDG_CACHE_HOME") or "~")
        if not own.is_absolute():  # which XDG's specification wants to be as if it were not set
            own = Path(os.path.expanduser("~/.cache"))
        places = [package / "__pycache__", *([own] if own.is_absolute() else [])]  # who has no home has no cache
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


class _CacheFile(IndexDataCacheFile):
    """Numba's files of one kernel, each with a digest: a damaged one is as if it were not there."""

    def _load_index(self) -> Any:
        try:
            stamp, overloads = pickle.loads(self._read(self._index_path))
        except (OSError, ValueError):
            return {}
        return overloads if stamp == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: Any) -> None:
        self._write(self._index_path, ((self._version, self._source_stamp), overloads))

    def _load_data(self, name: str) -> Any:
        try:
            return pickle.loads(self._read(self._data_path(name)))
        except ValueError as error:
            raise OSError(f"{name}: damaged") from error  # for which Numba compiles anew

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _write(self, path: str, values: Any) -> None:
        data = self._dump(values)
        with self._open_for_write(path) as file:
            file.write(self._digest(path, data) + data)

    def _read(self, path: str) -> bytes:
        content = Path(path).read_bytes()
        kept, data = content[:_DIGEST], content[_DIGEST:]
        if kept != self._digest(path, data):
            raise ValueError(f"{path}: damaged")
        return data

    def _digest(self, path: str, data: bytes) -> bytes:
        whose = f"{self._version} {os.path.basename(path)} "  # what another Numba wrote is not even unpickled
        return hashlib.blake2b(whose.encode() + data, digest_size=_DIGEST).digest()


class _Cache(FunctionCache):
    """Numba's cache of one kernel, and one more for each set of functions from outside the package.

    A kernel may be given named tuples of classes that a user wrote (`lambent.engines.grid.units`), and compiles their
    functions in. What was compiled with other functions, or by a program that has no such class, must not be found; so
    these lie in a folder of their own, named after the functions as they are.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = self._file(self._cache_path)

    def _file(self, folder: str) -> _CacheFile:
        return _CacheFile(folder, self._impl.filename_base, self._impl.locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with self._of(sig) as known:
            return super().load_overload(sig, target_context) if known else None

    def save_overload(self, sig: Any, data: Any) -> None:
        with self._of(sig) as known, suppress(OSError):  # it is only a cache that cannot be written
            if known:
                super().save_overload(sig, data)

    @contextmanager
    def _of(self, sig: Any) -> Iterator[bool]:
        """Use the cache for these arguments; False where there is none, for classes that cannot be imported by name.

        Numba calls this under the lock of its compiler.
        """
        foreign = {x for x in _classes(getattr(sig, "args", sig)) if not x.__module__.startswith("lambent.")}
        if any(x.__module__ == "__main__" or "." in x.__qualname__ for x in foreign):
            yield False
            return
        before = self._cache_file
        if foreign and _CACHE is not None:
            digest = hashlib.blake2b(self._cache_path.encode(), digest_size=8)
            for cls in sorted(foreign, key=lambda x: (x.__module__, x.__qualname__)):
                _digest_of(cls, digest.update, set())
            folder = _CACHE.parent / digest.hexdigest()  # beside it, to be tidied up like it
            with suppress(OSError):
                folder.mkdir(exist_ok=True)
                folder.touch()
            self._cache_file = self._file(str(folder))
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


def _digest_of(value: Any, add: Callable[[bytes], None], seen: set[int]) -> None:
    """Add what may be compiled of a class, a function or a constant: code, and what the names in it stand for."""
    value = getattr(value, "py_func", value)
    if isinstance(value, (int, float, complex, str, bytes, tuple, NoneType, np.generic, np.ndarray)):
        add(f"{type(value).__name__} {value!r}".encode())
        if isinstance(value, np.ndarray):  # of which repr leaves out the middle
            add(value.tobytes())
    elif id(value) in seen or str(getattr(value, "__module__", "")).startswith(("lambent.", "numba", "numpy", "torch")):
        return
    seen.add(id(value))
    if isinstance(value, type):
        add(f"{value.__module__}.{value.__qualname__} ".encode())
        for name in sorted(dir(value)):
            if not name.startswith("__") and not hasattr(tuple, name):
                add(name.encode())
                _digest_of(getattr(value, name), add, seen)
    elif isinstance(value, FunctionType):
        names = _digest_of_code(value.__code__, add)
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        for part in (value.__defaults__, *cells, *_meant(names, value.__globals__)):
            _digest_of(part, add, seen)


def _digest_of_code(code: CodeType, add: Callable[[bytes], None]) -> set[str]:
    """Add code and the code within it; returns the names in them."""
    names = set(code.co_names)
    add(code.co_code + repr((code.co_names, code.co_varnames)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _digest_of_code(constant, add)
        else:
            add(repr(constant).encode())
    return names


def _meant(names: set[str], where: Mapping[str, Any]) -> list[Any]:
    """What `names` stand for: globals, and what modules among them hold by these names."""
    found = [where[name] for name in sorted(names) if name in where]
    modules: set[int] = set()
    for value in found:  # which grows
        if isinstance(value, ModuleType) and id(value) not in modules:
            modules.add(id(value))
            found += [vars(value)[name] for name in sorted(names) if name in vars(value)]
    return found


def kernel(**options: Any) -> Callable[[F], F]:
    """A decorator that compiles a function with Numba, which runs it without the global interpreter lock.

    Division by zero gives infinity or NaN, as in NumPy.

    Args:
        options: more options of `numba.njit`.
    """
    options = {"nogil": True, "error_model": "numpy", **options}

    def decorate(function: F) -> F:
        before = _settings.CACHE_DIR  # read for every function that is decorated, not only for ours
        _settings.CACHE_DIR = str(_CACHE or "")
        try:
            made: Any = numba.njit(**options)(function)
            if _CACHE is not None:
                with suppress(OSError, RuntimeError):  # it is only a cache for which there is no room
                    made._cache = _Cache(function)
            return made
        finally:
            _settings.CACHE_DIR = before

    return decorate


# For functions that only kernels call: no entry for Python, which for a small one is half of the time to compile;
# inline, for a call would count a reference to every array that it is given.
_INNER: Any = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_SUMS = {"reassoc", "contract", "nsz"}  # sums in any order; infinities and NaN are what they are

jit, inline = kernel(), kernel(**_INNER)
fast, fast_inline = kernel(fastmath=_SUMS), kernel(fastmath=_SUMS, **_INNER)
"""For loops over numbers whose sums may be taken in any order."""

PART: Any = {"nogil": True, "error_model": "numpy", "fastmath": _SUMS, **_INNER}
"""The options of `fast_inline`, for Numba's `overload`."""


def part(function: F) -> F:
    """`fast_inline` for a function that has no file of its own, such as one made for a class: kept with its users."""
    return numba.njit(**PART)(function)


_named: dict[str, type] = {}  # the classes of named tuples that kernels were called with


def told_apart(arguments: Any) -> Any:
    """`arguments`, a named tuple, whose class has a `__name__` of its own from now on.

    Numba looks at nothing else when a kernel is called, and would run what it compiled for another class of that name.
    """
    cls = type(arguments)
    while _named.setdefault(cls.__name__, cls) is not cls:
        cls.__name__ += "_"
    return arguments


@jit
def grown(x):  # type: ignore[no-untyped-def]  # Numba infers
    """`x` with room for twice as many entries: a buffer of a kernel that does not know how many there will be."""
    more = np.empty((2 * x.shape[0], *x.shape[1:]), x.dtype)
    into, numbers = more.ravel(), x.ravel()  # a slice would take 2 s to compile: Numba brings along how it complains
    for i in range(numbers.size):
        into[i] = numbers[i]
    return more
