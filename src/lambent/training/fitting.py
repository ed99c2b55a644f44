"""`fit`: train any module with the trainer of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lambent.data import SpikeDataset
from lambent.machine.warn import warn_caller
from lambent.training.config import RUNNING, Config
from lambent.training.folder import Folder
from lambent.training.history import History
from lambent.training.interrupt import Stop, stop_on_interrupt
from lambent.training.lock import locked
from lambent.training.loop import hold_out, of_one_class, run_epochs
from lambent.training.objective import Loss, Metrics, Objective
from lambent.training.scoring import device_of
from lambent.training.trainer import Augment, Source, Trainer, Watcher

Callback = Callable[[dict[str, float]], bool | None]

SETTINGS = (
    "batch_size", "lr_tau", "lr_delay", "schedule", "warmup", "weight_decay", "clip", "label_smoothing",
    "rate_strength", "rate_lower", "rate_upper",
)  # fmt: skip
"""Settings of `lambent train` that `fit` takes beside its own arguments."""

# no augmentation unless asked for, and what wants to be trained is
_DEFAULTS: dict[str, Any] = {
    "shift": 0.0, "stretch": 0.0, "shift_time": 0.0, "dilate": 0.0, "mask": 0.0, "mask_time": 0.0, "blend": 0.0,
    "valid": 0.0, "lr_tau": 0.1,
}  # fmt: skip


def fit(
    model: nn.Module,
    train: Source,
    valid: Source | float | None = None,
    *,
    epochs: int = 30,
    lr: float = Config.lr,
    loss: Loss | None = None,
    metrics: Metrics | None = None,
    augment: Augment | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: Any = None,
    callbacks: Iterable[Callback] = (),
    patience: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    seed: int = 0,
    progress: bool = True,
    **settings: Any,
) -> History:
    """Train a model in place, on the device where it is.

    The loop is that of ``lambent train``: AdamW with a rate for each kind of parameter and a cosine schedule, gradients
    clipped, constraints kept (`constrain_`), units pulled into a band of activity (`lambent.losses.rate_penalty`).
    Everything that `requires_grad` is trained: also time constants, thresholds, biases and delays. With validation the
    weights of the best epoch are in the model in the end: of the last whose accuracy is within a standard error of the
    highest, since the highest of many is luck and later epochs are trained longer, or else of the least loss. So they
    are after Ctrl-C, which stops after the current batch, keeps the checkpoint where there is a folder, and then
    interrupts the program as ever.

    Args:
        model: any module that takes `Events`, with ordinary layers before or behind if you like.
        train: a `SpikeDataset`, another data set of pairs (`Events`, target), or batches of such pairs: a
            `torch.utils.data.DataLoader` or a list of them. Models that begin with an encoder may take tensors.
        valid: the same to validate on after each epoch, or the share of the training samples to hold out for it; of
            whole speakers, where the set says who spoke and the share is two or more.
        epochs: passes over the training data.
        lr: learning rate of weights, thresholds and biases, at its highest.
        loss: a function (outputs, targets) -> number to minimise. Left out, what suits the targets: cross-entropy of
            whole numbers, one a sample or one a step (where -100 does not count), with label smoothing 0.1; mean
            squared error of floats. Where a readout gives every step (reduce="none"), a sample's label is that of each.
        metrics: functions (outputs, targets) -> number to show, by name; left out, the accuracy of classes.
        augment: (events, targets, generator) -> events, of training batches, such as
            ``lb.data.augment.Compose([lb.data.augment.JitterTimes(2.0)])``.
        optimizer: of the model's parameters; `lr` and the settings of rates are then not looked at.
        scheduler: a scheduler of `torch.optim.lr_scheduler`, or a function that makes one for the optimiser; stepped
            after each epoch.
        callbacks: called with the metrics after each epoch; one that returns True stops the training.
        patience: stop after this many epochs without a better validation; 0: never.
        folder: where to keep checkpoint.pt, best.pt (the best `state_dict`) and metrics.jsonl. Never written over.
        resume: go on from the folder's checkpoint: bit for bit as if it had not stopped, with the same model, data and
            arguments, of which `epochs`, `patience` and the device may change.
        seed: of the order of samples and what the model draws (dropout, encoders). Initial weights are the model's own.
        progress: show a line for each epoch.
        settings: others of ``lambent train``: batch_size (32), lr_tau (0.1 ms), lr_delay (0.5 ms), schedule ("cosine",
            "constant"), warmup, weight_decay, clip, label_smoothing, rate_strength (0.1; with another loss than
            cross-entropy 0), rate_lower, rate_upper.

    Raises:
        TypeError: an unknown setting, or data of another kind.
        ValueError: a value is out of range, outputs do not fit the targets, training diverged, nothing of the model
            requires a gradient, or the folder holds a training already.
        KeyboardInterrupt: Ctrl-C was pressed.
        FileNotFoundError: nothing to resume.

    Example:
        >>> data = lb.data.yin_yang(300, seed=0)
        >>> model = torch.nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, scale=30))
        >>> history = lb.fit(model, data, valid=0.1, epochs=3, progress=False)
        >>> len(history["val_accuracy"])
        3
    """
    if isinstance(valid, float):
        if not isinstance(train, SpikeDataset):
            raise TypeError("valid is a share of samples, for which train must be a SpikeDataset")
        train, valid = hold_out(train, valid, seed)
    held: Source | None = valid
    for name, data in (("train", train), ("valid", held)):
        if isinstance(data, Sized) and len(data) == 0:
            raise ValueError(f"{name} holds no samples")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("nothing of the model requires a gradient: there is nothing to train")
    for name, given, wanted in (("loss", loss, "a function"), ("metrics", metrics, "functions by name")):
        if isinstance(given, str) or (name == "loss" and given is not None and not callable(given)):
            raise TypeError(f"{name} must be {wanted} of (outputs, targets), got {given!r}")
    if optimizer is not None and not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be made, such as torch.optim.SGD(model.parameters(), 0.1), got {optimizer!r}")
    size = settings.get("batch_size", Config.batch_size)
    train, held = _batched(train, size, True), _batched(held, size, False)
    if loss is None and isinstance(train, SpikeDataset) and of_one_class(train):
        warn_caller(f"all {len(train)} samples of train are of one class: there is nothing to tell apart")
    own = {"epochs": epochs, "lr": lr, "patience": patience, "seed": seed, "device": device_of(model).type}
    config = config_of(loss is None and _has_classes(train), settings, **own)
    if optimizer is None and isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler):
        optimizer = scheduler.optimizer
    trainer = Trainer(
        model, config, train, held,
        objective=Objective(loss, metrics, config.label_smoothing), augment=augment, optimizer=optimizer,
    )  # fmt: skip
    trainer.scheduler = scheduler(trainer.optimizer) if callable(scheduler) else scheduler
    if folder is None:
        if resume:
            raise ValueError("resume needs the folder of the training")
        keeper: _Memory | _InFolder = _Memory(held is not None)
    else:
        known = {"batches": trainer.batches, "model": str(model)}
        if isinstance(train, SpikeDataset):
            known["data"] = train.checksum()
        keeper = _InFolder(folder, vars(config) | known)
        keeper.begin(trainer, resume)
    training = model.training
    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(locked(Path(folder)))
        stop = stack.enter_context(stop_on_interrupt())
        shown = stack.enter_context(_shown(epochs, trainer.state.epoch)) if progress else None
        watcher = _Watcher(shown, list(callbacks), stop)
        finished = run_epochs(trainer, keeper, watcher, stop)
    if held is not None and (best := keeper.best_model()) is not None:
        model.load_state_dict(best)
    model.train(training)
    seen = keeper.metrics()
    if seen and seen[-1]["silent"] == 1:
        warn_caller(
            "no unit spiked in the last epoch: the model has learned nothing from its input. Scale its weights with "
            "lambent.calibrate(model, events) before training"
        )
    if stop.asked and not finished and not watcher.done:
        kept = "" if folder is None else "; with resume=True it goes on"
        raise KeyboardInterrupt(f"training was stopped in epoch {trainer.state.epoch + 1} of {epochs}{kept}")
    return History(seen, trainer.state.best_epoch, finished)


def config_of(classes: bool, settings: dict[str, Any], **own: Any) -> Config:
    """Settings with the defaults of `fit`, where they are another's than those of the command line.

    Args:
        classes: whether the loss is the cross-entropy, beside which the rate penalty has its usual weight.
        settings: those that a caller gave, of `SETTINGS`.
        own: others.

    Raises:
        TypeError: an unknown setting.
        ValueError: a value is out of range.
    """
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise TypeError(f"no setting {unknown[0]!r}; there are {', '.join(SETTINGS)}")
    defaults = _DEFAULTS if classes else _DEFAULTS | {"rate_strength": 0.0}
    return Config(**(defaults | settings | own))


def _has_classes(data: Source) -> bool:
    """Whether targets are whole numbers, as far as that can be told without reading data: batches are taken to be."""
    targets = data.targets if isinstance(data, SpikeDataset) else None
    return targets is None or targets.dtype.kind == "i"


def _batched(data: Any, size: int, shuffle: bool) -> Any:
    """Batches of a data set of torch's, such as a `Subset`; what is known to the trainer as it is."""
    if isinstance(data, torch.utils.data.Dataset) and not isinstance(data, SpikeDataset):
        return torch.utils.data.DataLoader(data, size, shuffle=shuffle)
    return data


