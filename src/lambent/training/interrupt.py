"""Ctrl-C, or the system's wish that the program end, as a request to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; what batch systems and containers send first


class Stop:
    """Whether somebody asked to stop."""

    asked = False


@contextmanager
def stop_on_interrupt() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop after the current batch; a second ends at once."""
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def ask(*_: Any) -> None:
        stop.asked = True
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's

    try:
        for number in _SIGNALS:
            previous[number] = signal.signal(number, ask)
    except ValueError:  # not in the main thread: nobody can press Ctrl-C
        yield stop
        return
    try:
        yield stop
    finally:
        restore()
