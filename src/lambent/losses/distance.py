"""The distance of van Rossum between spike trains, with a smooth kernel and in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.events import Events
from lambent.losses._checks import check_filled

_PAIRS = 1 << 18  # of spikes that are looked at together


def van_rossum(events: Events, targets: Events, tau: float = 10.0) -> Tensor:
    """Mean over batch and units of `van_rossum_distances`: each unit should spike when its target does.

    Args, Raises: as there; and ValueError for an empty batch.
    """
    check_filled(len(events))
    return van_rossum_distances(events, targets, tau).mean()


def van_rossum_distances(events: Events, targets: Events, tau: float = 10.0) -> Tensor:
    """Squared distances of spike trains, (batch, n_units).

    Each train is filtered; the distance is the integral of the squared difference. Van Rossum 2001
    (doi:10.1162/089976601300014321) has an exponential for it, whose gradient jumps where spikes meet, here it is an
    alpha function, t / tau exp(-t / tau). For all spikes of both trains, those of the targets with s = -1, and
    where spikes have values with these as factors, that is

        1/2 sum over pairs of  s_a s_b (1 + d / tau) exp(-d / tau),    d = |t_a - t_b|

    so that one spike too many or too few costs 1/2, as in the paper. Times carry its gradient, those of the targets
    too; there are no second derivatives. Nothing moves a unit that is silent where its target spikes: its count gets a
    gradient, what a first spike at one of the target's would change on average, and a layer passes it on (see
    `lambent.LIF`). Time and memory go with the pairs of spikes of one unit in one sample, in pieces.

    Args:
        events: a layer's spikes.
        targets: those wanted, of as many samples and units, and of the same duration.
        tau: time constant [ms]; far less than the distance of spikes it counts coincidences, far more compares rates.

    Raises:
        TypeError: `targets` are no `Events`.
        ValueError: they do not fit the events, or `tau` is not positive.

    >>> one, two = (lb.Events.from_lists([[t, 40.0]], [[0, 0]], 1, 100.0) for t in (10.0, 12.0))
    >>> lb.losses.van_rossum_distances(one, one), lb.losses.van_rossum_distances(one, two, tau=5.0)
    (tensor([[0.]]), tensor([[0.0616]]))
    """
    _check(events, targets, tau)
    size = len(events) * events.n_units
    trains = [x.samples() * x.n_units + x.units for x in (events, targets)]
    times = torch.cat([events.times, targets.times.to(events.times.dtype)])
    train = torch.cat(trains)
    own, wanted = (torch.ones_like(x.times) if x.values is None else x.values for x in (events, targets))
    values = torch.cat([own, -wanted.to(own.dtype)])
    sign = values.detach().double()
    overlap, slope = _overlaps(times.detach().double() / tau, sign, train, size)
    moved = (times - times.detach()) * (sign * slope / tau).to(times.dtype)  # zero, with the gradient
    moved = moved + (values - values.detach()) * overlap.to(times.dtype)
    per_spike = (0.5 * sign * overlap).to(times.dtype) + moved
    distances = per_spike.new_zeros(size).index_add(0, train, per_spike).view(len(events), events.n_units)
    return distances + _first_spike(events, targets, overlap[len(trains[0]) :], trains[1])


def _first_spike(events: Events, targets: Events, overlap: Tensor, train: Tensor) -> Tensor:
    """Zeros (batch, n_units) that carry, where a unit is silent, what one spike at its target's would change."""
    counts = events.counts()
    wanted = torch.bincount(train, minlength=counts.numel()).view_as(counts)
    among = overlap.new_zeros(counts.numel()).index_add(0, train, -overlap).view_as(counts)
    change = torch.where((counts == 0) & (wanted > 0), 0.5 - among / wanted.clamp(min=1), 0.0)
    return (counts - counts.detach()) * change.to(counts.dtype)


def _overlaps(times: Tensor, sign: Tensor, train: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """For each spike the sum of s (1 + d) exp(-d) over the spikes of its train, and the derivative by its time."""
    order = torch.argsort(train, stable=True)
    own = torch.bincount(train, minlength=size)
    first, own = (own.cumsum(0) - own)[train], own[train]  # of each spike: where its train begins, how long it is
    pairs = own.cumsum(0)
    overlap, slope = torch.zeros_like(times), torch.zeros_like(times)
    start = 0
    while start < len(times):
        done = int(pairs[start - 1]) if start else 0
        end = max(start + 1, int(torch.searchsorted(pairs, done + _PAIRS, right=True)))
        a = torch.repeat_interleave(torch.arange(start, end, device=times.device), own[start:end])
        number = torch.arange(len(a), device=times.device) - (pairs[a] - own[a] - done)
        b = order[first[a] + number]
        distance = times[a] - times[b]
        weight = sign[b] * torch.exp(-distance.abs())
        overlap.index_add_(0, a, weight * (1 + distance.abs()))
        slope.index_add_(0, a, -weight * distance)
        start = end
    return overlap, slope


def _check(events: Events, targets: Events, tau: float) -> None:
    for name, x in (("events", events), ("targets", targets)):
        if not isinstance(x, Events):
            raise TypeError(f"{name} must be lambent.Events, got {type(x).__name__}")
    for name in ("batch_size", "n_units", "duration", "device"):
        own, other = getattr(events, name), getattr(targets, name)
        if own != other:
            raise ValueError(f"targets have {name} {other}, the events have {own}")
    if not 0 < tau < float("inf"):
        raise ValueError(f"tau must be positive [ms], got {tau}")
