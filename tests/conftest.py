"""Paths of the data that lies beside the checkout, and a bound on threads."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the folder `shared` beside the checkout")
    return SHARED
