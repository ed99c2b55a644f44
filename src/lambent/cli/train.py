"""`lambent train`, whose options are the keys of `Config`."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import Json, TimeUnit, completing, console, last_line, say
from lambent.hardware.chip import find_chip
from lambent.training.config import Config


def _with_config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every key of `Config`, None where left out, in its `**settings`."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = []
    for f in fields(Config):
        kind = f.metadata["kind"]
        many = isinstance(f.default, tuple)
        name = f.name.replace("_", "-")
        flags = [f"--{name}/--no-{name}"] if kind is bool else [f"--{name}"]
        text, default = f.metadata["help"], str(f.default).lower() if kind is bool else "" if many else f.default
        option = typer.Option(
            *flags,
            help=f"{text[0].upper()}{text[1:]}." + (f"  [default: {default}]" if default != "" else ""),
            rich_help_panel=f.metadata["group"],
            show_default=False,
            autocompletion=completing(f.metadata["choices"]),
        )
        wanted: Any = Annotated[list[str] | None, option] if many else Annotated[kind | None, option]
        added.append(
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=wanted,
            )
        )
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

    def wrapped(**kwargs: Any) -> None:
        command(**kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__signature__ = inspect.Signature([*keyword, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *added]}
    return wrapped


@_with_config_options
def train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Training words, HDF5 in the Heidelberg layout (.h5 or .h5.gz).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, made if need be.")],
    test: Annotated[Path | None, typer.Option(help="Test words, evaluated at the end.")] = None,
    validate: Annotated[
        Path | None, typer.Option(help="Words that choose the best epoch, in place of a share of DATA (--valid).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options given here win.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Begin with the model and settings of this run; with --qat-bits, quantise it."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, bit for bit.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is already there.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")] = False,
    n_units: Annotated[
        int | None,
        typer.Option(min=1, help="Units of the inputs; as many as the file says, or its largest needs, if left out."),
    ] = None,
    time_unit: TimeUnit = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train a network on spike trains; Ctrl-C saves, --resume goes on."""
    from lambent.runs.evaluate import evaluate_run
    from lambent.runs.train import load_training_data, train_run
    from lambent.training.run import Run

    if resume and overwrite:
        raise ValueError("--resume goes on with the run that --overwrite would replace; drop one of them")
    run = Run(out)
    given = {k: v for k, v in settings.items() if v is not None and v != []}
    if resume:
        others = {"config": config, "from": start, "n_units": n_units, "time_unit": time_unit}
        given |= {k: v for k, v in others.items() if v is not None}
        if given:
            what = f"--{next(iter(given)).replace('_', '-')}"
            raise ValueError(f"--resume takes the run's own settings ({run.path('config.toml')}); drop {what}")
        chosen = run.config()
        n_units, time_unit = run.facts()["n_units"], run.facts("data")["data"].get("time_unit")
    else:
        if start is not None and run.folder.resolve() == start.resolve():
            raise ValueError(f"{out}: is the run to start from; choose another folder for --out")
        if run.exists() and not overwrite:
            raise ValueError(f"{out}: holds a run already; go on with --resume, replace it with --overwrite")
        run.check_free()
        if config is not None and start is not None:
            raise ValueError("--from takes the settings of that run; drop --config")
        if start is not None and given.get("qat_bits"):
            given = {"epochs": 0} | given
        base = Config.from_toml(config) if config is not None else Run(start).config() if start else Config()
        chosen = Config(**(vars(base) | given))
    if resume and test is None and (known := run.facts("data")["data"].get("test")):
        say(f"the run began with --test {known}; give it again to have it evaluated")
    loading = replace(chosen, duration=run.facts()["duration"]) if resume else chosen
    least = Run(start).facts()["duration"] if start is not None else 0.0
    samples, held, voices = load_training_data(
        data, test, loading, least, valid=validate, n_units=n_units, time_unit=time_unit
    )
    say(f"{data}: {samples}")
    if samples.values is not None:
        say("the data's spikes carry values, which the input of a chip does not: this network cannot be exported")
    elif advice := find_chip(chosen.chip).advice(chosen):
        say(advice)
    source = {
        "train": str(data.resolve()), "test": str(test.resolve()) if test else None,
        "valid": str(validate.resolve()) if validate else None, "time_unit": time_unit,
    }  # fmt: skip
    done = len(run.metrics()) if resume else 0
    finished = train_run(
        run, chosen, samples, source, console,
        resume=resume, tensorboard=tensorboard, start=None if start is None else Run(start), valid=voices,
    )  # fmt: skip
    history = run.metrics()
    result: dict[str, Any] = {"run": str(out), "finished": finished, "epochs": len(history)}
    if history:
        result |= {k: history[-1][k] for k in ("loss", "accuracy", "spikes_per_unit", "silent", "best_epoch")}
        result["val_accuracy"] = history[-1].get("best_val_accuracy")  # none were held out, or an older version's run
        result["seconds"] = sum(m["seconds"] for m in history)
        if finished and result["val_accuracy"] is not None:
            kept, accuracy = result["best_epoch"], result["val_accuracy"]
            console.print(f"kept: the network of epoch {kept}, validation accuracy {100 * accuracy:.2f} %")
        untuned = sum("aware" not in m for m in history)
        if finished and chosen.qat_bits and result["best_epoch"] == untuned < len(history):
            say("fine-tuning did not improve on the validation samples: kept as first quantised")
        if finished and resume and done == len(history):
            say("the run was finished already")
    if not finished:
        again = ["lambent", "train", str(data), "--out", str(out), *(("--test", str(test)) if test else ())]
        again += [*(("--validate", str(validate)) if validate else ()), "--resume"]
        say(f"interrupted; go on with: {shlex.join(again)}")
    elif held is not None:
        kind = "chip" if chosen.qat_bits else "float"
        evaluation = evaluate_run(run, held, str(test), chip=kind == "chip")
        result["accuracy_test"] = evaluation.accuracy(kind)
        console.print(f"test accuracy ({kind}) {100 * result['accuracy_test']:.2f} % on {len(held)} samples")
    last_line(as_json, result)
    if not finished:
        raise typer.Exit(130)
