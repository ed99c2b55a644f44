"""Values as bursts: more spikes, closer together, the larger the value."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_values, first_times, nth_times, pack
from lambent.events import Events


def burst(values: Tensor, duration: float, max_spikes: int = 5, isi_min: float = 2.0, isi_max: float = 10.0) -> Events:
    """One burst per feature, from time 0, of ``ceil(v * max_spikes)`` spikes.

    They follow each other at intervals of ``isi_max - v (isi_max - isi_min)``: the code of Guo, Fouda, Eltawil &
    Salama 2021 (doi:10.3389/fnins.2021.638474), with intervals not rounded to steps, so that the times carry a
    gradient to `values`.

    Args:
        values: (batch, features) float in [0, 1]; 0 gives no spike.
        duration: length of every sample [ms].
        max_spikes: spikes of the value 1.
        isi_min: interval between the spikes of the value 1 [ms].
        isi_max: interval towards the value 0 [ms].

    Returns:
        Events of `features` units.

    Raises:
        TypeError, ValueError: `values` are not as above, the intervals make no sense, or a burst could outlast
            `duration`.

    Example:
        >>> lb.encode.burst(torch.tensor([[0.6]]), duration=60.0).times
        tensor([ 0.0000,  5.2000, 10.4000])
    """
    check_values(values)
    _check_burst(max_spikes, isi_min, isi_max)
    # ceil(v n) = k + 1 spikes first appear at v = k / n, where their interval is longest
    longest = max(k * (isi_max - k / max_spikes * (isi_max - isi_min)) for k in range(max_spikes))
    if not longest < duration:
        raise ValueError(f"a burst may last {longest:g} ms, the duration is {duration} ms")
    batch, features = values.shape
    k = torch.arange(max_spikes, device=values.device)
    interval = isi_max - values * (isi_max - isi_min)
    there = k < values.detach()[..., None] * max_spikes  # (batch, features, max_spikes)
    samples, units, _ = there.nonzero(as_tuple=True)
    return pack((k * interval[..., None])[there], samples, units, batch, features, duration)


def decode_burst(events: Events, max_spikes: int = 5, isi_min: float = 2.0, isi_max: float = 10.0) -> Tensor:
    """Values (batch, features) from the first interval of each unit, exact to rounding where there is one.

    A single spike leaves the value between 0 and ``1 / max_spikes``: the middle is returned. No spike is 0.

    Example:
        >>> lb.encode.decode_burst(lb.encode.burst(torch.tensor([[0.6]]), duration=60.0))
        tensor([[0.6000]])
    """
    _check_burst(max_spikes, isi_min, isi_max)
    single, first = 0.5 / max_spikes, first_times(events)
    interval = nth_times(events, 1) - first
    value = torch.where(interval.isnan(), single, (isi_max - interval) / (isi_max - isi_min))
    return torch.where(first.isnan(), 0.0, value)


def _check_burst(max_spikes: int, isi_min: float, isi_max: float) -> None:
    if max_spikes < 1:
        raise ValueError(f"max_spikes must be at least 1, got {max_spikes}")
    check_positive(isi_min=isi_min, isi_max=isi_max)
    if not isi_min < isi_max:
        raise ValueError(f"isi_min must be below isi_max, got {isi_min} and {isi_max}")
