"""The steps of the command line as functions on run folders: train, export, evaluate, report."""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.hardware import HostCost, measure_host
from lambent.hardware.loihi2 import (
    Cost,
    Loihi2Network,
    Mapping,
    NetxReport,
    estimate_cost,
    export_netx,
    load_netx,
    map_to_cores,
)
from lambent.hardware.loihi2.cost import mean_cost
from lambent.hardware.loihi2.fixed import OnGrid
from lambent.quantize import quantized_model
from lambent.report import write
from lambent.runs.evaluation import Evaluation, evaluate, load_test_data, match_classes
from lambent.runs.report_data import cost_figures, report_data
from lambent.training import Config, Run, train
from lambent.training.config import NETWORK, RUNNING
from lambent.training.progress import RichWatcher, TensorBoardWatcher

_CHIP_BATCH, _HOST_BATCH = 50, 64


def load_training_data(
    train: Path, test: Path | None, config: Config, least: float = 0.0
) -> tuple[SpikeDataset, SpikeDataset | None]:
    """Read training and test data with one duration: `config.duration`, or what holds every spike of both.

    Args:
        least: a duration [ms] that this must not fall below.

    Raises:
        FileNotFoundError, ValueError: as `SpikeDataset.from_shd`; or the two do not fit each other.
    """
    duration = config.duration or None
    data = SpikeDataset.from_shd(train, duration)
    least = max(data.duration, 0.0 if duration else least)
    if test is None:
        return data.with_duration(least), None
    held = match_classes(SpikeDataset.from_shd(test, duration, data.n_units), data.class_names, str(test))
    if len(held) == 0:
        raise ValueError(f"{test}: holds no samples")
    longest = max(least, held.duration)
    return data.with_duration(longest), held.with_duration(longest)


