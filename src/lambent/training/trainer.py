"""`Trainer`: a model, its optimiser and where it is; a step, an epoch, a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lambent.data import DeviceDataset, SpikeDataset, augment
from lambent.events import Events
from lambent.layers.calibration import calibrate
from lambent.layers.chain import parts
from lambent.layers.readout import LIReadout
from lambent.layers.spiking import Spiking
from lambent.losses import rate_penalty
from lambent.machine.threads import engine_only_threads
from lambent.machine.waiting import Reading, run_ahead
from lambent.quantize import quantization_aware
from lambent.quantize.aware import aware_of
from lambent.training.batches import Batches, OfDataset, OfLoader
from lambent.training.checkpoint import check_model, check_optimizer, read_state
from lambent.training.config import Config
from lambent.training.distributed import Processes
from lambent.training.interrupt import Stop
from lambent.training.objective import Objective, together
from lambent.training.parameters import constrain, parameter_groups
from lambent.training.rewiring import Rewiring
from lambent.training.scoring import EVALUATION_BATCH, activity, answers, forward
from lambent.training.state import State, generator, means

_WORD = 0.9  # share of the spikes of a sample that are a word's, and no noise before and behind it

Source = SpikeDataset | Iterable[tuple[Events, Any]]
Augment = Callable[[Events, Any, torch.Generator], Events]


class Watcher(Protocol):
    """What `train` reports to; see `lambent.training.progress`."""

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        """A batch is done; `metrics` are the epoch's so far."""

    def epoch(self, metrics: dict[str, float]) -> None:
        """An epoch is done."""


def augmentation(config: Config, data: SpikeDataset | DeviceDataset | None) -> augment.Compose:
    """The augmentations that `config` asks for; blending takes samples from `data`.

    Those of channels take units for a row of them, which those of a map (`input_shape`) are not: they are left out.
    """
    steps: list[Any] = []
    shift, stretch, mask = (0.0, 0.0, 0.0) if config.input_shape else (config.shift, config.stretch, config.mask)
    if config.blend and data is not None:
        steps.append(augment.Blend(data, config.blend))
    if config.dilate:
        steps.append(augment.Dilate(1 / (1 + config.dilate), 1 + config.dilate, about_centre=True))
    if shift >= 1:
        steps.append(augment.ShiftChannels(int(shift)))
    if shift % 1 or stretch:
        steps.append(augment.WarpChannels(shift % 1, stretch))
    if config.shift_time:
        steps.append(augment.ShiftTime(config.shift_time, inside=_WORD))
    if mask or config.mask_time:
        steps.append(augment.Mask(mask, config.mask_time))
    if config.jitter:
        steps.append(augment.JitterTimes(config.jitter))
    if config.drop:
        steps.append(augment.Drop(config.drop))
    return augment.Compose(steps)


