"""The command line: `lambent demo | train | export | evaluate | simulate | report | info`."""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

app = typer.Typer(
    help="Train spiking networks with exact event-based gradients and see what they do on a neuromorphic chip.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
console = Console(highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line last.")]
Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")]
DataFile = Annotated[
    Path, typer.Argument(metavar="DATA", help="Spike trains, HDF5 in the Heidelberg layout (.h5 or .h5.gz).")
]
Bits = Annotated[int, typer.Option(min=2, max=8, help="Bits of a weight, sign included.")]
Crop = Annotated[bool, typer.Option(help="Drop spikes past the duration the run was trained with.")]


def main() -> None:
    """Run the command line; errors that a user can mend are one line, not a traceback."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError, NotImplementedError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _last_line(wanted: bool, values: dict[str, Any]) -> None:
    if wanted:
        print(json.dumps(values), flush=True)


@contextmanager
def _progress(title: str) -> Any:
    """A progress bar, as a function of (done, of)."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda done, of: bar.update(task, completed=done, total=of)


# -- train ----------------------------------------------------------------------------------------------


def _with_config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every key of `Config`, None where left out, in its `**settings`."""
    from lambent.training import Config

    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = []
    for f in fields(Config):
        kind = type(f.default)
        name = f.name.replace("_", "-")
        flags = [f"--{name}/--no-{name}"] if kind is bool else [f"--{name}"]
        shown = f"{f.metadata['help']}  [{str(f.default).lower() if kind is bool else f.default}]"
        option = typer.Option(*flags, help=shown, rich_help_panel="Settings", show_default=False)
        added.append(
            inspect.Parameter(
                f.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

    def wrapped(**kwargs: Any) -> None:
        command(**kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__signature__ = inspect.Signature([*keyword, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *added]}
    return wrapped


def _train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Training words, HDF5 in the Heidelberg layout (.h5 or .h5.gz).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, made if need be.")],
    test: Annotated[Path | None, typer.Option(help="Test words, evaluated at the end.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options given here win.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, bit for bit.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is already there.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")] = False,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Train a network on spike trains; Ctrl-C saves, --resume goes on."""
    from lambent import workflow
    from lambent.training import Config, Run

    run = Run(out)
    given = {k: v for k, v in settings.items() if v is not None}
    if resume:
        if config is not None or given:
            what = "--config" if config is not None else f"--{next(iter(given)).replace('_', '-')}"
            raise ValueError(f"--resume takes the run's own settings ({run.path('config.toml')}); drop {what}")
        chosen = run.config()
    else:
        if run.exists() and not overwrite:
            raise ValueError(f"{out}: holds a run already; go on with --resume, replace it with --overwrite")
        base = Config.from_toml(config) if config is not None else Config()
        chosen = Config(**(vars(base) | given))
    if resume and test is None and (known := run.facts()["data"]["test"]):
        test = Path(known)
    samples, held = workflow.load_training_data(data, test, chosen)
    console.print(f"{data}: {samples}", markup=False)
    source = {"train": str(data), "test": str(test) if test else None}
    finished = workflow.train_run(run, chosen, samples, source, console, resume=resume, tensorboard=tensorboard)
    history = run.metrics()
    result: dict[str, Any] = {"run": str(out), "finished": finished, "epochs": len(history)}
    if history:
        result |= {k: history[-1][k] for k in ("loss", "accuracy", "spikes_per_unit", "silent")}
        result["seconds"] = sum(m["seconds"] for m in history)
    if not finished:
        console.print(f"interrupted; go on with: lambent train {data} --out {out} --resume", markup=False)
    elif held is not None:
        result["accuracy_test"] = workflow.evaluate_run(run, held, chip=False, source=str(test)).accuracy("float")
        console.print(f"test accuracy {100 * result['accuracy_test']:.2f} % on {len(held)} samples")
    _last_line(as_json, result)
    if not finished:
        raise typer.Exit(130)


app.command("train")(_with_config_options(_train))


# -- the other steps --------------------------------------------------------------------------------------


@app.command()
def export(
    run: Folder,
    weight_bits: Bits = 8,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/NAME.net where left out.")] = None,
    lava_compatible: Annotated[
        bool, typer.Option("--lava-compatible", help="Refuse what Lava's own reader would get wrong.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Quantise a trained network and write it as a NetX file for Loihi 2."""
    from dataclasses import asdict

    from lambent import workflow
    from lambent.training import Run

    report = workflow.export_run(Run(run), weight_bits, out, lava_compatible)
    console.print(str(report), markup=False, soft_wrap=True)
    _last_line(as_json, asdict(report))


@app.command()
def evaluate(
    run: Folder,
    data: DataFile,
    chip: Annotated[bool, typer.Option("--chip", help="Also run the exported network on the chip model.")] = False,
    crop: Crop = False,
    as_json: Json = False,
) -> None:
    """Test a trained network, as floats and with --chip as integers on the chip model."""
    from lambent import workflow
    from lambent.training import Run

    with _progress("evaluating") as progress:
        evaluation = workflow.evaluate_run(Run(run), data, chip=chip, crop=crop, progress=progress)
    summary = evaluation.summary()
    _show(summary)
    _last_line(as_json, summary)


def _show(summary: dict[str, Any]) -> None:
    """Print the accuracies of an evaluation."""
    table = Table("network", "accuracy", title=f"{summary['n']} samples", title_justify="left")
    names = {"accuracy": "float", "accuracy_quantised": "quantised parameters", "accuracy_chip": "chip model"}
    for key, name in names.items():
        if key in summary:
            table.add_row(name, f"{100 * summary[key]:.2f} %")
    console.print(table)
    if "agreement" in summary:
        console.print(f"float and chip agree on {100 * summary['agreement']:.2f} % of the samples")


@app.command()
def simulate(
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="NetX file (.net).")],
    data: DataFile,
    duration: Annotated[
        float | None,
        typer.Option(help="Length of a sample [ms], on which means depend; the data's own where left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run any NetX file on the bit-exact chip model: spikes per layer, speed and, with a readout, accuracy."""
    import numpy as np

    from lambent.data import SpikeDataset
    from lambent.hardware.loihi2 import load_netx

    net = load_netx(network)
    samples = SpikeDataset.from_shd(data, duration, n_units=net.n_in)
    if len(samples) == 0:
        raise ValueError(f"{data}: holds no samples")
    spikes = np.zeros(len(net.layers))
    scores, labels, steps, seconds = [], [], 0, 0.0
    with _progress("simulating") as progress:
        for events, y in samples.batches(50):
            start = time.perf_counter()
            run = net.run(events, record=("spikes", net.readout.reads) if net.readout else ("spikes",))
            seconds += time.perf_counter() - start
            spikes += [np.count_nonzero(s) for s in run.spikes]
            steps += len(y) * run.spikes[0].shape[2]
            if net.readout is not None:
                scores.append(net.readout.scores(run))
            labels.append(y.numpy())
            progress(sum(map(len, labels)), len(samples))
    result: dict[str, Any] = {
        "n": len(samples),
        "steps_per_s": steps / seconds,
        "spikes_per_sample": [float(s) / len(samples) for s in spikes],
    }
    console.print(f"{net}", markup=False)
    console.print(f"{len(samples)} samples, {steps:,} steps, {result['steps_per_s']:,.0f} steps/s")
    for layer, s in zip(net.layers, result["spikes_per_sample"], strict=True):
        console.print(f"{layer.name}: {s:.1f} spikes a sample, {s / layer.n_out:.2f} a unit")
    if scores:
        result["accuracy"] = float((np.concatenate(scores).argmax(1) == np.concatenate(labels)).mean())
        console.print(f"accuracy {100 * result['accuracy']:.2f} %")
    _last_line(as_json, result)


@app.command()
def report(
    run: Folder,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/report.html where left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about an evaluated run."""
    from lambent import workflow
    from lambent.training import Run

    path = workflow.report_run(Run(run), out)
    console.print(f"wrote {path}", markup=False)
    _last_line(as_json, {"report": str(path), "bytes": path.stat().st_size})


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to keep the run in; a temporary one where left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and training.")] = 0,
    as_json: Json = False,
) -> None:
    """Train, quantise, export, run on the chip model and report, on generated data; under a minute."""
    from lambent.demo import run_demo

    folder = out or Path(tempfile.mkdtemp(prefix="lambent-demo-")) / "yin-yang"
    result = run_demo(folder, seed, console)
    _show(result["evaluation"])
    console.print(f"report: {result['report']}", markup=False)
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
    _last_line(as_json, figures)


@app.command()
def info(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Folder of a run, or a NetX file.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, or what a run or a NetX file holds."""
    import os

    import torch

    from lambent.training.run import Run, versions

    facts: dict[str, Any]
    if run is None:
        facts = {
            "versions": versions(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        }
    elif run.is_file():
        from lambent.hardware.loihi2 import load_netx
        from lambent.hardware.loihi2.lava import misread_by_lava

        net = load_netx(run)
        facts = {
            "network": repr(net),
            "layers": [
                {"name": x.name, "kind": x.kind, "units": x.neuron.type, "in": x.n_in, "out": x.n_out, "shape": x.shape}
                for x in net.layers
            ],
            "reduce": getattr(net.readout, "reduce", "average") if net.readout else None,
            "misread_by_lava": misread_by_lava(net),
            "classes": list(net.readout.labels) if net.readout else None,
        }
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
    _last_line(as_json, facts)
