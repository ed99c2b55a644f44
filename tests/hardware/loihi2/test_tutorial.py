"""docs/loihi2.md: every command is run, in order, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from lava_side import LAVA, WHY_NOT

PAGE = Path(__file__).parents[3] / "docs" / "loihi2.md"
BLOCKS = re.findall(r"^```(console|python|py)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def same_but_for_numbers(shown: str, printed: str) -> bool:
    """Trainings end elsewhere on other machines. A line `...` stands for any lines."""
    parts = re.split(r"^\.\.\.\n", re.sub(r"\d[\d.,]*", "#", shown), flags=re.MULTILINE)
    return re.fullmatch("(?:.*\n)*?".join(map(re.escape, parts)), re.sub(r"\d[\d.,]*", "#", printed)) is not None


@pytest.mark.slow
@pytest.mark.skipif(LAVA is None, reason=WHY_NOT)
def test_the_tutorial(tmp_path: Path) -> None:
    assert LAVA is not None
    (tmp_path / ".lava" / "bin").mkdir(parents=True)
    python = tmp_path / ".lava" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{LAVA.absolute()}" "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
    }
    for language, block in BLOCKS:
        if language == "python":
            subprocess.run([sys.executable, "-c", block], check=True, cwd=tmp_path)
            continue
        if language == "py":
            (tmp_path / block.split()[1]).write_text(block)
            continue
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(shlex.split(command), capture_output=True, text=True, cwd=tmp_path, env=environment)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert same_but_for_numbers(shown, done.stdout), f"{command} printed\n{done.stdout}"


def test_comparison() -> None:
    assert same_but_for_numbers("a 1\n...\nb 2.5 %\n", "a 7\nx\ny\nb 3 %\n")
    assert not same_but_for_numbers("a 1\n...\nb 2.5 %\n", "a 7\nx\ny\n")
    assert not same_but_for_numbers("a 1\n", "a 7\nx\n")
