"""What stands around the package: its version, its files for GitHub, what its wheel brings along."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import lambent as lb
from lambent.machine.version import VERSION
from lambent.training.run import versions

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text()


def test_one_version() -> None:
    """It is written in one place, from which pyproject takes it."""
    assert lb.__version__ == VERSION
    assert PROJECT["project"]["dynamic"] == ["version"]
    module, _, name = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    assert vars(sys.modules[module])[name] == VERSION
    assert versions()["lambent"] == VERSION


def test_the_workflow_tests_as_the_readme_says() -> None:
    command = re.search(r"<!-- test command -->\n```sh\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert command is not None
    assert f"- run: {command[1]}\n" in WORKFLOW


def test_classifiers_are_what_the_workflow_tests() -> None:
    listed = {x.rpartition(" ")[2] for x in PROJECT["project"]["classifiers"] if "Python :: 3." in x}
    assert listed <= set(re.findall(r'"(3\.\d+)"', WORKFLOW))
    assert min(listed) == PROJECT["project"]["requires-python"].removeprefix(">=")


def test_files_that_are_no_code_come_along() -> None:
    """Every file of the package is Python, or is named in pyproject."""
    package = ROOT / "src" / "lambent"
    named = {path for x in PROJECT["tool"]["setuptools"]["package-data"]["lambent"] for path in package.glob(x)}
    there = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in there - named if path.suffix != ".py"} == set()
