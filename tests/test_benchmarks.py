"""Every benchmark runs, at a size that takes seconds; what it finds then means nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
NEEDS_MORE = 3  # the status of a benchmark whose opponent is not installed
BENCHMARKS = sorted(path.name for path in FOLDER.glob("*.py") if "__main__" in path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_smoke(name: str, tmp_path: Path) -> None:
    # one thread: several processes that each take all cores wait for one another
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)  # set for the other tests
    command = [sys.executable, FOLDER / name, "--smoke"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    if run.returncode == NEEDS_MORE:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stderr
    cases = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert cases
    for case in cases:
        assert {"benchmark", "cpu", "threads", "lambent", "torch", "numba"} < set(case)


def test_every_benchmark_stands_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert set(listed) == set(BENCHMARKS)
