"""Several seeds: each as if trained alone, side by side, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import call, last_line

import lambent as lb
from lambent.runs.seeds import Several, parse_seeds, side_by_side
from lambent.training import Run

SETTINGS = ["--hidden", "8", "--batch-size", "20", "--shift", "0", "--delay", "5", "--initial-spikes", "2"]


@pytest.fixture
def words(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "train.h5", tmp_path / "test.h5"
    for seed, path in enumerate(paths):
        lb.data.write_shd(path, lb.data.yin_yang(80, seed=seed))
    return paths


def test_seeds() -> None:
    assert parse_seeds("0-4") == [0, 1, 2, 3, 4]
    assert parse_seeds("7, 0-1") == [7, 0, 1]
    for bad in ("", "a", "-1", "3-1", "0-99999", "1,1", "0-2,1", "1.5", "0:3"):
        with pytest.raises(ValueError, match="seeds"):
            parse_seeds(bad)


def test_cores_and_memory_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lb.data.yin_yang(10, seed=0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr("lambent.runs.seeds._available", lambda: 64 << 30)
    assert side_by_side(5, data, "cpu") == (5, 1)
    assert side_by_side(3, data, "cpu") == (3, 2)
    assert side_by_side(5, data, "cpu", threads=4) == (2, 4)
    monkeypatch.setattr("lambent.runs.seeds._available", lambda: 2 << 30)
    assert side_by_side(5, data, "cpu") == (2, 4)
    monkeypatch.setattr("lambent.runs.seeds._available", lambda: 0)
    assert side_by_side(5, data, "cpu") == (1, 8)


def test_mean_and_deviation() -> None:
    several = Several({1: {"accuracy_test": 0.9, "val_accuracy": None}, 0: {"accuracy_test": 0.8}}, {2: "why"})
    found = several.summary()
    assert list(found["seeds"]) == ["0", "1"]
    assert found["mean"] == {"accuracy_test": pytest.approx(0.85)}
    assert found["deviation"] == {"accuracy_test": pytest.approx(np.std([0.8, 0.9], ddof=1))}
    assert found["failed"] == {"2": "why"}
    assert Several({1: {"accuracy_test": 0.9}}).summary()["deviation"] == {"accuracy_test": None}


@pytest.mark.slow
def test_seeds_are_trained_as_alone(words, tmp_path, capsys) -> None:
    train, test = words
    out = tmp_path / "several"
    args = ("train", train, "--out", out, "--test", test, "--epochs", 2, *SETTINGS, "--seeds", "0,3", "--json")
    assert call(*args) == 0
    found = last_line(capsys.readouterr().out)
    assert list(found["seeds"]) == ["0", "3"]
    assert found["finished"]
    assert call("train", train, "--out", tmp_path / "alone", "--epochs", 2, *SETTINGS, "--seed", 3) == 0
    alone = Run(tmp_path / "alone").load("best.pt")
    assert all(np.array_equal(x, alone[name]) for name, x in Run(out / "seed-3").load("best.pt").items())
    accuracies = [x["accuracy_test"] for x in found["seeds"].values()]
    assert found["mean"]["accuracy_test"] == pytest.approx(np.mean(accuracies))
    assert json.loads((out / "seeds.json").read_text())["mean"] == found["mean"]
    capsys.readouterr()
    assert call(*args) == 1
    assert "holds seeds already" in capsys.readouterr().err
    assert call("train", train, "--out", out, "--test", test, "--seeds", "0,3-4", "--resume", "--json") == 0
    more = last_line(capsys.readouterr().out)
    assert list(more["seeds"]) == ["0", "3", "4"]
    assert [more["seeds"][seed]["accuracy_test"] for seed in ("0", "3")] == accuracies
    assert Run(out / "seed-4").config().hidden == 8


@pytest.mark.slow
def test_killed_and_gone_on_with(words, tmp_path, capsys) -> None:
    out = tmp_path / "several"
    args = ["train", words[0], "--out", out, "--epochs", "9000", *SETTINGS, "--seeds", "0-1", "--at-once", "2"]
    command = [sys.executable, "-m", "lambent", *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not all(len(Run(out / f"seed-{seed}").metrics()) > 2 for seed in (0, 1)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; go on with: lambent train" in printed
    done = [len(Run(out / f"seed-{seed}").metrics()) for seed in (0, 1)]
    assert all(2 < n < 9000 for n in done)
    assert not (out / "seeds.json").exists()
    for seed in (0, 1):  # what is left is to be short
        path = out / f"seed-{seed}" / "config.toml"
        path.write_text(path.read_text().replace("epochs = 9000", f"epochs = {done[seed] + 2}", 1))
    assert call("train", words[0], "--out", out, "--seeds", "0-1", "--resume", "--json") == 0
    assert [x["epochs"] for x in last_line(capsys.readouterr().out)["seeds"].values()] == [n + 2 for n in done]


@pytest.mark.slow
def test_one_that_fails_does_not_stop_the_others(words, tmp_path, capsys) -> None:
    out = tmp_path / "several"
    (out / "seed-1").mkdir(parents=True)
    (out / "seed-1" / "notes.txt").write_text("mine")
    assert call("train", words[0], "--out", out, "--epochs", 1, *SETTINGS, "--seeds", "0-1", "--json") == 1
    found = last_line(capsys.readouterr().out)
    assert list(found["seeds"]) == ["0"]
    assert "holds other files and no run" in found["failed"]["1"]


def test_mistakes(words, tmp_path, capsys) -> None:
    base = ("train", words[0], "--out", tmp_path / "several")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for args, message in (
        ((*base, "--seeds", "x"), "such as 0-4"),
        ((*base, "--at-once", "2"), "--at-once is for --seeds"),
        ((*base, "--seeds", "0-1", "--seed", "3"), "drop --seed"),
        ((*base, "--seeds", "0-1", "--resume"), "holds no seeds to go on with"),
        ((*base, "--seeds", "0-1", "--resume", "--overwrite"), "drop one of them"),
        ((*base, "--seeds", "0-1", "--hidden", "0"), "hidden must be at least 1"),
        (("train", tmp_path / "none.h5", "--out", tmp_path / "s", "--seeds", "0"), "none.h5"),
        (("train", words[0], "--out", tmp_path / "other", "--seeds", "0"), "holds other files"),
        (("train", words[0], "--out", words[1], "--seeds", "0"), "is a file"),
    ):
        assert call(*args) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "several").exists()
