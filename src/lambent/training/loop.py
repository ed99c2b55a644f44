"""The training loop: `train` fits the model of a `Config`, writing its run folder as it goes."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.machine.files import remove_left_over
from lambent.training.confidence import calibration_error, fit_temperature
from lambent.training.config import Config
from lambent.training.distributed import Processes
from lambent.training.interrupt import Stop, stop_on_interrupt
from lambent.training.lock import locked
from lambent.training.model import build_model
from lambent.training.on_chip import ChipTrainer
from lambent.training.run import Run
from lambent.training.scoring import predict
from lambent.training.trainer import Trainer, Watcher, score_of

_CALIBRATION_SAMPLES = 64


def train(
    run: Run,
    config: Config,
    data: SpikeDataset,
    watcher: Watcher,
    *,
    facts: dict[str, Any],
    resume: bool = False,
    model: Mapping[str, Tensor] | None = None,
    on_chip: bool = False,
    processes: Processes | None = None,
    valid: SpikeDataset | None = None,
) -> bool:
    """Train into the folder of `run`; True when done, False when interrupted (resume then goes on).

    With `config.qat_bits` quantisation-aware training follows, from the best float model on. A resumed run continues
    bit for bit on the same kind of device: same weights as if it had never stopped.

    Args:
        facts: what run.json should say of the data.
        resume: go on from the folder's checkpoint; the data must be the same as before, and `config` but for epochs,
            patience, threads and device, which are then kept in the folder.
        model: the `state_dict` of a float model, of the network that `config` describes, to start from.
        on_chip: learn on the model of the chip, which writes to the folder what an update costs there (on_chip.json).
        processes: those that train together, each with the same arguments; the first alone writes, the others read what
            it wrote.
        valid: samples that choose the best epoch, in place of a share of `data` (`config.valid`).

    Raises:
        FileNotFoundError: nothing to resume.
        OSError: the disk is full; says what is kept.
        ValueError: the folder is in use, the checkpoint is damaged, the data cannot be trained on, there is no
            such device, or training diverged; the best model so far is kept.
    """
    if config.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device = {config.device}: PyTorch finds no CUDA device here; train with --device cpu")
    if config.threads:
        torch.set_num_threads(config.threads)
    if len(data) == 0:
        raise ValueError(f"{facts.get('data', {}).get('train', 'the training data')}: holds no samples")
    if of_one_class(data):
        only = facts["class_names"][data.labels[0]]
        raise ValueError(
            f"{facts.get('data', {}).get('train', 'the training data')}: all {len(data)} samples are of one class, "
            f"{only!r}; there is nothing to tell apart"
        )
    spread = torch.linspace(0, len(data) - 1, min(_CALIBRATION_SAMPLES, len(data))).round().long().unique()
    typical, _ = data.batch(spread)
    if valid is None and config.valid:
        data, valid = hold_out(data, config.valid, config.seed)
    network = build_model(config, data.n_units, len(facts["class_names"]), data.duration)
    trainer: Trainer
    if on_chip:
        trainer = ChipTrainer(network, config, data, valid)
    else:
        trainer = Trainer(network, config, data, valid, processes=processes)
    if processes is not None and processes.rank > 0:
        with stop_on_interrupt() as stop:
            return _follow(trainer, run, typical, watcher, stop, resume, model)
    if resume:
        run.need("checkpoint.pt")
    else:
        run.check_free()
        run.folder.mkdir(parents=True, exist_ok=True)
    with locked(run.folder), stop_on_interrupt() as stop:
        remove_left_over(run.folder)
        if resume:
            _restore(trainer, run, run.load("checkpoint.pt"))
            if config != run.config():
                run.write_text("config.toml", config.to_toml())
        else:
            trainer.start(model)
            kept = ("times", "units", "offsets", *([] if typical.values is None else ["values"]))
            calibration = {k: getattr(typical, k) for k in kept}
            run.create(config, facts, {"calibration.pt": calibration, "checkpoint.pt": trainer.checkpoint()})
        with _saying_what_is_kept(run):
            finished = _train(trainer, run, typical, watcher, stop)
            if isinstance(trainer, ChipTrainer) and trainer.state.epoch:
                first = data.batch(range(min(config.batch_size, len(data))))
                run.write_json("on_chip.json", {"modelled": True, **vars(trainer.cost(*first))})
            if finished and valid is not None:
                run.write_json("confidence.json", _confidence(run, valid))
            return finished


def _confidence(run: Run, valid: SpikeDataset) -> dict[str, float]:
    """How sure the network that is kept may be, by samples that it was not trained on."""
    scores, labels = (x.numpy() for x in predict(run.model(), valid))
    temperature = fit_temperature(scores, labels)
    errors = {"error_before": calibration_error(scores, labels, 1.0)}
    return {"temperature": temperature, "error": calibration_error(scores, labels, temperature)} | errors


@contextmanager
def _saying_what_is_kept(run: Run) -> Iterator[None]:
    """Let the error of a full disk say from where training can go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        epoch = run.load("checkpoint.pt")["state"]["epoch"]
        kept = f"the training is kept as it was after epoch {epoch}; make room, and go on with --resume"
        raise OSError(error.errno, f"{error.strerror}: {kept}", error.filename) from error


