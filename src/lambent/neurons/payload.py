"""What a graded spike carries: how far its unit went beyond its threshold, in whole levels."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numba.core.types import none
from numba.extending import overload
from torch import Tensor

MOST_BITS = 16  # whose values a float32 still tells apart with some to spare


class Payload(NamedTuple):
    """The value of a spike, 1 + round(levels * share) / levels, where share = overshoot / full is kept within 0 and 1.

    Rounding passes gradients as if it were not there; beyond `full` there is none.

    Attributes:
        levels: 2 ** bits - 1.
        full: the overshoot from which on the value is 2.
    """

    levels: float
    full: float

    def value(self, overshoot: Tensor) -> Tensor:
        """Values of spikes, without gradients."""
        share = (overshoot / self.full).clamp(0.0, 1.0)
        return 1.0 + torch.floor(share * self.levels + 0.5) / self.levels

    def slope(self, overshoot: Tensor) -> Tensor:
        """d value / d overshoot, as the adjoint takes it."""
        return ((overshoot >= 0) & (overshoot < self.full)).to(overshoot.dtype) / self.full


def payload(bits: int | None, full: float) -> Payload | None:
    """What spikes of so many bits carry; None for none.

    Raises:
        TypeError: `bits` is no whole number.
        ValueError: `bits` is outside 0 to 16, or `full` not positive.
    """
    if bits is None:
        return None
    if not isinstance(bits, int) or isinstance(bits, bool):
        raise TypeError(f"payload_bits must be a whole number or None, got {bits!r}")
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"payload_bits must lie in 0 to {MOST_BITS}, got {bits}")
    if not 0 < full < float("inf"):
        raise ValueError(f"payload_range must be positive and finite, got {full}")
    return Payload(2.0**bits - 1, float(full)) if bits else None


# -- the same in kernels, which a type (none) tells that there are no payloads ---------------------------------------


def value_of(p: Any, overshoot: Any) -> Any:
    """`Payload.value`, of one spike."""
    raise TypeError("value_of is for compiled kernels")


def slope_of(p: Any, overshoot: Any) -> Any:
    """`Payload.slope`, of one spike."""
    raise TypeError("slope_of is for compiled kernels")


@overload(value_of, jit_options={"forceinline": True}, strict=False)
def _value_of(p: Any, overshoot: Any) -> Any:
    if p == none:
        return lambda p, overshoot: 1.0
    return lambda p, overshoot: 1.0 + int(min(max(overshoot / p.full, 0.0), 1.0) * p.levels + 0.5) / p.levels


@overload(slope_of, jit_options={"forceinline": True}, strict=False)
def _slope_of(p: Any, overshoot: Any) -> Any:
    if p == none:
        return lambda p, overshoot: 0.0
    return lambda p, overshoot: 1.0 / p.full if 0.0 <= overshoot < p.full else 0.0
