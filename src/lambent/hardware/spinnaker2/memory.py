"""`Memory`: the SRAM of an element, array by array."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from lambent.hardware.spinnaker2.constants import Constants, default_constants


class Memory:
    """The ledger of an element: every array that its programs hold is made here, or refused.

    Args:
        name: of the element, for messages.
        constants: of the chip.

    Attributes:
        arrays: by name.

    >>> from lambent.hardware.spinnaker2.memory import Memory
    >>> memory = Memory("element 0")
    >>> memory.array("weights", (140, 64), np.float32).shape
    (140, 64)
    >>> memory.used, memory.limit
    (35840, 98304)
    """

    def __init__(self, name: str, constants: Constants | None = None) -> None:
        self.name, self.constants = name, constants or default_constants()
        self.arrays: dict[str, np.ndarray] = {}

    @property
    def limit(self) -> int:
        """Bytes for data."""
        return self.constants.data

    @property
    def used(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def array(self, name: str, shape: int | Sequence[int], dtype: DTypeLike) -> np.ndarray:
        """A new array of zeros.

        Raises:
            ValueError: it does not fit; says how much there is, what holds it, and how much would fit.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        wanted, free = prod(shape) * np.dtype(dtype).itemsize, self.limit - self.used
        if wanted > free:
            held = ", ".join(f"{key} {array.nbytes:,}" for key, array in self.arrays.items()) or "nothing"
            raise ValueError(
                f"{self.name}: {name} {shape} takes {wanted:,} bytes, of {self.limit:,} for data {free:,} are free "
                f"({held}); {free // np.dtype(dtype).itemsize:,} numbers would fit"
            )
        if name in self.arrays:
            raise ValueError(f"{self.name}: {name} is there already")
        self.arrays[name] = np.zeros(shape, dtype)
        return self.arrays[name]

    def table(self) -> dict[str, int]:
        """Bytes by name, with those of the code."""
        return {name: array.nbytes for name, array in self.arrays.items()} | {"code": self.constants.code}
