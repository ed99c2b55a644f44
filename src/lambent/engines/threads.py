"""How many threads an engine on the CPU uses: as many as torch, unless torch is told to keep to one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_engine_only: list[int] = []


def engine_threads() -> int:
    """Threads for an engine: `torch.get_num_threads()`, or what it was before `engine_only_threads`."""
    return _engine_only[-1] if _engine_only else torch.get_num_threads()


@contextmanager
def engine_only_threads() -> Iterator[None]:
    """Within, torch's own operations run on one thread and only engines on several.

    Next to an event-driven engine torch's tensors are small: splitting them gains little on an idle machine,
    costs much on a busy one (each operation waits for the slowest thread), and lets sums depend on the number
    of threads.
    """
    before = torch.get_num_threads()
    _engine_only.append(engine_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _engine_only.pop()
