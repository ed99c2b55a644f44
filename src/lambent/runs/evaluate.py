"""Evaluating a run on test data, with what a sample costs on its chip and on this machine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lambent.data import SpikeDataset
from lambent.hardware.chip import Cost, find_chip
from lambent.hardware.host_energy import HostCost, measure_host
from lambent.machine.threads import engine_only_threads
from lambent.runs.course import CourseNotes
from lambent.runs.evaluation import Evaluation
from lambent.runs.export import calibration_events, export_run, exported_as_float, exported_network
from lambent.runs.simulate import Simulation, Trial, simulate
from lambent.training.run import Run, damaged
from lambent.training.scoring import EVALUATION_BATCH, forward

_HOST_BATCH = 64
_MISTAKES_SHOWN = 3
_CLASSES_SHOWN = 50


def evaluate_run(
    run: Run,
    data: SpikeDataset,
    source: str,
    *,
    chip: bool,
    host: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Evaluate the run's model, and with `chip` its exported network, on test data; kept for the report.

    A run that was not exported yet is exported, with the bits it was trained for, else 8.

    Args:
        data: test samples.
        source: what to call them.
        chip: also run the exported network on the chip model, once, and model what it costs (cost.json in the run).
        host: also measure what the float network costs on this machine (host.json in the run).
        progress: called with the number of samples done and in all.
    """
    model = run.model()
    quantised = trial = None
    if chip:
        if run.exported_bits() is None:
            export_run(run)
        network = exported_network(run)
        quantised, trial = exported_as_float(run, network), Trial(run.chip(), network)
    evaluation = evaluate(model, data, source, quantised, trial, progress)
    evaluation.save(run.path("evaluation.npz"))
    for name in ("cost.json", "host.json"):  # of the last evaluation
        run.path(name).unlink(missing_ok=True)
    if trial is not None:
        cost = trial.cost()
        run.write_json("cost.json", {"error": cost} if isinstance(cost, str) else cost.as_dict())
    if host:
        run.write_json("host.json", {"costs": [cost.as_dict() for cost in host_costs(model, data)]})
    return evaluation


def evaluate_on(run: Run, data: SpikeDataset, source: str, chip: str) -> Simulation:
    """What the run's model would do on test data on another chip than its own; nothing is kept.

    Args:
        data: test samples.
        source: what to call them.
        chip: its name; the model is converted for it, with the chip's most bits.

    Raises:
        TypeError, ValueError: there is no such chip, or it cannot run the model; or there are no samples.
    """
    if len(data) == 0:
        raise ValueError(f"{source}: no samples to evaluate")
    there = find_chip(chip)
    network = there.convert(run.model(), None, calibration_events(run), run.facts()["class_names"]).network
    return simulate(there, network, data)


@engine_only_threads()
@torch.no_grad()
def evaluate(
    model: nn.Sequential,
    data: SpikeDataset,
    source: str,
    quantised: nn.Sequential | None = None,
    trial: Trial | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Run test data through a model and, where given, its quantised copy and its chip version.

    Args:
        model: the trained network.
        data: test samples.
        source: what to call them.
        quantised: see `lambent.quantize.quantized_model`.
        trial: its network on the chip.
        progress: called with the number of samples done and in all.

    Raises:
        ValueError: there are no samples.
    """
    if len(data) == 0:
        raise ValueError(f"{source}: no samples to evaluate")
    scores: dict[str, list[np.ndarray]] = {}
    labels: list[np.ndarray] = []
    spikes: list[np.ndarray] = []
    notes = CourseNotes(model, len(data))
    for events, y in data.batches(EVALUATION_BATCH):
        out, hidden = forward(model, events)
        scores.setdefault("float", []).append(out.numpy())
        if quantised is not None:
            scores.setdefault("quantised", []).append(quantised(events).numpy())
        if trial is not None:
            answers = trial.run(events)
            assert answers is not None  # an exported network has a readout
            scores.setdefault("chip", []).append(answers)
        totals = [h.counts().sum(0).numpy() for h in hidden]
        spikes = [a + b for a, b in zip(spikes, totals, strict=True)] if spikes else totals
        notes.take(hidden, events)
        labels.append(y.numpy())
        progress(sum(map(len, labels)), len(data))
    evaluation = Evaluation(
        data=source,
        labels=np.concatenate(labels),
        scores={kind: np.concatenate(parts) for kind, parts in scores.items()},
        rates=[s / len(data) for s in spikes],
        samples=data.batch([0])[0],
        shown=np.zeros(1, np.int64),
        speakers=data.speakers,
        files=data.files,
        course=notes.course(),
        checksum=data.checksum(),
    )
    shown = samples_to_show(evaluation)
    return replace(evaluation, samples=data.batch(shown)[0], shown=shown)


def samples_to_show(evaluation: Evaluation) -> np.ndarray:
    """Places of samples that a report shows: the surest mistakes, the least sure of all, and one of each class.

    That is a recognised one of middling confidence, or of a class without any the first; of very many classes only
    those that are recognised least often have one.
    """
    kind = evaluation.deployed
    labels, sure = evaluation.labels, evaluation.confidence(kind)
    recognised = evaluation.predictions(kind) == labels
    wrong = np.flatnonzero(~recognised)
    chosen = [*wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES_SHOWN].tolist(), int(sure.argmin())]
    recall = evaluation.recall(kind)
    for c in np.argsort(recall, kind="stable")[: min(_CLASSES_SHOWN, np.isfinite(recall).sum())]:
        own = np.flatnonzero((labels == c) & recognised)
        middling = own[np.argsort(sure[own], kind="stable")][(len(own) - 1) // 2 :]
        chosen.append(int(middling[0] if len(own) else (labels == c).argmax()))
    return np.array(list(dict.fromkeys(chosen)), np.int64)


def kept_chip_cost(run: Run) -> Cost | str:
    """The modelled cost of the last evaluation, or why there is none."""
    if not run.path("cost.json").exists():
        return "not evaluated on the chip model"
    values = run.read_json("cost.json")
    with damaged(run.path("cost.json")):
        return str(values["error"]) if "error" in values else run.chip().read_cost(values)


def kept_host_costs(run: Run) -> list[HostCost]:
    """What the last evaluation measured on its machine."""
    if not run.path("host.json").exists():
        return []
    kept = run.read_json("host.json")["costs"]
    with damaged(run.path("host.json")):
        return [HostCost.from_dict(values) for values in kept]


def host_costs(model: nn.Sequential, samples: SpikeDataset) -> list[HostCost]:
    """What the model costs on this machine's processor and, if there is one, GPU: one sample and many at once."""
    costs = []
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        here = copy.deepcopy(model).to(device)
        for n in (1, min(_HOST_BATCH, len(samples))):
            events = next(iter(samples.batches(n)))[0].to(device)
            try:
                costs.append(measure_host(here, events))
            except NotImplementedError:  # no engine for this device
                break
    return costs
