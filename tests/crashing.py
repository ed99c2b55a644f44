"""Ends a process, or fails, at a file operation of one's choice."""

from __future__ import annotations

import builtins
import errno
import io
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

OPERATIONS = (
    (os, "replace"), (os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"), (os, "fsync"), (os, "open"),
    (io, "open"), (builtins, "open"),
)  # fmt: skip
"""What touches files, as functions of modules; of those that open, calls that write."""


class Counter:
    """Counts file operations below a folder; at number `at` it calls `strike`.

    Args:
        after: strike when the operation is done, else before.
    """

    def __init__(self, folder: Any, at: int | None = None, strike: Callable[[], Any] = lambda: None, after=False):
        self.folder, self.at, self.strike, self.after = str(folder), at, strike, after
        self.n = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name in OPERATIONS:
            monkeypatch.setattr(module, name, self._counting(name, getattr(module, name)))

    def _counting(self, name: str, operation: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if not self._counts(name, args, kwargs):
                return operation(*args, **kwargs)
            self.n += 1
            struck = self.n - 1 == self.at
            if struck and not self.after:
                self.strike()
            try:
                return operation(*args, **kwargs)
            finally:
                if struck and self.after:
                    self.strike()

        return counted

    def _counts(self, name: str, args: Any, kwargs: Any) -> bool:
        if name == "fsync":
            return True
        if not isinstance(args[0], (str, os.PathLike)) or not str(args[0]).startswith(self.folder):
            return False
        if name != "open":
            return True
        how = args[1] if len(args) > 1 else kwargs.get("mode", kwargs.get("flags", "r"))
        return bool(how & (os.O_WRONLY | os.O_RDWR)) if isinstance(how, int) else how[0] in "wax" or "+" in how


def full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def count(work: Callable[[], Any], folder: Any) -> int:
    """File operations of `work`."""
    counter = Counter(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        counter.install(monkeypatch)
        work()
    return counter.n


def killed_at(work: Callable[[], Any], folder: Any, at: int, after: bool) -> None:
    """Run `work` in a child process that ends at once at an operation, as if it were killed."""
    child = os.fork()
    if child == 0:
        try:
            with pytest.MonkeyPatch.context() as monkeypatch:
                Counter(folder, at, lambda: os._exit(9), after).install(monkeypatch)
                work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, f"not killed at operation {at}"


def failing_at(work: Callable[[], Any], folder: Any, at: int) -> None:
    """Run `work` on a disk that is full at one operation; it may raise that, or go on where it does not matter."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Counter(folder, at, full_disk).install(monkeypatch)
        try:
            work()
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