def train_run(
    run: Run,
    config: Config,
    data: SpikeDataset,
    source: dict[str, str | None],
    console: Console,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    start: Run | None = None,
) -> bool:
    """Train `run` with progress on `console`; False if interrupted. See `lambent.training.train`.

    Args:
        source: names of the data, kept in run.json: "train" and "test".
        start: a trained run whose model to start from.
    """
    facts = {
        "data": source,
        "n_units": data.n_units,
        "class_names": data.class_names,
        "duration": data.duration,
        "samples": len(data),
        "checksum": data.checksum(),
        "settings": vars(config),
        "threads": config.threads or torch.get_num_threads(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    model = None
    if start is not None:
        other, settled = start.facts(), start.config()
        for key, what in (("n_units", "input units"), ("class_names", "classes")):
            if other[key] != facts[key]:
                raise ValueError(f"{start.folder}: has other {what} than the data")
        for key in NETWORK:
            if getattr(config, key) != getattr(settled, key):
                raise ValueError(f"{start.folder}: has {key} = {getattr(settled, key)}, which cannot be changed")
        model = start.model().state_dict()
        facts["from"] = str(start.folder)
    if resume:
        known = run.facts("data")
        for key in ("n_units", "class_names", "duration", "samples", "checksum"):
            if known.get(key, facts[key]) != facts[key]:
                raise ValueError(
                    f"{run.folder}: was trained on other data ({known['data'].get('train')}): "
                    f"{key} was {known[key]}, is {facts[key]}; resume with the same"
                )
        began = known.get("settings", {})
        for key, value in vars(config).items():
            if key not in RUNNING and began.get(key, value) != value:
                raise ValueError(
                    f"{run.path('config.toml')}: {key} was {began[key]!r} when the run began, is {value!r}; put it "
                    "back, or begin another run with --from"
                )
    with ExitStack() as stack:
        watcher: Any = stack.enter_context(RichWatcher(console, config.all_epochs, len(run.metrics()) if resume else 0))
        if tensorboard:
            watcher = TensorBoardWatcher(watcher, run.folder / "tensorboard")
        return train(run, config, data, watcher, facts=facts, resume=resume, model=model)


def calibration_events(run: Run) -> Events:
    """The training samples that a run keeps to measure activity on."""
    saved, facts = run.load("calibration.pt"), run.facts()
    with _damaged(run.path("calibration.pt")):
        return Events(saved["times"], saved["units"], saved["offsets"], facts["n_units"], facts["duration"])


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Say that it was this file in which something was missing or wrong."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: damaged: {error!r}") from error


def export_run(
    run: Run,
    weight_bits: int | Sequence[int] | None = None,
    path: Path | None = None,
    lava_compatible: bool = False,
) -> NetxReport:
    """Quantise the run's model and write it as NetX, to RUN/NAME.net unless told otherwise; see `export_netx`."""
    own = path is None or path.resolve() == run.netx.resolve()
    report = export_netx(
        run.trained_model(),
        path or run.netx,
        weight_bits,
        calibration=calibration_events(run),
        labels=run.facts()["class_names"],
        lava_compatible=lava_compatible,
    )
    if own:
        run.write_json(
            "export.json", {"file": run.netx.name, "weight_bits": [layer.weight_bits for layer in report.layers]}
        )
        run.outdate(export=False)
    return report


def evaluate_run(
    run: Run,
    data: SpikeDataset | Path,
    *,
    chip: bool,
    crop: bool = False,
    host: bool = False,
    source: str = "",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Evaluate the run's model, and with `chip` its exported network, on test data; kept for the report.

    A run that was not exported yet is exported, with the bits it was trained for, else 8.

    Args:
        data: samples, or a file of them.
        chip: also run the exported network on the chip model, and model what it costs (cost.json in the run).
        host: also measure what the float network costs on this machine (host.json in the run).
        crop: drop spikes past the run's duration.
        source: what to call the data; a file's own path where left out.
        progress: called with the number of samples done and in all.
    """
    samples = load_test_data(run, data, crop) if isinstance(data, Path) else data
    source = source or str(data)
    model = run.model()
    quantised = network = None
    if chip:
        if not run.netx.exists():
            export_run(run)
        network = load_netx(run.netx)
        quantised = quantised_like_export(run)
    evaluation = evaluate(model, samples, source, quantised, network, progress)
    evaluation.save(run.path("evaluation.npz"))
    for name in ("cost.json", "host.json"):  # of the last evaluation
        run.path(name).unlink(missing_ok=True)
    if network is not None:
        cost = simulate(network, samples).cost
        run.write_json("cost.json", {"error": cost} if isinstance(cost, str) else cost.as_dict())
    if host:
        run.write_json("host.json", {"costs": [cost.as_dict() for cost in host_costs(model, samples)]})
    return evaluation


@dataclass(frozen=True)
class Simulation:
    """What a network did on a data set, on the chip model.

    Attributes:
        samples, steps, seconds: how many, of how many time steps in all, in what time.
        spikes: spikes a sample of each layer.
        accuracy: share of right answers, None for a network without a readout.
        mapping: its cores, with the traffic of some samples; or why it does not fit on a chip.
        cost: what a sample costs on the chip, modelled; or why it does not fit on one.
    """

    samples: int
    steps: int
    seconds: float
    spikes: tuple[float, ...]
    accuracy: float | None
    mapping: Mapping | str
    cost: Cost | str


def simulate(
    network: Loihi2Network,
    samples: SpikeDataset,
    *,
    partition: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Simulation:
    """Run a network on the chip model, and model what a sample costs on the chip.

    Args:
        partition: place units so that fewer spikes go from core to core; see `map_to_cores`.
        progress: called with the number of samples done and in all.

    Raises:
        ValueError: the data have more classes than the network.
    """
    mapping: Mapping | str
    try:
        mapping = map_to_cores(network)
    except ValueError as error:
        mapping = str(error)
    readout, spikes = network.readout, np.zeros(len(network.layers))
    done, right, steps, seconds = 0, 0, 0, 0.0
    costs: list[tuple[int, Cost]] = []
    for events, labels in samples.batches(_CHIP_BATCH):
        start = time.perf_counter()
        run = network.run(events, ("spikes", readout.reads) if readout else ("spikes",))
        seconds += time.perf_counter() - start
        spikes += [np.count_nonzero(s) for s in run.spikes]
        steps += len(labels) * run.spikes[0].shape[2]
        if readout is not None:
            scores = readout.scores(run)
            if labels.max() >= scores.shape[1]:
                raise ValueError(f"the network has {scores.shape[1]} classes, the data a label {int(labels.max())}")
            right += int((scores.argmax(1) == labels.numpy()).sum())
        if not isinstance(mapping, str):
            mapping = mapping if costs else map_to_cores(network, run, partition=partition)
            costs.append((len(labels), estimate_cost(network, run, mapping)))
        done += len(labels)
        progress(done, len(samples))
    return Simulation(
        samples=done,
        steps=steps,
        seconds=seconds,
        spikes=tuple((spikes / done).tolist()),
        accuracy=None if readout is None else right / done,
        mapping=mapping,
        cost=mapping if isinstance(mapping, str) else mean_cost(costs),
    )


def kept_chip_cost(run: Run) -> Cost | str:
    """The modelled cost of the last evaluation, or why there is none."""
    if not run.path("cost.json").exists():
        return "not evaluated on the chip model"
    values = run.read_json("cost.json")
    with _damaged(run.path("cost.json")):
        return str(values["error"]) if "error" in values else Cost.from_dict(values)


def kept_host_costs(run: Run) -> list[HostCost]:
    """What the last evaluation measured on its machine."""
    if not run.path("host.json").exists():
        return []
    kept = run.read_json("host.json")["costs"]
    with _damaged(run.path("host.json")):
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


def trained_for_other_bits(run: Run, weight_bits: Sequence[int]) -> bool:
    """Whether quantisation-aware training was for other numbers of bits than these, one for each layer."""
    trained = _trained_bits(run.trained_model())
    return bool(trained) and trained != list(weight_bits)


def _trained_bits(model: nn.Sequential) -> list[int]:
    """The bits of each layer that a model was trained for; none for a float model."""
    return [layer.grid.bits for layer in model if isinstance(layer, OnGrid)]


def quantised_like_export(run: Run) -> nn.Sequential | None:
    """The float model with the values of the run's exported network; None if it was trained with just these."""
    bits, trained = run.read_json("export.json")["weight_bits"], run.trained_model()
    if bits == _trained_bits(trained):
        return None
    return quantized_model(trained, bits, calibration=calibration_events(run))


def report_run(run: Run, path: Path | None = None) -> Path:
    """Write the HTML report of an evaluated run, to RUN/report.html unless told otherwise.

    Raises:
        FileNotFoundError: the run was not evaluated yet and its test data is not there.
    """
    if not run.path("evaluation.npz").exists():
        test = run.facts("data")["data"].get("test")
        if not test or not Path(test).exists():
            raise FileNotFoundError(
                f"{run.folder}: not evaluated yet; run: lambent evaluate {run.folder} TEST.h5 --chip"
            )
        evaluate_run(run, Path(test), chip=True)
    evaluation = Evaluation.load(run.path("evaluation.npz"))
    quantised = network = None
    if "chip" in evaluation.scores and run.netx.exists():
        network = load_netx(run.netx)
        quantised = quantised_like_export(run)
    target = path or run.path("report.html")
    cost = kept_chip_cost(run)
    costs = [] if isinstance(cost, str) else cost_figures(run.name, cost, kept_host_costs(run))
    write(report_data(run, evaluation, quantised, network, costs), target)
    return target
