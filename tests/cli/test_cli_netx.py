"""`lambent info` and `lambent simulate` on NetX files of every type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lambent as lb
from lambent.hardware.loihi2 import Average, Loihi2Layer, Loihi2Network, load_netx, save_netx

RECORDINGS = Path(__file__).parents[1] / "hardware" / "loihi2" / "recordings"
Run = Callable[..., tuple[int, str, str]]


def words(path: Path, n_units: int, n: int = 6) -> Path:
    rng = np.random.default_rng(0)
    times = np.concatenate([np.sort(rng.uniform(0, 50, 60)) for _ in range(n)])
    units = rng.integers(0, n_units, 60 * n)
    data = lb.data.SpikeDataset(times, units, np.arange(n + 1) * 60, np.arange(n) % 2, n_units, 60.0, ["a", "b"])
    lb.data.write_shd(path, data)
    return path


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.net")), ids=lambda p: p.stem)
def test_any_file(run: Run, path: Path, tmp_path: Path) -> None:
    network = load_netx(path)
    code, out, _ = run("info", path, "--json")
    assert code == 0
    facts = json.loads(out.splitlines()[-1])
    assert [x["units"] for x in facts["layers"]] == [x.neuron.type for x in network.layers]
    code, out, err = run("simulate", path, words(tmp_path / "w.h5", network.n_in), "--json")
    assert code == 0, err
    assert len(json.loads(out.splitlines()[-1])["spikes_per_sample"]) == len(network.layers)


def test_an_average_gives_an_accuracy(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    weight = np.array([[9] * 5, [9] * 5, [0] * 5, [0] * 5])
    save_netx(Loihi2Network(5, [Loihi2Layer("layer/1", "dense", weight, i_decay=4096)], readout=Average(2)), path)
    code, out, _ = run("simulate", path, words(tmp_path / "w.h5", 5), "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["accuracy"] == 0.5
    code, out, _ = run("info", path, "--json")
    assert json.loads(out.splitlines()[-1])["misread_by_lava"] == ["average: Lava has no such layer"]


def test_a_damaged_file_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_bytes((RECORDINGS / "sigma_delta.net").read_bytes()[:9000])
    code, _, err = run("info", path)
    assert code == 1
    assert "a.net" in err
    assert "Traceback" not in err
