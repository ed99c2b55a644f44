"""No connections at all: what a layer has in place of recurrent ones where it has none."""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from typing import NamedTuple

from lambent.machine.compiling import fast_inline


class Absent(NamedTuple):
    """No connections, for kernels."""

    delayed = False

    @staticmethod
    @fast_inline
    def deliver(window, row, arrays, units, values, first, last):
        pass

    @staticmethod
    @fast_inline
    def weigh(drift, row, arrays, unit):
        return drift.dtype.type(0)

    @staticmethod
    @fast_inline
    def collect(gradients, d_times, arrays, history, drift, begin, steps, units, values, first, last):
        pass


ABSENT = Absent()
