"""Files appear whole or not at all, and what killed processes leave goes."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from lambent.machine.files import is_temporary, read_file, remove_left_over, replacing, unpacked


def test_what_a_killed_process_left_is_removed(tmp_path):
    code = "import os, sys\nfrom lambent.machine.files import replacing\n"
    code += "with replacing(sys.argv[1]) as t:\n t.write_text('half')\n os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    (left,) = tmp_path.iterdir()
    assert is_temporary(left.name)
    with replacing(tmp_path / "b") as temporary:  # another name
        temporary.write_text("b")
    assert left.exists()
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("a")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a", "b"]


def test_what_others_write_is_left_alone(tmp_path):
    with replacing(tmp_path / "a") as own:
        own.touch()
        elsewhere = tmp_path / f".a.other_host-{os.getpid()}.tmp"
        elsewhere.touch()
        (tmp_path / ".a.mine.tmp").touch()
        remove_left_over(tmp_path)
        assert own.exists()
    assert sorted(x.name for x in tmp_path.iterdir()) == [".a.mine.tmp", elsewhere.name, "a"]
    os.utime(elsewhere, (0, time.time() - 2 * 24 * 3600))
    remove_left_over(tmp_path)
    assert not elsewhere.exists()


def test_an_error_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        temporary.write_text("new" * (1 // 0))
    assert [(x.name, x.read_text()) for x in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_nothing_is_written_through_a_link_of_the_temporary_name(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with replacing(tmp_path / "a") as temporary:
        name_of_it = temporary
        temporary.touch()
    name_of_it.symlink_to(tmp_path / "mine")
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert [(tmp_path / name).read_text() for name in ("a", "mine")] == ["new", "precious"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: is a pipe or a device"):
        read_file(tmp_path / "pipe")


def test_a_full_disk_of_temporary_files_is_named(tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=re.escape(tempfile.gettempdir())), (tmp_path / "a.gz").open("rb") as raw:
            unpacked(tmp_path / "a.gz", raw)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda *args: (done.append("fsync"), sync(*args)))
    monkeypatch.setattr(os, "replace", lambda *args: (done.append("replace"), replace(*args)))
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert done == (["fsync", "replace"] if os.name == "nt" else ["fsync", "replace", "fsync"])
