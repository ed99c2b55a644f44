"""What the commands share: their output, and arguments of the same meaning."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lambent.hardware.chip import CHIPS
from lambent.training.progress import in_notebook, is_live, pace

if TYPE_CHECKING:
    from lambent.hardware.chip import Chip
    from lambent.runs.detecting import Rule

console = Console(highlight=False, emoji=False, force_terminal=False if in_notebook() else None)


def completing(choices: Collection[str]) -> Callable[[str], list[str]] | None:
    """What a shell completes an option's value with: those of `choices` that begin so; None where there are none."""
    return (lambda incomplete: [x for x in choices if x.startswith(incomplete)]) if choices else None


def load_of(chip: Chip, path: Path) -> Any:
    """The network in a file of that chip; if it cannot be read, it may be of another."""
    try:
        return chip.load(path)
    except ValueError as error:
        others = ", ".join(name for name in CHIPS if name != chip.name)
        raise ValueError(f"{error}; if it is of another chip, say --chip {others}") from error


OfChip = Annotated[
    str,
    typer.Option(
        "--chip",
        metavar="CHIP",
        help="Whose file it is.",
        autocompletion=completing(CHIPS),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line last.")]
Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
DataFile = Annotated[
    Path, typer.Argument(metavar="DATA", help="Spike trains, HDF5 in the Heidelberg layout (.h5 or .h5.gz).")
]

_TIME_UNITS = ("s", "ms", "us", "ns")
TimeUnit = Annotated[
    str | None,
    typer.Option(
        metavar="UNIT",
        help="Unit of the times in the file: s, ms, us or ns.  [default: seconds, if they can be ones]",
        autocompletion=completing(_TIME_UNITS),
        show_default=False,
    ),
]


Smoothing = Annotated[
    float | None,
    typer.Option(
        min=0, metavar="MS", help="Time over which confidence is averaged on streams.  [default: 400]",
        show_default=False,
    ),
]  # fmt: skip
Refractory = Annotated[
    float | None,
    typer.Option(
        min=0, metavar="MS", help="Time after a word in which no other is reported on streams.  [default: 500]",
        show_default=False,
    ),
]  # fmt: skip
Background = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS",
        help="A class that is no word to report in streams; may be repeated. Those called unknown, silence, noise, "
        "background or the like never are.",
    ),
]


def rule_of(threshold: float | None, smoothing: float | None, refractory: float | None) -> Rule:
    """When words are reported, by options where they are given."""
    from lambent.runs.detecting import Rule

    values = {"threshold": threshold, "smoothing": smoothing, "refractory": refractory}
    return Rule(**{name: value for name, value in values.items() if value is not None})


def say(text: object) -> None:
    """Print a line as it is, however long."""
    console.print(str(text), markup=False, soft_wrap=True)


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, in quotes, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


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


def time_left(clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], str]:
    """A function of (done, of) that says how long the rest takes, at the mean speed since its first call.

    It says nothing where there is nothing to tell from, or nothing left.
    """
    begun: list[tuple[float, int]] = []

    def left(done: int, of: int) -> str:
        now = clock()
        begun.append((now, done)) if not begun else None
        then, before = begun[0]
        if not before < done < of:
            return ""
        minutes, seconds = divmod(round((now - then) * (of - done) / (done - before)), 60)
        hours, minutes = divmod(minutes, 60)
        return f", {hours}:{minutes:02}:{seconds:02} left"

    return left


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the time left, as a function of (done, of).

    Where nothing can be drawn over, it is a line every half minute.
    """
    from rich.progress import Progress

    if not is_live(console):
        due, left = pace(), time_left()

        def line(done: int, of: int) -> None:
            remaining = left(done, of)
            if due():
                say(f"{title}: {done:,} of {of:,}{remaining}")

        yield line
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda done, of: bar.update(task, completed=done, total=of)


NETWORKS = {"float": "float", "quantised": "quantised parameters", "chip": "chip model"}
"""The kinds of network that an evaluation speaks of, as a reader knows them."""

_SHOWN = 20  # classes, at most


def show_accuracies(summary: dict[str, Any]) -> None:
    """Print those of an evaluation."""
    from rich.table import Table

    table = Table("network", "accuracy")
    for kind, name in NETWORKS.items():
        key = "accuracy" if kind == "float" else f"accuracy_{kind}"
        if key in summary:
            table.add_row(name, f"{100 * summary[key]:.2f} %")
    say(f"{summary['n']} samples")
    console.print(table)
    if "agreement" in summary:
        console.print(f"float and chip agree on {100 * summary['agreement']:.2f} % of the samples")


def show_recall(classes: Sequence[dict[str, Any]]) -> None:
    """Print that of each class of an evaluation, the worst first, of many only these."""
    from rich.markup import escape
    from rich.table import Table

    kinds = [kind for kind in NETWORKS if kind in classes[0]]
    there = sorted((x for x in classes if x["n"]), key=lambda x: x[kinds[-1]])
    title = "recall of each class" if len(there) <= _SHOWN else f"recall of the {_SHOWN} worst of {len(there)} classes"
    table = Table("class", "samples", *kinds)
    for column in table.columns[1:]:
        column.justify = "right"
    for x in there[:_SHOWN]:
        table.add_row(escape(x["class"]), str(x["n"]), *(f"{100 * x[kind]:.1f} %" for kind in kinds))
    say(title)
    console.print(table)
