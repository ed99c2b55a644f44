"""`lambent train`, whose options are the keys of `Config`."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import Json, TimeUnit, completing, console, last_line, say, shortened
from lambent.hardware.chip import CHIPS, find_chip
from lambent.training.config import PLAIN, RUNNING, Config


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


def _apart(given: dict[str, Any]) -> dict[str, Any]:
    """What is given, and what of a base's hidden layers it is in place of."""
    plain = [name for name in PLAIN if name in given]
    if "layer" in given:
        if plain:
            raise ValueError(f"--layer says all of the hidden layers; drop --{plain[0]}")
        defaults = Config()
        return {name: getattr(defaults, name) for name in PLAIN} | given
    return ({"layer": ()} | given) if plain else given


_RESUME = "Go on with an interrupted run, bit for bit; --epochs, --patience, --threads and --device may be others."
_ON_CHIP = 128  # hidden units where nothing is said of layers: the usual network is too large to learn on a chip


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
    on: Annotated[
        str | None,
        typer.Option(
            metavar="CHIP",
            help="Learn on the model of this chip, for which the run is then.",
            autocompletion=completing(CHIPS),
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help=_RESUME)] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is already there.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")] = False,
    n_units: Annotated[
        int | None,
        typer.Option(min=1, help="Units of the inputs; as many as the file says, or its largest needs, if left out."),
    ] = None,
    time_unit: TimeUnit = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Train with several seeds, such as 0-4 or 0,3,7, side by side where cores and memory allow: runs "
            "OUT/seed-0 and so on, and OUT/seeds.json with mean and deviation.",
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds to train at a time.  [default: as cores and memory allow]", show_default=False),
    ] = None,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train a network on spike trains; Ctrl-C saves, --resume goes on.

    torchrun --nproc-per-node 2 -m lambent train ... trains it with several processes, on several machines or GPUs.
    """
    if seeds is not None or at_once is not None:
        options = {
            "--test": test, "--config": config, "--from": start, "--n-units": n_units, "--time-unit": time_unit,
            "--tensorboard": tensorboard, "--on": on, "--validate": validate,
        }  # fmt: skip
        given = {k: v for k, v in settings.items() if v is not None and v != []}
        _with_seeds(data, out, seeds, at_once, options, given, resume=resume, overwrite=overwrite, as_json=as_json)
        return
    from lambent.runs.evaluate import evaluate_run
    from lambent.runs.evaluation import numbering
    from lambent.runs.train import load_training_data, train_run, with_fine_steps
    from lambent.training.distributed import joined, rank
    from lambent.training.model import check_layers
    from lambent.training.on_chip import check_on_chip
    from lambent.training.run import Run

    if resume and overwrite:
        raise ValueError("--resume goes on with the run that --overwrite would replace; drop one of them")
    run, follows = Run(out), rank() > 0
    if follows:  # of several processes of torchrun the first says and writes what there is
        console.quiet, as_json = True, False
    given = {k: v for k, v in settings.items() if v is not None and v != []}
    if resume:
        others = {"config": config, "on": on, "from": start, "n_units": n_units, "time_unit": time_unit}
        given |= {k: v for k, v in others.items() if v is not None}
        own = {k: given.pop(k) for k in RUNNING if k in given}
        if given:
            what = f"--{next(iter(given)).replace('_', '-')}"
            raise ValueError(f"--resume takes the run's own settings ({run.path('config.toml')}); drop {what}")
        chosen = replace(run.config(), **own)
        n_units, time_unit = run.facts()["n_units"], run.facts("data")["data"].get("time_unit")
    else:
        if start is not None and run.folder.resolve() == start.resolve():
            raise ValueError(f"{out}: is the run to start from; choose another folder for --out")
        if run.exists() and not overwrite and not follows:
            raise ValueError(f"{out}: holds a run already; go on with --resume, replace it with --overwrite")
        if not follows:
            run.check_free()
        if config is not None and start is not None:
            raise ValueError("--from takes the settings of that run; drop --config")
        if start is not None and given.get("qat_bits"):
            given = {"epochs": 0} | given
        if on is not None:
            on = find_chip(on).name  # however it is written
            given = {"delay": 0.0, "chip": on} | given
            if config is None and start is None and not {*PLAIN, "layer", "input_shape"} & given.keys():
                given["hidden"] = _ON_CHIP
            if given["chip"] != on:
                raise ValueError(f"--on {on} is for that chip; drop --chip {given['chip']}")
        base = Config.from_toml(config) if config is not None else Run(start).config() if start else Config()
        chosen = Config(**(vars(base) | _apart(given)))
        if on is not None:
            check_on_chip(chosen)
    if resume and test is None and (known := run.facts("data")["data"].get("test")):
        say(f"the run began with --test {known}; give it again to have it evaluated")
    loading = replace(chosen, duration=run.facts()["duration"]) if resume else chosen
    least = Run(start).facts()["duration"] if start is not None else 0.0
    samples, held, voices = load_training_data(
        data, test, loading, least, valid=validate, n_units=n_units, time_unit=time_unit
    )
    say(f"{data}: {samples}")
    if "dt" not in given and config is None and start is None and not resume:
        fine = with_fine_steps(chosen, samples)
        if fine.dt != chosen.dt:
            say(f"samples are short: time steps of {fine.dt:g} ms (--dt)")
        chosen = fine
    check_layers(chosen, samples.n_units)
    if held is not None and (note := numbering(held, samples.class_names, str(test))):
        say(note)
    present = set(samples.labels.tolist())
    if absent := [name for c, name in enumerate(samples.class_names) if c not in present]:
        say(f"warning: {data}: holds no sample of {shortened(absent)}, so that nothing learns what that is")
    if samples.values is not None:
        say("the data's spikes carry values, which the input of a chip does not: this network cannot be exported")
    elif advice := find_chip(chosen.chip).advice(chosen):
        say(advice)
    source = {
        "train": str(data.resolve()), "test": str(test.resolve()) if test else None,
        "valid": str(validate.resolve()) if validate else None, "time_unit": time_unit,
    }  # fmt: skip
    done = len(run.metrics()) if resume else 0
    with joined(chosen.device) as processes:
        if processes:
            say(f"{processes.size} processes share every batch of {chosen.batch_size}")
        finished = train_run(
            run, chosen, samples, source, console,
            resume=resume, tensorboard=tensorboard and not follows, start=None if start is None else Run(start),
            on_chip=on is not None, processes=processes, valid=voices,
        )  # fmt: skip
    if follows:
        raise typer.Exit(0 if finished else 130)
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
    if run.path("on_chip.json").exists():
        result["update"] = run.read_json("on_chip.json")
        say(_of_update(result["update"]))
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


def _of_update(cost: dict[str, Any]) -> str:
    return (
        f"learned on the chip, modelled: {cost['energy']:.3g} mJ and {cost['latency']:.3g} ms an update, "
        f"{cost['packets']:,.0f} packets a sample, {cost['elements']} elements; "
        f"worst tick {cost['worst_tick']:,} cycles, in real time {cost['budget']:,} fit"
    )


def _with_seeds(
    data: Path,
    out: Path,
    text: str | None,
    at_once: int | None,
    options: dict[str, Any],
    settings: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train with each of several seeds, in a process of its own."""
    from rich.table import Table

    from lambent.runs.seeds import check_free, folder_of, parse_seeds, side_by_side, train_seeds
    from lambent.runs.train import load_training_data
    from lambent.training.run import Run

    if text is None:
        raise ValueError("--at-once is for --seeds")
    if "seed" in settings:
        raise ValueError("--seeds has all the seeds; drop --seed")
    if resume and overwrite:
        raise ValueError("--resume goes on with the runs that --overwrite would replace; drop one of them")
    seeds = parse_seeds(text)
    check_free(out, resume, overwrite)
    plain = [x for k, v in options.items() if v is not None and v is not False for x in _option(k, v)]
    if resume:
        others = ("--config", "--from", "--n-units", "--time-unit")
        if settings.keys() - set(RUNNING) or any(options[k] is not None for k in others):
            raise ValueError("--resume takes the runs' own settings; drop the others")
        known = next(path for path in sorted(out.glob("seed-*")) if Run(path).exists())
        chosen = replace(Run(known).config(), **settings)
        plain += ["--config", str(known / "config.toml")]
    else:
        start, config = options["--from"], options["--config"]
        base = Config.from_toml(config) if config is not None else Run(start).config() if start else Config()
        chosen = Config(**(vars(base) | _apart(settings)))
    samples, *_ = load_training_data(
        data, options["--test"], chosen, n_units=options["--n-units"], time_unit=options["--time-unit"]
    )
    fits, threads = side_by_side(len(seeds), samples, chosen.device, chosen.threads)
    at_once = at_once or fits
    del samples
    words = [x for k, v in settings.items() for x in _option(f"--{k.replace('_', '-')}", v)]

    def command(seed: int) -> list[str]:
        folder = folder_of(out, seed)
        here = ["train", str(data), "--out", str(folder), "--json"]
        if resume and Run(folder).path("checkpoint.pt").exists():
            return [*here, "--resume", *_option("--test", options["--test"]), *words]
        again = ["--overwrite"] if Run(folder).exists() else []
        return [*here, *plain, *words, "--seed", str(seed), "--threads", str(threads), *again]

    say(f"{len(seeds)} seeds, {at_once} at a time, on {threads} threads each")
    found = train_seeds(out, seeds, command, at_once, threads, say)
    summary = found.summary()
    if not found.finished:
        again = ["lambent", "train", str(data), "--out", str(out), "--seeds", text]
        again += [*_option("--test", options["--test"]), "--resume"]
        say(f"interrupted; go on with: {shlex.join(again)}")
        last_line(as_json, summary)
        raise typer.Exit(130)
    table = Table("seed", "validation", "test")
    shares = ("val_accuracy", "accuracy_test")
    for seed, result in summary["seeds"].items():
        table.add_row(seed, *(_percent(result.get(name)) for name in shares))
    for name, row in (("mean", summary["mean"]), ("deviation", summary["deviation"])):
        table.add_row(name, *(_percent(row.get(share)) for share in shares))
    console.print(table)
    last_line(as_json, summary)
    if found.failed:
        raise typer.Exit(1)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _option(name: str, value: Any) -> list[str]:
    """An option of the command line with its value; none where there is none."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [name if value else name.replace("--", "--no-", 1)]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [x for v in values for x in (name, str(v))]
