"""`lambent demo`: the whole way on the words in the package, once quickly and once as it ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

import lambent as lb
from lambent import cli, demo


def test_every_step_runs(monkeypatch, tmp_path, capsys):
    train, test = lb.data.keywords()
    few = (train.subset(range(0, 2100, 21)), test.subset(range(0, 420, 14)))
    monkeypatch.setattr(demo, "keywords", lambda: few)
    monkeypatch.setattr(demo, "SETTINGS", demo.SETTINGS | {"hidden": 16, "epochs": 1, "dt": 4.0})
    result = demo.run_demo(tmp_path / "keywords", 3, Console())
    assert result["evaluation"].keys() == {"accuracy", "accuracy_quantised", "accuracy_chip", "agreement", "n"}
    assert result["evaluation"]["n"] == 30
    assert result["report"].stat().st_size > 10_000
    assert (tmp_path / "keywords" / "keywords.net").exists()
    assert "100 to train on" in capsys.readouterr().out
    with pytest.raises(ValueError, match="seed was 3 when the run began, is 0"):
        demo.run_demo(tmp_path / "keywords", 0, Console())
    run = lb.training.Run(tmp_path / "keywords")
    run.write_json("run.json", run.facts() | {"data": {"train": "words.h5", "test": None}})
    with pytest.raises(ValueError, match="holds another run"):
        demo.run_demo(tmp_path / "keywords", 3, Console())


def test_it_goes_on_after_an_interruption(monkeypatch, tmp_path, capsys):
    train, test = lb.data.keywords()
    few = (train.subset(range(0, 2100, 21)), test.subset(range(0, 420, 14)))
    monkeypatch.setattr(demo, "keywords", lambda: few)
    monkeypatch.setattr(demo, "SETTINGS", demo.SETTINGS | {"hidden": 16, "epochs": 2, "dt": 4.0})
    monkeypatch.setattr(demo, "export_run", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.app(["demo", "--out", str(tmp_path / "my words")])
    assert stop.value.code == 130
    assert f"go on with: lambent demo --out '{tmp_path / 'my words'}' --seed 0" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(demo, "keywords", lambda: few)
    monkeypatch.setattr(demo, "SETTINGS", demo.SETTINGS | {"hidden": 16, "epochs": 2, "dt": 4.0})
    assert demo.run_demo(tmp_path / "my words", 0, Console())["report"].exists()


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_it_keeps_its_promise(tmp_path):
    command = [sys.executable, "-m", "lambent", "demo", "--out", str(tmp_path / "keywords"), "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_OPT"}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    result = json.loads(out.strip().splitlines()[-1])
    assert result["n"] == 420
    assert result["accuracy_float"] >= 0.9
    assert abs(result["accuracy_chip"] - result["accuracy_float"]) <= 0.01
    assert (tmp_path / "keywords" / "report.html").exists()
    assert str(tmp_path) in result["report"]
