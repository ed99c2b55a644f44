"""Values as the time of one spike."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_values, check_window, first_times, pack
from lambent.events import Events


def latency(values: Tensor, duration: float, t_late: float, t_early: float = 0.0) -> Events:
    """One spike per feature, the earlier the larger its value.

    Value v spikes at ``t_late - v (t_late - t_early)`` (Thorpe, Delorme & Van Rullen 2001,
    doi:10.1016/S0893-6080(01)00083-1, in the linear form). The times carry a gradient to `values`.

    Args:
        values: (batch, features) float in [0, 1].
        duration: length of every sample [ms].
        t_late: time of the value 0 [ms].
        t_early: time of the value 1 [ms].

    Returns:
        Events of `features` units.

    Raises:
        TypeError, ValueError: `values` are not as above, or not ``0 <= t_early < t_late < duration``.

    Example:
        >>> lb.encode.latency(torch.tensor([[0.5, 1.0]]), duration=60.0, t_late=50.0).times
        tensor([ 0., 25.])
    """
    check_values(values)
    check_window(t_early, t_late, duration)
    batch, features = values.shape
    times = t_late - values * (t_late - t_early)
    samples, units = torch.ones_like(values, dtype=torch.bool).nonzero(as_tuple=True)
    return pack(times.reshape(-1), samples, units, batch, features, duration)


def decode_latency(events: Events, t_late: float, t_early: float = 0.0) -> Tensor:
    """The inverse of `latency`, exact to rounding: (batch, features) from each unit's first spike.

    NaN for a unit that does not spike. Carries a gradient to the times.

    Example:
        >>> events = lb.encode.latency(torch.tensor([[0.5, 1.0]]), duration=60.0, t_late=50.0)
        >>> lb.encode.decode_latency(events, t_late=50.0)
        tensor([[0.5000, 1.0000]])
    """
    check_window(t_early, t_late, events.duration)
    return (t_late - first_times(events)) / (t_late - t_early)
