"""A batch of points."""

from __future__ import annotations

import pytest

from lambent.hardware import spinnaker2 as s2


@pytest.fixture(scope="session")
def points():
    """22 points of Yin-Yang: events and labels."""
    return s2.bena2024_data(22, 0).batch(range(22))
