"""`lambent demo`: the whole way on words in the package."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Json, console, last_line, say, show_accuracies


def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to keep the run in; a temporary one where left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    as_json: Json = False,
) -> None:
    """The whole way on spoken words in the package, in about a minute.

    Trains a network to spot keywords, quantises and exports it, runs it on the chip model, and writes the report.
    """
    from lambent.demo import run_demo

    folder = out or Path(tempfile.mkdtemp(prefix="lambent-demo-")) / "keywords"
    try:
        result = run_demo(folder, seed, console)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {shlex.join(('lambent', 'demo', '--out', str(folder), '--seed', str(seed)))}")
        raise typer.Exit(130) from None
    show_accuracies(result["evaluation"])
    say(f"report: {result['report']}")
    flat = result["evaluation"]
    figures = {
        "accuracy_float": flat["accuracy"],
        "accuracy_quantised": flat["accuracy_quantised"],
        "accuracy_chip": flat["accuracy_chip"],
        "agreement": flat["agreement"],
        "n": flat["n"],
        "seconds": result["seconds"],
        "report": str(result["report"]),
    }
    console.print(f"{result['seconds']:.1f} s in all")
    last_line(as_json, figures)
