"""`lambent info`: what is installed, or what a run or a file holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from lambent.cli._common import Json, console, last_line, say
from lambent.hardware.chip import DEFAULT, find_chip
from lambent.training.run import Run, versions


def info(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run, or a NetX file.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, or what a run or a NetX file holds."""
    facts: dict[str, Any]
    shown_after = ""
    if run is None:
        facts = {
            "versions": versions(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        }
    elif not run.exists():
        raise FileNotFoundError(f"{run}: no such file or folder")
    elif run.is_file():
        chip = find_chip(DEFAULT)
        network = chip.load(run)
        facts = chip.describe(network)
        try:
            placement = chip.place(network)
            facts |= {"cores": placement.n_cores, "memory_bytes": placement.memory}
            shown_after = str(placement)
        except ValueError as error:
            facts["cores"] = None
            shown_after = f"does not fit on a chip: {error}"
    else:
        there = Run(run)
        config = vars(there.config())
        history = there.metrics()
        facts = there.facts() | {"config": config, "epochs_done": len(history)}
        facts |= {"last_epoch": history[-1]} if history else {}
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        shown = "\n".join(f"{k} = {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, shown)
    console.print(table, markup=False)
    if shown_after:
        say(shown_after)
    last_line(as_json, facts)
