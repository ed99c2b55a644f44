"""`lambent evaluate`: a trained network on test data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli._common import (
    NETWORKS,
    Background,
    Folder,
    Json,
    Refractory,
    Smoothing,
    TimeUnit,
    completing,
    console,
    last_line,
    progress_bar,
    rule_of,
    say,
    show_accuracies,
    show_recall,
)  # fmt: skip
from lambent.hardware.chip import CHIPS, find_chip

_SHOWN = (10.0, 5.0, 2.0, 1.0, 0.5)  # false alarms an hour


def evaluate(
    run: Folder,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Spike trains, HDF5 in the Heidelberg layout (.h5 or .h5.gz). With --stream: a long recording, or a "
            "folder of them, and beside each NAME.wav in NAME.csv what is said when: start,end,word, in seconds.",
        ),
    ],
    chip: Annotated[bool, typer.Option("--chip", help="Also run the exported network on the chip model.")] = False,
    crop: Annotated[bool, typer.Option(help="Drop spikes past the duration the run was trained with.")] = False,
    host: Annotated[
        bool, typer.Option("--host", help="Also measure time and, where it is counted, energy on this machine.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="CHIP",
            help="Also on the model of this chip, whatever chip the run is for.",
            autocompletion=completing(CHIPS),
        ),
    ] = None,
    time_unit: TimeUnit = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Report words in long recordings: misses against false alarms an hour.")
    ] = False,
    smoothing: Smoothing = None,
    refractory: Refractory = None,
    background: Background = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="S",
            help="Time after its end in which a word may be reported.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cochlea's noise on streams.")] = 0,
    as_json: Json = False,
) -> None:
    """Test a trained network; with --chip also on the chip model.

    As floats, and with --chip as integers on the model of the chip, with its modelled cost. --on NAME is for another
    chip than the run's: the network is converted for it, and nothing of that is kept. With --stream on long recordings,
    where words are reported as they come.
    """
    own = {"smoothing": smoothing, "refractory": refractory, "background": background, "within": within}
    given = [name for name, value in own.items() if value]
    if stream:
        others = {"host": host, "crop": crop, "time-unit": time_unit, "on": on}
        if unfit := [name for name, value in others.items() if value]:
            raise ValueError(f"--{unfit[0]} is not for --stream")
        last_line(as_json, _on_streams(run, data, chip, rule_of(None, smoothing, refractory), background, within, seed))
        return
    if given:
        raise ValueError(f"--{given[0]} is for --stream")
    from lambent.runs.evaluate import evaluate_on, evaluate_run, kept_chip_cost, kept_host_costs
    from lambent.runs.evaluation import load_test_data, numbering
    from lambent.training.run import Run

    there = Run(run)
    loses_chip = not chip and there.path("cost.json").exists()
    samples = load_test_data(there, data, crop=crop, time_unit=time_unit)
    if samples.level and (trained := there.facts().get("level")) not in (None, samples.level):
        say(f"warning: {data}: recordings at level {samples.level!r}, those trained on at {trained!r}")
    if note := numbering(samples, there.facts()["class_names"], str(data)):
        say(note)
    # first, since the other chip may have no words for the network
    elsewhere = None if on is None else evaluate_on(there, samples, str(data), on)
    with progress_bar("evaluating") as progress:
        evaluation = evaluate_run(there, samples, str(data), chip=chip, host=host, progress=progress)
    summary: dict[str, Any] = evaluation.summary()
    show_accuracies(summary)
    classes = evaluation.classes(there.facts()["class_names"])
    show_recall(classes)
    if loses_chip:
        say("this replaced the earlier evaluation with --chip in the report")
    if "accuracy_quantised" not in summary and there.aware_model() is not None:
        console.print("trained with quantised weights; the float network has the same, in floating point")
    if chip:
        bits = ", ".join(map(str, there.read_json("export.json")["weight_bits"]))
        say(f"on the chip: {there.network}, weights of {bits} bits")
        cost = kept_chip_cost(there)
        say(f"no modelled cost: {cost}" if isinstance(cost, str) else str(cost))
        summary["cost"] = {"error": cost} if isinstance(cost, str) else cost.as_dict()
    if on is not None and elsewhere is not None:
        assert elsewhere.accuracy is not None  # a run's network has a readout
        title = find_chip(on).title
        console.print(f"accuracy on {title}: {100 * elsewhere.accuracy:.2f} % on {elsewhere.samples} samples")
        say(elsewhere.placement)
        say(f"no modelled cost: {elsewhere.cost}" if isinstance(elsewhere.cost, str) else str(elsewhere.cost))
        cost_there = {"error": elsewhere.cost} if isinstance(elsewhere.cost, str) else elsewhere.cost.as_dict()
        summary["on"] = {"chip": on, "accuracy": elsewhere.accuracy, "cost": cost_there}
    if host:
        measured = kept_host_costs(there)
        for host_cost in measured:
            say(host_cost)
        summary["host"] = [x.as_dict() for x in measured]
    last_line(as_json, summary | {"classes": classes})


def _on_streams(
    run: Path, data: Path, chip: bool, rule: Any, background: list[str] | None, within: float | None, seed: int
) -> dict[str, Any]:
    from rich.table import Table

    from lambent.runs.streams import WITHIN, evaluate_streams, kept_curves
    from lambent.runs.truth import find_recordings
    from lambent.training.run import Run

    there, recordings = Run(run), find_recordings([data])
    if (there.facts().get("level") or "rms") == "rms":
        say("a stream cannot be heard at level rms, as trained: heard at agc")
    with progress_bar("listening") as progress:
        found = evaluate_streams(
            there, recordings, chip=chip, rule=rule, background=background or [],
            within=WITHIN if within is None else within, seed=seed, progress=progress,
        )  # fmt: skip
    say(f"{found['words']} words in {found['hours']:.2f} hours, at level {found['level']}")
    table = Table("network", "false alarms/h", "threshold", "missed", "unprompted/h", "latency")
    for column in table.columns[1:]:
        column.justify = "right"
    points = []
    for kind, curve in kept_curves(there).items():
        for most in _SHOWN:
            point = curve.at(most)
            points.append({"network": kind, "at_most": most} | (point or {}))
            cells = ("-", "-", "-", "-")
            if point is not None:
                cells = (
                    f"{point['threshold']:.4f}", f"{100 * point['misses']:.1f} %", f"{point['unprompted']:.3g}",
                    f"{point['latency']:.0f} ms",
                )  # fmt: skip
            table.add_row(NETWORKS[kind], f"{most:g}", *cells)
    console.print(table)
    if found["hours"] < 1:
        say(f"one false alarm in these recordings is {1 / found['hours']:.3g} an hour; longer ones tell more")
    say(f"the curve: {there.path('detections.svg')}")
    return found | {"points": points}
