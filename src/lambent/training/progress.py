"""What a training run shows while it runs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

_BAR = 12  # columns
_PAUSE = 30.0  # seconds between plain lines
_KNOWN = {
    "epoch", "loss", "accuracy", "spikes_per_unit", "silent", "samples_per_s", "seconds", "lr", "aware", "best_epoch",
    "best_val_accuracy",
}  # fmt: skip


def is_live(console: Console) -> bool:
    """Whether lines can be drawn over on `console`: in terminals, but not in notebooks, pipes and logs."""
    return console.is_terminal and not console.is_jupyter and not console.is_dumb_terminal


def in_notebook() -> bool:
    """Whether a notebook's kernel started this process, as ``!lambent`` there does.

    It then gets a terminal of sorts, which shows escape codes as they are.
    """
    return "JPY_PARENT_PID" in os.environ or "inline" in os.environ.get("MPLBACKEND", "")


def pace(seconds: float = _PAUSE) -> Callable[[], bool]:
    """A function that returns True when it is called `seconds` after it last did, or was made."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    return due


def _figures(metrics: dict[str, float]) -> str:
    parts = [f"loss {metrics['loss']:.3f}"]
    if "accuracy" in metrics:
        parts.append(f"acc {100 * metrics['accuracy']:.1f} %")
    if "val_accuracy" in metrics:
        parts.append(f"val {100 * metrics['val_accuracy']:.1f} %")
    elif "val_loss" in metrics:
        parts.append(f"val {metrics['val_loss']:.3f}")
    parts += [f"{name} {value:.3g}" for name, value in metrics.items() if name.removeprefix("val_") not in _KNOWN]
    parts.append(f"{metrics['spikes_per_unit']:.1f} spikes/unit")
    parts.append(f"{100 * metrics['silent']:.0f} % silent")
    return "  ".join([*parts, f"{metrics['samples_per_s']:.0f}/s"])


class _Line(ProgressColumn):
    """Epoch, time left and figures in what width there is, the most important first."""

    max_refresh = None

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console, self.left = console, TimeRemainingColumn()

    def render(self, task: Task) -> Text:
        number, of = max(1, math.ceil(task.completed)), task.total
        text = Text(f"{number}/{of}  {self.left.render(task)}  {task.fields['figures']}")
        text.truncate(max(1, self.console.width - _BAR - 1), overflow="ellipsis")
        return text


class RichWatcher:
    """A line per finished epoch; beneath it in a terminal a live one of the current epoch, with the time left.

    Where lines cannot be drawn over (notebooks, pipes, logs) they are plain, without escape codes, and the current
    epoch gets one every half minute.
    """

    def __init__(self, console: Console, epochs: int, done: int = 0) -> None:
        self.console, self.epochs, self.live, self._due = console, epochs, is_live(console), pace()
        self._line = _Line(console)
        self.bar = Progress(BarColumn(bar_width=_BAR), self._line, console=console, transient=True)
        self.task = self.bar.add_task("epoch", total=epochs, completed=done, figures="compiling ...")

    def __enter__(self) -> RichWatcher:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: Any, trace: TracebackType | None) -> None:
        if self.live:
            self.bar.stop()

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        figures = _figures(metrics)
        self.bar.update(self.task, completed=epoch + done / of, figures=figures)
        if not self.live and self._due():
            task = self.bar.tasks[self.task]
            left = self._line.left.render(task)
            self._say(f"{self._of(epoch + 1)}  batch {done} of {of}  {left} left  {figures}")

    def epoch(self, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        quantised = "quantised  " * ("aware" in metrics)
        self._say(f"{self._of(int(metrics['epoch']))}  {quantised}{_figures(metrics)}")

    def _of(self, epoch: int) -> str:
        return f"{epoch:{len(str(self.epochs))}}/{self.epochs}"

    def _say(self, line: str) -> None:
        if self.live:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif not self.console.quiet:
            print(line, file=self.console.file, flush=True)


class TensorBoardWatcher:
    """Hands each epoch on to another watcher and writes it as TensorBoard events.

    Raises:
        ImportError: tensorboard is not installed; says how to install it.
    """

    def __init__(self, watcher: Any, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoard logs need tensorboard: pip install 'lambent[tensorboard]'") from error
        self.watcher, self.batch = watcher, watcher.batch
        # made at the first epoch: training begins by emptying its folder
        self._writer = cache(lambda: SummaryWriter(str(folder)))

    def epoch(self, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        for name, value in metrics.items():
            if name != "epoch":
                self._writer().add_scalar(name, value, int(metrics["epoch"]))
        self._writer().flush()
        self.watcher.epoch(metrics)
