"""What training minimises and what it shows: by default what suits the targets, else what the caller brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lambent.data.dataset import IGNORED
from lambent.events import Events
from lambent.losses import smoothed_and_plain_cross_entropy

Loss = Callable[[Any, Any], Tensor]
Metrics = Mapping[str, Callable[[Any, Any], Any]]


class Objective:
    """A loss and metrics of (outputs, targets).

    Args:
        loss: gives a number; None for what suits the targets: of whole numbers cross-entropy, of one label a sample or
            one a step, and of floats the mean squared error.
        metrics: give numbers, by name; None for the accuracy where targets are classes.
        label_smoothing: of the cross-entropy, to train on; what is shown is never smoothed.
    """

    def __init__(self, loss: Loss | None = None, metrics: Metrics | None = None, label_smoothing: float = 0.0) -> None:
        self.loss, self.metrics, self.label_smoothing = loss, metrics, label_smoothing

    def losses(self, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """The loss to minimise, and the one to show (detached).

        Raises:
            ValueError: outputs and targets do not fit each other, or a loss that is no single number.
        """
        if self.loss is not None:
            loss = self.loss(outputs, targets)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise ValueError(f"the loss must be a tensor of one number, got {got}")
            return loss.reshape(()), loss.detach().reshape(())
        outputs, targets = _matched(outputs, targets)
        if not targets.is_floating_point():
            return smoothed_and_plain_cross_entropy(outputs, targets, 1.0, self.label_smoothing)
        error = F.mse_loss(outputs, targets.to(outputs.dtype))
        return error, error.detach()

    @torch.no_grad()
    def figures(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        """The metrics, each a tensor of one number."""
        metrics = self.metrics
        if metrics is None:
            classes = self.loss is None and _are_classes(targets)
            known = classes or (isinstance(outputs, Tensor) and outputs.ndim == 2 and _are_classes(targets))
            metrics = {"accuracy": accuracy} if known else {}
        return {name: torch.as_tensor(metric(outputs, targets)).detach() for name, metric in metrics.items()}


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of samples, or of their steps, whose largest output is that of their class."""
    outputs, targets = _matched(outputs, targets)
    return (outputs.argmax(1) == targets).double().mean()


def together(outputs: Sequence[Any]) -> Any:
    """What a model gave for several batches as if it were for one."""
    if isinstance(outputs[0], Events):
        return Events.cat(outputs)
    if isinstance(outputs[0], Tensor):
        return torch.cat(list(outputs))
    raise TypeError(f"a model must give a tensor or Events to be validated, got {type(outputs[0]).__name__}")


def _are_classes(targets: Any) -> bool:
    return isinstance(targets, Tensor) and not targets.is_floating_point() and targets.dtype is not torch.bool


def _matched(outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Outputs and targets of the same samples, one row for each; where outputs have steps, of each step that counts."""
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"the model must give a tensor such as scores (batch, classes), got {type(outputs).__name__}; "
            "for outputs of another kind bring a loss"
        )
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets must be a tensor, got {type(targets).__name__}")
    if not _are_classes(targets):
        if outputs.shape != targets.shape and outputs.squeeze(-1).shape == targets.shape:
            outputs = outputs.squeeze(-1)
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs of shape {tuple(outputs.shape)} for targets of {tuple(targets.shape)}")
        return outputs, targets
    if outputs.ndim not in (2, 3) or len(outputs) != len(targets):
        raise ValueError(
            f"the model must give scores (batch, classes) or (batch, steps, classes) for labels of shape "
            f"{tuple(targets.shape)}, got {tuple(outputs.shape)}"
        )
    if outputs.ndim == 3:
        steps = targets.unsqueeze(1).expand(-1, outputs.shape[1]) if targets.ndim == 1 else targets
        if steps.shape != outputs.shape[:2]:
            raise ValueError(f"labels of shape {tuple(targets.shape)} for scores of {tuple(outputs.shape)}")
        if targets.ndim == 1:
            return outputs.flatten(0, 1), steps.flatten()
        counted = steps != IGNORED
        if not counted.any():
            raise ValueError(f"the labels of a batch are all {IGNORED}, which does not count: nothing to learn")
        return outputs[counted], steps[counted]
    if targets.shape != outputs.shape[:1]:
        hint = '; for a label a step give the readout reduce="none"' if targets.ndim == 2 else ""
        raise ValueError(f"labels of shape {tuple(targets.shape)} for scores of {tuple(outputs.shape)}{hint}")
    return outputs, targets
