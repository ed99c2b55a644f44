"""Sounds that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def vowel() -> np.ndarray:
    """0.2 s of a sound with some harmonics of 150 Hz, at 8 kHz."""
    t = np.arange(1600) / 8000
    return sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 12))
