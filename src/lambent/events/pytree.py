"""What torch is told of `Events`: that its tensors can be mapped over, and that it may lie in a file of weights."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree  # torch has no public name for it yet

from lambent.events.events import Events


def register() -> None:
    """Register `Events` as a pytree, and as safe for ``torch.load(weights_only=True)``."""
    _pytree.register_pytree_node(Events, _flatten, _unflatten, serialized_type_name="lambent.Events")
    torch.serialization.add_safe_globals([Events])


def _flatten(events: Events) -> tuple[list[Any], tuple[Any, ...]]:
    *tensors, n_units, duration, values = events.__getstate__()
    return [*tensors, values], (n_units, duration)


def _unflatten(leaves: Any, context: tuple[Any, ...]) -> Events:
    """Put leaves back as they are: torch also maps to what is no tensor."""
    events = Events.__new__(Events)
    (times, units, offsets, counts, values), (n_units, duration) = leaves, context
    events._fill(times, units, offsets, counts, n_units, duration, values)
    return events
