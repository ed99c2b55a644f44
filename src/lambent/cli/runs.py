"""`lambent demo | export | evaluate | report | info`: the steps after training, and all of them in a row."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from lambent.cli._common import DataFile, Folder, Json, console, last_line, progress_bar, say, show_accuracies
from lambent.hardware.loihi2 import load_netx, map_to_cores
from lambent.hardware.loihi2.netx.lava import misread_by_lava
from lambent.nir import export_nir
from lambent.training import Run
from lambent.training.config import parse_bits
from lambent.training.run import versions


class Format(StrEnum):
    """File formats of trained networks."""

    netx = "netx"
    nir = "nir"


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
    from lambent.runs import steps as workflow  # brings matplotlib, which takes its time

    there = Run(run)
    if format is Format.nir:
        if weight_bits is not None or lava_compatible:
            raise ValueError("--weight-bits and --lava-compatible are of NetX; NIR holds the weights as they are")
        path = out or there.netx.with_suffix(".nir")
        export_nir(there.model(), path)
        say(f"wrote {path}")
        last_line(as_json, {"path": str(path), "file_bytes": path.stat().st_size})
        return
    bits = None if weight_bits is None else parse_bits(weight_bits)
    report = workflow.export_run(there, bits, out, lava_compatible)
    say(report)
    if workflow.trained_for_other_bits(there, [layer.weight_bits for layer in report.layers]):
        say("warning: the network was trained for weights of other bits; leave --weight-bits out for those")
    last_line(as_json, asdict(report))


def evaluate(
    run: Folder,
    data: DataFile,
    chip: Annotated[bool, typer.Option("--chip", help="Also run the exported network on the chip model.")] = False,
    crop: Annotated[bool, typer.Option(help="Drop spikes past the duration the run was trained with.")] = False,
    host: Annotated[
        bool, typer.Option("--host", help="Also measure time and, where it is counted, energy on this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test a trained network, as floats and with --chip as integers on the chip model, with its modelled cost."""
    from lambent.runs import steps as workflow  # brings matplotlib, which takes its time

    there = Run(run)
    if not chip and there.path("cost.json").exists():
        say("this replaces the earlier evaluation with --chip in the report")
    with progress_bar("evaluating") as progress:
        evaluation = workflow.evaluate_run(there, data, chip=chip, crop=crop, host=host, progress=progress)
    summary: dict[str, Any] = evaluation.summary()
    show_accuracies(summary)
    if "accuracy_quantised" not in summary and there.aware_model() is not None:
        console.print("trained with quantised weights; the float network has the same, in floating point")
    if chip:
        bits = ", ".join(map(str, there.read_json("export.json")["weight_bits"]))
        say(f"on the chip: {there.netx}, weights of {bits} bits")
        cost = workflow.kept_chip_cost(there)
        say(f"no modelled cost: {cost}" if isinstance(cost, str) else str(cost))
        summary["cost"] = {"error": cost} if isinstance(cost, str) else cost.as_dict()
    if host:
        measured = workflow.kept_host_costs(there)
        for host_cost in measured:
            say(host_cost)
        summary["host"] = [x.as_dict() for x in measured]
    last_line(as_json, summary)


def report(
    run: Folder,
    out: Annotated[Path | None, typer.Option(help="The file to write; RUN/report.html where left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about an evaluated run."""
    from lambent.runs import steps as workflow  # brings matplotlib, which takes its time

    path = workflow.report_run(Run(run), out)
    say(f"wrote {path}")
    last_line(as_json, {"report": str(path), "bytes": path.stat().st_size})


def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to keep the run in; a temporary one where left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    as_json: Json = False,
) -> None:
    """Keyword spotting on spoken words in the package: train, quantise, export, chip model, report; about a minute."""
    from lambent.demo import run_demo

    folder = out or Path(tempfile.mkdtemp(prefix="lambent-demo-")) / "keywords"
    try:
        result = run_demo(folder, seed, console)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {shlex.join(('lambent', 'demo', '--out', str(folder), '--seed', str(seed)))}")
        raise typer.Exit(130) from None
    show_accuracies(result["evaluation"])
    say(f"report: {result['report']}")
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
    last_line(as_json, figures)


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
        say(shown_after)
    last_line(as_json, facts)
