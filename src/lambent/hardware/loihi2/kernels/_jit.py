"""How all kernels are compiled.

Numba renews a cached kernel when the file it is in changes, not when a helper in another file does: after editing
`synapses.py` or `lists.py`, touch the other files here.
"""

from __future__ import annotations

from numba import njit

jit = njit(nogil=True, cache=True, error_model="numpy")
