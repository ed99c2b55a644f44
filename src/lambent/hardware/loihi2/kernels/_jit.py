"""How all kernels are compiled."""

from __future__ import annotations

from numba import njit

jit = njit(nogil=True, cache=True, error_model="numpy")
