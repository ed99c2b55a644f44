"""Values of graded spikes in Triton: a pointer, or None where all are 1, and the entry of the first in question.

None picks what is compiled, so that a kernel without values is as if these functions were not there.
"""

from __future__ import annotations

import triton
from triton import language as tl


@triton.jit
def scaled(x, values, begin, k, count):
    """`x` times the value of spike k, of which the first `count` are spikes."""
    if values is None:
        return x
    else:
        return x * tl.load(values + begin + k, mask=k < count, other=0.0)


@triton.jit
def scaled_each(x, values, begin, live, FETCH: tl.constexpr):
    """`x` (FETCH,) or (FETCH, columns) times the values of as many spikes."""
    if values is None:
        return x
    else:
        factor = tl.load(values + begin + tl.arange(0, FETCH), mask=live, other=0.0)
        return x * (factor if len(x.shape) == 1 else factor[:, None])
