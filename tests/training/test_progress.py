"""Progress: a live line in terminals that keeps what matters, and plain lines everywhere else."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import lambent as lb
from lambent.training import progress
from lambent.training.progress import RichWatcher, in_notebook, is_live, pace

METRICS = {
    "epoch": 12.0, "loss": 12.345, "accuracy": 0.9, "val_accuracy": 0.88, "spikes_per_unit": 10.2, "silent": 0.03,
    "samples_per_s": 950.0,
}  # fmt: skip
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def watch(console: Console, epochs: int = 100) -> str:
    """What eight batches and the end of epoch 12 leave on a console."""
    with RichWatcher(console, epochs, done=11) as watcher:
        clock = iter(range(1000))
        watcher.bar.get_time = lambda: 60.0 * next(clock)  # type: ignore[method-assign]
        watcher.bar.speed_estimate_period = 1e9
        for done in range(1, 9):
            watcher.batch(11, done, 8, METRICS)
            watcher.bar.refresh()
        watcher.epoch(METRICS)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_live_line_keeps_epoch_time_left_and_loss(width: int) -> None:
    text = watch(Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None))
    lines = [line for line in re.split(r"[\r\n]", ESCAPE.sub("", text)) if "━" in line]
    assert all(len(line) <= width for line in lines)
    for pattern in (r"12/100", r"\d+:\d\d:\d\d", r"loss 12\.345"):
        assert re.search(pattern, lines[-1]), pattern
    assert ("…" in lines[-1]) == (width < 100)
    assert "val 88.0 %" in lines[-1] or width == 50


def test_a_line_for_each_epoch_stands_in_a_narrow_terminal_too() -> None:
    text = watch(Console(file=io.StringIO(), width=50, force_terminal=True, color_system=None))
    assert " 12/100  loss 12.345  acc 90.0 %  val 88.0 %  10.2 spikes/unit  3 % silent  950/s\n" in ESCAPE.sub("", text)


def test_elsewhere_lines_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = watch(Console(file=io.StringIO(), width=50))
    assert text == " 12/100  loss 12.345  acc 90.0 %  val 88.0 %  10.2 spikes/unit  3 % silent  950/s\n"
    monkeypatch.setattr(progress, "pace", lambda: lambda: True)
    lines = watch(Console(file=io.StringIO(), width=50)).splitlines()
    assert len(lines) == 9
    assert re.match(r" 12/100  batch 1 of 8  -:--:-- left  loss 12\.345  acc", lines[0])
    assert re.match(r" 12/100  batch 8 of 8  \d+:\d\d:\d\d left  loss", lines[7])
    assert "\x1b" not in "".join(lines)


def test_quantised_epochs_say_so() -> None:
    console = Console(file=io.StringIO())
    with RichWatcher(console, 20) as watcher:
        watcher.epoch(METRICS | {"aware": 1.0})
    assert console.file.getvalue().startswith("12/20  quantised  loss")  # type: ignore[attr-defined]


def test_where_lines_can_be_drawn_over() -> None:
    assert is_live(Console(force_terminal=True, force_jupyter=False, _environ={"TERM": "xterm"}))
    assert not is_live(Console(force_terminal=True, force_jupyter=True))
    assert not is_live(Console(force_terminal=True, _environ={"TERM": "dumb"}))
    assert not is_live(Console(file=io.StringIO(), _environ={}))


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    due = pace(30.0)
    found = []
    for now in (101.0, 129.0, 130.0, 131.0, 159.0, 161.0):  # noqa: B007 - the clock reads it
        found.append(due())
    assert found == [False, False, True, False, False, True]


def test_a_command_that_a_notebook_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`!lambent` has a kernel's environment, which asks for colours."""
    for name in ("JPY_PARENT_PID", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)
    assert not in_notebook()
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert in_notebook()
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("JPY_PARENT_PID", "17")
    assert in_notebook()
    path = tmp_path / "words.h5"
    lb.data.write_shd(path, lb.data.yin_yang(60, seed=0))
    options = "--hidden 5 --epochs 1 --initial-spikes 1 --shift 0 --delay 0 --no-recurrent --batch-size 30"
    command = [sys.executable, "-m", "lambent", "train", str(path), "--out", str(tmp_path / "run"), *options.split()]
    made = subprocess.run(
        command,
        env=os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-color"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in made.stdout + made.stderr
    assert re.search(r"^1/1  loss", made.stdout, re.MULTILINE)
