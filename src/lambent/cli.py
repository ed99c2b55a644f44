"""The command line: `lambent demo | encode | listen | train | export | evaluate | simulate | report | info`."""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
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


# -- encode ---------------------------------------------------------------------------------------------


@app.command()
def encode(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with one folder of sound files per class, or a CSV file of path,label[,speaker[,split]].",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.h5", help="File to write, .h5 or .h5.gz.")],
    channels: Annotated[int, typer.Option(min=2, max=65535, help="Units along the cochlea.")] = 700,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHARE", help="Put a share of the words into OUT_NAME.h5; may be repeated."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="What a split takes: a share of each class, or whole speakers.  [class]"),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length of a sample [ms], cuts longer ones; that of the longest if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise and of the splits.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    as_json: Json = False,
) -> None:
    """Turn recordings into spike trains; Ctrl-C, then the same command again, goes on where it was."""
    from lambent.data import encode_recordings

    if by and not split:
        raise ValueError("--by says what a --split takes; give one, such as --split test=0.1")
    try:
        with _progress("encoding") as progress:
            made = encode_recordings(
                source,
                out,
                channels,
                splits=dict(_share(text) for text in split or []),
                by=by or "class",
                duration=duration,
                seed=seed,
                overwrite=overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on")
        raise typer.Exit(130) from None
    if made.resumed:
        console.print(f"{made.resumed} files had been encoded before")
    for path, words in made.written.items():
        console.print(f"wrote {path}: {words} words", markup=False, soft_wrap=True)
    for path in made.clipped:
        console.print(f"clipped: {path}", markup=False, soft_wrap=True)
    for path, problem in made.skipped.items():
        console.print(f"skipped: {path}: {problem}", markup=False, soft_wrap=True)
    files = {str(path): words for path, words in made.written.items()}
    skipped = {str(path): problem for path, problem in made.skipped.items()}
    _last_line(as_json, {"written": files, "skipped": skipped, "clipped": [str(path) for path in made.clipped]})
    if made.skipped:
        raise typer.Exit(1)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ValueError(f"--split takes NAME=SHARE, such as test=0.1, not {text!r}") from None


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
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Begin with the model and settings of this run; with --qat-bits, quantise it."
        ),
    ] = None,
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
        given |= {k: v for k, v in (("config", config), ("from", start)) if v is not None}
        if given:
            what = f"--{next(iter(given)).replace('_', '-')}"
            raise ValueError(f"--resume takes the run's own settings ({run.path('config.toml')}); drop {what}")
        chosen = run.config()
    else:
        if run.exists() and not overwrite:
            raise ValueError(f"{out}: holds a run already; go on with --resume, replace it with --overwrite")
        if config is not None and start is not None:
            raise ValueError("--from takes the settings of that run; drop --config")
        if start is not None and run.folder.resolve() == start.resolve():
            raise ValueError(f"{out}: is the run to start from; choose another folder for --out")
        if start is not None and "qat_bits" in given:
            given = {"epochs": 0} | given
        base = Config.from_toml(config) if config is not None else Run(start).config() if start else Config()
        chosen = Config(**(vars(base) | given))
    if resume and test is None and (known := run.facts()["data"]["test"]):
        test = Path(known)
    samples, held = workflow.load_training_data(data, test, chosen)
    console.print(f"{data}: {samples}", markup=False)
    source = {"train": str(data), "test": str(test) if test else None}
    finished = workflow.train_run(
        run, chosen, samples, source, console,
        resume=resume, tensorboard=tensorboard, start=None if start is None else Run(start),
    )  # fmt: skip
    history = run.metrics()
    result: dict[str, Any] = {"run": str(out), "finished": finished, "epochs": len(history)}
    if history:
        result |= {k: history[-1][k] for k in ("loss", "accuracy", "spikes_per_unit", "silent", "best_epoch")}
        result["seconds"] = sum(m["seconds"] for m in history)
        if finished and chosen.qat_bits and result["best_epoch"] == len(history) - chosen.qat_epochs:
            console.print("fine-tuning did not improve on the validation samples: kept as first quantised")
    if not finished:
        console.print(f"interrupted; go on with: lambent train {data} --out {out} --resume", markup=False)
    elif held is not None:
        kind = "chip" if chosen.qat_bits else "float"
        evaluation = workflow.evaluate_run(run, held, chip=kind == "chip", source=str(test))
        result["accuracy_test"] = evaluation.accuracy(kind)
        console.print(f"test accuracy ({kind}) {100 * result['accuracy_test']:.2f} % on {len(held)} samples")
    _last_line(as_json, result)
    if not finished:
        raise typer.Exit(130)


