"""Public names that are imported when they are first asked for (PEP 562), so that importing a package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(
    package: str, where: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names stand in other modules.

    Type checkers and editors do not see these names: the package also imports them under ``if TYPE_CHECKING:``, as in
    ``from lambent.events import Events as Events``. `tests/test_house.py` holds the two against each other.

    Args:
        package: its `__name__`.
        where: for each public name the module that it is imported from; the package itself for one of its modules.
    """

    def __getattr__(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if where[name] == package:
            return import_module(f"{package}.{name}")
        value = getattr(import_module(where[name]), name)
        setattr(sys.modules[package], name, value)  # from now on this function is not called for it
        return value

    def __dir__() -> list[str]:
        return sorted({*where, *(x for x in vars(sys.modules[package]) if x.startswith("__"))})

    return __getattr__, __dir__, sorted(where)
