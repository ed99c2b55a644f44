"""Every example runs at a size that takes seconds, and is well on its way to what its docstring says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.glob("*.py"))
REACHED = {
    "images.py": (0.6, 1.0),
    "event_camera.py": (0.5, 1.0),
    "regression.py": (0.0, 2.5),
    "label_per_step.py": (0.8, 1.0),
    "own_loss.py": (0.0, 3.0),
    "hybrid.py": (0.15, 1.0),
    "population_code.py": (0.5, 1.0),
    "delays.py": (0.5, 1.0),
    "fine_tuning.py": (0.5, 1.0),
    "time_constants.py": (0.35, 1.0),
}
"""Between what the first number that an example prints lies already at that size, far from chance."""


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_smoke(name: str, tmp_path: Path) -> None:
    # one thread: several processes that each take all cores wait for one another
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("TRITON_INTERPRET", None)  # set for the other tests
    needs = "\nNeeds " in (FOLDER / name).read_text()  # packages that warn of things of their own
    command = [sys.executable, *([] if needs else ["-W", "error"]), FOLDER / name, "--smoke"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert run.returncode == 0, run.stderr
    last = run.stdout.splitlines()[-1]
    if last.startswith("skipped"):  # for want of a package
        pytest.skip(last)
    numbers = re.findall(r"\d+\.?\d*", last)
    assert numbers, last
    low, high = REACHED.get(name, (0.0, float("inf")))
    assert low <= float(numbers[0]) <= high, last


@pytest.mark.parametrize("name", EXAMPLES)
def test_says_what_it_is_and_can_be_copied(name: str) -> None:
    tree = ast.parse((FOLDER / name).read_text())
    assert ast.get_docstring(tree)
    beside = {path.stem for path in FOLDER.glob("*.py")}
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & beside


def test_every_example_stands_in_the_table() -> None:
    listed = re.findall(r"^\| \[`(\w+\.py)`\]\(\1\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == EXAMPLES
