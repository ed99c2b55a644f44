"""Compiled code is kept, and renewed when a file changes that may have gone into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lambent
from lambent.machine.compiling import _CacheFile

HELPER = "\nfrom lambent.machine.compiling import jit\n@jit\ndef value():\n    return {}\n"
KERNEL = (
    "from lambent.machine.compiling import jit\nfrom lambent.room.helper import value\n"
    "@jit\ndef run():\n    return value()\n"
)

OWN_KERNEL = """
from numba.extending import overload
from lambent.machine.compiling import jit, part
def value(p):
    pass
@overload(value)
def _(p):
    f = part(p.instance_class.value)
    return lambda p: f(p)
@jit
def run(p):
    return value(p)
"""
OWN = """
from typing import NamedTuple
class Own(NamedTuple):
    x: float
    @staticmethod
    def value(p):
        return {} * p.x
"""


class Package:
    """A package of lambent's name with one room: a kernel in one file and a helper of it in another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.room = folder / "lambent", folder / "lambent" / "room"
        self.room.mkdir(parents=True)
        machine = self.folder / "machine"
        machine.mkdir()
        shutil.copy(Path(lambent.__file__).parent / "machine" / "compiling.py", machine)
        for package in (self.folder, self.room, machine):
            (package / "__init__.py").touch()
        (self.room / "kernel.py").write_text(KERNEL)
        self.cache = self.folder / "__pycache__" / "lambent-kernels"

    def run(self, value: int, **environment: str) -> tuple[str, str]:
        """What the kernel returns, and how many signatures were found compiled."""
        (self.room / "helper.py").write_text(HELPER.format(value))
        return self.run_as_it_is([], **environment)

    def run_as_it_is(self, prefix: list[str], **environment: str) -> tuple[str, str]:
        code = "from lambent.room.kernel import run; print(run(), len(run.stats.cache_hits))"
        inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
        answer = subprocess.run(
            [*prefix, sys.executable, "-c", code], cwd=self.folder.parent, check=True, capture_output=True, text=True,
            env=inherited | {"PYTHONPATH": str(self.folder.parent)} | environment,
        )  # fmt: skip
        value_, hits = answer.stdout.split()
        return value_, hits

    def kept(self) -> list[Path]:
        return sorted(self.cache.iterdir()) if self.cache.exists() else []


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_a_change_in_another_file_is_noticed(package):
    """Numba alone would run the kernel with the old helper, for the kernel's own file did not change."""
    assert package.run(1) == ("1", "0")
    assert package.run(1) == ("1", "1")
    assert package.run(2) == ("2", "0")
    assert package.run(1) == ("1", "1")
    assert len(package.kept()) == 2
    (package.folder / "elsewhere.py").write_text("x = 1\n")
    assert package.run(1) == ("1", "1")


def test_what_is_not_used_any_more_goes(package):
    package.run(1)
    (old,) = package.kept()
    os.utime(old, (0, time.time() - 40 * 24 * 3600))
    package.run(2)
    assert len(package.kept()) == 1
    assert package.kept() != [old]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_damaged_files_are_made_anew(package, suffix, keep):
    package.run(1)
    for path in package.cache.rglob(f"*.{suffix}"):
        content = path.read_bytes()
        path.write_bytes(content[:keep] if keep >= 0 else content[:-9] + b"\xff" + content[-8:])
    assert package.run(1) == ("1", "0")
    assert package.run(1) == ("1", "1")


