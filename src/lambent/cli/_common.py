"""What the commands share: their output, and arguments of the same meaning."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lambent.training.progress import in_notebook, is_live, pace

console = Console(highlight=False, emoji=False, force_terminal=False if in_notebook() else None)

Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line last.")]
Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
DataFile = Annotated[
    Path, typer.Argument(metavar="DATA", help="Spike trains, HDF5 in the Heidelberg layout (.h5 or .h5.gz).")
]


def say(text: object) -> None:
    """Print a line as it is, however long."""
    console.print(str(text), markup=False, soft_wrap=True)


def last_line(wanted: bool, values: dict[str, Any]) -> None:
    """Print `values` as JSON, if `wanted`; null for numbers that JSON does not know."""
    if wanted:
        print(json.dumps(_finite(values), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, as a function of (done, of); where nothing can be drawn over, a line every half minute."""
    if not is_live(console):
        due = pace()
        yield lambda done, of: say(f"{title}: {done:,} of {of:,}") if due() else None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def show_accuracies(summary: dict[str, Any]) -> None:
    """Print those of an evaluation."""
    table = Table("network", "accuracy", title=f"{summary['n']} samples", title_justify="left")
    names = {"accuracy": "float", "accuracy_quantised": "quantised parameters", "accuracy_chip": "chip model"}
    for key, name in names.items():
        if key in summary:
            table.add_row(name, f"{100 * summary[key]:.2f} %")
    console.print(table)
    if "agreement" in summary:
        console.print(f"float and chip agree on {100 * summary['agreement']:.2f} % of the samples")
