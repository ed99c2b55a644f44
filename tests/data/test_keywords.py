"""The keyword set in the package holds what its README promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lambent as lb

FOLDER = Path(lb.__file__).parent / "data" / "packaged"
WORDS = ["yes", "no", "forward", "backward", "left", "right", "on", "off", "stop", "go"]


@pytest.fixture(scope="module")
def sets():
    return lb.data.keywords()


def test_sizes(sets):
    train, test = sets
    assert (len(train), len(test)) == (2100, 420)
    for data in sets:
        assert data.class_names == WORDS
        assert data.n_units == 140
        assert (np.bincount(data.labels) == len(data) // 10).all()
    assert train.duration == test.duration < 1024
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) < 5e6


def test_nobody_is_in_both(sets):
    train, test = (set(data.speakers.tolist()) for data in sets)
    assert train == set(range(210))
    assert test == set(range(210, 252))


def test_spikes(sets):
    for data in sets:
        spikes = np.diff(data.offsets)
        assert spikes.min() > 100
        assert 800 < spikes.mean() < 2000
        ticks = data.times.astype(np.float64) / 0.9765625  # [1/1024 s]
        assert (ticks == np.round(ticks)).all()
        sample = np.repeat(np.arange(len(data)), spikes)
        slot = (sample * 1024 + ticks.astype(np.int64)) * 140 + data.units
        assert (np.diff(slot) > 0).all()  # sorted, at most one spike per channel and tick
        assert (np.bincount(data.units, minlength=140) > 0).all()


def test_the_words_are_different_renditions(sets):
    for data in sets:
        rows = [slice(*data.offsets[i : i + 2]) for i in range(len(data))]
        seen = {(data.times[r].tobytes(), data.units[r].tobytes()) for r in rows}
        assert len(seen) == len(data)


def test_licence_and_origin_are_told():
    text = (FOLDER / "README.md").read_text()
    assert "espeak-ng" in text
    assert "Apache-2.0" in text
