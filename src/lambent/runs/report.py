"""The report of a run: its values gathered and written as a page."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lambent.connections.connections import Entries
from lambent.events import Events
from lambent.hardware.chip import Chip, Cost, Network
from lambent.hardware.host_energy import HostCost
from lambent.layers import LIReadout, Spiking
from lambent.machine.showing import printable
from lambent.report.cores import CoreUse
from lambent.report.costs import CostFigure
from lambent.report.hearing import Hearing
from lambent.report.html import write
from lambent.report.model import LayerRates, LayerSize, RasterLayer, ReportData, SampleTrace, WeightMatrix
from lambent.report.spreads import Spread
from lambent.report.streams import Detections
from lambent.runs.evaluate import kept_chip_cost, kept_host_costs
from lambent.runs.evaluation import KINDS, Evaluation
from lambent.runs.export import exported_as_float, exported_network
from lambent.runs.repeating import changed, commands
from lambent.runs.streams import kept_curves
from lambent.training.config import Config
from lambent.training.model import build_model
from lambent.training.run import Run, versions

_TRACES = 2
"""Samples that are shown in full."""
_FALSE_ALARMS = (10.0, 5.0, 2.0, 1.0, 0.5)
"""An hour, of the operating points that are shown."""


def report_run(run: Run, path: Path | None = None) -> Path:
    """Write the HTML report of an evaluated run, to RUN/report.html unless told otherwise.

    Raises:
        FileNotFoundError: the run was not evaluated yet.
    """
    evaluation = kept_evaluation(run)
    quantised = network = None
    if "chip" in evaluation.scores and run.exported_bits() is not None:
        network = exported_network(run)
        quantised = exported_as_float(run, network)
    target = path or run.path("report.html")
    cost = kept_chip_cost(run)
    costs = [] if isinstance(cost, str) else cost_figures(printable(run.name), run.chip(), cost, kept_host_costs(run))
    write(report_data(run, evaluation, quantised, network, costs), target)
    return target


def kept_evaluation(run: Run) -> Evaluation:
    """What the last evaluation of a run found.

    Raises:
        FileNotFoundError: it was not evaluated yet, or this is no run.
        ValueError: its files are damaged.
    """
    if not run.path("evaluation.npz").exists():
        run.need("run.json")
        # run.json may name test data; but a folder may come from anybody, and does not say what is read
        raise FileNotFoundError(f"{run.folder}: not evaluated yet; run: lambent evaluate {run.folder} TEST.h5 --chip")
    return Evaluation.load(run.path("evaluation.npz"))


def report_data(
    run: Run,
    evaluation: Evaluation,
    quantised: nn.Sequential | None,
    network: Network | None,
    costs: Sequence[CostFigure] = (),
) -> ReportData:
    """Gather the values of a report.

    Args:
        run: a trained run.
        evaluation: its evaluation.
        quantised, network: the quantised model and the chip's network, if the chip was evaluated.
        costs: see `cost_figures`.

    Raises:
        FileNotFoundError, ValueError: a file of the run is missing or damaged.
    """
    model, facts, config = run.model(), run.facts("data", "threads", "versions"), run.config()
    history = run.metrics()
    on_chip = network is not None
    chip_bits: Sequence[int | None] = (run.exported_bits() if on_chip else None) or [None] * len(model)
    traces, examples = _shown(model, run.chip(), network, evaluation)
    again = [printable(line) for line in commands(run, evaluation)]
    by_program = {} if again else {"Trained by": _by_program(config)}
    about, cores = ({}, []) if network is None else _on_chip(run, network, evaluation)
    return ReportData(
        **answers(run, evaluation, on_chip),
        facts=about_run(run, model, evaluation) | by_program,
        versions=facts["versions"],
        history=history,
        streams=_streams(run),
        traces=traces,
        examples=examples,
        rates=[LayerRates(name, r) for name, r in zip(_counted(model), evaluation.rates, strict=True)],
        weights=_weights(model, quantised),
        spreads=_spreads(model, _at_start(config, facts), config.dt),
        sizes=layer_sizes(model, chip_bits),
        costs=costs,
        on_chip=about,
        cores=cores,
        commands=again,
    )


def answers(run: Run, evaluation: Evaluation, on_chip: bool) -> dict[str, Any]:
    """What a `ReportData` is told of the answers that an evaluation found."""
    course, temperature = evaluation.course, run.temperature()
    heard = None
    if course is not None:
        found = (course.answers == evaluation.labels[course.samples][:, None]).mean(0)
        heard = Hearing(course.times, found, len(course.samples))
    return {
        "title": printable(run.name),
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "accuracy": {kind: evaluation.accuracy(kind) for kind in KINDS if kind in evaluation.scores},
        "n_test": len(evaluation.labels),
        "agreement": evaluation.agreement() if on_chip else None,
        "class_names": run.facts()["class_names"],
        "labels": evaluation.labels,
        "predictions_float": evaluation.predictions("float"),
        "predictions_chip": evaluation.predictions("chip") if on_chip else None,
        "confidence_float": evaluation.confidence("float", temperature),
        "confidence_chip": evaluation.confidence("chip", temperature) if on_chip else None,
        "speakers": evaluation.speakers,
        "files": None if evaluation.files is None else [printable(name) for name in evaluation.files],
        "hearing": heard,
    }


def about_run(run: Run, model: nn.Sequential, evaluation: Evaluation) -> dict[str, str]:
    """What was trained, on what, and how long."""
    facts, config, history = run.facts("data", "threads"), run.config(), run.metrics()
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    data = facts["data"]
    found = {
        "Training data": f"{printable(str(data['train']))}{_samples(facts)}",
        "Test data": f"{printable(evaluation.data)}, {len(evaluation.labels):,} samples",
        "Network": " - ".join(str(n) for n in _sizes(model)),
        "Trained parameters": f"{parameters:,}",
        "Time step": f"{config.dt:g} ms",
        "Sample duration": f"{facts['duration']:g} ms",
        "Epochs": _epochs(len(history), config),
        "Training time": f"{sum(m['seconds'] for m in history):.0f} s on {facts['threads']} threads",
        "Seed": str(config.seed),
    }
    if config.layer:
        found["Layers"] = printable("; ".join(config.layer))
    if config.qat_bits:
        found["Quantisation-aware"] = _aware(history, config.qat_bits)
    if "from" in facts:
        found["Began with"] = printable(str(facts["from"]))
    return found


def _by_program(config: Config) -> str:
    """How to do again what no command does."""
    return printable(f"a program, with Config({', '.join(changed(config))})")


def _samples(facts: Mapping[str, Any]) -> str:
    n = facts.get("samples")
    return f", {n:,} samples" if isinstance(n, int) else ""


def _epochs(done: int, config: Config) -> str:
    if done >= config.all_epochs:
        return str(done)
    return f"{done} of {config.all_epochs}" + ("" if config.patience else ": training was not finished")


def _on_chip(run: Run, network: Network, evaluation: Evaluation) -> tuple[dict[str, str], list[CoreUse]]:
    """What was exported, for whom, and what was verified; and what each core holds."""
    chip, bits = run.chip(), dict.fromkeys(map(str, run.exported_bits() or []))
    found = {
        "Exported": printable(f"{run.network.name}, weights of {', '.join(bits)} bits"),
        f"Model of {chip.title}": f"{len(evaluation.labels):,} test samples run, "
        f"{100 * evaluation.accuracy('chip'):.2f} % recognised, {100 * evaluation.agreement():.2f} % as in float",
    }
    cores: list[CoreUse] = []
    try:
        placement = chip.place(network)
        found["Cores"] = f"{placement.n_cores:,}, with {placement.memory:,} bytes of synaptic memory"
        cores = _core_map(placement, network)
    except ValueError as error:
        found["Cores"] = f"does not fit: {error}"
    cost = kept_chip_cost(run)
    if not isinstance(cost, str):
        found["A sample"] = "; ".join(str(cost).splitlines())
    if run.path("on_chip.json").exists():
        update = run.read_json("on_chip.json")
        found["Learned there"] = "; ".join(
            f"{name.replace('_', ' ')} {_short(value)}" for name, value in update.items()
        )
    for reader, wrong in chip.readers(network).items():
        found[reader] = "runs it" if not wrong else f"would not run it as meant: {'; '.join(wrong)}"
    for folder in run.programs():
        if folder.is_dir():
            found[f"Checked, {folder.name}/"] = chip.verified(folder.name, folder)
    return found, cores


def _core_map(placement: Any, network: Network) -> list[CoreUse]:
    """What each core holds, layers called as elsewhere on the page; nothing of a chip that does not say."""
    if not hasattr(placement, "core_map"):
        return []
    last = len(network.layers) - 1
    names = {x.name: f"hidden {i + 1}" if i < last else "readout" for i, x in enumerate(network.layers)}
    return [
        CoreUse(core.row, core.column, {names.get(name, name): n for name, n in core.units.items()}, core.memory)
        for core in placement.core_map()
    ]


def _short(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value).lower()


def _aware(history: Sequence[Mapping[str, Any]], bits: str) -> str:
    epochs = sum("aware" in metrics for metrics in history)
    return f"weights of {bits} bits in the last {epochs} epochs; the float network here has the rounded weights"


def cost_figures(name: str, chip: Chip, modelled: Cost, measured: Sequence[HostCost]) -> list[CostFigure]:
    """The cost of the network `name` on its chip, what was measured for it on a machine, and the published figures."""
    costs = [CostFigure(f"{name}, {chip.title}", "modelled", modelled.latency, modelled.energy)]
    for host in measured:
        energy = host.energy if host.energy is not None and host.energy > 0 else None
        costs.append(CostFigure(f"{name}, {host.device}", "measured", host.latency, energy, host.batch))
    costs += [CostFigure(x.name, "published", x.latency, x.energy, x.batch) for x in chip.published()]
    return costs


def _counted(model: nn.Sequential) -> list[str]:
    """The hidden layers whose spikes an evaluation counts: those with parameters."""
    return [f"hidden {i + 1}" for i, layer in enumerate(list(model)[:-1]) if next(layer.parameters(), None) is not None]


def _sizes(model: nn.Sequential) -> list[int]:
    layers: list[Any] = list(model)
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


@torch.no_grad()
def sample_trace(
    model: nn.Sequential,
    chip: Chip,
    network: Network | None,
    events: Events,
    label: int | None = None,
    name: str = "",
) -> SampleTrace:
    """One sample's spikes in every layer and the readout's voltages.

    Args:
        model: the trained network.
        chip: the chip it is for.
        network: its version on the chip, if that is to be shown too.
        events: a batch of one.
        label: its class, if known.
        name: what to call it.
    """
    hidden = [events]
    for layer in list(model)[:-1]:
        hidden.append(layer(hidden[-1]))
    readout = model[-1]
    assert isinstance(readout, LIReadout)
    assert readout.dt is not None  # `lambent train` works on a grid
    layers = [RasterLayer("input", events.n_units, events.times.numpy(), events.units.numpy())]
    recording = predicted_chip = readout_chip = None
    if network is not None and network.readout is not None:
        recording = chip.run(network, events)
        predicted_chip = int(network.readout.scores(recording).argmax())
        voltages = network.readout.voltages(recording)
        readout_chip = None if voltages is None else voltages[0]
    for i, x in enumerate(hidden[1:]):
        on_chip: dict[str, np.ndarray] = {}
        if recording is not None and network is not None and len(network.layers) == len(model):
            units, steps = recording.spikes[i][0].nonzero()
            on_chip = {"times_chip": steps * readout.dt, "units_chip": units}
        layers.append(RasterLayer(f"hidden {i + 1}", x.n_units, x.times.numpy(), x.units.numpy(), **on_chip))
    return SampleTrace(
        layers,
        duration=events.duration,
        label=label,
        predicted_float=int(readout(hidden[-1]).argmax()),
        predicted_chip=predicted_chip,
        readout_float=readout.voltages(hidden[-1])[0].numpy(),
        readout_chip=readout_chip,
        dt=readout.dt,
        name=name,
    )


def _shown(
    model: nn.Sequential, chip: Chip, network: Network | None, evaluation: Evaluation
) -> tuple[list[SampleTrace], list[SampleTrace]]:
    """The samples that an evaluation kept: some to be shown in full, mistakes first, and one of each class."""
    found = []
    for i, place in enumerate(evaluation.shown.tolist()):
        name = f"sample {place}" if evaluation.files is None else printable(evaluation.files[place])
        label = int(evaluation.labels[place])
        found.append(sample_trace(model, chip, network, evaluation.samples[i], label, name))
    mistakes = [trace for trace in found if trace.answer != trace.label]
    examples: dict[int | None, SampleTrace] = {}
    for trace in found if len(found) > 1 else []:  # of older evaluations there is one
        if trace.label not in examples or trace.answer == trace.label:  # the last are those chosen for their class
            examples[trace.label] = trace
    return mistakes[:_TRACES] or found[:1], sorted(examples.values(), key=lambda trace: trace.label or 0)


def _streams(run: Run) -> list[Detections]:
    """What the last evaluation on streams found."""
    out = []
    for kind, curve in kept_curves(run).items():
        points = [(most, point) for most in _FALSE_ALARMS if (point := curve.at(most)) is not None]
        rows = [(most, x["threshold"], x["misses"], x["latency"]) for most, x in points]
        out.append(Detections(kind, np.array(curve.misses), np.array(curve.false_alarms), rows))
    return out


def _at_start(config: Config, facts: Mapping[str, Any]) -> nn.Sequential | None:
    """The model as training began it, delays and time constants; None where that cannot be told any more."""
    now = versions()
    if "from" in facts or any(facts["versions"].get(name) != now[name] for name in ("lambent", "torch")):
        return None
    return build_model(config, facts["n_units"], len(facts["class_names"]), facts["duration"])


_CALLED = {
    "delay": "delays of {}",
    "recurrent_delay": "delays of {} to itself",
    "tau_mem": "membranes of {}",
    "tau_syn": "synapses of {}",
}


def _spreads(model: nn.Sequential, before: nn.Sequential | None, dt: float) -> list[Spread]:
    """Delays and time constants of each layer, as they are and as they were `before`."""
    out = []
    layers: list[Any] = list(model)
    for i, layer in enumerate(layers):
        here = f"hidden {i + 1}" if isinstance(layer, Spiking) else "readout"
        for name, role in getattr(layer, "parameter_roles", {}).items():
            value = getattr(layer, name, None)
            if value is None or role == "weight":
                continue
            start = None if before is None else getattr(before[i], name, None)
            out.append(
                Spread(
                    _CALLED.get(name, f"{name} of {{}}").format(here),
                    "connections" if role == "delay" else "units",
                    value.detach().numpy(),
                    None if start is None else start.detach().numpy(),
                    dt if role == "delay" else None,
                )
            )
    return out


def _weights(model: nn.Sequential, quantised: nn.Sequential | None) -> list[WeightMatrix]:
    out = []
    rounded = dict(quantised.named_parameters()) if quantised is not None else {}
    layers: list[Any] = list(model)
    for name, parameter in model.named_parameters():
        number, kind = name.split(".")
        if kind not in ("weight", "recurrent_weight"):
            continue
        here = f"hidden {int(number) + 1}" if isinstance(layers[int(number)], Spiking) else "readout"
        before = f"hidden {number}" if int(number) else "input"
        title = f"{here} to itself" if kind == "recurrent_weight" else f"{before} to {here}"
        if name not in rounded or rounded[name].shape == parameter.shape:
            values = rounded[name].detach().numpy() if name in rounded else None
            out.append(WeightMatrix(title, parameter.detach().numpy(), values))
        elif quantised is not None:  # the chip has each connection by itself
            side = "recurrent" if kind == "recurrent_weight" else "connections"
            before_and_after = (getattr(x[int(number)], side).entries() for x in (model, quantised))
            out.append(WeightMatrix(title, *map(_in_order, before_and_after)))
    return out


def _in_order(entries: Entries) -> np.ndarray:
    """The weights of connections, by source and target."""
    return entries.weight.detach().numpy()[np.lexsort((entries.target.numpy(), entries.source.numpy()))]


def layer_sizes(model: nn.Sequential, chip_bits: Sequence[int | None]) -> list[LayerSize]:
    """What the weights of each layer take, in float and, at `chip_bits` each, on the chip."""
    out = []
    for i, (layer, bits) in enumerate(zip(model, chip_bits, strict=True)):
        matrices = [p for n, p in layer.named_parameters() if n in ("weight", "recurrent_weight")]
        weights = sum(p.numel() for p in matrices)
        shape = " + ".join("x".join(str(n) for n in p.shape) for p in matrices) or "no weights"
        name = f"hidden {i + 1}" if isinstance(layer, Spiking) else "readout"
        out.append(LayerSize(name, shape, weights, 4 * weights, bits))
    return out
