"""`lambent demo`: the whole way on the words in the package, once quickly and once as it ships."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from rich.console import Console

import lambent as lb
from lambent import demo


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
    with pytest.raises(ValueError, match="holds a run already"):
        demo.run_demo(tmp_path / "keywords", 0, Console())


@pytest.mark.slow
def test_it_keeps_its_promise(tmp_path):
    command = [sys.executable, "-m", "lambent", "demo", "--out", str(tmp_path / "keywords"), "--json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = json.loads(out.strip().splitlines()[-1])
    assert result["n"] == 420
    assert result["accuracy_float"] >= 0.9
    assert abs(result["accuracy_chip"] - result["accuracy_float"]) <= 0.01
    assert (tmp_path / "keywords" / "report.html").exists()
    assert str(tmp_path) in result["report"]
