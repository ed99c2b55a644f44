"""`lambent info`: what is installed, or what a run or a file holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import Json, OfChip, TimeUnit, last_line, load_of, say
from lambent.hardware.chip import DEFAULT, Chip, find_chip


def info(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run, a chip's file, or a file of spike trains.")
    ] = None,
    of_chip: OfChip = DEFAULT,
    time_unit: TimeUnit = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, or what a run or a file holds."""
    chip = find_chip(of_chip)
    if run is None:
        _show(facts := _installed())
    elif not run.exists():
        raise FileNotFoundError(f"{run}: no such file or folder")
    elif run.is_file() and _holds_spikes(run):
        _show(facts := _of_data(run, time_unit))
    elif run.is_file():
        facts = _show_file(run, chip)
    else:
        _show(facts := _of_run(run))
    last_line(as_json, facts)


def _installed() -> dict[str, Any]:
    import torch

    from lambent.training.run import versions

    return {
        "versions": versions(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _show_file(path: Path, chip: Chip) -> dict[str, Any]:
    """What a chip's file holds, and then how it lies on the chip, which takes longer."""
    network = load_of(chip, path)
    _show(facts := chip.describe(network))
    try:
        placement = chip.place(network)
    except ValueError as error:
        say(f"no mapping, it does not fit on a chip: {error}")
        return facts | {"cores": None}
    say(placement)
    return facts | {"cores": placement.n_cores, "memory_bytes": placement.memory}


def _holds_spikes(path: Path) -> bool:
    """Whether a file is one in the Heidelberg layout; what cannot be read is left to who reads chips' files."""
    from lambent.machine.hdf5 import holds, open_hdf5

    try:
        with open_hdf5(path) as h5:
            return holds(h5, "spikes")
    except (OSError, ValueError):
        return False


def _of_data(path: Path, time_unit: str | None) -> dict[str, Any]:
    import numpy as np

    from lambent.data import SpikeDataset

    data = SpikeDataset.from_shd(path, time_unit=time_unit)
    per_class = np.bincount(data.labels, minlength=data.n_classes)
    facts: dict[str, Any] = {
        "samples": len(data),
        "units": data.n_units,
        "duration_ms": data.duration,
        "spikes_per_sample": len(data.times) / max(1, len(data)),
        "classes": dict(zip(data.class_names, per_class.tolist(), strict=True)),
    }
    if data.speakers is not None:
        facts["speakers"] = len(np.unique(data.speakers))
    if data.values is not None and len(data.values):
        facts["values"] = [float(data.values.min()), float(data.values.max())]
    if data.level is not None:
        facts["level"] = data.level
    return facts


def _of_run(folder: Path) -> dict[str, Any]:
    from lambent.training.config import PLAIN
    from lambent.training.run import Run

    there = Run(folder)
    history = there.metrics()
    facts = {key: value for key, value in there.facts().items() if key != "settings"}  # of the start; `config` is now
    config = there.config()
    unused = PLAIN if config.layer else ("layer",)
    settings = {key: value for key, value in vars(config).items() if key not in unused}
    settings |= {"layer": list(config.layer)} if config.layer else {}
    facts |= {"config": settings, "epochs_done": len(history)}
    return facts | ({"last_epoch": history[-1]} if history else {})


def _show(facts: Mapping[str, Any]) -> None:
    """A column of names and one of values; what is long runs on, so that it can be copied."""
    width = max(map(len, facts))
    for name, value in facts.items():
        for n, line in enumerate(_lines(value)):
            say(f"{'' if n else name:{width}}  {line}")


def _lines(value: Any) -> list[str]:
    """A value as a reader wants it, things of a kind as a table."""
    if isinstance(value, Mapping):
        return [f"{key} = {_words(x)}" for key, x in value.items()]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        rows = [list(value[0]), *([_words(x) for x in row.values()] for row in value)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(f"{x:{w}}" for x, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [_words(value)]


def _words(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
