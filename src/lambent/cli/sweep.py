"""`lambent sweep`: a search for settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lambent.cli._common import Json, TimeUnit, last_line, say


def sweep(
    space: Annotated[
        Path,
        typer.Argument(
            metavar="SPACE.toml",
            help="Settings of lambent train: a range, lr = { low = 1e-3, high = 1e-2, log = true }, with step = in "
            "place of log if need be; a choice, hidden = [128, 256]; or fixed, epochs = 20.",
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Training words, as for lambent train.")],
    out: Annotated[Path, typer.Option(help="Folder of the study, made if need be; one that is there goes on.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, of all processes.")] = 20,
    n_units: Annotated[
        int | None,
        typer.Option(min=1, help="Units of the inputs; as many as the file says, or its largest needs, if left out."),
    ] = None,
    time_unit: TimeUnit = None,
    as_json: Json = False,
) -> None:
    """Search for settings by validation accuracy, with Optuna.

    The same command in further processes, also on other machines that share the folder, works on the same study. Any
    may be killed: the others, or the next, go on with its trial. Trials worse than half of the others are pruned.
    """
    from lambent.runs.sweep import Sweep, read_space
    from lambent.runs.train import load_training_data
    from lambent.training.config import Config

    ranges, fixed = read_space(space)
    samples, *_ = load_training_data(data, None, Config(**fixed), n_units=n_units, time_unit=time_unit)
    study = Sweep(out, ranges, fixed)
    source = {"train": str(data.resolve()), "test": None, "time_unit": time_unit}
    finished = study.work(samples, source, trials, say)
    found = study.summary()
    if not finished:
        say("interrupted; the same command goes on")
    elif "best" in found:
        say(f"best of {study.done()} trials: {found['run']}, validation {100 * found['val_accuracy']:.2f} %")
        for name, value in found["best"].items():
            say(f"    {name} = {value}")
        say(f"its settings: {found['run']}/config.toml, for lambent train --config")
    last_line(as_json, found)
    if not finished:
        raise typer.Exit(130)
