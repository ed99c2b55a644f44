"""`lambent report`: a page about an evaluated run, or about several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Json, last_line, say

_SIDE_BY_SIDE = Path("comparison.html")


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folder of a training run, or of one with several seeds; several are shown side by side.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help=f"The file to write; RUN/report.html, or of several ./{_SIDE_BY_SIDE}, where left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about evaluated runs."""
    from lambent.runs.comparison import compare_runs
    from lambent.runs.report import report_run
    from lambent.training.run import Run

    runs = [run for given in runs for run in _seeds(given) or [given]]
    if len(runs) == 1:
        path = report_run(Run(runs[0]), out)
        said = {}
    else:
        path = out or _SIDE_BY_SIDE
        compared = compare_runs([Run(run) for run in runs], path)
        for notice in compared.notices:
            say(f"note: {notice}")
        accuracies = [{"run": str(run), **x.accuracy} for run, x in zip(runs, compared.runs, strict=True)]
        said = {"runs": accuracies, "notices": list(compared.notices)}
    say(f"wrote {path}")
    last_line(as_json, {"report": str(path), "bytes": path.stat().st_size} | said)


def _seeds(folder: Path) -> list[Path]:
    """The runs in a folder of several seeds, by seed; none if it is something else."""
    if (folder / "run.json").exists():
        return []
    found = [path for path in folder.glob("seed-*") if path.is_dir() and path.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]))
