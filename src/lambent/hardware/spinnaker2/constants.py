"""`Constants`: what the model of the chip is made of; `constants.toml` beside this file gives each its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Constants:
    """The chip in numbers. `constants.toml` says what each is, in which unit, and where it is from.

    Raises:
        ValueError: a value is no positive number.
    """

    elements: int
    usable: int
    sram: int
    code: int
    dram_bandwidth: float
    mac_columns: int
    mac_rows: int
    mesh_columns: int
    elements_per_router: int
    fifo: int
    slow_clock: float
    fast_clock: float
    slow_asleep: float
    fast_asleep: float
    slow_active: float
    fast_active: float
    hop_cycles: int
    synapse_cycles: int
    unit_cycles: int
    spike_cycles: int
    packet_cycles: int
    tick_cycles: int
    class_cycles: int
    weight_cycles: int
    dma_bytes_per_cycle: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive number, got {value!r}")

    @property
    def data(self) -> int:
        """Bytes of an element that stay for data."""
        return self.sram - self.code


class Supply(NamedTuple):
    """A voltage at which the elements run.

    Attributes:
        volts: of the elements.
        clock: in MHz.
        asleep, active: power of the chip with all elements asleep, and of each active element beyond that [mW].
    """

    volts: float
    clock: float
    asleep: float
    active: float

    def power(self, elements: int) -> float:
        """Of the chip with so many elements in use [mW]."""
        return self.asleep + self.active * elements


@cache
def sources() -> dict[str, dict[str, Any]]:
    """What `constants.toml` holds: value, unit, meaning and source of each constant."""
    return tomllib.loads(resources.files(__package__).joinpath("constants.toml").read_text(encoding="utf-8"))


@cache
def default_constants() -> Constants:
    """The values of `constants.toml`."""
    return Constants(**{field.name: sources()[field.name]["value"] for field in fields(Constants)})


def supplies(constants: Constants | None = None) -> tuple[Supply, Supply]:
    """The two voltages that there are figures for: 0.5 V and 0.8 V."""
    c = constants or default_constants()
    return (
        Supply(0.5, c.slow_clock, c.slow_asleep, c.slow_active),
        Supply(0.8, c.fast_clock, c.fast_asleep, c.fast_active),
    )
