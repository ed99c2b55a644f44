"""`lambent train` under torchrun does what one process does with the same batches, up to rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lambent as lb
from lambent.training import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no torch.distributed"),
]
SETTINGS = [
    "--hidden", "12,10", "--epochs", "3", "--batch-size", "19", "--shift", "1", "--delay", "5", "--initial-spikes", "1",
    "--jitter", "0.5", "--lr-tau", "0.1", "--rate-lower", "2", "--rate-upper", "3", "--threads", "1",
]  # fmt: skip


def torchrun(*args: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes, "--standalone"]
    command += ["-m", "lambent", *args] if processes else []
    command = command if processes else [sys.executable, "-m", "lambent", *args]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchrun") / "train.h5"
    lb.data.write_shd(path, lb.data.yin_yang(78, seed=0))  # 70 to train on: batches of 19, 19, 19 and 13
    return path


@pytest.fixture(scope="module")
def alone(words: Path) -> Run:
    done = torchrun("train", words, "--out", words.parent / "alone", *SETTINGS, processes=0)
    assert done.returncode == 0, done.stderr
    return Run(words.parent / "alone")


def assert_same(run: Run, alone: Run) -> None:
    a, b = run.load("checkpoint.pt"), alone.load("checkpoint.pt")
    for name, value in b["model"].items():
        torch.testing.assert_close(a["model"][name], value, rtol=2e-3, atol=2e-4)
    for ours, theirs in zip(run.metrics(), alone.metrics(), strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "spikes_per_unit"):
            if name in theirs:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("processes", [2, 3])
def test_as_one_process(words: Path, alone: Run, processes: int) -> None:
    run = Run(words.parent / f"together{processes}")
    done = torchrun("train", words, "--out", run.folder, *SETTINGS, "--test", words, "--json", processes=processes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("3/3") == 1  # one says what there is
    assert f"{processes} processes share every batch of 19" in done.stdout
    assert done.stdout.count('"accuracy_test"') == 1
    assert_same(run, alone)
    assert 0.01 < run.temperature() < 100


def test_going_on(words: Path, alone: Run) -> None:
    """From the checkpoint of one epoch."""
    run = Run(words.parent / "resumed")
    args = ["train", words, "--out", run.folder]
    done = torchrun(*args, *SETTINGS, "--schedule", "constant", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    path = run.path("config.toml")
    path.write_text(path.read_text().replace("epochs = 1 ", "epochs = 3 ", 1))
    done = torchrun(*args, "--resume")
    assert done.returncode == 0, done.stderr
    whole = Run(words.parent / "whole")
    done = torchrun("train", words, "--out", whole.folder, *SETTINGS, "--schedule", "constant")
    assert done.returncode == 0, done.stderr
    a, b = (x.load("checkpoint.pt")["model"] for x in (run, whole))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_what_is_wrong_is_told(words: Path, alone: Run) -> None:
    done = torchrun("train", words, "--out", alone.folder, *SETTINGS)
    assert done.returncode != 0
    assert "holds a run already" in done.stderr
