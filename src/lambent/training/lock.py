"""One training in a folder at a time: two would write over each other's files without a word."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lambent.machine.files import is_running, read_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

LOCK = ".lock"
"""The file that says that a folder is in use."""

_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_held: set[str] = set()  # by this process, which the system lets lock a file again


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder, which must exist.

    The system forgets the lock when the process ends, however it does; the file that is then left means nothing.

    Raises:
        ValueError: another training is at work there.
    """
    path = folder.resolve() / LOCK
    descriptor = _take(path)
    _held.add(str(path))
    try:
        yield
    finally:
        _held.discard(str(path))
        if fcntl is None:
            os.close(descriptor)  # which cannot be removed while it is open
            with suppress(OSError):
                path.unlink()
        else:
            with suppress(OSError):
                path.unlink()  # before anybody else can have it
            os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        if str(path) in _held:  # not read: closing it would give up the lock
            raise ValueError(f"{path.parent}: this process is training there already")
        _check_own(path)
        descriptor = os.open(path, _OPEN, 0o666)
        try:
            _lock(descriptor, path)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())
                return descriptor
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(descriptor)
            error.filename = str(path)  # a full disk is told of without a name
            raise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it removed it in between


def _check_own(path: Path) -> None:
    """Raise ValueError if it is no file: a folder may come from anybody, and a link would lead to what is emptied."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"{path}: is a link, a folder or a pipe, not a lock; remove it")


def _lock(descriptor: int, path: Path) -> None:
    try:
        if fcntl is not None:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except (BlockingIOError, PermissionError) as error:
        host, process = _holder(path)
        raise _taken(path, host, process) from error
    except OSError:  # a file system without locks: who wrote it last may be gone
        host, process = _holder(path)
        if process and (host != socket.gethostname() or (process != os.getpid() and is_running(process))):
            raise _taken(path, host, process) from None


def _holder(path: Path) -> tuple[str, int]:
    """Machine and process that a lock's file names; 0 where it names none."""
    try:
        known = json.loads(read_file(path))
        return str(known["host"]), int(known["process"])
    except (OSError, ValueError, TypeError, KeyError):
        return "", 0


def _taken(path: Path, host: str, process: int) -> ValueError:
    who = f"process {process} on {host}" if process else "another process"
    return ValueError(
        f"{path.parent}: {who} is training there; wait for it, or choose another folder. If there is no such process, "
        f"remove {path}"
    )
