"""The network that settings describe."""

from __future__ import annotations

from lambent.training import Config, build_model


def test_delays_fit_a_fine_grid():
    assert build_model(Config(dt=0.5), 5, 3)[0].delay.max() <= 31.0
