"""Classes by name: an operation of torch takes tensors, numbers and text, so neurons and connections go in by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_known: dict[str, Any] = {}


def kind_of(cls: type) -> str:
    """A name for a class, by which `class_of` finds it; one that is defined again, as in a notebook, has another."""
    kind = f"{cls.__module__}:{cls.__qualname__}"
    while _known.setdefault(kind, cls) is not cls:
        kind += "'"
    return kind


def class_of(kind: str) -> Any:
    """The class of this name."""
    if kind not in _known:  # a graph that another process traced
        module, name = kind.split(":")
        _known[kind] = getattr(import_module(module), name)
    return _known[kind]
