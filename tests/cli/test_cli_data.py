"""Data that keep to the Heidelberg layout but for the unit of time, or do not say how many units there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

SETTINGS = ("--hidden", "8", "--epochs", "1", "--initial-spikes", "2", "--threads", "1")


@pytest.fixture
def microseconds(tmp_path: Path) -> Path:
    """Words of 139 channels at most, with times as integers."""
    rng = np.random.default_rng(0)
    path = tmp_path / "words.h5"
    with h5py.File(path, "w") as f:
        times = f.create_dataset("spikes/times", (40,), h5py.vlen_dtype(np.int64))
        units = f.create_dataset("spikes/units", (40,), h5py.vlen_dtype(np.uint16))
        for i in range(40):
            times[i] = np.sort(rng.integers(0, 200_000, 50))
            units[i] = rng.integers(0, 139, 50)
        f["labels"] = np.arange(40) % 4
    return path


def test_units_of_time_and_of_input(run: Any, microseconds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    code, _, err = run("train", microseconds, "--out", folder, *SETTINGS)
    assert (code, folder.exists()) == (1, False)
    assert "spikes/times holds int64" in err
    assert "--time-unit" in err
    how = ("--time-unit", "us", "--n-units", "140")
    assert run("train", microseconds, "--out", folder, *how, *SETTINGS, "--test", microseconds)[0] == 0
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["n_units"], facts["duration"]) == (140, 200.0)
    code, out, _ = run("train", microseconds, "--out", folder, "--resume")  # as it began
    assert code == 0
    assert "finished already" in out
    code, _, err = run("train", microseconds, "--out", folder, "--resume", "--time-unit", "ms")
    assert code == 1
    assert "drop --time-unit" in err
    assert run("evaluate", folder, microseconds)[0] == 1
    assert run("evaluate", folder, microseconds, "--time-unit", "us", "--chip")[0] == 0
    assert run("simulate", folder / "r.net", microseconds, "--time-unit", "us")[0] == 0


def test_info_of_a_file(run: Any, microseconds: Path) -> None:
    code, out, _ = run("info", microseconds, "--time-unit", "us", "--json")
    assert code == 0
    facts = json.loads(out.splitlines()[-1])
    assert (facts["samples"], facts["units"], facts["duration_ms"], facts["spikes_per_sample"]) == (
        40,
        139,
        200.0,
        50.0,
    )
    assert facts["classes"] == {"0": 10, "1": 10, "2": 10, "3": 10}
    code, _, err = run("info", microseconds)
    assert code == 1
    assert "--time-unit" in err


def test_too_few_units(run: Any, microseconds: Path, tmp_path: Path) -> None:
    code, _, err = run("train", microseconds, "--out", tmp_path / "r", "--time-unit", "us", "--n-units", "100")
    assert code == 1
    assert "outside [0, 100); n_units (--n-units) says how many there are" in err
    code, _, err = run("train", microseconds, "--out", tmp_path / "r", "--time-unit", "min")
    assert code == 1
    assert "time_unit must be one of" in err
