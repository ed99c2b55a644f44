"""`History`: what a training showed, epoch after epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lambent.plot import learning


@dataclass(frozen=True)
class History:
    """The metrics of every epoch.

    Attributes:
        metrics: a dictionary for each epoch: "epoch" from 1, "loss", "accuracy" and other metrics, "val_loss" and so on
            with validation, "spikes_per_unit", "silent" (share of units), "samples_per_s", "seconds", "lr".
        best_epoch: whose model was kept: the last whose validation accuracy is within a standard error of the highest,
            or that of the least validation loss where there is no accuracy.
        finished: False where it was stopped before the last epoch.

    Example:
        >>> history = lb.fit(torch.nn.Sequential(lb.LIF(5, 16), lb.LIReadout(16, 3, scale=30)),
        ...                  lb.data.yin_yang(64, seed=0), epochs=2, progress=False)
        >>> len(history), len(history["loss"]), history.best_epoch
        (2, 2, 2)
    """

    metrics: list[dict[str, Any]]
    best_epoch: int
    finished: bool

    def __getitem__(self, name: str) -> list[float]:
        """One metric, epoch after epoch.

        Raises:
            KeyError: there is none of that name; says which there are.
        """
        known = list(dict.fromkeys(key for metrics in self.metrics for key in metrics))
        if name not in known:
            raise KeyError(f"no metric {name!r}; there are {', '.join(known) or 'none yet'}")
        return [metrics.get(name, float("nan")) for metrics in self.metrics]

    def __len__(self) -> int:
        return len(self.metrics)

    @property
    def best(self) -> dict[str, Any]:
        """The metrics of the best epoch; empty before the first."""
        return self.metrics[self.best_epoch - 1] if self.best_epoch else {}

    def plot(self, axes: Any = None) -> Any:
        """Draw the curves; see `lambent.plot.learning`."""
        return learning(self.metrics, axes)

    def __repr__(self) -> str:
        shown = ("loss", "accuracy", "val_loss", "val_accuracy")
        best = ", ".join(f"{name} {self.best[name]:.4g}" for name in shown if name in self.best)
        stopped = "" if self.finished else ", stopped early"
        return f"History({len(self)} epochs{stopped}, best {self.best_epoch}: {best})"
