"""Training a run."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lambent.data import SpikeDataset
from lambent.runs.evaluation import match_classes, match_values
from lambent.training.config import NETWORK, Config
from lambent.training.distributed import Processes
from lambent.training.loop import train
from lambent.training.progress import RichWatcher, TensorBoardWatcher
from lambent.training.run import Run


def load_training_data(
    train: Path,
    test: Path | None,
    config: Config,
    least: float = 0.0,
    *,
    valid: Path | None = None,
    n_units: int | None = None,
    time_unit: str | None = None,
) -> tuple[SpikeDataset, SpikeDataset | None, SpikeDataset | None]:
    """Read training, test and validation data with one duration: `config.duration`, or what holds every spike of all.

    Args:
        least: a duration [ms] that this must not fall below.
        n_units, time_unit: as for `SpikeDataset.from_shd`.

    Raises:
        FileNotFoundError, ValueError: as `SpikeDataset.from_shd`; or they do not fit each other.
    """
    duration = config.duration or None
    data = SpikeDataset.from_shd(train, duration, n_units, time_unit=time_unit)
    least = max(data.duration, 0.0 if duration else least)

    def alike(path: Path) -> SpikeDataset:
        held = SpikeDataset.from_shd(path, duration, data.n_units, time_unit=time_unit)
        held = match_classes(held, data.class_names, str(path))
        match_values(held, data.values is not None, str(path))
        if len(held) == 0:
            raise ValueError(f"{path}: holds no samples")
        return held

    others = [None if path is None else alike(path) for path in (test, valid)]
    longest = max([least, *(held.duration for held in others if held is not None)])
    held_out, chosen_on = (None if held is None else held.with_duration(longest) for held in others)
    return data.with_duration(longest), held_out, chosen_on


def with_fine_steps(config: Config, data: SpikeDataset) -> Config:
    """`config` with a step of which its samples have at least fifty; for settings in which nobody said the step."""
    fits = (step for step in (4.0, 2.0, 1.0, 0.5, 0.2) if 50 * step <= data.duration)
    return replace(config, dt=min(config.dt, next(fits, 0.1)))


def train_run(
    run: Run,
    config: Config,
    data: SpikeDataset,
    source: Mapping[str, str | None],
    console: Console,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    start: Run | None = None,
    on_chip: bool = False,
    processes: Processes | None = None,
    each: Callable[[dict[str, float]], None] | None = None,
    valid: SpikeDataset | None = None,
) -> bool:
    """Train `run` with progress on `console`; False if interrupted. See `lambent.training.train`.

    Args:
        source: where the data come from, kept in run.json: files "train", "valid" and "test", and the "time_unit" in
            them.
        start: a trained run whose model to start from.
        on_chip: learn on the model of the chip, see `lambent.training.train`; what is resumed goes on as it began.
        processes: those that train together, see `lambent.training.train`.
        each: called with the metrics of each epoch, once it is kept; what it raises ends the training.
        valid: samples that choose the best epoch, in place of the share of `data` that the settings hold out.

    """
    facts = {
        "data": dict(source),
        "n_units": data.n_units,
        "class_names": data.class_names,
        "duration": data.duration,
        "samples": len(data),
        "checksum": data.checksum(),
        "valid_checksum": None if valid is None else valid.checksum(),
        "level": data.level,
        "graded": data.values is not None,
        "settings": vars(config),
        "threads": config.threads or torch.get_num_threads(),
        "on_chip": on_chip,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    model = None
    if start is not None:
        other, settled = start.facts(), start.config()
        for key, what in (("n_units", "input units"), ("class_names", "classes"), ("graded", "kind of spikes")):
            if other.get(key, facts[key]) != facts[key]:
                raise ValueError(f"{start.folder}: has other {what} than the data")
        for key in NETWORK:
            if getattr(config, key) != getattr(settled, key):
                raise ValueError(f"{start.folder}: has {key} = {getattr(settled, key)}, which cannot be changed")
        model = start.model().state_dict()
        facts["from"] = str(start.folder)
    if resume:
        known = run.facts("data")
        on_chip = known.get("on_chip", False)
        for key in ("n_units", "class_names", "duration", "samples", "checksum"):
            if known.get(key, facts[key]) != facts[key]:
                raise ValueError(
                    f"{run.folder}: was trained on other data ({known['data'].get('train')}): "
                    f"{key} was {known[key]}, is {facts[key]}; resume with the same"
                )
        if known.get("valid_checksum") != facts["valid_checksum"]:
            was = known["data"].get("valid")
            raise ValueError(f"{run.folder}: was validated on other data; give the same --validate ({was})")
        run.check_settings(config)
    if on_chip and processes is not None:
        raise ValueError("learning on a chip takes one process; leave torchrun out")
    with ExitStack() as stack:
        watcher: Any = stack.enter_context(RichWatcher(console, config.all_epochs, len(run.metrics()) if resume else 0))
        if tensorboard:
            watcher = TensorBoardWatcher(watcher, run.folder / "tensorboard")
        if each is not None:
            watcher = _Telling(watcher, each)
        return train(
            run, config, data, watcher, facts=facts, resume=resume, model=model, on_chip=on_chip,
            processes=processes, valid=valid,
        )  # fmt: skip


class _Telling:
    """Hands epochs on to another watcher, and to a function."""

    def __init__(self, watcher: Any, each: Callable[[dict[str, float]], None]) -> None:
        self.watcher, self.each, self.batch = watcher, each, watcher.batch

    def epoch(self, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        self.watcher.epoch(metrics)
        self.each(metrics)
