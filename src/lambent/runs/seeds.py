"""One training with several seeds: a process each, as many side by side as cores and memory allow."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lambent.data import SpikeDataset
from lambent.machine.files import read_file
from lambent.training.folder import Folder
from lambent.training.interrupt import stop_on_interrupt
from lambent.training.lock import locked
from lambent.training.run import Run

_OWN = 700 << 20  # bytes of a process, without data
_COPIES = 4  # of the data, while they are read
_ON_GPU = 4 << 30
_POLL = 0.2  # [s]
_MOST = 1000  # seeds
_FIGURES = ("val_accuracy", "accuracy_test")


def parse_seeds(text: str) -> list[int]:
    """Seeds from "0-4", "0,3,7" or both.

    Raises:
        ValueError: these are none, or some twice.

    Example:
        >>> from lambent.runs.seeds import parse_seeds
        >>> parse_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        if (match := re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", part)) is None:
            raise ValueError(f"seeds are such as 0-4 or 0,3,7, got {text!r}")
        low, high = int(match[1]), int(match[2] or match[1])
        if not low <= high < low + _MOST:
            raise ValueError(f"seeds are such as 0-4, at most {_MOST}, got {part.strip()!r}")
        found += range(low, high + 1)
    if len(set(found)) < len(found):
        raise ValueError(f"seeds: {text!r} has one twice")
    return found


def side_by_side(seeds: int, data: SpikeDataset, device: str, threads: int = 0) -> tuple[int, int]:
    """How many trainings to run at a time, and on how many threads each.

    Args:
        data: training data, of which each process has its own.
        threads: of each, as wished; 0: cores are divided.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    room = _available() // (_OWN + _COPIES * data.times.nbytes * 2)
    if device == "cuda":
        room = min(room, torch.cuda.mem_get_info()[0] // _ON_GPU)
    at_once = max(1, min(seeds, cores // max(1, threads), room))
    return at_once, threads or max(1, cores // at_once)


def _available() -> int:
    """Bytes of memory that are free, or can be; a lot where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return 1 << 40


@dataclass
class Several:
    """What became of trainings with several seeds.

    Attributes:
        results: for each seed that is done, what `lambent train --json` says of it.
        failed: for each seed that is not, why.
        finished: False if it was interrupted.
    """

    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    finished: bool = True

    def summary(self) -> dict[str, Any]:
        """Plain values: the results, and mean and standard deviation (of a sample) over the seeds that are done."""
        mean, deviation = {}, {}
        for name in _FIGURES:
            values = [r[name] for r in self.results.values() if r.get(name) is not None]
            if values:
                mean[name] = statistics.mean(values)
                deviation[name] = statistics.stdev(values) if len(values) > 1 else None
        return {
            "seeds": {str(seed): result for seed, result in sorted(self.results.items())},
            "mean": mean,
            "deviation": deviation,
            "failed": {str(seed): why for seed, why in sorted(self.failed.items())},
            "finished": self.finished,
        }


def folder_of(out: Path, seed: int) -> Path:
    """Where the run with a seed lies."""
    return out / f"seed-{seed}"


def check_free(out: Path, resume: bool, overwrite: bool) -> None:
    """Raise ValueError if trainings cannot begin, or go on, in this folder."""
    begun = [path for path in out.glob("seed-*") if Run(path).exists()] if out.is_dir() else []
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; several seeds need a folder")
    if resume:
        if not begun:
            raise FileNotFoundError(f"{out}: holds no seeds to go on with")
    elif begun and not overwrite:
        raise ValueError(f"{out}: holds seeds already; go on with --resume, replace them with --overwrite")
    elif not begun and out.is_dir() and [n for n in Folder(out).names() if not n.startswith("seed-")]:
        raise ValueError(f"{out}: holds other files; choose an empty or new folder")


def train_seeds(
    out: Path,
    seeds: Sequence[int],
    command: Callable[[int], Sequence[str]],
    at_once: int,
    threads: int,
    say: Callable[[str], None] = lambda text: None,
    every: float = 30.0,
) -> Several:
    """Train a run for each seed in OUT/seed-N, with a process of its own; its output goes to OUT/seed-N.log.

    Ctrl-C and SIGTERM let all of them save and end. What is done is kept in OUT/seeds.json.

    Args:
        command: the arguments of `lambent` for a seed, which make it print its result as JSON last.
        at_once: processes at a time.
        threads: of each.
        say: told of what is done, and `every` so many seconds how far the others are.

    Raises:
        ValueError: another process is at work in the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    found, waiting = Several(), list(seeds)
    running: dict[int, subprocess.Popen[bytes]] = {}
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    with locked(out), stop_on_interrupt() as stop:
        due = time.monotonic() + every
        try:
            while waiting or running:
                while waiting and len(running) < at_once and not stop.asked:
                    seed = waiting.pop(0)
                    with (out / f"seed-{seed}.log").open("wb") as log:
                        running[seed] = subprocess.Popen(
                            [sys.executable, "-m", "lambent", *command(seed)],
                            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
                            start_new_session=True,  # so that Ctrl-C is heard once
                        )  # fmt: skip
                if stop.asked and found.finished:  # once: the second signal would end them without saving
                    found.finished, waiting = False, []
                    for process in running.values():
                        process.terminate()
                for seed in [seed for seed, process in running.items() if process.poll() is not None]:
                    _take(found, seed, running.pop(seed).returncode, out / f"seed-{seed}.log")
                    say(_told(found, seed))
                if time.monotonic() > due:
                    due = time.monotonic() + every
                    say(", ".join(f"seed {seed}: {_how_far(folder_of(out, seed))}" for seed in running))
                time.sleep(_POLL)
        finally:
            for process in running.values():
                process.kill()
        if found.finished:
            Folder(out).write_json("seeds.json", found.summary())
    return found


def _take(found: Several, seed: int, status: int, log: Path) -> None:
    lines = read_file(log).decode(errors="replace").strip().splitlines() or [""]
    if status == 0:
        found.results[seed] = json.loads(lines[-1])
    elif status == 130 and not found.finished:
        return
    else:
        found.failed[seed] = f"{lines[-1].removeprefix('error: ')} (status {status}; {log})"


def _told(found: Several, seed: int) -> str:
    if seed in found.failed:
        return f"seed {seed}: failed: {found.failed[seed]}"
    if seed not in found.results:
        return f"seed {seed}: interrupted"
    names = {"val_accuracy": "validation", "accuracy_test": "test"}
    known = {name: found.results[seed].get(name) for name in _FIGURES}
    return f"seed {seed}: " + ", ".join(f"{names[k]} {100 * x:.2f} %" for k, x in known.items() if x is not None)


def _how_far(folder: Path) -> str:
    run = Run(folder)
    if not run.exists():
        return "begins"
    done = run.metrics()
    text = f"epoch {len(done)} of {run.config().all_epochs}"
    return f"{text}, validation {100 * done[-1]['val_accuracy']:.1f} %" if done and "val_accuracy" in done[-1] else text
