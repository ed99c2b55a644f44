"""`Trainer`: a model, its optimiser and where it is; a step, an epoch, a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lambent.data import DeviceDataset, SpikeDataset, augment
from lambent.events import Events
from lambent.layers.calibration import calibrate
from lambent.losses import rate_penalty, readout_cross_entropy, smoothed_and_plain_cross_entropy
from lambent.machine.threads import engine_only_threads
from lambent.machine.waiting import Reading, run_ahead
from lambent.quantize import quantization_aware
from lambent.quantize.aware import aware_of
from lambent.training.config import Config
from lambent.training.interrupt import Stop
from lambent.training.parameters import parameter_groups
from lambent.training.scoring import EVALUATION_BATCH, forward, predict
from lambent.training.state import State, generator, means


class Watcher(Protocol):
    """What `train` reports to; see `lambent.training.progress`."""

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        """A batch is done; `metrics` are the epoch's so far."""

    def epoch(self, metrics: dict[str, float]) -> None:
        """An epoch is done."""


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


class Trainer:
    """Model, optimiser and state of a run.

    Args:
        model: any module whose `forward(events)` gives scores, a tensor (batch, classes). What of its parameters
            `requires_grad` is trained, each by its role (see `lambent.training.parameters.role`). It may be wrapped
            (`DistributedDataParallel`, `torch.compile`), with `config.device` as its device.
        config: the settings. Those of the network are not looked at.
        data: training samples.
        valid: samples that choose the best epoch, or None: the last epoch is the best.
    """

    def __init__(self, model: nn.Module, config: Config, data: SpikeDataset, valid: SpikeDataset | None = None) -> None:
        self.config = config
        self.batches = math.ceil(len(data) / config.batch_size)
        self.state = State()
        self._samples = data, valid
        self._settle(model, config.device)

    def _settle(self, model: nn.Module, device: str) -> None:
        """Train `model` on `device` from now on."""
        self.device, self.model = torch.device(device), model.to(device)
        data, valid = self._samples
        self.data, self.valid = self._on_device(data), None if valid is None else self._on_device(valid)
        self.augment = augmentation(self.config, self.data)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, self.config), lr=self.config.lr, fused=True)
        parallel = (m.process_group for m in self.model.modules() if isinstance(m, DistributedDataParallel))
        self._processes = next(parallel, None)  # whose batches are one

    def _on_device(self, data: SpikeDataset) -> SpikeDataset | DeviceDataset:
        return data if self.device.type == "cpu" else DeviceDataset(data, self.device)

    @contextmanager
    def _own_randomness(self, *where: int) -> Iterator[None]:
        """Seed what a model draws itself, from torch's own generators (dropout, an encoder), for a place in the run."""
        cuda = self.device.type == "cuda"
        with torch.random.fork_rng([self.device] if cuda else []):
            seed = generator(self.config.seed, 3, *where).initial_seed()
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks all kinds of devices: 0.1 ms
            if cuda:
                torch.cuda.manual_seed(seed)
            yield

    def start(self, model: Mapping[str, Tensor] | None = None) -> None:
        """Take the values of another model, given as its `state_dict`, or scale the initial weights to the data."""
        if model is not None:
            self.model.load_state_dict(model)
            return
        chosen = torch.randperm(len(self.data), generator=generator(self.config.seed, 0))[:EVALUATION_BATCH]
        with self._own_randomness():
            calibrate(self.model, self.data.batch(chosen)[0], self.config.initial_spikes, per_unit=False)

    def start_aware(self, calibration: Events) -> None:
        """Go on with quantised weights, on scales chosen for the events `calibration`."""
        model = cast(nn.Sequential, self.model.cpu())  # another kind is refused
        bits, chip = self.config.weight_bits() or 8, self.config.chip
        aware = quantization_aware(model, bits, calibration=calibration, chip=chip)
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

    @engine_only_threads()
    def step(self, events: Events, labels: Tensor) -> dict[str, float]:
        """One optimiser step; returns sums over the batch: "samples", "loss", "correct", "spikes" (mean over units)
        and "silent" (share of units), the last two 0 for a model without spiking layers.

        Raises:
            ValueError: training diverged, or the model gives no scores (batch, classes).
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * self.rate()

        def gradients() -> Reading:
            self.optimizer.zero_grad()
            scores, hidden = forward(self.model, events)
            if not (isinstance(scores, Tensor) and scores.ndim == 2):
                got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
                raise ValueError(f"the model must give scores (batch, classes) to train on, got {got}")
            loss, shown = smoothed_and_plain_cross_entropy(  # shown as validation's is, not smoothed
                scores, labels, config.logit_scale, config.label_smoothing
            )
            penalty = sum(rate_penalty(h, config.rate_lower, config.rate_upper, self._processes) for h in hidden)
            correct = (scores.argmax(1) == labels).sum()
            figures = Reading(torch.stack([x.double() for x in (shown, correct, *_activity(hidden, shown))]))
            (loss + config.rate_strength * penalty).backward()
            return figures

        try:
            figures = run_ahead(gradients)
        except ValueError:
            self._check_values()  # what the layers complain about may be the last step's doing
            raise
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        for module in self.model.modules():
            if constrain := getattr(module, "constrain_", None):
                constrain()
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

    @engine_only_threads()
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
            with self._own_randomness(state.epoch, state.batch):
                sums = self.step(events, labels)
            sums["seconds"] = time.perf_counter() - start
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

    @engine_only_threads()
    def validate(self) -> dict[str, float]:
        """Loss and accuracy on the validation samples; nothing without any."""
        if self.valid is None:
            return {}
        self.model.eval()
        with self._own_randomness(self.state.epoch):
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
        aware = aware_of(cast(nn.Sequential, self.model), checkpoint["model"], self.config.chip)
        if aware is not None:
            self._settle(aware, "cpu")
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.state = State(**checkpoint["state"])


def _activity(hidden: list[Events], like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean spikes per unit and sample, and share of units without a spike; 0 without spiking layers."""
    if not hidden:
        return like.new_zeros(()), like.new_zeros(())
    counts = [h.counts().detach() for h in hidden]
    spikes = torch.cat([c.flatten() for c in counts]).mean()
    return spikes, torch.cat([(c == 0).all(0) for c in counts]).float().mean()
