"""A small task and settings that train in seconds."""

from __future__ import annotations

import pytest

import lambent as lb
from lambent.training import Config


@pytest.fixture(scope="session")
def data():
    return lb.data.yin_yang(300, seed=0)


@pytest.fixture
def config():
    return Config(
        hidden=20, epochs=3, batch_size=50, dt=1.0, delay=5.0, initial_spikes=1.0, rate_lower=0.2, shift=0, blend=0.5,
        jitter=0.5, seed=1,
    )  # fmt: skip