app.command("train")(_with_config_options(_train))


# -- the other steps --------------------------------------------------------------------------------------


class Format(StrEnum):
    """File formats of trained networks."""

    netx = "netx"
    nir = "nir"


@app.command()
def export(
    run: Folder,
    weight_bits: Annotated[
        str | None,
        typer.Option(
            metavar="BITS",
            help="Bits of a weight in NetX, 2 to 8, sign included: one number, or one for each layer such as 4,8. "
            "Left out: what the run was trained with (--qat-bits), else 8.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/NAME.net or .nir where left out.")] = None,
    format: Annotated[Format, typer.Option(help="NetX for Loihi 2, or NIR for other frameworks.")] = Format.netx,
    lava_compatible: Annotated[
        bool, typer.Option("--lava-compatible", help="NetX: refuse what Lava's own reader would get wrong.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained network: quantised as NetX for Loihi 2, or as it is as NIR for other frameworks."""
    from dataclasses import asdict

    from lambent import workflow
    from lambent.nir import export_nir
    from lambent.training import Run
    from lambent.training.config import parse_bits

    there = Run(run)
    if format is Format.nir:
        if weight_bits is not None or lava_compatible:
            raise ValueError("--weight-bits and --lava-compatible are of NetX; NIR holds the weights as they are")
        path = out or there.netx.with_suffix(".nir")
        export_nir(there.model(), path)
        console.print(f"wrote {path}", markup=False)
        _last_line(as_json, {"path": str(path), "file_bytes": path.stat().st_size})
        return
    bits = None if weight_bits is None else parse_bits(weight_bits)
    report = workflow.export_run(there, bits, out, lava_compatible)
    console.print(str(report), markup=False, soft_wrap=True)
    _last_line(as_json, asdict(report))


@app.command()
def evaluate(
    run: Folder,
    data: DataFile,
    chip: Annotated[bool, typer.Option("--chip", help="Also run the exported network on the chip model.")] = False,
    crop: Crop = False,
    host: Annotated[
        bool, typer.Option("--host", help="Also measure time and, where it is counted, energy on this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test a trained network, as floats and with --chip as integers on the chip model, with its modelled cost."""
    from lambent import workflow
    from lambent.training import Run

    there = Run(run)
    with _progress("evaluating") as progress:
        evaluation = workflow.evaluate_run(there, data, chip=chip, crop=crop, host=host, progress=progress)
    summary: dict[str, Any] = evaluation.summary()
    _show(summary)
    if there.aware_model() is not None:
        console.print("trained with quantised weights; the float network has the same, in floating point")
    if chip:
        cost = workflow.kept_chip_cost(there)
        console.print(f"no modelled cost: {cost}" if isinstance(cost, str) else str(cost), markup=False, soft_wrap=True)
        summary["cost"] = {"error": cost} if isinstance(cost, str) else cost.as_dict()
    if host:
        measured = workflow.kept_host_costs(there)
        for host_cost in measured:
            console.print(str(host_cost), markup=False, soft_wrap=True)
        summary["host"] = [x.as_dict() for x in measured]
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
    partition: Annotated[
        bool, typer.Option("--partition", help="Place units so that fewer spikes go from core to core (pymetis).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run any NetX file on the bit-exact chip model: spikes per layer, speed, modelled cost, accuracy of a readout."""
    import numpy as np

    from lambent.data import SpikeDataset
    from lambent.hardware.loihi2 import Cost, estimate_cost, load_netx, map_to_cores
    from lambent.hardware.loihi2.cost import mean_cost

    net = load_netx(network)
    samples = SpikeDataset.from_shd(data, duration, n_units=net.n_in)
    if len(samples) == 0:
        raise ValueError(f"{data}: holds no samples")
    spikes = np.zeros(len(net.layers))
    scores, labels, steps, seconds = [], [], 0, 0.0
    mapping, unfit = None, ""
    costs: list[tuple[int, Cost]] = []
    try:
        mapping = map_to_cores(net)
    except ValueError as error:
        unfit = str(error)
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
            if mapping is not None:
                mapping = mapping if costs else map_to_cores(net, run, partition=partition)
                costs.append((len(y), estimate_cost(net, run, mapping)))
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
    if mapping is None:
        console.print(f"no modelled cost: {unfit}", markup=False, soft_wrap=True)
    else:
        cost = mean_cost(costs)
        result["cost"] = cost.as_dict()
        console.print(f"{mapping}\n{cost}", markup=False, soft_wrap=True)
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
def listen(
    run: Folder,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILES", help="Sound files, a word each.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Cut the files into words at the silence between them.")
    ] = False,
    microphone: Annotated[
        bool, typer.Option("--microphone", help="Listen to the default microphone until Ctrl-C.")
    ] = False,
    level: Annotated[float, typer.Option(min=0, help="Level (root mean square) from which a stream is loud.")] = 0.01,
    out: Annotated[
        Path | None, typer.Option(help="HTML page of the spikes to write; RUN/listen.html where left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise.")] = 0,
    as_json: Json = False,
) -> None:
    """Classify sound files, or what a microphone hears, in float and, if the run was exported, on the chip model."""
    from lambent.encode import read_audio
    from lambent.encode.words import MICROPHONE_RATE, file_blocks, microphone_blocks
    from lambent.listen import PICTURES, Heard, Listener
    from lambent.training import Run

    if bool(files) == microphone:
        raise ValueError("listen takes sound files or --microphone")
    listener = Listener(Run(run), seed)
    heard: list[Heard] = []
    failed: dict[str, str] = {}

    def listen_to(blocks: Any, rate: int, name: str) -> None:
        for word in listener.stream(blocks, rate, level):
            heard.append(replace(word, name=f"{name} at {word.name}"))
            answers = [f"{kind} {word.answer(kind)} ({100 * p.max():.1f} %)" for kind, p in word.confidence.items()]
            console.print(f"{heard[-1].name}: {', '.join(answers)}", markup=False, soft_wrap=True)

    if microphone:
        console.print("listening; Ctrl-C ends")
        with suppress(KeyboardInterrupt):
            listen_to(microphone_blocks(), MICROPHONE_RATE, "microphone")
    for path in files or []:
        try:
            if stream:
                listen_to(*file_blocks(path), str(path))
            else:
                heard.append(listener.hear(*read_audio(path), str(path)))
        except (OSError, ValueError) as error:
            failed[str(path)] = str(error).removeprefix(f"{path}: ")
    if heard and not (stream or microphone):
        kinds = list(heard[0].confidence)
        table = Table("file", *(cell for kind in kinds for cell in (kind, "confidence")))
        for word in heard:
            cells = [(word.answer(kind), f"{100 * p.max():.1f} %") for kind, p in word.confidence.items()]
            name = f"{word.name} (cut at {listener.duration:g} ms)" if word.cut else word.name
            table.add_row(escape(name), *(escape(x) for cell in cells for x in cell))
        console.print(table)
    page = None
    if heard:
        page = out or Run(run).path("listen.html")
        listener.write_page(heard[-PICTURES:], page)
        console.print(f"spikes through the layers: {page}", markup=False, soft_wrap=True)
    for name, problem in failed.items():
        print(f"error: {name}: {problem}", file=sys.stderr)
    _last_line(as_json, {"heard": [w.summary() for w in heard], "failed": failed, "page": page and str(page)})
    if failed:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to keep the run in; a temporary one where left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    as_json: Json = False,
) -> None:
    """Keyword spotting on spoken words in the package: train, quantise, export, chip model, report; about a minute."""
    from lambent.demo import run_demo

    folder = out or Path(tempfile.mkdtemp(prefix="lambent-demo-")) / "keywords"
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
    shown_after = ""
    if run is None:
        facts = {
            "versions": versions(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        }
    elif run.is_file():
        from lambent.hardware.loihi2 import load_netx, map_to_cores
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
        try:
            mapping = map_to_cores(net)
            facts |= {"cores": mapping.n_cores, "memory_bytes": sum(use.memory for use in mapping.usage)}
            shown_after = str(mapping)
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
        console.print(shown_after, markup=False, soft_wrap=True)
    _last_line(as_json, facts)
