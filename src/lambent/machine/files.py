"""Reading files that may be anything, and writing files whole or not at all."""

from __future__ import annotations

import gzip
import os
import re
import socket
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

_BLOCK = 1 << 20
_DENSEST = 256  # bytes that one byte of a gzipped file stands for, at most; nothing measured comes near
_SMALL = 1 << 26  # bytes that a gzipped file may always hold
_LEFT_OVER = 24 * 3600  # seconds after which a temporary file of another machine is nobody's
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>\w+)-(?P<pid>\d+)\.tmp")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; one that is not on a disk, such as a pipe that nobody writes to, could last for ever.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file on a disk.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a folder is refused in the system's words
        raise ValueError(f"{path}: is a pipe or a device; copy what it gives into a file")
    return open(path, "rb")


def read_file(path: str | os.PathLike[str]) -> bytes:
    """All of a file.

    Raises:
        OSError, ValueError: as `open_file`.
    """
    with open_file(path) as raw:
        return raw.read()


def is_gzipped(raw: BinaryIO) -> bool:
    """Whether an open file is; it is at its beginning then."""
    raw.seek(0)
    gzipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return gzipped


def most_packed(raw: BinaryIO) -> int:
    """Bytes that a packed file may hold; one that claims more was made to fill the memory."""
    return _SMALL + _DENSEST * os.fstat(raw.fileno()).st_size


def unpacked(path: str | os.PathLike[str], raw: BinaryIO) -> IO[bytes]:
    """What a gzipped file holds, in an unnamed temporary file.

    Raises:
        ValueError: it is damaged, or holds absurdly much for its size.
    """
    most = most_packed(raw)
    plain = tempfile.TemporaryFile()  # noqa: SIM115 (whoever called closes it)
    try:
        with gzip.GzipFile(fileobj=raw) as packed:
            while block := packed.read(_BLOCK):
                if plain.tell() + len(block) > most:
                    raise ValueError(f"{path}: a gzip file of far more than its size; if you trust it, unpack it first")
                plain.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        plain.close()
        raise ValueError(f"{path}: broken or truncated gzip file ({error})") from error
    except OSError as error:
        plain.close()
        if error.filename is None:
            error.filename = tempfile.gettempdir()  # a full disk is told of without a name
        raise
    except BaseException:
        plain.close()
        raise
    return plain


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its place on success and is gone otherwise.

    What a killed process left there for this path is removed, too. The file is on the disk before it has its name: a
    machine that loses its power then has the old one or the new one.

    Raises:
        OSError: the folder is missing or cannot be written, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; make it first")
    remove_left_over(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.{_host()}-{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of an older process of this number; or a link, which would be written through
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk is told of without a name
        raise
    finally:
        with suppress(OSError):  # what it failed with says more
            temporary.unlink(missing_ok=True)


def move(source: Path, path: Path) -> None:
    """Give a whole file of the same disk another name, in place of what has it; it stays so without power."""
    os.replace(source, path)
    _sync(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that `replacing` writes."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_left_over(folder: Path, of: str | None = None) -> None:
    """Remove the temporary files that killed processes left in a folder, all or those of one name."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found is None or (of is not None and found["name"] != of):
                continue
            with suppress(OSError):
                if found["host"] == _host():
                    left = int(found["pid"]) != os.getpid() and not is_running(int(found["pid"]))
                else:
                    left = time.time() - entry.stat().st_mtime > _LEFT_OVER
                if left:
                    os.unlink(entry.path)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number on this machine; where that cannot be told, as if."""
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # somebody else's
    return True


def _host() -> str:
    """This machine's name, of letters and digits."""
    return re.sub(r"\W", "_", socket.gethostname()) or "_"


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # where folders cannot be opened
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
