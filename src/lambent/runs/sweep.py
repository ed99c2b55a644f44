"""A search for settings by Optuna: several processes and machines share one study, and any may be killed."""

from __future__ import annotations

import datetime
import math
import time
import tomllib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from lambent.data import SpikeDataset
from lambent.machine.files import read_file
from lambent.runs.train import train_run
from lambent.training.config import Config
from lambent.training.lock import locked
from lambent.training.run import Run

_JOURNAL = "study.journal"
_GRACE = 60.0  # [s] in which a process that has a trial says so
_POLL = 1.0  # [s]
_KINDS = {f.name: f.metadata["kind"] for f in fields(Config)}
_NO_CHOICE = ("seed", "threads", "device")


class Range:
    """Numbers from `low` to `high`, evenly or by their logarithm, or in steps."""

    def __init__(self, name: str, low: Any, high: Any, log: bool = False, step: Any = None) -> None:
        numbers = [low, high] if step is None else [low, high, step]
        if any(type(x) not in (int, float) or not math.isfinite(x) for x in numbers) or not low < high:
            raise ValueError(f"{name}: low and high must be numbers in this order, got {low!r} and {high!r}")
        if type(log) is not bool or (log and (low <= 0 or step is not None)):
            raise ValueError(f"{name}: log is true or false, and needs low above 0 and no step")
        if step is not None and step <= 0:
            raise ValueError(f"{name}: step must be positive, got {step!r}")
        self.low, self.high, self.log, self.step = low, high, log, step

    def ask(self, trial: Any, name: str, kind: type) -> Any:
        """A value for a trial."""
        if kind is int:
            return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step or 1)
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)


class Choice:
    """One of several values."""

    def __init__(self, name: str, values: list[Any]) -> None:
        if not values:
            raise ValueError(f"{name}: must be one of some values, got none")
        self.values = {str(value): value for value in values}  # Optuna keeps plain values only

    def ask(self, trial: Any, name: str, kind: type) -> Any:
        """A value for a trial."""
        return self.values[trial.suggest_categorical(name, list(self.values))]


Space = dict[str, Range | Choice]


