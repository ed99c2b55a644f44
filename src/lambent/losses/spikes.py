"""Losses on when units first spike, and on how often."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lambent.connections.connections import check_size
from lambent.events import Events
from lambent.losses._checks import check_filled, checked_labels
from lambent.machine.waiting import expect


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


def population_mean(x: Tensor, population: int) -> Tensor:
    """Means over the `population` units of each class: unit u stands for class u // population.

    Args:
        x: (batch, n_units), such as `Events.counts()` or `first_spike_times`.

    Returns:
        (batch, n_units / population); the largest count, or the earliest time, tells the class.

    Raises:
        TypeError: `population` is no whole number.
        ValueError: the units are no multiple of it.

    >>> lb.losses.population_mean(torch.tensor([[3.0, 1.0, 0.0, 2.0]]), 2)
    tensor([[2., 1.]])
    """
    check_size("population", population)
    if x.shape[-1] % population:
        raise ValueError(f"{x.shape[-1]} units are no multiple of a population of {population}")
    return x.unflatten(-1, (-1, population)).mean(-1)


def first_spike_cross_entropy(
    events: Events,
    labels: Tensor,
    tau: float = 5.0,
    alpha: float = 0.0,
    tau_alpha: float = 50.0,
    population: int = 1,
) -> Tensor:
    """Time-to-first-spike cross-entropy: the unit of the right class should spike first.

        mean over the batch of  -log softmax(-t / tau)[label] + alpha (exp(t[label] / tau_alpha) - 1)

    Wunderlich & Pehle 2021, eq. 11 and Methods. Silent units count as in `first_spike_times`.

    Args:
        events: the output layer's spikes; unit c stands for class c.
        labels: (batch,) integers.
        tau: how sharply times are told apart [ms].
        alpha, tau_alpha: weight and time constant [ms] of the push to spike early.
        population: units that stand for a class together, by the mean of their times; see `population_mean`.

    Raises:
        ValueError: a label without a unit, units that are no multiple of `population`, or a time constant that is not
            positive.
    """
    if not (tau > 0 and tau_alpha > 0):
        raise ValueError(f"tau and tau_alpha must be positive, got {tau} and {tau_alpha}")
    times = population_mean(first_spike_times(events), population)
    labels = checked_labels(labels, times.shape[:1], times.shape[1])
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

    check_filled(len(events))
    expect(wanted.any(), complain)
    error = torch.where(wanted, first_spike_times(events) - targets, 0.0) / scale
    return (error**2).sum() / wanted.sum()


def count_cross_entropy(events: Events, labels: Tensor, scale: float = 1.0, population: int = 1) -> Tensor:
    """Cross-entropy with `scale` times the spike counts as logits: the right unit should spike most.

    With a `population` of several units per class (see `population_mean`) it is their mean count.

    Raises:
        ValueError: a label without a unit, or units that are no multiple of `population`.
    """
    counts = population_mean(events.counts(), population)
    labels = checked_labels(labels, counts.shape[:1], counts.shape[1])
    return F.cross_entropy(scale * counts, labels)
