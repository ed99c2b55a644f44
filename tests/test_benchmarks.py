"""Every benchmark runs, at a size that takes seconds; what it finds then means nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


def test_the_rival_written_by_hand_has_autograds_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    from bptt import BPTT
    from handwritten import HandWritten

    class Detached(BPTT):
        """No gradient flows through the reset, as in the one written by hand."""

        def _reset(self, v, s):
            return v * (1 - s.detach())

    torch.manual_seed(0)
    net = Detached(40, 24, 5).double()
    with torch.no_grad():
        net.weight.mul_(8)
    x = (torch.rand(6, 70, 40) < 0.1).double()
    labels = torch.arange(6) % 5
    scores, counts = net(x)
    assert counts.mean() > 2
    torch.nn.functional.cross_entropy(scores, labels).backward()
    by_hand = HandWritten(net.weight, net.recurrent_weight, net.readout, x.shape[1], torch.float64)
    in_steps = x.transpose(0, 1).contiguous()
    torch.testing.assert_close(by_hand.forward(in_steps)[0], scores, rtol=1e-5, atol=1e-7)
    for found, weight in zip(by_hand.gradients(in_steps, labels), net.parameters(), strict=True):
        torch.testing.assert_close(found, weight.grad, rtol=1e-4, atol=1e-7)
