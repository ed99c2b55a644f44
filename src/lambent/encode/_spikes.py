"""What the encoders share: checks of their input and packing of spikes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lambent.events import Events, check_n_units, check_spikes


def pack(times: Tensor, samples: Tensor, units: Tensor, batch: int, n_units: int, duration: float) -> Events:
    """Spikes in any order, each with its time [ms], sample and unit, as `Events`; the times keep their gradient."""
    order = torch.argsort(times.detach(), stable=True)
    order = order[torch.argsort(samples[order], stable=True)]
    sizes = torch.bincount(samples, minlength=batch)
    offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    times, units = times[order], units[order]
    # no warning of seconds: an encoder knows what its times are
    t, u, o = (x.detach().cpu().numpy() for x in (times, units, offsets))
    check_spikes(t, u, o, check_n_units(n_units), duration)
    return Events(times, units, offsets, n_units, duration, check=False)


def first_times(events: Events) -> Tensor:
    """Time [ms] of the first spike of each unit, (batch, n_units), NaN where there is none; carries a gradient."""
    return nth_times(events, 0)


def nth_times(events: Events, n: int) -> Tensor:
    """Time [ms] of spike number `n` (from 0) of each unit, as `first_times`."""
    size = events.batch_size * events.n_units
    index = events.samples() * events.n_units + events.units
    by_unit = torch.argsort(index, stable=True)  # inside a unit the spikes stay sorted by time
    counts = torch.bincount(index, minlength=size)
    there = counts > n
    start = counts.cumsum(0) - counts
    entry = by_unit[(start + n)[there]]
    times = events.times.new_full((size,), math.nan)
    return times.index_put((there.nonzero()[:, 0],), events.times[entry]).reshape(events.batch_size, events.n_units)


def check_values(values: Tensor) -> None:
    """Values must be a float tensor (batch, features) in [0, 1]."""
    _check_floats("values", values, ("batch", "features"))
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        b, f = bad.nonzero()[0].tolist()
        raise ValueError(f"sample {b}, feature {f}: value {values[b, f].item()} outside [0, 1]")


def check_signals(signals: Tensor, dt: float) -> None:
    """Signals must be a finite float tensor (batch, channels, steps) with at least one step of `dt` [ms]."""
    _check_floats("signals", signals, ("batch", "channels", "steps"))
    if signals.shape[2] == 0:
        raise ValueError("signals have no steps")
    bad = ~torch.isfinite(signals)
    if bad.any():
        b, c, n = bad.nonzero()[0].tolist()
        raise ValueError(f"sample {b}, channel {c}, step {n}: {signals[b, c, n].item()} is not finite")
    check_positive(dt=dt)


def check_positive(**named: float) -> None:
    """Numbers, given by name, must be positive and finite."""
    for name, value in named.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")


def check_window(t_early: float, t_late: float, duration: float) -> None:
    """First and last spike time [ms] must lie inside a sample."""
    if not 0 <= t_early < t_late < duration < math.inf:
        given = f"t_early={t_early}, t_late={t_late}, duration={duration}"
        raise ValueError(f"need 0 <= t_early < t_late < duration, got {given}")


def check_units(events: Events, parts: int, what: str) -> int:
    """Number of units divided by `parts`, which must divide it: the number of features or channels."""
    if events.n_units % parts:
        raise ValueError(f"{events.n_units} units are no multiple of {parts} ({what})")
    return events.n_units // parts


def _check_floats(name: str, x: Tensor, axes: tuple[str, ...]) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {x.dtype}")
    if x.ndim != len(axes) or 0 in x.shape[1:2]:
        raise ValueError(f"{name} must be ({', '.join(axes)}), got shape {tuple(x.shape)}")