def read_space(path: str | Path) -> tuple[Space, dict[str, Any]]:
    """The settings to search over, and those that are fixed, from a TOML file whose keys are those of `Config`.

    A table is a range, ``lr = { low = 1e-3, high = 1e-2, log = true }`` or ``delay = { low = 0, high = 120, step = 20
    }``; a list is a choice, ``hidden = [128, 256]``; anything else is fixed, ``epochs = 20``. A list of layers, which
    `layer` is itself, is fixed where it holds texts, and a choice where it holds lists.

    Raises:
        FileNotFoundError, ValueError: no such file, no TOML, an unknown key or a bad range; names it.
    """
    try:
        values = tomllib.loads(read_file(path).decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from error
    space: Space = {}
    fixed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in _KINDS:
            raise ValueError(f"{path}: unknown key {name!r}; the keys are {', '.join(sorted(_KINDS))}")
        plain = name == "layer" and isinstance(value, list) and all(isinstance(x, str) for x in value)
        if not isinstance(value, (dict, list)) or plain:
            fixed[name] = value
            continue
        if name in _NO_CHOICE:
            raise ValueError(f"{path}: {name} is no setting to search over")
        if isinstance(value, list):
            space[name] = Choice(f"{path}: {name}", value)
            continue
        if _KINDS[name] not in (int, float) and name != "hidden":
            raise ValueError(f"{path}: {name} has no range; give a list of values")
        if unknown := set(value) - {"low", "high", "log", "step"}:
            raise ValueError(f"{path}: {name}: a range has low, high, log and step, not {sorted(unknown)[0]!r}")
        if not {"low", "high"} <= value.keys():
            raise ValueError(f"{path}: {name}: a range needs low and high")
        space[name] = Range(f"{path}: {name}", **value)
        if _asked_as(name) is int and any(type(x) is float for x in value.values()):
            raise ValueError(f"{path}: {name}: takes whole numbers")
    if not space:
        raise ValueError(f"{path}: nothing to search over; give a range or a list of values")
    try:
        Config(**fixed)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return space, fixed


def _asked_as(name: str) -> type:
    return int if name == "hidden" else _KINDS[name]


def optuna() -> ModuleType:
    """The package.

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("a sweep needs Optuna: pip install 'lambent[sweep]'") from error
    return optuna


class Sweep:
    """A study in a folder: Optuna's journal, and a run for each trial, trial-0 and so on.

    Any number of processes, also of several machines that share the folder, work on it at once, each on trials of its
    own. The trial of a process that was killed is taken up by another, or by the next that comes, and goes on from its
    checkpoint.

    Args:
        folder: made if need be.
        space, fixed: as `read_space` gives them; the same for all processes.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: the folder holds other files, or a study over other settings.
    """

    def __init__(self, folder: str | Path, space: Space, fixed: Mapping[str, Any]) -> None:
        self.folder, self.space, self.fixed = Path(folder), space, dict(fixed)
        package, journal = optuna(), self.folder / _JOURNAL
        package.logging.set_verbosity(package.logging.ERROR)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder}: is a file; a sweep needs a folder")
        if self.folder.exists() and not journal.exists() and any(self.folder.iterdir()):
            raise ValueError(f"{self.folder}: holds other files and no study; choose an empty or new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = package.storages.JournalStorage(package.storages.journal.JournalFileBackend(str(journal)))
        self.study = package.create_study(
            study_name="lambent", storage=storage, direction="maximize", load_if_exists=True,
            sampler=package.samplers.TPESampler(constant_liar=True),  # others are at work
            pruner=package.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
        )  # fmt: skip
        about = {name: repr(vars(x)) for name, x in space.items()} | {k: repr(v) for k, v in self.fixed.items()}
        known = self.study.user_attrs.get("about", about)
        if other := sorted(k for k in {*known, *about} if known.get(k) != about.get(k)):
            raise ValueError(f"{self.folder}: holds a study in which {other[0]} is another; choose another folder")
        self.study.set_user_attr("about", about)
        self._worker = uuid.uuid4().hex

    def _count(self, *states: str) -> int:
        return sum(trial.state.name in states for trial in self.study.get_trials(deepcopy=False))

    def done(self) -> int:
        """Trials that were finished, or pruned."""
        return self._count("COMPLETE", "PRUNED")

    def _take_up(self) -> list[int]:
        """Queue the trials of processes that are no more once again; returns their numbers."""
        found = []
        for trial in self.study.get_trials(states=(optuna().trial.TrialState.RUNNING,)):
            worker = trial.user_attrs.get("worker")
            begun = datetime.datetime.now() - trial.datetime_start
            if worker == self._worker or (worker is None and begun.total_seconds() < _GRACE):
                continue
            try:
                with locked(_made(self.folder / "workers" / str(worker))):  # which nobody holds any more
                    if self.study.get_trials(deepcopy=False)[trial.number].state.name == "RUNNING":
                        self.study.tell(trial.number, state=optuna().trial.TrialState.FAIL)
                        began = trial.user_attrs.get("began", trial.number)
                        self.study.enqueue_trial(trial.params, user_attrs={"began": began})
                        found.append(trial.number)
            except ValueError:  # somebody is at work on it
                continue
        return found

    def work(
        self,
        data: SpikeDataset,
        source: Mapping[str, str | None],
        trials: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> bool:
        """Do trials until `trials` are done, by this process and others; False if interrupted.

        Args:
            source: where the data come from, see `train_run`.
            say: told what became of each trial.

        Raises:
            ValueError: as many trials failed here as there are to be, or nothing is held out to choose by.
        """
        failed = 0
        with locked(_made(self.folder / "workers" / self._worker)):
            while self.done() < trials:
                for number in self._take_up():
                    say(f"trial {number}: its process is no more; another goes on with it")
                if self._count("WAITING") == 0 and self._count("COMPLETE", "PRUNED", "RUNNING") >= trials:
                    time.sleep(_POLL)  # others are at it, and may be killed
                    continue
                trial = self.study.ask()
                trial.set_user_attr("worker", self._worker)
                try:
                    if not self._do(trial, data, source, say):
                        return False
                except ValueError as error:  # settings that do not go together, or a training that diverged
                    self.study.tell(trial, state=optuna().trial.TrialState.FAIL)
                    say(f"trial {trial.number}: failed: {error}")
                    failed += 1
                    if failed >= trials:
                        raise
        return True

    def _do(self, trial: Any, data: SpikeDataset, source: Mapping[str, str | None], say: Callable[[str], None]) -> bool:
        settings = self.fixed | {name: what.ask(trial, name, _asked_as(name)) for name, what in self.space.items()}
        run = Run(self.folder / f"trial-{trial.user_attrs.get('began', trial.number)}")
        config = Config(**settings)
        if not config.valid:
            raise ValueError("a sweep chooses by validation samples: valid must not be 0")
        resume = run.exists() and run.path("checkpoint.pt").exists()
        for metrics in run.metrics() if resume else []:
            trial.report(metrics["val_accuracy"], int(metrics["epoch"]))

        def each(metrics: dict[str, float]) -> None:
            trial.report(metrics["val_accuracy"], int(metrics["epoch"]))
            if trial.should_prune():
                raise optuna().TrialPruned

        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
        try:
            finished = train_run(run, config, data, source, Console(quiet=True), resume=resume, each=each)
        except optuna().TrialPruned:
            self.study.tell(trial, state=optuna().trial.TrialState.PRUNED)
            say(f"trial {trial.number}: pruned after epoch {len(run.metrics())}; {shown}")
            return True
        if finished:
            score = run.metrics()[-1]["best_val_accuracy"]
            self.study.tell(trial, score)
            say(f"trial {trial.number}: validation {100 * score:.2f} %; {shown}")
        return finished

    def summary(self) -> dict[str, Any]:
        """The best trial, and how many there were; plain values."""
        states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")
        found: dict[str, Any] = {state.lower(): self._count(state) for state in states}
        if self._count("COMPLETE"):
            best = self.study.best_trial
            run = self.folder / f"trial-{best.user_attrs.get('began', best.number)}"
            found |= {"best": best.params, "val_accuracy": best.value, "run": str(run)}
        return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
