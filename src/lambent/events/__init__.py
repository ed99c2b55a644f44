"""`Events`, and the checks of packed spikes."""

from lambent.events import pytree
from lambent.events.checks import (
    as_float32,
    check_layout,
    check_n_units,
    check_spikes,
    locate,
    n_steps,
    warn_of_seconds,
)
from lambent.events.events import Events, within
from lambent.events.structured import TIME_UNITS, Start, pack_records, time_scale

__all__ = [
    "TIME_UNITS",
    "Events",
    "Start",
    "as_float32",
    "check_layout",
    "check_n_units",
    "check_spikes",
    "locate",
    "n_steps",
    "pack_records",
    "time_scale",
    "warn_of_seconds",
    "within",
]

pytree.register()
