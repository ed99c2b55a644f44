"""What a training run shows while it runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column


def _line(metrics: dict[str, float]) -> str:
    valid = f"val {100 * metrics['val_accuracy']:.1f} %  " if "val_accuracy" in metrics else ""
    aware = "quantised  " if "aware" in metrics else ""
    return (
        f"{aware}loss {metrics['loss']:.3f}  acc {100 * metrics['accuracy']:.1f} %  {valid}"
        f"{metrics['spikes_per_unit']:.1f} spikes/unit  {100 * metrics['silent']:.0f} % silent  "
        f"{metrics['samples_per_s']:.0f}/s"
    )


class RichWatcher:
    """A bar for the whole run, with the current epoch's figures, and a line per finished epoch."""

    def __init__(self, console: Console, epochs: int, done: int = 0) -> None:
        self.console, self.epochs = console, epochs
        self.bar = Progress(
            BarColumn(bar_width=12),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task("epoch", total=epochs, completed=done, figures="compiling ...")

    def __enter__(self) -> RichWatcher:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: Any, trace: TracebackType | None) -> None:
        self.bar.stop()

    def batch(self, epoch: int, done: int, of: int, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        self.bar.update(self.task, completed=epoch + done / of, figures=_line(metrics))

    def epoch(self, metrics: dict[str, float]) -> None:
        """See `trainer.Watcher`."""
        self.console.print(f"{int(metrics['epoch']):{len(str(self.epochs))}}/{self.epochs}  {_line(metrics)}")


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
