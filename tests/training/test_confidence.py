"""A temperature that makes confidence mean what it says."""

from __future__ import annotations

import numpy as np
import pytest

from lambent.training.confidence import calibration_error, confidence, fit_temperature


def drawn(temperature: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(0)
    scores = 3 * rng.normal(size=(n, 4))
    p = confidence(scores, temperature)
    return scores, (p.cumsum(1) < rng.random((n, 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature: float) -> None:
    scores, labels = drawn(temperature)
    found = fit_temperature(scores, labels)
    assert found == pytest.approx(temperature, rel=0.1)
    assert calibration_error(scores, labels, found) < 0.03
    assert calibration_error(scores, labels, 5 * found) > 0.1


def test_extremes() -> None:
    always_right = np.tile([5.0, 0.0], (10, 1)), np.zeros(10, int)
    assert fit_temperature(*always_right) < 0.2
    always_wrong = always_right[0], np.ones(10, int)
    assert fit_temperature(*always_wrong) > 50
    assert np.isfinite(confidence(np.array([[1e4, 0.0]]), 0.01)).all()
    with pytest.raises(ValueError, match="got shapes"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(ValueError, match="got shapes"):
        fit_temperature(np.zeros((5, 3)), np.zeros(4, int))
