"""What DESIGN.md says of imports: they point left, in no circle, and some rooms do not know others."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lambent

SRC = Path(lambent.__file__).parent.parent
ORDER = (
    {"machine"}, {"events"}, {"neurons", "connections"}, {"engines"}, {"layers"}, {"losses"},
    {"encode", "audio", "data", "nir", "plot"}, {"saving"}, {"hardware"}, {"quantize"}, {"training"}, {"lightning"},
    {"report"}, {"runs"}, {"cli", "demo"},
)  # fmt: skip
PLACE = {room: place for place, rooms in enumerate(ORDER) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of the package by its name; a folder goes by the name of its `__init__`."""
    found = {}
    for path in sorted((SRC / "lambent").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str, path: Path) -> Iterator[str]:
    """The modules of the package that a module imports, also inside functions and for type checkers alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (known for alias in node.names if (known := nearest(alias.name)))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (known for alias in node.names if (known := nearest(f"{base}.{alias.name}")))


def nearest(name: str) -> str | None:
    """The module that `name` is, or lies in; None outside the package."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


IMPORTS = {name: {x for x in imported(name, path) if x != name} for name, path in MODULES.items()}
PAIRS = sorted((name, x) for name, found in IMPORTS.items() for x in found)


def room(name: str) -> str | None:
    """The room of a module; None for the package itself and what starts it."""
    parts = name.split(".")
    return None if name in ("lambent", "lambent.__main__") else parts[1]


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of nodes that reach one another (strongly connected components of more than one)."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, left = set(), [start]
        while left:
            for x in graph[left.pop()] - seen:
                seen.add(x)
                left.append(x)
        reached[start] = seen
    return {frozenset(x for x in reached[n] if n in reached[x]) for n in graph if n in reached[n]}


def test_every_room_has_its_place() -> None:
    assert {room(name) for name in MODULES} - {None} == set(PLACE)


def test_test_files_have_names_of_their_own() -> None:
    """For pytest tells them apart by these alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(set(names)) == len(names)


def test_contributing_lists_the_rooms() -> None:
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)) == set(PLACE)


def test_imports_point_left() -> None:
    wrong = {
        (name, x)
        for name, x in PAIRS
        if room(name) and (room(x) is None or PLACE[room(x)] > PLACE[room(name)])  # type: ignore[index]
    }
    assert wrong == set()


def test_neighbours_do_not_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {name: set() for name in PLACE}
    for name, x in PAIRS:
        own, other = room(name), room(x)
        if own and other and own != other and PLACE[own] == PLACE[other]:
            rooms[own].add(other)
    assert circles(rooms) == set()


def test_no_circle_between_files() -> None:
    assert circles(IMPORTS) == set()


def knowing(rooms: set[str], *far: str) -> set[str]:
    """Modules of `rooms`, without the package's name, that import one of `far` or what lies in it."""
    inside = tuple(f"lambent.{name}." for name in far)
    return {name.partition(".")[2] for name, x in PAIRS if room(name) in rooms and f"{x}.".startswith(inside)}


def test_only_hardware_knows_the_chip() -> None:
    assert knowing({"training", "quantize", "runs", "report", "cli"}, "hardware.loihi2") == set()


def test_the_report_knows_plain_values_only() -> None:
    assert knowing({"report"}, "training", "runs", "hardware") == set()


OPTIONAL = (
    "matplotlib",
    "rich",
    "typer",
    "triton",
    "nir",
    "soundfile",
    "sounddevice",
    "pynvml",
    "pymetis",
    "optuna",
    "joblib",
    "safetensors",
)


@pytest.mark.parametrize(
    ("imports", "waits"),
    [
        ("lambent", ("torch", "numpy", "numba", *OPTIONAL)),
        ("lambent.cli", ("torch", "numpy", "numba", "matplotlib", "nir")),
        ("lambent.__all__", ("scipy.signal", *OPTIONAL)),
    ],
)
def test_what_importing_leaves_out(imports: str, waits: tuple[str, ...]) -> None:
    """Packages that take long to import, or are optional, wait until they are needed."""
    statement = "from lambent import *" if imports == "lambent.__all__" else f"import {imports}"
    ask = f"import sys; {statement}; print(*[x for x in {waits} if x in sys.modules])"
    found = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []


def on_demand(path: Path) -> dict[str, str]:
    """The table of a package that imports its names when they are asked for; empty for others."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    tables = [ast.literal_eval(call.args[1]) for call in calls if getattr(call.func, "id", "") == "on_demand"]
    return tables[0] if tables else {}


LAZY = {name: table for name, path in MODULES.items() if path.name == "__init__.py" and (table := on_demand(path))}


@pytest.mark.parametrize("name", LAZY)
def test_names_on_demand(name: str) -> None:
    """They are what a type checker sees, are there, and none is hidden by a module of its name, once imported."""
    package, table, path = importlib.import_module(name), LAZY[name], MODULES[name]
    seen = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in seen for alias in node.names if alias.asname == alias.name}
    assert typed == table
    assert package.__all__ == sorted(table)
    for public, where in table.items():
        value = getattr(package, public)
        expected = importlib.import_module(f"{name}.{public}") if where == name else vars(sys.modules[where])[public]
        assert value is expected
        assert where == name or f"{name}.{public}" not in MODULES
    assert set(table) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018