def _restore(trainer: Trainer, run: Run, checkpoint: dict[str, Any]) -> None:
    if trainer.processes:
        checkpoint = trainer.processes.of_first(checkpoint)
    try:
        trainer.restore(checkpoint)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{run.path('checkpoint.pt')}: is not of the network that config.toml describes; "
            f"they do not fit each other: {error}"
        ) from error
    run.check_metrics(trainer.state.epoch)


def _follow(
    trainer: Trainer,
    run: Run,
    typical: Events,
    watcher: Watcher,
    stop: Stop,
    resume: bool,
    model: Mapping[str, Tensor] | None,
) -> bool:
    """Do what the first process does, and write nothing."""
    if resume:
        _restore(trainer, run, {})
    else:
        trainer.start(model)
    return _train(trainer, run, typical, watcher, stop)


def _train(trainer: Trainer, run: Run, typical: Events, watcher: Watcher, stop: Stop) -> bool:
    state, processes = trainer.state, trainer.processes
    follows = processes is not None and processes.rank > 0
    keeper: Keeper = _Nothing() if follows else _Keeper(run)
    if state.aware_from is None:
        if not run_epochs(trainer, keeper, watcher, stop):
            return False
        if trainer.done():
            return True
        if state.epoch:
            best: Any = None if follows else run.trained_model().state_dict()
            trainer.model.load_state_dict(processes.of_first(best) if processes else best)
        trainer.start_aware(typical)
        keeper.checkpoint(trainer.checkpoint())  # before best.pt is a quantised model's
    if state.epoch == state.aware_from and not state.batch:  # fine-tuning may not improve on where it starts
        state.best_score = state.top_score = score_of(trainer.validate(), state.top_score)
        keeper.best(trainer.model.state_dict())
    return run_epochs(trainer, keeper, watcher, stop)


def of_one_class(data: SpikeDataset) -> bool:
    """Whether the samples of a set have one label each, and all the same."""
    targets = data.targets
    if targets is None or targets.dtype.kind != "i" or targets.ndim != 1:
        return False
    return bool((targets == targets[0]).all())


def hold_out(data: SpikeDataset, share: float, seed: int) -> tuple[SpikeDataset, SpikeDataset]:
    """Samples to train on, and a share of them to validate on; ValueError where either would be none.

    Where the share is two speakers or more, whole speakers are held out: the best epoch is then the one that is best
    on voices that were not trained on.
    """
    if not 0 < round(share * len(data)) < len(data):
        raise ValueError(f"valid = {share} of {len(data)} samples leaves a part empty; use valid = 0")
    speakers = 0 if data.speakers is None else len(np.unique(data.speakers))
    return data.split(share, seed, "speaker" if 2 <= round(share * speakers) < speakers else "label")


class Keeper(Protocol):
    """Where `run_epochs` puts what it finds."""

    def checkpoint(self, values: dict[str, Any]) -> None:
        """Keep what it takes to go on."""

    def best(self, model: dict[str, Any]) -> None:
        """Keep the `state_dict` of the best model so far."""

    def record(self, metrics: dict[str, float]) -> None:
        """Keep the metrics of an epoch."""


def run_epochs(trainer: Trainer, keeper: Keeper, watcher: Watcher, stop: Stop) -> bool:
    """Train until the trainer has finished, True, or was asked to stop, False."""
    while not trainer.finished():
        metrics = trainer.run_epoch(watcher, stop)
        if metrics is None:
            keeper.checkpoint(trainer.checkpoint())
            return False
        metrics |= trainer.validate()
        trainer.end_epoch(metrics)
        if trainer.state.best_epoch == trainer.state.epoch:
            keeper.best(trainer.model.state_dict())
        keeper.record(metrics)
        keeper.checkpoint(trainer.checkpoint())
        watcher.epoch(metrics)
        if trainer.stopping(stop) and not trainer.done():
            return False
    return True


class _Nothing:
    """No folder, as `Keeper`."""

    def checkpoint(self, values: dict[str, Any]) -> None:
        pass

    best = record = checkpoint


class _Keeper:
    """A run folder as `Keeper`."""

    def __init__(self, run: Run) -> None:
        self.run, self.record = run, run.record

    def checkpoint(self, values: dict[str, Any]) -> None:
        self.run.save("checkpoint.pt", values)

    def best(self, model: dict[str, Any]) -> None:
        self.run.save("best.pt", model)
        self.run.outdate()
