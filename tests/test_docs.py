"""What the documents show works: Python blocks, examples in docstrings, and the commands' options."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import pkgutil
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from matplotlib import pyplot

import lambent as lb
from lambent.cli import app

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
MODULES = sorted(x.name for x in pkgutil.walk_packages(lb.__path__, "lambent.") if x.name != "lambent.__main__")
COMMANDS: Any = typer.main.get_command(app)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    pyplot.close("all")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


# -- Python -------------------------------------------------------------------------------------------


def write_words() -> None:
    """The training data that README names, though small."""
    rng = np.random.default_rng(0)
    times, units = np.sort(rng.uniform(0, 100, (40, 60))).ravel(), rng.integers(0, 700, 2400)
    data = lb.data.SpikeDataset(times, units, np.arange(41) * 60, np.arange(40) % 10, 700, 100.0)
    lb.data.write_shd("words_train.h5.gz", data)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks(page: str) -> None:
    write_words()
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        torch.manual_seed(0)
        exec(compile(block, page, "exec"), names)
        if "test accuracy" in block:  # what README says of its first network
            assert (names["scores"].argmax(1) == names["labels"]).double().mean() > 0.9


# -- docstrings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:  # of an extra
        pytest.skip(str(error))
    given = vars(module) | {"lb": lb, "torch": torch, "np": np}
    for test in doctest.DocTestFinder().find(module, name, globs=given):
        assert doctest.DocTestRunner().run(test).failed == 0


def shown_blocks(name: str) -> list[str]:
    """The indented blocks after `::` in a module's docstrings."""
    tree = ast.parse(Path(str(importlib.util.find_spec(name).origin)).read_text())  # type: ignore[union-attr]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    return [block for text in texts for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", text)]


SHOWN = [(name, block) for name in MODULES for block in shown_blocks(name)]


@pytest.mark.parametrize(("name", "block"), SHOWN, ids=[name for name, _ in SHOWN])
def test_blocks_in_docstrings(name: str, block: str) -> None:
    """With a model, an optimiser and a batch given, as in README."""
    events, labels = lb.data.yin_yang(6, seed=0).batch(range(6))
    model = torch.nn.Sequential(lb.LIF(5, 8), lb.LIReadout(8, 3))
    given = {"events": events, "labels": labels, "model": model, "optimizer": torch.optim.Adam(model.parameters())}
    exec(compile(textwrap.dedent(block), name, "exec"), {"lb": lb, "torch": torch} | given)


ROOMS = (lb.data, lb.encode, lb.plot)


@pytest.mark.parametrize("name", [f"{room.__name__}.{name}" for room in ROOMS for name in room.__all__])
def test_public_names_have_an_example(name: str) -> None:
    room, _, name = name.rpartition(".")
    shown = getattr(importlib.import_module(room), name)
    if name != "augment":  # a module, whose parts share one
        assert ">>> " in (shown.__doc__ or "")


# -- commands -----------------------------------------------------------------------------------------


def in_blocks() -> list[str]:
    """Every `lambent ...` in the shell blocks, which are there to be copied."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.partition("#")[0].split("&&")]
    return [part for part in parts if part.startswith("lambent ")]


def in_the_text() -> list[str]:
    """Every `lambent ...` between backticks; some name only the option in question."""
    text = re.sub(r"^```.*?^```", "", "\n".join(PAGES.values()), flags=re.MULTILINE | re.DOTALL)
    spoken = {" ".join(x.split()) for x in re.findall(r"`([^`]*)`", text)}
    return sorted(x for x in spoken if x.startswith("lambent "))


@pytest.mark.parametrize("line", in_blocks())
def test_commands_in_blocks_are_complete(line: str) -> None:
    _, name, *words = shlex.split(line)
    COMMANDS.commands[name].make_context(name, words)  # parses, and runs nothing


@pytest.mark.parametrize("line", in_the_text())
def test_options_in_the_text_exist(line: str) -> None:
    _, *words = shlex.split(line)
    command = COMMANDS if words[0].startswith("--") else COMMANDS.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}
