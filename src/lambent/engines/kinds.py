"""Classes by name: an operation of torch takes tensors, numbers and text, so neurons and connections go in by name."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any


def kind_of(cls: type) -> str:
    """A name for a class that stands in a module, by which `class_of` finds it."""
    return f"{cls.__module__}:{cls.__qualname__}"


@lru_cache(maxsize=256)
def class_of(kind: str) -> Any:
    """The class of this name.

    Raises:
        AttributeError: it is no class of a module, for it was made inside a function.
    """
    module, name = kind.split(":")
    return getattr(import_module(module), name)
