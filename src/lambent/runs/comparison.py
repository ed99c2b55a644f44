"""Several runs side by side: what they have in common is checked, and what differs is said."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lambent.machine.showing import printable
from lambent.report.comparison import Comparison, write_comparison
from lambent.report.model import ReportData
from lambent.runs.evaluate import kept_chip_cost
from lambent.runs.evaluation import Evaluation
from lambent.runs.report import about_run, answers, cost_figures, kept_evaluation
from lambent.training.run import Run

_CHANCE = ("seed", "threads", "device")
"""Settings that change results by chance alone."""
_SAID = ("Test data", "Training data", "Seed", "Epochs")  # of which notices or the settings tell, or nothing is to tell


def compare_runs(runs: Sequence[Run], path: Path) -> Comparison:
    """Write an HTML page of evaluated runs side by side.

    Returns:
        What the page shows; its `notices` are for whoever asked for it, too.

    Raises:
        FileNotFoundError: a run was not evaluated yet.
        ValueError: a run is given twice, or runs have other classes, which cannot be compared.
    """
    folders = [run.folder.resolve() for run in runs]
    for i, folder in enumerate(folders):
        if folder in folders[:i]:
            raise ValueError(f"{runs[i].folder}: is given twice")
    evaluations = [kept_evaluation(run) for run in runs]
    classes = [run.facts()["class_names"] for run in runs]
    for run, own in zip(runs, classes, strict=True):
        if own != classes[0]:
            raise ValueError(
                f"{run.folder}: has other classes than {runs[0].folder}, so that the two cannot be compared: "
                f"{_few(own, classes[0])} against {_few(classes[0], own)}"
            )
    data = _data(runs, evaluations)
    paired, notices = _about_data(runs, evaluations)
    settings = _settings(runs)
    repeated = paired and set(settings) <= set(_CHANCE) and _same_training(runs)
    facts = {
        key: texts
        for key in data[0].facts
        if key not in _SAID and len(set(texts := [x.facts.get(key, "-") for x in data])) > 1
    }
    created = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    comparison = Comparison(created, data, notices, paired, repeated, settings | facts)
    write_comparison(comparison, path)
    return comparison


def _few(own: Sequence[str], other: Sequence[str]) -> str:
    """Classes that one has and the other has not, or how many where they only are in another order."""
    only = [name for name in own if name not in other]
    return ", ".join(map(repr, only[:5])) + (" ..." if len(only) > 5 else "") if only else f"{len(own)} in this order"


def _data(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> list[ReportData]:
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder.resolve()) for run in runs]
    out = []
    for run, evaluation, name in zip(runs, evaluations, names, strict=True):
        cost = kept_chip_cost(run)
        values = answers(run, evaluation, "chip" in evaluation.scores) | {"title": printable(name)}
        values["facts"] = about_run(run, run.model(), evaluation)
        values["costs"] = [] if isinstance(cost, str) else cost_figures(values["title"], run.chip(), cost, [])[:1]
        out.append(ReportData(history=run.metrics(), versions=run.facts("versions")["versions"], **values))
    return out


def _about_data(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> tuple[bool, list[str]]:
    """Whether all were tested on the same samples, and what there is to say about the data of the runs."""
    first, notices, paired = evaluations[0], [], True
    different, encoded, unknown = [], [], []
    for run, one in zip(runs, evaluations, strict=True):
        alike = np.array_equal(one.labels, first.labels)
        if alike and None not in (one.checksum, first.checksum) and one.checksum == first.checksum:
            continue
        if alike and one.files is not None and one.files == first.files:
            encoded.append(run.name)
        elif alike and None in (one.checksum, first.checksum):
            unknown.append(run.name)
        else:
            different.append(f"{run.name} on {one.data} ({len(one.labels):,} samples)")
            paired = False
    if different:
        on = f"{runs[0].name} on {first.data} ({len(first.labels):,} samples)"
        notices.append(
            f"The runs were tested on different data: {'; '.join([on, *different])}. Their figures differ for that "
            "reason, too."
        )
    if encoded:
        notices.append(f"Tested on the same recordings as {runs[0].name}, but as other spikes: {', '.join(encoded)}.")
    if unknown:
        notices.append(
            "Evaluations of an older version do not say which data they are of; by the labels they are the same. "
            "To be sure, evaluate again."
        )
    if not _same_training(runs):
        on = "; ".join(f"{run.name} on {run.facts('data')['data'].get('train')}" for run in runs)
        notices.append(f"The runs were trained on different data: {on}.")
    for run in runs:
        config, done = run.config(), len(run.metrics())
        if done < config.all_epochs and not config.patience:
            notices.append(f"{run.name}: training was not finished, {done} of {config.all_epochs} epochs.")
    return paired, [printable(text) for text in notices]


def _same_training(runs: Sequence[Run]) -> bool:
    return len({(facts.get("checksum"), facts.get("samples")) for facts in (run.facts() for run in runs)}) == 1


def _settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The settings in which runs differ."""
    configs = [vars(run.config()) for run in runs]
    return {
        key: [str(config[key]) if config[key] != "" else "-" for config in configs]
        for key in configs[0]
        if any(config[key] != configs[0][key] for config in configs)
    }
