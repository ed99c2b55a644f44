"""Files changed at random, in hundreds here and in thousands by `benchmarks/robustness.py`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("soundfile")
pytest.importorskip("nir")

_EACH = 46  # of 11 kinds


@pytest.fixture(scope="module")
def robustness():
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("robustness")
    finally:
        sys.path.remove(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_mutations(robustness):
    assert _EACH * len(robustness.KINDS) >= 500
    for name, kind in robustness.KINDS.items():
        for found in robustness.outcomes(name, range(_EACH), seed=1, done=set()):
            allowed = ("error", "same") if kind.own else ("error", "same", "other")
            assert found["outcome"] in allowed, found
