"""`ChipTrainer`: the trainer of a run whose model learns on the model of its chip."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.hardware.chip import Learner, LearningChip, Overrun, find_chip
from lambent.training.config import Config
from lambent.training.trainer import Trainer

IGNORED = ("lr_tau", "weight_decay", "clip", "rewire", "device")
"""Settings that no chip has programs for; `lr_delay` does nothing without delays."""


def check_on_chip(config: Config) -> LearningChip:
    """The chip of a run that learns there.

    Raises:
        ValueError: the chip cannot learn, or a setting asks for what it has no programs for; names it.
    """
    chip = find_chip(config.chip)
    if not isinstance(chip, LearningChip):
        raise ValueError(f"{chip.title} does not learn by itself; train without --on")
    for name in IGNORED:
        if getattr(config, name) != getattr(Config, name):
            raise ValueError(f"{name} = {getattr(config, name)!r}: {chip.title} has no program for it; leave it out")
    if config.qat_bits:
        raise ValueError(f"qat_bits = {config.qat_bits}: {chip.title} learns in float32; leave it out")
    if config.delay:
        raise ValueError(f"delay = {config.delay:g}: the programs of {chip.title} have no delays; set delay to 0")
    return chip


class ChipTrainer(Trainer):
    """A `Trainer` whose steps are the chip's: loss, gradients and Adam; the rest is as ever.

    Augmentation is the host's, which sends the inputs, and so is validation, on the off-chip twin.
    """

    def __init__(self, model: nn.Sequential, config: Config, data: SpikeDataset, valid: SpikeDataset | None) -> None:
        super().__init__(model, config, data, valid)
        self._chip, self._duration = check_on_chip(config), data.duration
        self._chip.learner(model, config, self._duration)  # raises before there is a folder with a run in it
        self._learner: Learner | None = None
        self._state: dict[str, Any] | None = None  # of the learner, in the checkpoint that is gone on from

    @property
    def learner(self) -> Learner:
        """The model on the chip, made once the initial weights are settled."""
        if self._learner is None:
            self._learner = self._chip.learner(cast(nn.Sequential, self.model), self.config, self._duration)
            if self._state is not None:
                self._learner.load_state(self._state)
        return self._learner

    def step(self, events: Events, targets: Tensor) -> dict[str, float]:
        """See `Trainer.step`. The model gets the weights with the last batch of an epoch."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * self.rate()
        try:
            figures, _ = self.learner.step(events, targets, self.config.lr * self.rate())
        except Overrun as error:
            raise ValueError(
                f"{error}; initial_spikes and rate_upper set how often, narrower layers and a larger dt make room"
            ) from error
        if self.state.batch + 1 == self.batches:
            try:
                self.learner.write(self.model)
            except FloatingPointError as error:
                raise self._diverged(str(error)) from error
        return {"samples": len(events)} | {name: value * len(events) for name, value in figures.items()}

    def cost(self, events: Events, targets: Tensor) -> Any:
        """What learning from a batch costs on the chip, modelled; see `lambent.hardware.chip.Learner`."""
        return self.learner.cost(events, targets)

    def checkpoint(self) -> dict[str, Any]:
        """See `Trainer.checkpoint`."""
        state = self._state if self._learner is None else self._learner.state()
        return super().checkpoint() | {"chip": state}

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """See `Trainer.restore`."""
        super().restore(checkpoint)
        self._state = checkpoint["chip"]
