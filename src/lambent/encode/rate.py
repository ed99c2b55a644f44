"""Values as the rate of spikes."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_values, pack
from lambent.events import Events


def rate(
    values: Tensor,
    duration: float,
    max_rate: float,
    *,
    regular: bool = False,
    generator: torch.Generator | None = None,
) -> Events:
    """Spike trains of rate ``v * max_rate``, Poisson or regular (Adrian 1926).

    Poisson: a Poisson number of spikes, spread evenly over the sample. Regular: spikes 1/rate apart, the first
    half an interval after the start.

    Args:
        values: (batch, features) float in [0, 1].
        duration: length of every sample [ms].
        max_rate: rate of the value 1 [Hz].
        regular: spikes at equal distances in place of a Poisson process.
        generator: of the Poisson process; torch's own where left out.

    Returns:
        Events of `features` units.

    Raises:
        TypeError, ValueError: `values` are not as above, or `duration` or `max_rate` is not positive.

    Example:
        >>> lb.encode.rate(torch.tensor([[0.5, 1.0]]), duration=1000.0, max_rate=40.0, regular=True).counts()
        tensor([[20., 40.]])
    """
    check_values(values)
    check_positive(duration=duration, max_rate=max_rate)
    batch, features = values.shape
    expected = values.detach().double().reshape(-1) * (max_rate * duration * 1e-3)
    numbers = torch.ceil(expected - 0.5) if regular else torch.poisson(expected, generator)
    numbers = numbers.to(torch.int64)
    entry = torch.repeat_interleave(torch.arange(len(numbers), device=values.device), numbers)
    if regular:
        number_in_train = torch.arange(len(entry), device=values.device) - (numbers.cumsum(0) - numbers)[entry]
        share = (number_in_train + 0.5) / expected[entry]
    else:
        share = torch.rand(len(entry), generator=generator, dtype=torch.float64, device=values.device)
    times = (share * duration).to(values.dtype)
    last = torch.nextafter(times.new_tensor(duration), times.new_zeros(()))  # rounding may reach the end
    return pack(times.clamp(max=last), entry // features, entry % features, batch, features, duration)


def decode_rate(events: Events, max_rate: float) -> Tensor:
    """Values (batch, features) from spike counts.

    The error is at most ``500 / (max_rate * duration)`` (rate in Hz, duration in ms) for regular trains; for Poisson
    trains its standard deviation is ``sqrt(v * 1000 / (max_rate * duration))``. Carries the gradient of the counts.

    Example:
        >>> events = lb.encode.rate(torch.tensor([[0.5, 1.0]]), duration=1000.0, max_rate=40.0, regular=True)
        >>> lb.encode.decode_rate(events, max_rate=40.0)
        tensor([[0.5000, 1.0000]])
    """
    check_positive(max_rate=max_rate)
    return events.counts() / (max_rate * events.duration * 1e-3)
