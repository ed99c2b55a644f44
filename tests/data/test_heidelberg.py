"""`shd` and `ssc` find files and say what they looked for."""

from __future__ import annotations

import pytest

import lambent as lb


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAMBENT_DATA", raising=False)


def put(path, n=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    lb.data.write_shd(path, lb.data.yin_yang(n, seed=0))


@pytest.mark.parametrize(
    "place", [".", "data", "data/SHD", "home/data/hdspikes", "home/.keras/datasets/hdspikes", "elsewhere/SHD"]
)
@pytest.mark.parametrize("suffix", [".h5", ".h5.gz"])
def test_usual_places(tmp_path, monkeypatch, place, suffix):
    put(tmp_path / place / f"shd_test{suffix}")
    if place.startswith("elsewhere"):
        monkeypatch.setenv("LAMBENT_DATA", "elsewhere")
    assert len(lb.data.shd("test")) == 6


def test_a_named_folder_is_the_only_one(tmp_path):
    put(tmp_path / "ssc_valid.h5")
    assert lb.data.ssc("valid", ".", duration=70.0).duration == 70.0
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"neither ssc_valid\.h5 nor .* lies in empty, empty/hdspikes"):
        lb.data.ssc("valid", "empty")


def test_what_is_missing_is_said():
    with pytest.raises(
        FileNotFoundError, match=r"shd_train\.h5 .*hdspikes.*https://zenkelab\.org/datasets/.*LAMBENT_DATA"
    ):
        lb.data.shd()
    with pytest.raises(ValueError, match="split must be one of train, test, got 'valid'"):
        lb.data.shd("valid")


def test_late_spikes(tmp_path):
    put(tmp_path / "shd_train.h5", 40)
    with pytest.raises(ValueError, match="past the duration of 20 ms"):
        lb.data.shd(duration=20.0)
    assert lb.data.shd(duration=20.0, crop=True).times.max() < 20
