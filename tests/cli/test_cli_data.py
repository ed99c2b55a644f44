"""Data that keep to the Heidelberg layout but for the unit of time, or do not say how many units there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import lambent as lb

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


def words(path: Path, n_units: int = 5, values: bool = False, names: list[str] | None = None, classes: int = 3) -> Path:
    """Samples of some classes, graded or not."""
    rng = np.random.default_rng(0)
    times, units = np.sort(rng.uniform(0, 50, (30, 8))).ravel(), rng.integers(0, n_units, 240)
    carried = rng.uniform(1, 2, 240) if values else None
    data = lb.data.SpikeDataset(
        times, units, np.arange(31) * 8, np.arange(30) % classes, n_units, 60.0, names, values=carried
    )
    lb.data.write_shd(path, data)
    return path


def test_data_of_another_kind_are_not_evaluated(run: Any, tmp_path: Path) -> None:
    """A file of other inputs has no accuracy, however well its numbers fit."""
    named = ["one", "two", "three"]
    train, folder = words(tmp_path / "train.h5", names=named), tmp_path / "r"
    assert run("train", train, "--out", folder, *SETTINGS, "--shift", "0")[0] == 0
    run("export", folder)
    for test, message in (
        (words(tmp_path / "few.h5", n_units=4, names=named), "few.h5: its spikes are of 4 units, 5 are wanted"),
        (words(tmp_path / "graded.h5", values=True, names=named), "graded.h5: its spikes carry values (spikes/values)"),
        (
            words(tmp_path / "other.h5", names=["x", "y", "z"]),
            "other.h5: classes ['x', 'y', 'z'] are not those",
        ),
    ):
        for words_ in (("evaluate", folder, test), ("train", train, "--out", tmp_path / "s", "--test", test)):
            code, _, err = run(*words_)
            assert code == 1
            assert message in err.replace("\n", " ")
        assert run("simulate", folder / "r.net", test)[0] == 1
    for words_ in (("evaluate", folder), ("simulate", folder / "r.net")):
        code, out, _ = run(*words_, words(tmp_path / "numbers.h5"))
        assert code == 0
        assert "numbers.h5: its classes are only numbered; taken as those trained on: 0 is 'one' and so on" in out


def test_a_class_without_samples_is_said(run: Any, tmp_path: Path) -> None:
    data = words(tmp_path / "two.h5", names=[f"word {i}" for i in range(9)], classes=2)
    _, out, _ = run("train", data, "--out", tmp_path / "r", *SETTINGS, "--shift", "0")
    assert "holds no sample of 'word 2', 'word 3', 'word 4', 'word 5', 'word 6' and 2 more" in out
