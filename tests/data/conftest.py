"""Data sets that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lambent.data import SpikeDataset


@pytest.fixture
def words() -> SpikeDataset:
    """60 samples of 3 classes and 4 speakers, 0 to 40 spikes each, times in float16 seconds."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 41, 60)
    sizes[[0, 17, 59]] = 0
    seconds = [np.sort(rng.uniform(0, 0.1, n).astype(np.float16)) for n in sizes]
    return SpikeDataset(
        np.concatenate(seconds).astype(np.float64) * 1e3,
        rng.integers(0, 20, sizes.sum()),
        np.concatenate([[0], np.cumsum(sizes)]),
        rng.permutation(np.arange(60) % 3),
        n_units=20,
        duration=120.0,
        class_names=["zero", "eins", "zwölf"],
        speakers=np.arange(60) % 4,
    )


@pytest.fixture
def graded(words) -> SpikeDataset:
    """The same with a value for each spike."""
    values = np.random.default_rng(4).normal(size=len(words.times))
    same = (words.times, words.units, words.offsets, words.labels, 20, 120.0, words.class_names, words.speakers)
    return SpikeDataset(*same, values=values)


@pytest.fixture(scope="session")
def spoken_digits(shared: Path) -> Path:
    """Folder of the real spoken digits."""
    folder = shared / "data"
    if not (folder / "spoken_digits_test.h5.gz").exists():
        pytest.skip("the shared recordings do not lie beside this checkout")
    return folder
