"""Paths of the data that lies beside the checkout, Triton's interpreter where there is no device, and no windows.

Most of the time goes to compiling kernels that run once: they are optimised less than a user's, whose kernels
`test_demo` runs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined
os.environ["MPLBACKEND"] = "agg"  # no windows
os.environ.setdefault("NUMBA_OPT", "1")  # read when Numba is imported

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the folder `shared` beside the checkout")
    return SHARED
