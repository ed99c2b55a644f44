"""Losses on readouts, spike times and spike counts, and the rate regulariser.

All are plain tensor code: gradients reach the layers through voltages, `Events.times` and `Events.counts()`. All are
means over the batch, and raise ValueError for an empty one; labels that are no whole numbers are a TypeError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from lambent.events import Events
from lambent.machine.waiting import expect

if TYPE_CHECKING:  # a build of torch may lack it
    from torch.distributed import ProcessGroup


def readout_cross_entropy(logits: Tensor, labels: Tensor, scale: float = 1.0, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of a readout.

    Args:
        logits: (batch, classes), or (batch, steps, classes) for reduce="none": the mean of the steps' losses.
        labels: (batch,) integers.
        scale: factor on the logits. Reduced voltages are small numbers (tenths of a threshold); a factor of
            about 30 lets a softmax decide.
        label_smoothing: as `torch.nn.functional.cross_entropy`.

    Raises:
        ValueError: wrong shapes, or a label without a logit.
    """
    logits, labels = _per_class(logits, labels, scale)
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def smoothed_and_plain_cross_entropy(
    logits: Tensor, labels: Tensor, scale: float = 1.0, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`readout_cross_entropy` with label smoothing, to train on, and without, to show (detached), at the price of one.

    Args, Raises: as `readout_cross_entropy`.
    """
    logits, labels = _per_class(logits, labels, scale)
    log_p = F.log_softmax(logits, 1)
    plain = F.nll_loss(log_p, labels)
    if not label_smoothing:
        return plain, plain.detach()
    # torch's own arithmetic, bit for bit; a CUDA device divides by a tensor otherwise than by a number
    uniform = -log_p.sum(1)
    uniform = uniform.sum() / labels.new_full((), len(labels))
    return plain * (1 - label_smoothing) + uniform * (label_smoothing / logits.shape[1]), plain.detach()


def first_spike_times(events: Events) -> Tensor:
    """Time of each unit's first spike [ms], (batch, n_units); the duration for a unit that stayed silent.

    A first spike hands its gradient to that spike's time. A silent unit has the gradient
    d time / d count = -duration: to come earlier it must first spike, and a layer passes that on to the
    weights at the unit's highest voltage (see `lambent.LIF`).
    """
    spikes, counts = events.padded(), events.counts()
    latest = spikes.times.new_full(((len(events) + 1) * events.n_units,), events.duration)
    index = spikes.samples() * events.n_units + spikes.units
    first = latest.scatter_reduce(0, index, spikes.times, "amin").view(-1, events.n_units)[:-1]
    return torch.where(counts == 0, first - events.duration * (counts - counts.detach()), first)


def first_spike_cross_entropy(
    events: Events, labels: Tensor, tau: float = 5.0, alpha: float = 0.0, tau_alpha: float = 50.0
) -> Tensor:
    """Time-to-first-spike cross-entropy: the unit of the right class should spike first.

        mean over the batch of  -log softmax(-t / tau)[label] + alpha (exp(t[label] / tau_alpha) - 1)

    Wunderlich & Pehle 2021, eq. 11 and Methods. Silent units count as in `first_spike_times`.

    Args:
        events: the output layer's spikes; unit c stands for class c.
        labels: (batch,) integers.
        tau: how sharply times are told apart [ms].
        alpha, tau_alpha: weight and time constant [ms] of the push to spike early.

    Raises:
        ValueError: a label without a unit, or a time constant that is not positive.
    """
    if not (tau > 0 and tau_alpha > 0):
        raise ValueError(f"tau and tau_alpha must be positive, got {tau} and {tau_alpha}")
    labels = _checked(labels, len(events), events.n_units)
    times = first_spike_times(events)
    loss = F.cross_entropy(-times / tau, labels)
    if alpha:
        right = times.gather(1, labels.unsqueeze(1))
        loss = loss + alpha * torch.expm1(right / tau_alpha).mean()
    return loss


def first_spike_mse(events: Events, targets: Tensor, scale: float | None = None) -> Tensor:
    """Mean over batch and units of ((t - target) / scale)^2: each unit should first spike at its target time.

    Silent units count as in `first_spike_times`.

    Args:
        events: the output layer's spikes.
        targets: (batch, n_units) wanted times of the first spikes [ms]; NaN where any time will do.
        scale: the error is relative to this time [ms]; the duration where left out.

    Raises:
        ValueError: targets of another shape, all of them NaN, or a scale that is not positive.
    """
    scale = events.duration if scale is None else scale
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets must be a tensor, got {type(targets).__name__}")
    if targets.shape != (len(events), events.n_units):
        raise ValueError(f"targets must have shape ({len(events)}, {events.n_units}), got {tuple(targets.shape)}")
    wanted = ~torch.isnan(targets)

    def complain() -> None:
        raise ValueError("targets are all NaN")

    _check_filled(len(events))
    expect(wanted.any(), complain)
    error = torch.where(wanted, first_spike_times(events) - targets, 0.0) / scale
    return (error**2).sum() / wanted.sum()


def count_cross_entropy(events: Events, labels: Tensor, scale: float = 1.0) -> Tensor:
    """Cross-entropy with `scale` times the spike counts as logits: the right unit should spike most.

    Raises:
        ValueError: a label without a unit.
    """
    labels = _checked(labels, len(events), events.n_units)
    return F.cross_entropy(scale * events.counts(), labels)


def rate_penalty(
    events: Events, lower: float = 0.0, upper: float = float("inf"), group: ProcessGroup | None = None
) -> Tensor:
    """How far the units' mean spike counts lie outside [lower, upper]: mean over units of the distance squared.

    Counts are averaged over the batch (Nowotny, Turner & Knight 2024). Units below `lower` are pulled up, at
    their spikes and, in samples in which they are silent, at their highest voltage: silent units revive.

    Args:
        events: a layer's spikes.
        lower, upper: mean spikes per unit and sample.
        group: processes (`torch.distributed`) whose batches are one: counts are averaged over all of them, and so must
            be the gradients, as `DistributedDataParallel` does. Each of the processes must call this.

    Raises:
        ValueError: the bounds are negative or not in order.
    """
    if not 0 <= lower <= upper:
        raise ValueError(f"need 0 <= lower <= upper, got {lower} and {upper}")
    _check_filled(len(events))
    mean = events.counts().mean(0)
    if group is not None:
        everywhere = mean.detach().clone()
        torch.distributed.all_reduce(everywhere, group=group)
        mean = mean + (everywhere / group.size() - mean.detach())
    return ((lower - mean).clamp(min=0) ** 2 + (mean - upper).clamp(min=0) ** 2).mean()


def _per_class(logits: Tensor, labels: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Scaled logits (n, classes) and labels (n,), those of each step where there are steps."""
    if logits.ndim not in (2, 3):
        raise ValueError(f"logits must be (batch, classes) or (batch, steps, classes), got {tuple(logits.shape)}")
    labels = _checked(labels, len(logits), logits.shape[-1])
    if logits.ndim == 3:
        labels = labels.unsqueeze(1).expand(-1, logits.shape[1]).reshape(-1)
    return scale * logits.flatten(0, -2), labels


def _check_filled(batch: int) -> None:
    if not batch:
        raise ValueError("the batch is empty: there is nothing to take the mean of")


def _checked(labels: Tensor, batch: int, classes: int) -> Tensor:
    """The labels, if each is one of `classes`; a step that runs ahead gets harmless ones until it is known."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype is torch.bool:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels must be a tensor of whole numbers, got {kind}")
    _check_filled(batch)
    if labels.shape != (batch,):
        raise ValueError(f"labels must have shape ({batch},), got {tuple(labels.shape)}")

    def complain() -> None:
        raise ValueError(f"labels must lie in [0, {classes}), got {int(labels.min())} to {int(labels.max())}")

    expect(((labels >= 0) & (labels < classes)).all(), complain)
    return labels.clamp(0, classes - 1).long()