class Trainer:
    """Model, optimiser and state of a run.

    Args:
        model: any module whose `forward(events)` gives what the loss takes, by default scores, a tensor
            (batch, classes). What of its parameters `requires_grad` is trained, each by its role (see
            `lambent.training.parameters.role`). It may be wrapped (`DistributedDataParallel`, `torch.compile`), with
            `config.device` as its device.
        config: the settings. Those of the network are not looked at.
        data: training samples, or batches of them: any iterable of (events, targets) with a length, such as a
            `torch.utils.data.DataLoader`.
        valid: samples or batches that choose the best epoch (see `end_epoch`), or None: the last epoch is the best.
        objective: loss and metrics; left out, cross-entropy with the label smoothing of the settings.
        augment: (events, targets, generator) -> events, in place of what the settings say.
        optimizer: of the model's parameters, in place of AdamW with the rates and the schedule of the settings.
        scheduler: of that optimiser, stepped after each epoch.
        processes: those that train the model together, each with the same data: of every batch each takes its share,
            after augmentation, so that they do, up to rounding, what one would.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        data: Source,
        valid: Source | None = None,
        *,
        objective: Objective | None = None,
        augment: Augment | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
        processes: Processes | None = None,
    ) -> None:
        if config.qat_bits and isinstance(data, SpikeDataset) and data.values is not None:
            raise ValueError(
                f"qat_bits={config.qat_bits} trains with the chip's arithmetic, whose input carries no values, as the "
                "data's spikes do; train without it (0), or on data without values"
            )
        self.config = config
        self.objective = Objective(label_smoothing=config.label_smoothing) if objective is None else objective
        self.state = State()
        self._samples, self._augment = (data, valid), augment
        self._validated = 0  # samples
        self._own_optimizer, self.scheduler, self.processes = optimizer, scheduler, processes
        self._settle(model, config.device, config.rewire)

    def _settle(self, model: nn.Module, device: str, rewire: float = 0.0) -> None:
        """Train `model` on `device` from now on, and rewire it if that is not 0."""
        self.device, self.model = torch.device(device), model.to(device)
        data, valid = self._samples
        self.data, self.valid = self._batches(data), None if valid is None else self._batches(valid)
        self.batches = len(self.data)
        self.augment = self._augment or augmentation(self.config, getattr(self.data, "data", None))
        if self.processes:
            self.processes.as_first(self.model.state_dict())
        self.optimizer = self._own_optimizer or torch.optim.AdamW(
            parameter_groups(self.model, self.config), lr=self.config.lr, fused=True
        )
        self.rewiring = Rewiring(self.model, self.optimizer, rewire) if rewire else None
        parallel = (m.process_group for m in self.model.modules() if isinstance(m, DistributedDataParallel))
        self._parallel = next(parallel, None)
        for readout in (m for m in self.model.modules() if isinstance(m, LIReadout)):
            readout.shared = self.processes is not None

    @property
    def _group(self) -> Any:
        """The processes whose batches are one."""
        return self.processes.group if self.processes else self._parallel

    def _batches(self, data: Source) -> Batches:
        if not isinstance(data, SpikeDataset):
            return OfLoader(data, self.device)
        return OfDataset(
            data if self.device.type == "cpu" else DeviceDataset(data, self.device), self.config.batch_size
        )

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
        if not any(isinstance(part.layer, Spiking) for part in parts(self.model)):
            return  # nothing to calibrate, which is for who built the model
        samples = cast(OfDataset, self.data).data
        chosen = torch.randperm(len(samples), generator=generator(self.config.seed, 0))[:EVALUATION_BATCH]
        with self._own_randomness():
            calibrate(self.model, samples.batch(chosen)[0], self.config.initial_spikes, per_unit=False)
        if self.processes:
            self.processes.as_first(self.model.state_dict())

    def start_aware(self, calibration: Events) -> None:
        """Go on with quantised weights, on scales chosen for the events `calibration`."""
        model = cast(nn.Sequential, self.model.cpu())  # another kind is refused
        bits, chip = self.config.weight_bits() or 8, self.config.chip
        aware = quantization_aware(model, bits, calibration=calibration, chip=chip)
        self._settle(aware, "cpu")  # where the chip model runs
        self.state.aware_from = self.state.best_epoch = self.state.better_epoch = self.state.epoch
        self.state.best_score = self.state.top_score = -math.inf

    def finished(self) -> bool:
        """Whether float training, or where it goes on the quantisation-aware one, is done."""
        state, config = self.state, self.config
        last = config.epochs if state.aware_from is None else state.aware_from + config.qat_epochs
        return state.epoch >= last or 0 < config.patience <= state.epoch - state.better_epoch

    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished() and (not self.config.qat_bits or self.state.aware_from is not None)

    @property
    def _sets_rates(self) -> bool:
        """Whether the learning rates follow the schedule of the settings."""
        return self._own_optimizer is None and self.scheduler is None

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
    def step(self, events: Events, targets: Any) -> dict[str, float]:
        """One optimiser step; with `processes` on this one's share of the batch.

        Returns:
            Sums over the batch: "samples", "loss", the metrics, "spikes_per_unit" (mean) and "silent" (share of units),
            the last two 0 for a model without spiking layers.

        Raises:
            ValueError: training diverged, or the model's outputs do not fit the targets.
        """
        config, processes, weight = self.config, self.processes, 1.0
        if processes:
            events, targets, weight = processes.share(events, targets)
        if self._sets_rates:
            for group in self.optimizer.param_groups:
                group["lr"] = group["base"] * self.rate()

        def gradients() -> tuple[list[str], Reading]:
            self.optimizer.zero_grad()
            outputs, hidden = forward(self.model, events)
            loss, shown = self.objective.losses(outputs, targets)  # shown as validation's is, not smoothed
            figures = {"loss": shown} | self.objective.figures(outputs, targets) | activity(hidden, shown)
            reading = Reading(torch.stack([x.double() for x in figures.values()]))
            loss = weight * loss
            if config.rate_strength:
                penalty = sum(rate_penalty(h, config.rate_lower, config.rate_upper, self._group) for h in hidden)
                loss = loss + config.rate_strength * penalty
            loss.backward()
            return list(figures), reading

        try:
            # what is tried again would wait for others that do not
            names, reading = gradients() if processes else run_ahead(gradients)
        except ValueError:
            self._check_values()  # what the layers complain about may be the last step's doing
            raise
        figures, n = dict(zip(names, reading.tolist(), strict=True)), len(events)
        if processes:
            processes.average(p.grad for p in self.model.parameters())
            sums = torch.tensor([float(n), *(n * x for x in figures.values())], dtype=torch.float64)
            n, *rest = processes.total(sums.to(self.device)).tolist()
            figures = {name: x / n for name, x in zip(names, rest, strict=True)}
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        if self.rewiring is None:
            self.optimizer.step()
        else:
            self.rewiring.step(generator(config.seed, 4, self.state.epoch, self.state.batch))
        constrain(self.model)
        if not math.isfinite(figures["loss"]):
            raise self._diverged(f"the loss is {figures['loss']}")
        return {"samples": n} | {name: value * n for name, value in figures.items()}

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
        self.model.train()
        start = time.perf_counter()
        for events, targets in self.data.epoch(config.seed, state.epoch, state.batch):
            dice = generator(config.seed, 2, state.epoch, state.batch, device=self.device)
            events = self.augment(events, targets, dice)
            own = () if self.processes is None else (self.processes.rank,)
            with self._own_randomness(state.epoch, state.batch, *own):
                sums = self.step(events, targets)
            sums["seconds"], start = time.perf_counter() - start, time.perf_counter()
            state.sums = {k: state.sums.get(k, 0.0) + v for k, v in sums.items()}
            state.batch += 1
            watcher.batch(state.epoch, state.batch, self.batches, means(state.sums))
            if self.stopping(stopping):
                return None
        self._check_values()  # before this epoch's model can be kept
        metrics = {"epoch": state.epoch + 1} | means(state.sums) | {"lr": self._shown_rate()}
        if state.aware_from is not None:
            metrics["aware"] = 1.0
        state.seconds += state.sums["seconds"]
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        return metrics

    def stopping(self, stop: Stop) -> bool:
        """Whether this process, or one of the others, was asked to stop."""
        return stop.asked if self.processes is None else self.processes.any(stop.asked, self.device)

    def _shown_rate(self) -> float:
        rates = self.optimizer.param_groups[0]
        return self.config.lr * self.rate() if self._sets_rates else rates["lr"]

    @engine_only_threads()
    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss and metrics on the validation samples; nothing without any."""
        if self.valid is None:
            return {}
        self.model.eval()
        with self._own_randomness(self.state.epoch):
            outputs, targets = self._answers(self.valid)
        self._validated = len(targets) if isinstance(targets, Tensor) else 0
        figures = {"loss": self.objective.losses(outputs, targets)[1]} | self.objective.figures(outputs, targets)
        return {f"val_{name}": value.item() for name, value in figures.items()}

    def _answers(self, valid: Batches) -> tuple[Any, Any]:
        """What the model gives for all samples; each process does its share of the batches."""
        processes, batches = self.processes, valid.in_order(EVALUATION_BATCH)
        if processes is None:
            return answers(self.model, batches)
        own = [(self.model(e).cpu(), y) for i, (e, y) in enumerate(batches) if i % processes.size == processes.rank]
        outputs, targets = zip(*processes.gathered([(x, y.cpu()) for x, y in own]), strict=True)
        return together(outputs), together(targets)

    def end_epoch(self, metrics: dict[str, float]) -> None:
        """Take note of a finished epoch: the scheduler's step, and whether its model is the best so far.

        Of epochs that validation cannot tell apart the last is the best, as it was trained longer and more finely: with
        an accuracy those within a standard error of the highest, without validation all.
        """
        state = self.state
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(metrics.get("val_loss", metrics["loss"]))
        elif self.scheduler is not None:
            self.scheduler.step()
        score = score_of(metrics, state.top_score)
        if score > state.top_score:
            state.top_score, state.better_epoch = score, state.epoch
        error = _standard_error(state.top_score, self._validated) if "val_accuracy" in metrics else 0.0
        if score >= state.top_score - error:
            state.best_score, state.best_epoch = score, state.epoch
        metrics["best_epoch"] = state.best_epoch
        if "val_accuracy" in metrics:
            metrics["best_val_accuracy"] = state.best_score

    def checkpoint(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "state": vars(self.state),
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take up a `checkpoint`.

        Raises:
            AttributeError, KeyError, TypeError, ValueError, RuntimeError: it is of another model, optimiser or data.
        """
        aware = aware_of(cast(nn.Sequential, self.model), checkpoint["model"], self.config.chip)
        if aware is not None:
            self._settle(aware, "cpu")
        check_model(checkpoint["model"], self.model.state_dict())
        check_optimizer(checkpoint["optimizer"], self.optimizer, settled=self._own_optimizer is None)
        state = read_state(checkpoint["state"], self.batches)
        self.model.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.state = state


def _standard_error(share: float, samples: int) -> float:
    """Of a share that was measured on so many samples; 0 where that is not known."""
    return math.sqrt(max(0.0, share * (1 - share)) / samples) if samples else 0.0


def score_of(metrics: Mapping[str, float], otherwise: float) -> float:
    """How good an epoch is: its validation accuracy, or minus the validation loss where there is none."""
    return metrics.get("val_accuracy", -metrics["val_loss"] if "val_loss" in metrics else otherwise)
