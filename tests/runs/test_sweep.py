"""A search for settings that several processes share, and of which any may be killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import call, last_line

import lambent as lb
from lambent.runs.sweep import Range, Sweep, read_space
from lambent.training import Run

SPACE = """
lr = { low = 1e-3, high = 1e-1, log = true }
hidden = [6, 10, "8,4"]
delay = { low = 0, high = 10, step = 5 }
epochs = 3
batch_size = 20
shift = 0
initial_spikes = 2.0
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "train.h5"
    lb.data.write_shd(path, lb.data.yin_yang(120, seed=0))
    return path


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


def test_spaces(space: Path) -> None:
    found, fixed = read_space(space)
    assert sorted(found) == ["delay", "hidden", "lr"]
    assert isinstance(found["lr"], Range)
    assert found["lr"].log
    assert fixed == {"epochs": 3, "batch_size": 20, "shift": 0, "initial_spikes": 2.0}
    space.write_text('layer = ["256 recurrent"]\nlr = [1e-3, 1e-2]\n')
    assert read_space(space)[1] == {"layer": ["256 recurrent"]}
    space.write_text('layer = [["256 recurrent"], ["128", "64"]]\n')
    assert "layer" in read_space(space)[0]
    for text, message in (
        ("epochs = 3", "nothing to search over"),
        ("lr = ", "not a TOML file"),
        ("speed = [1, 2]", "unknown key 'speed'"),
        ("lr = { low = 1 }", "a range needs low and high"),
        ("lr = { low = 2, high = 1 }", "in this order"),
        ("lr = { low = 0, high = 1, log = true }", "log is true or false, and needs low above 0"),
        ("lr = { low = 0, high = 1, setp = 1 }", "not 'setp'"),
        ("hidden = { low = 1.5, high = 4 }", "takes whole numbers"),
        ("reduce = { low = 1, high = 4 }", "reduce has no range"),
        ("lr = []", "one of some values"),
        ("seed = [1, 2]", "no setting to search over"),
        ("lr = [1e-2]\nepochs = 0", "epochs must be at least 1"),
    ):
        space.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_space(space)


def test_without_optuna(words, space, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert call("sweep", space, words, "--out", tmp_path / "study") == 1
    assert "pip install 'lambent[sweep]'" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_sweep(words, space, tmp_path, capsys) -> None:
    pytest.importorskip("optuna", reason="a sweep needs Optuna")
    out = tmp_path / "study"
    assert call("sweep", space, words, "--out", out, "--trials", 3, "--json") == 0
    printed = capsys.readouterr().out
    found = last_line(printed)
    assert found["complete"] + found["pruned"] == 3
    assert f"best of 3 trials: {found['run']}" in printed
    best = Run(found["run"])
    assert max(m["val_accuracy"] for m in best.metrics()) == pytest.approx(found["val_accuracy"])
    assert best.config().lr == found["best"]["lr"]
    assert str(best.config().hidden) == found["best"]["hidden"]
    assert best.config().delay == found["best"]["delay"]
    assert call("sweep", space, words, "--out", out, "--trials", 3, "--json") == 0
    assert last_line(capsys.readouterr().out) == found  # nothing is left to do
    assert call("sweep", space, words, "--out", out, "--trials", 4, "--json") == 0
    more = last_line(capsys.readouterr().out)
    assert more["complete"] + more["pruned"] == 4
    space.write_text(SPACE.replace("1e-1", "1"))
    assert call("sweep", space, words, "--out", out) == 1
    assert "a study in which lr is another" in capsys.readouterr().err
    assert call("sweep", space, words, "--out", tmp_path) == 1
    assert "holds other files and no study" in capsys.readouterr().err


def test_trials_that_fail(words, space, tmp_path, capsys) -> None:
    pytest.importorskip("optuna", reason="a sweep needs Optuna")
    space.write_text(SPACE + "valid = 0.0\n")
    assert call("sweep", space, words, "--out", tmp_path / "study", "--trials", 2) == 1
    captured = capsys.readouterr()
    assert captured.out.count("failed: a sweep chooses by validation samples") == 2
    assert "valid must not be 0" in captured.err


def test_pruning(words, space, tmp_path, monkeypatch) -> None:
    optuna = pytest.importorskip("optuna", reason="a sweep needs Optuna")
    ranges, fixed = read_space(space)
    study = Sweep(tmp_path / "study", ranges, fixed)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: True)
    said: list[str] = []
    assert study.work(lb.data.yin_yang(120, seed=0), {"train": "yin-yang", "test": None}, 2, said.append)
    assert len(said) == 2
    assert all("pruned after epoch 1" in text for text in said)
    assert study.summary() == {"complete": 0, "pruned": 2, "fail": 0, "running": 0}


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed(words, space, tmp_path) -> None:
    """What it was at is gone on with by the other, from where it was."""
    pytest.importorskip("optuna", reason="a sweep needs Optuna")
    out = tmp_path / "study"
    space.write_text(SPACE.replace("epochs = 3", "epochs = 60") + "threads = 1\n")
    command = [sys.executable, "-m", "lambent", "sweep", space, words, "--out", out, "--trials", "6", "--json"]
    first, second = (subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) for _ in range(2))
    deadline = time.monotonic() + 400  # kernels may have to be compiled
    while not any(len(Run(x).metrics()) > 3 for x in out.glob("trial-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    printed, _ = second.communicate(timeout=400)
    assert second.returncode == 0
    found = last_line(printed)
    assert found["complete"] + found["pruned"] >= 6
    assert found["running"] == 0
    if found["fail"]:  # it may have been killed between two trials
        assert "its process is no more; another goes on with it" in printed
    ranges, fixed = read_space(space)
    trials = Sweep(out, ranges, fixed).study.trials
    began = [t.user_attrs.get("began", t.number) for t in trials if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(set(began)) == len(began)
