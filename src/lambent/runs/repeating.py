"""The commands that do a run again, from what its folder holds."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from lambent.runs.evaluation import Evaluation
from lambent.training.config import NETWORK, Config
from lambent.training.run import Run


def commands(run: Run, evaluation: Evaluation) -> list[str]:
    """What to type to train, export and evaluate such a run again; nothing where no command can.

    Args:
        run: a trained run. One of a program of its own, whose data are no file, has no commands.
        evaluation: its evaluation.
    """
    facts = run.facts("data")
    data = facts["data"]
    if isinstance(own := data.get("command"), str):
        return [own]
    train = data.get("train")
    if not (isinstance(train, str) and Path(train).is_absolute()):  # as `lambent train` leaves it
        return []
    begun = facts.get("from")
    line = ["lambent", "train", train, "--out", run.name]
    line += ["--from", str(begun)] if begun is not None else []
    for key, option in (("valid", "--validate"), ("test", "--test"), ("time_unit", "--time-unit")):
        if data.get(key) is not None:
            line += [option, str(data[key])]
    line += ["--n-units", str(facts["n_units"]), *_options(run.config(), begun is not None)]
    lines = [shlex.join(line)]
    bits = run.exported_bits()
    if bits is not None:
        wanted = bits[:1] if len(set(bits)) == 1 else bits
        lines.append(shlex.join(["lambent", "export", run.name, "--weight-bits", ",".join(map(str, wanted))]))
    chip = ["--chip"] if "chip" in evaluation.scores else []
    return [*lines, shlex.join(["lambent", "evaluate", run.name, evaluation.data, *chip])]


def _options(config: Config, begun: bool) -> list[str]:
    """The options of `lambent train` for settings that are not the defaults; all that count where it `begun` elsewhere.

    A run that another began takes its settings from there, those of the network for good.
    """
    words: list[str] = []
    for f in fields(config):
        value: Any = getattr(config, f.name)
        if f.name in NETWORK if begun else value == f.default:
            continue
        flag = f"--{f.name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, tuple):
            words += [word for entry in value for word in (flag, entry)]
        else:
            words += [flag, str(value).removesuffix(".0")]
    return words


def changed(config: Config) -> list[str]:
    """The settings that are not the defaults, as Python has them."""
    return [f"{f.name}={value!r}" for f in fields(config) if (value := getattr(config, f.name)) != f.default]
