"""Threads of what runs on the CPU: as many as torch uses, unless torch is told to keep to one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_lock = threading.Lock()
_inside: list[int] = []  # for each thread in `engine_only_threads`, torch's threads before the first of them
_own = threading.local()


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lambent")


def _after_fork() -> None:
    """Threads don't survive a fork, and torch's operations would wait for theirs for ever: a child keeps to one."""
    _pool.cache_clear()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def in_threads(work: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> list[_Result]:
    """work(task) for every task on `engine_threads()` threads; results in the order of the tasks."""
    tasks, threads = list(tasks), engine_threads()
    if min(threads, len(tasks)) <= 1:
        return [work(task) for task in tasks]
    return list(_pool(threads).map(work, tasks))


def engine_threads() -> int:
    """Threads for an engine: `torch.get_num_threads()`, or what it was before `engine_only_threads`."""
    return _inside[0] if _inside else torch.get_num_threads()


@contextmanager
def engine_only_threads() -> Iterator[None]:
    """Within, torch's own operations run on one thread and only engines on several.

    Next to an event-driven engine torch's tensors are small: splitting them gains little on an idle machine,
    costs much on a busy one (each operation waits for the slowest thread), and lets sums depend on the number
    of threads.
    """
    outermost = not getattr(_own, "inside", False)
    if outermost:
        with _lock:
            before = engine_threads()
            _inside.append(before)
            torch.set_num_threads(1)  # for this thread, and those that are yet to start
        _own.inside = True
    try:
        yield
    finally:
        if outermost:
            _own.inside = False
            with _lock:
                _inside.pop()
                torch.set_num_threads(before)
