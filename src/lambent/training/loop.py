"""The training loop: `train` fits the model of a `Config`, writing its run folder as it goes."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lambent.data import DeviceDataset, SpikeDataset, augment
from lambent.events import Events
from lambent.losses import rate_penalty, readout_cross_entropy
from lambent.machine.threads import engine_only_threads
from lambent.machine.waiting import Reading, run_ahead
from lambent.quantize import quantization_aware
from lambent.quantize.aware import aware_of
from lambent.training.config import Config
from lambent.training.model import build_model, calibrate
from lambent.training.run import Run

EVALUATION_BATCH = 100
_CALIBRATION_SAMPLES = 64


class Watcher(Protocol):
    """What `train` reports to; see `lambent.training.progress`."""

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        """A batch is done; `metrics` are the epoch's so far."""

    def epoch(self, metrics: dict[str, float]) -> None:
        """An epoch is done."""


@dataclass
class State:
    """Where a run is. Randomness is a function of (seed, epoch, batch), so this is all it takes to go on.

    `best_epoch` is the one whose model is kept. `aware_from` is the number of epochs before quantisation-aware training
    began, None if it did not begin; a `best_epoch` of that number is the model as quantised, not trained on.
    """

    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_accuracy: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0
    aware_from: int | None = None


def generator(seed: int, *where: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator for one place in a run."""
    word = np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(word >> 1))


def augmentation(config: Config, data: SpikeDataset | DeviceDataset) -> augment.Compose:
    """The augmentations that `config` asks for."""
    steps: list[Any] = []
    if config.blend:
        steps.append(augment.Blend(data, config.blend))
    if config.dilate:
        steps.append(augment.Dilate(1 / (1 + config.dilate), 1 + config.dilate))
    if config.shift:
        steps.append(augment.ShiftChannels(config.shift))
    if config.shift_time:
        steps.append(augment.ShiftTime(config.shift_time))
    if config.jitter:
        steps.append(augment.JitterTimes(config.jitter))
    if config.drop:
        steps.append(augment.Drop(config.drop))
    return augment.Compose(steps)


def forward(model: nn.Sequential, events: Events) -> tuple[Tensor, list[Events]]:
    """The model's output and the events that each of its spiking layers emitted."""
    hidden = []
    x: Any = events
    for layer in model:
        x = layer(x)
        if isinstance(x, Events):
            hidden.append(x)
    return x, hidden


@torch.no_grad()
def predict(model: nn.Sequential, data: SpikeDataset | DeviceDataset) -> tuple[Tensor, Tensor]:
    """Class scores (n, classes) and labels (n,) of a whole data set."""
    parts = [(model(events), labels) for events, labels in data.batches(EVALUATION_BATCH)]
    scores, labels = zip(*parts, strict=True)
    return torch.cat(scores), torch.cat(labels)


class Trainer:
    """Model, optimiser and state of a run.

    Args:
        config: the settings.
        data: training samples.
        valid: samples that choose the best epoch, or None: the last epoch is the best.
        n_classes: number of classes.
    """

    def __init__(self, config: Config, data: SpikeDataset, valid: SpikeDataset | None, n_classes: int) -> None:
        self.config = config
        self.batches = math.ceil(len(data) / config.batch_size)
        self.state = State()
        self._samples = data, valid
        self._settle(build_model(config, data.n_units, n_classes), config.device)

    def _settle(self, model: nn.Sequential, device: str) -> None:
        """Train `model` on `device` from now on."""
        self.device, self.model = torch.device(device), model.to(device)
        data, valid = self._samples
        self.data, self.valid = self._on_device(data), None if valid is None else self._on_device(valid)
        self.augment = augmentation(self.config, self.data)
        self.optimizer = self._adam(self.model)

    def _on_device(self, data: SpikeDataset) -> SpikeDataset | DeviceDataset:
        return data if self.device.type == "cpu" else DeviceDataset(data, self.device)

    def _adam(self, model: nn.Sequential) -> torch.optim.AdamW:
        config = self.config
        groups = {"weight": config.lr, "tau": config.lr_tau, "delay": config.lr_delay}
        members: dict[str, list[nn.Parameter]] = {name: [] for name in groups}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                members[next(g for g in groups if g in name)].append(parameter)
        return torch.optim.AdamW(
            [
                {"params": members[g], "base": lr, "weight_decay": config.weight_decay if g == "weight" else 0.0}
                for g, lr in groups.items()
                if members[g]
            ],
            lr=config.lr,
            fused=True,
        )

    def start(self, model: Mapping[str, Tensor] | None = None) -> None:
        """Take the values of another model, given as its `state_dict`, or scale the initial weights to the data."""
        if model is not None:
            self.model.load_state_dict(model)
            return
        chosen = torch.randperm(len(self.data), generator=generator(self.config.seed, 0))[:EVALUATION_BATCH]
        calibrate(self.model, self.data.batch(chosen)[0], self.config.initial_spikes)

    def start_aware(self, calibration: Events) -> None:
        """Go on with quantised weights, on scales chosen for the events `calibration`."""
        bits, chip = self.config.weight_bits() or 8, self.config.chip
        aware = quantization_aware(self.model.cpu(), bits, calibration=calibration, chip=chip)
        self._settle(aware, "cpu")  # where the chip model runs
        self.state.aware_from = self.state.best_epoch = self.state.epoch
        self.state.best_accuracy = -1.0

    def finished(self) -> bool:
        """Whether float training, or where it goes on the quantisation-aware one, is done."""
        state, config = self.state, self.config
        last = config.epochs if state.aware_from is None else state.aware_from + config.qat_epochs
        return state.epoch >= last or 0 < config.patience <= state.epoch - state.best_epoch

    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished() and (not self.config.qat_bits or self.state.aware_from is not None)

    def rate(self) -> float:
        """The factor of the schedule on the learning rates, from how much is done."""
        config, aware_from = self.config, self.state.aware_from
        done = self.state.epoch + self.state.batch / self.batches - (aware_from or 0)
        rise = min(1.0, (done + 1 / self.batches) / config.warmup) if config.warmup else 1.0
        factor = rise if aware_from is None else rise * config.qat_lr
        if config.schedule == "constant":
            return factor
        epochs = config.epochs if aware_from is None else config.qat_epochs
        return factor * 0.5 * (1 + math.cos(math.pi * done / epochs))

    def step(self, events: Events, labels: Tensor) -> dict[str, float]:
        """One optimiser step; returns sums over the batch.

        Raises:
            ValueError: training diverged.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * self.rate()

        def gradients() -> Reading:
            self.optimizer.zero_grad()
            scores, hidden = forward(self.model, events)
            loss = readout_cross_entropy(scores, labels, config.logit_scale, config.label_smoothing)
            penalty = sum(rate_penalty(h, config.rate_lower, config.rate_upper) for h in hidden)
            counts = torch.cat([h.counts().detach() for h in hidden], 1)
            correct, silent = (scores.argmax(1) == labels).sum(), (counts == 0).all(0).float().mean()
            shown = readout_cross_entropy(scores.detach(), labels, config.logit_scale)  # as validation's, not smoothed
            figures = Reading(torch.stack([x.double() for x in (shown, correct, counts.mean(), silent)]))
            (loss + config.rate_strength * penalty).backward()
            return figures

        try:
            figures = run_ahead(gradients)
        except ValueError:
            self._check_values()  # what the layers complain about may be the last step's doing
            raise
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        for layer in self.model:
            layer.constrain_()  # type: ignore[operator]
        n = len(labels)
        loss, correct, spikes, silent = figures.tolist()
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return {"samples": n, "loss": loss * n, "correct": correct, "spikes": spikes * n, "silent": silent * n}

    def _check_values(self) -> None:
        for name, parameter in self.model.named_parameters():
            if not parameter.isfinite().all():
                raise self._diverged(f"{name} is not finite any more")

    def _diverged(self, sign: str) -> ValueError:
        state, config = self.state, self.config
        kept = f". The best model so far, of epoch {state.best_epoch}, is kept" if state.best_epoch else ""
        return ValueError(
            f"training diverged in epoch {state.epoch + 1} (lr {config.lr:g}): {sign}; lower lr or clip{kept}"
        )

    def run_epoch(self, watcher: Watcher, stopping: Stop) -> dict[str, float] | None:
        """Finish the current epoch and return its metrics, or None if asked to stop before.

        Raises:
            ValueError: training diverged.
        """
        state, config = self.state, self.config
        order = torch.randperm(len(self.data), generator=generator(config.seed, 1, state.epoch))
        self.model.train()
        while state.batch < self.batches:
            start = time.perf_counter()
            chosen = order[state.batch * config.batch_size : (state.batch + 1) * config.batch_size]
            events, labels = self.data.batch(chosen)
            dice = generator(config.seed, 2, state.epoch, state.batch, device=self.device)
            events = self.augment(events, labels, dice)
            sums = self.step(events, labels) | {"seconds": time.perf_counter() - start}
            state.sums = {k: state.sums.get(k, 0.0) + v for k, v in sums.items()}
            state.batch += 1
            watcher.batch(state.epoch, state.batch, self.batches, means(state.sums))
            if stopping.asked:
                return None
        self._check_values()  # before this epoch's model can be kept
        metrics = {"epoch": state.epoch + 1} | means(state.sums) | {"lr": config.lr * self.rate()}
        if state.aware_from is not None:
            metrics["aware"] = 1.0
        state.seconds += state.sums["seconds"]
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        return metrics

    def validate(self) -> dict[str, float]:
        """Loss and accuracy on the validation samples; nothing without any."""
        if self.valid is None:
            return {}
        self.model.eval()
        scores, labels = predict(self.model, self.valid)
        return {
            "val_loss": readout_cross_entropy(scores, labels, self.config.logit_scale).item(),
            "val_accuracy": (scores.argmax(1) == labels).double().mean().item(),
        }

    def checkpoint(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": vars(self.state),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take up a `checkpoint`."""
        aware = aware_of(self.model, checkpoint["model"], self.config.chip)
        if aware is not None:
            self._settle(aware, "cpu")
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.state = State(**checkpoint["state"])


def means(sums: dict[str, float]) -> dict[str, float]:
    """An epoch's metrics from its sums."""
    n = sums["samples"]
    return {
        "loss": sums["loss"] / n,
        "accuracy": sums["correct"] / n,
        "spikes_per_unit": sums["spikes"] / n,
        "silent": sums["silent"] / n,
        "samples_per_s": n / sums["seconds"],
        "seconds": sums["seconds"],
    }


class Stop:
    """Whether somebody asked to stop."""

    asked = False


@contextmanager
def stop_on_interrupt() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a request to stop after the current batch; a second one interrupts at once."""
    stop = Stop()

    def ask(*_: Any) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, previous)

    try:
        previous = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: nobody can press Ctrl-C
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


def train(
    run: Run,
    config: Config,
    data: SpikeDataset,
    watcher: Watcher,
    *,
    facts: dict[str, Any],
    resume: bool = False,
    model: Mapping[str, Tensor] | None = None,
) -> bool:
    """Train into the folder of `run`; True when done, False when interrupted (resume then goes on).

    With `config.qat_bits` quantisation-aware training follows, from the best float model on. A resumed run continues
    bit for bit: same weights as if it had never stopped.

    Args:
        facts: what run.json should say of the data.
        resume: go on from the folder's checkpoint; `config` and the data must be the same as before.
        model: the `state_dict` of a float model, of the network that `config` describes, to start from.

    Raises:
        FileNotFoundError: nothing to resume.
        ValueError: the checkpoint is damaged, the data cannot be trained on, there is no such device, or training
            diverged; the best model so far is kept.
    """
    if config.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device = {config.device}: PyTorch finds no CUDA device here; train on the cpu")
    if config.threads:
        torch.set_num_threads(config.threads)
    if len(data) == 0:
        raise ValueError(f"{facts.get('data', {}).get('train', 'the training data')}: holds no samples")
    spread = torch.linspace(0, len(data) - 1, min(_CALIBRATION_SAMPLES, len(data))).round().long().unique()
    typical, _ = data.batch(spread)
    valid = None
    if config.valid:
        if not 0 < round(config.valid * len(data)) < len(data):
            raise ValueError(f"valid = {config.valid} of {len(data)} samples leaves a part empty; use valid = 0")
        data, valid = data.split(config.valid, seed=config.seed)
    trainer = Trainer(config, data, valid, len(facts["class_names"]))
    if resume:
        checkpoint = run.load("checkpoint.pt")
        try:
            trainer.restore(checkpoint)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{run.path('checkpoint.pt')}: is not of the network that config.toml describes; "
                "they do not fit each other"
            ) from error
    else:
        trainer.start(model)
        run.create(config, facts)
        run.save("calibration.pt", {k: getattr(typical, k) for k in ("times", "units", "offsets")})
        run.save("checkpoint.pt", trainer.checkpoint())
    state = trainer.state

    with stop_on_interrupt() as stop, engine_only_threads():
        while True:
            if trainer.finished():
                if trainer.done():
                    return True
                if state.epoch:
                    trainer.model.load_state_dict(run.trained_model().state_dict())
                trainer.start_aware(typical)
                run.save("checkpoint.pt", trainer.checkpoint())  # before best.pt is a quantised model's
            if state.epoch == state.aware_from and not state.batch:  # fine-tuning may not improve on where it starts
                state.best_accuracy = trainer.validate().get("val_accuracy", -1.0)
                run.save("best.pt", trainer.model.state_dict())
                run.outdate()
            metrics = trainer.run_epoch(watcher, stop)
            if metrics is None:
                run.save("checkpoint.pt", trainer.checkpoint())
                return False
            metrics |= trainer.validate()
            accuracy = metrics.get("val_accuracy", state.best_accuracy)
            if accuracy >= state.best_accuracy:  # of equals the later: more training
                state.best_accuracy, state.best_epoch = accuracy, state.epoch
                run.save("best.pt", trainer.model.state_dict())
                run.outdate()
            metrics["best_epoch"] = state.best_epoch
            _record(run, metrics)
            run.save("checkpoint.pt", trainer.checkpoint())
            watcher.epoch(metrics)
            if stop.asked and not trainer.done():
                return False


def _record(run: Run, metrics: dict[str, float]) -> None:
    """Append an epoch to metrics.jsonl, dropping lines of epochs that are done again after a crash."""
    earlier = [m for m in run.metrics() if m["epoch"] < metrics["epoch"]]
    run.write_text("metrics.jsonl", "".join(json.dumps(m) + "\n" for m in [*earlier, metrics]))