def test_what_another_numba_kept_is_not_even_unpickled(tmp_path):
    old, new = (_CacheFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    old._version = "0.0.1"
    old._save_index({"key": "kernel.1.nbc"})
    assert old._load_index() == {"key": "kernel.1.nbc"}
    with pytest.raises(ValueError, match="damaged"):
        new._read(new._index_path)
    assert new._load_index() == {}


def test_no_room_for_them(package):
    """It is only a cache that cannot be written."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    code = f"{limit}from lambent.room.kernel import run; print(run())"
    (package.room / "helper.py").write_text(HELPER.format(3))
    environment = os.environ | {"PYTHONPATH": str(package.folder.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-c", code]
    if sys.platform == "win32":
        pytest.skip("file sizes cannot be limited there")
    answer = subprocess.run(command, cwd=package.folder.parent, env=environment, capture_output=True, text=True)
    assert answer.stdout == "3\n", answer.stderr
    assert not [x for x in package.cache.rglob("*") if x.is_file()]


def test_a_relative_cache_of_the_user_is_as_if_it_were_not_set(package, tmp_path):
    package.cache.parent.write_text("a file where a folder is wanted")
    package.run(1, XDG_CACHE_HOME="relative", HOME=str(tmp_path))
    assert package.run(1, XDG_CACHE_HOME="relative", HOME=str(tmp_path)) == ("1", "1")
    assert (tmp_path / ".cache" / "lambent-kernels").is_dir()


def test_a_folder_of_the_users(package, tmp_path):
    own = tmp_path / "own"
    package.run(1, NUMBA_CACHE_DIR=str(own))
    assert package.run(1, NUMBA_CACHE_DIR=str(own)) == ("1", "1")
    assert not package.kept()
    assert len(list((own / "lambent-kernels").iterdir())) == 1


def test_folders_that_cannot_be_written(package, tmp_path):
    """Then the user's own cache is taken, and without one nothing is kept; but never is old code run."""
    package.cache.parent.write_text("a file where a folder is wanted")
    for value in (1, 2):
        assert package.run(value, XDG_CACHE_HOME=str(tmp_path / "cache")) == (str(value), "0")
    assert package.run(1, XDG_CACHE_HOME=str(tmp_path / "cache")) == ("1", "1")
    assert len(list((tmp_path / "cache" / "lambent-kernels").iterdir())) == 2
    (tmp_path / "file").touch()
    for value in (1, 1, 2):
        assert package.run(value, XDG_CACHE_HOME=str(tmp_path / "file")) == (str(value), "0")


@pytest.fixture
def obedient() -> list[str]:
    """What to begin a command with so that permissions hold for it, also for root's."""
    if os.name == "nt":
        pytest.skip("folders have no such permissions")
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv") or pytest.skip("root may write anywhere, and there is no setpriv")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all"]


def test_a_read_only_install(package, tmp_path, obedient):
    (package.room / "helper.py").write_text(HELPER.format(1))
    home, nothing = tmp_path / "home", tmp_path / "nothing"
    home.mkdir()
    nothing.mkdir(mode=0o555)
    folders = [package.folder.parent, package.folder, *(path for path in package.folder.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        for hits in ("0", "1"):
            assert package.run_as_it_is(obedient, XDG_CACHE_HOME="", HOME=str(home)) == ("1", hits)
        assert len(list((home / ".cache" / "lambent-kernels").iterdir())) == 1
        for _ in range(2):  # compiled anew, and kept nowhere
            assert package.run_as_it_is(obedient, XDG_CACHE_HOME=str(nothing)) == ("1", "0")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert not package.kept()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["home", "lambent", "nothing"]


def test_functions_of_a_users_file(package, tmp_path):
    """What was compiled with them is kept for the file as it is, and is not in the way of who has no such file."""
    (package.room / "own_kernel.py").write_text(OWN_KERNEL)

    def run(value, folder):
        folder.mkdir(exist_ok=True)
        (folder / "own.py").write_text(OWN.format(value))
        code = "from own import Own; from lambent.room.own_kernel import run\n"
        code += "print(run(Own(2.0)), len(run.stats.cache_hits))"
        path = os.pathsep.join([str(package.folder.parent), str(folder)])
        answer = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONPATH": path},
        )  # fmt: skip
        return answer.stdout.split()

    first, second = tmp_path / "first", tmp_path / "second"
    assert run(1, first) == ["2.0", "0"]
    assert run(1, first) == ["2.0", "1"]
    assert run(3, first) == ["6.0", "0"]
    shutil.rmtree(first)
    assert run(5, second) == ["10.0", "0"]
    assert run(1, second) == ["2.0", "1"]


@pytest.mark.parametrize(
    "factor",
    [
        "N = {}\ndef factor(): return N",
        "N = np.float64({})\ndef factor(): return N",
        "N = np.array([{}])\ndef factor(): return N[0]",
        "def factor(n={}): return n",
        "def make(n): return lambda: n\nfactor = make({})",
        "import constants\nconstants.N = {}\ndef factor(): return constants.N",
    ],
    ids=["a number", "NumPy's", "an array", "a default", "a closure", "a module"],
)
def test_what_a_users_function_uses_counts(package, tmp_path, factor):
    """A base class, and functions and constants of other files."""
    (package.room / "own_kernel.py").write_text(OWN_KERNEL)
    (tmp_path / "own.py").write_text(OWN.format("factor()").replace("class Own", "from base import factor\nclass Base"))
    (tmp_path / "mine.py").write_text("from own import Base\nclass Own(Base):\n    pass\n")
    (tmp_path / "constants.py").touch()

    def run(value):
        source = f"import numba\nimport numpy as np\n{factor.format(value)}\nfactor = numba.njit(factor)\n"
        (tmp_path / "base.py").write_text(source)
        code = "from mine import Own; from lambent.room.own_kernel import run; print(run(Own(2.0)))"
        path = os.pathsep.join([str(package.folder.parent), str(tmp_path)])
        env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONPATH": path}
        command = [sys.executable, "-B", "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.strip()

    assert [run(value) for value in (2, 3, 2)] == ["4.0", "6.0", "4.0"]