def _shown(epochs: int, done: int) -> Any:
    from rich.console import Console

    from lambent.training.progress import RichWatcher

    return RichWatcher(Console(), epochs, done)


class _Watcher:
    """Shows progress and calls the callbacks."""

    def __init__(self, shown: Watcher | None, callbacks: list[Callback], stop: Stop) -> None:
        self.shown, self.callbacks, self.stop, self.done = shown, callbacks, stop, False

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        if self.shown is not None:
            self.shown.batch(epoch, done, of, metrics)

    def epoch(self, metrics: dict[str, float]) -> None:
        if self.shown is not None:
            self.shown.epoch(metrics)
        for callback in self.callbacks:
            if callback(dict(metrics)):
                self.stop.asked = self.done = True


class _Memory:
    """Keeps the best model, where that is wanted, and the metrics."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._best: dict[str, Tensor] | None = None
        self._metrics: list[dict[str, Any]] = []

    def checkpoint(self, values: dict[str, Any]) -> None:
        pass

    def best(self, model: dict[str, Tensor]) -> None:
        if self._wanted:
            self._best = {name: value.detach().clone() for name, value in model.items()}

    def best_model(self) -> dict[str, Tensor] | None:
        return self._best

    def record(self, metrics: dict[str, float]) -> None:
        self._metrics.append(metrics)

    def metrics(self) -> list[dict[str, Any]]:
        return self._metrics


class _InFolder:
    """Keeps checkpoint, best model and metrics in a folder."""

    def __init__(self, folder: str | Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = Folder(folder), settings
        self.record, self.metrics = self.folder.record, self.folder.metrics

    def begin(self, trainer: Trainer, resume: bool) -> None:
        """Make the folder, or with `resume` bring the trainer where its checkpoint is."""
        place = self.folder.folder
        if resume:
            checkpoint = self.folder.load("checkpoint.pt")
            began = checkpoint.get("settings", {})
            for name, value in self.settings.items():
                if name in ("model", "data") and began.get(name) != value:
                    other = "other data" if name == "data" else "another model"
                    raise ValueError(f"{place}: its checkpoint is of {other}; resume with the same")
                if name not in RUNNING and began.get(name) != value:
                    raise ValueError(
                        f"{place}: {name} was {began.get(name)!r} when the training began, is {value!r}; put it back, "
                        "or train into another folder"
                    )
            try:
                trainer.restore(checkpoint)
            except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"{place}: its checkpoint is of another model or optimiser: {error}") from error
            self.folder.check_metrics(trainer.state.epoch)
            return
        if place.exists() and (not place.is_dir() or self.folder.names()):
            raise ValueError(
                f"{place}: holds files already; resume=True goes on with a training, else take a new folder"
            )
        place.mkdir(parents=True, exist_ok=True)
        self.checkpoint(trainer.checkpoint())

    def checkpoint(self, values: dict[str, Any]) -> None:
        self.folder.save("checkpoint.pt", values | {"settings": self.settings})

    def best(self, model: dict[str, Tensor]) -> None:
        self.folder.save("best.pt", model)

    def best_model(self) -> dict[str, Tensor] | None:
        return self.folder.load("best.pt") if self.folder.path("best.pt").exists() else None
