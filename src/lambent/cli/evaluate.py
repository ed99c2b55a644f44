"""`lambent evaluate`: a trained network on test data."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lambent.cli._common import (
    DataFile,
    Folder,
    Json,
    TimeUnit,
    completing,
    console,
    last_line,
    progress_bar,
    say,
    show_accuracies,
    show_recall,
)  # fmt: skip
from lambent.hardware.chip import CHIPS, find_chip


def evaluate(
    run: Folder,
    data: DataFile,
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
            autocompletion=completing(tuple(CHIPS)),
        ),
    ] = None,
    time_unit: TimeUnit = None,
    as_json: Json = False,
) -> None:
    """Test a trained network; with --chip also on the chip model.

    As floats, and with --chip as integers on the model of the chip, with its modelled cost. --on NAME is for another
    chip than the run's: the network is converted for it, and nothing of that is kept.
    """
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
    if on is not None:
        elsewhere = evaluate_on(there, samples, str(data), on)
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
