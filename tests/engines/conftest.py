"""Where `grid_gpu` is tested: in Triton's interpreter on the CPU, and compiled where there is a device."""

from __future__ import annotations

import pytest
from grid_cases import CUDA, OLD_TRITON


@pytest.fixture(
    params=[
        pytest.param(
            "cpu",
            id="interpreter",
            marks=[
                pytest.mark.skipif(CUDA, reason="with a CUDA device the kernels are compiled, not interpreted"),
                pytest.mark.skipif(OLD_TRITON, reason="the interpreter of Triton 3.6 does not know numpy 2"),
            ],
        ),
        pytest.param(
            "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not CUDA, reason="needs a CUDA device")]
        ),
    ]
)  # fmt: skip
def device(request):
    return request.param
