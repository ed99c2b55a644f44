"""`lambent report`: a page about an evaluated run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Folder, Json, last_line, say


def report(
    run: Folder,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/report.html where left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about an evaluated run."""
    from lambent.runs.report import report_run
    from lambent.training.run import Run

    path = report_run(Run(run), out)
    say(f"wrote {path}")
    last_line(as_json, {"report": str(path), "bytes": path.stat().st_size})
