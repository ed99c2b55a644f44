"""Classes by name: an operation of torch takes tensors, numbers and text, so neurons and connections go in by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_used: dict[
    str, Any
] = {}  # the latest class of each name: one that is defined again, as in a notebook, takes its place


def kind_of(cls: type) -> str:
    """A name for a class, by which `class_of` finds it."""
    kind = f"{cls.__module__}:{cls.__qualname__}"
    _used[kind] = cls
    return kind


def class_of(kind: str) -> Any:
    """The class of this name."""
    if kind not in _used:  # a graph that another process traced
        module, name = kind.split(":")
        _used[kind] = getattr(import_module(module), name)
    return _used[kind]
