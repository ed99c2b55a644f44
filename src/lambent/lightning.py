"""`SpikingModule`: any model for Lightning's trainer, loggers and callbacks (extra `lightning`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

try:
    import lightning
except ImportError as error:
    raise ImportError("lambent.lightning needs Lightning: pip install 'lambent[lightning]'") from error

from lambent.events import Events
from lambent.losses import rate_penalty
from lambent.training.config import Config
from lambent.training.fitting import config_of
from lambent.training.objective import Loss, Metrics, Objective
from lambent.training.parameters import constrain, parameter_groups
from lambent.training.scoring import activity, forward


class SpikingModule(lightning.LightningModule):
    """A model, its loss and its optimiser, as `lambent.fit` has them.

    Batches are pairs (`Events`, targets), as a `torch.utils.data.DataLoader` gives them for a `SpikeDataset`. It logs
    "loss", "val_loss", "test_loss", the metrics likewise, "spikes_per_unit" and "silent" (share of units).

    Args:
        model: any module that takes `Events`.
        loss: a function (outputs, targets) -> number; left out, what suits the targets, see `lambent.fit`.
        metrics: functions (outputs, targets) -> number, by name; left out, the accuracy of classes.
        lr: learning rate of weights, thresholds and biases, at its highest; falls to 0 by a cosine.
        settings: as of `lambent.fit`, but for batch_size, clip (`gradient_clip_val=1.0` of the trainer) and warmup.

    Raises:
        TypeError: an unknown setting.
        ValueError: a value is out of range.

    Example::

        import lightning
        from lambent.lightning import SpikingModule

        loader = torch.utils.data.DataLoader(lb.data.yin_yang(200, seed=0), batch_size=50, shuffle=True)
        model = torch.nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, scale=30))
        trainer = lightning.Trainer(
            max_epochs=1, gradient_clip_val=1.0, logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(SpikingModule(model), loader)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: Loss | None = None,
        metrics: Metrics | None = None,
        lr: float = Config.lr,
        **settings: Any,
    ) -> None:
        for name in ("batch_size", "clip", "warmup"):
            if name in settings:
                raise TypeError(f"{name} is not SpikingModule's to set: it is the loader's or Lightning's trainer's")
        super().__init__()
        self.model = model
        self.config = config_of(loss is None, settings, lr=lr)
        self.objective = Objective(loss, metrics, self.config.label_smoothing)

    def forward(self, events: Events) -> Any:
        """What the model gives."""
        return self.model(events)

    def training_step(self, batch: tuple[Events, Any], batch_idx: int) -> torch.Tensor:
        """The loss with the rate penalty."""
        events, targets = batch
        outputs, hidden = forward(self.model, events)
        loss, shown = self.objective.losses(outputs, targets)
        figures = {"loss": shown} | self.objective.figures(outputs, targets) | activity(hidden, shown)
        self._note("", figures, len(events))
        config = self.config
        if config.rate_strength:
            loss = loss + config.rate_strength * sum(
                rate_penalty(h, config.rate_lower, config.rate_upper) for h in hidden
            )
        return loss

    def _judge(self, kind: str, batch: tuple[Events, Any]) -> None:
        events, targets = batch
        outputs = self.model(events)
        figures = {"loss": self.objective.losses(outputs, targets)[1]} | self.objective.figures(outputs, targets)
        self._note(kind, figures, len(events))

    def _note(self, kind: str, figures: dict[str, torch.Tensor], n: int) -> None:
        for name, value in figures.items():
            self.log(
                kind + name,
                value.float(),
                batch_size=n,
                on_epoch=True,
                on_step=False,
                prog_bar=name in ("loss", "accuracy"),
            )

    def validation_step(self, batch: tuple[Events, Any], batch_idx: int) -> None:
        """Logs "val_loss" and the metrics."""
        self._judge("val_", batch)

    def test_step(self, batch: tuple[Events, Any], batch_idx: int) -> None:
        """Logs "test_loss" and the metrics."""
        self._judge("test_", batch)

    def predict_step(self, batch: tuple[Events, Any] | Events, batch_idx: int) -> Any:
        """What the model gives for the events of a batch, with or without targets."""
        return self.model(batch if isinstance(batch, Events) else batch[0])

    def on_train_batch_end(self, *_: Any) -> None:
        """Put trained parameters back where they mean something."""
        constrain(self.model)

    def configure_optimizers(self) -> Any:
        """AdamW with a rate for each kind of parameter, falling by a cosine unless the schedule is constant."""
        groups = [group | {"lr": group.pop("base")} for group in parameter_groups(self.model, self.config)]
        optimizer = torch.optim.AdamW(groups)
        if self.config.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
