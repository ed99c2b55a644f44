"""Values as the latencies of a population with Gaussian receptive fields."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_units, check_values, check_window, first_times, pack
from lambent.events import Events

_SILENT = 0.1  # responses below this share of the largest give no spike, as in the paper


def population(
    values: Tensor, duration: float, t_late: float, fields: int = 8, beta: float = 1.5, t_early: float = 0.0
) -> Events:
    """Each feature seen by `fields` units with overlapping Gaussian receptive fields, which spike once or not.

    Bohte, La Poutré & Kok 2002 (doi:10.1109/72.991428): centres evenly spaced, ``d = 1 / (fields - 2)`` apart from
    -d/2 to 1 + d/2, width d / beta; a response r spikes at ``t_late - r (t_late - t_early)``, and not at all where
    r < 0.1. Unit ``f * fields + i`` is field i of feature f. The times carry a gradient to `values`.

    Args:
        values: (batch, features) float in [0, 1].
        duration: length of every sample [ms].
        t_late: time of the response 0 [ms].
        fields: units per feature, at least 3.
        beta: overlap, the smaller the wider the fields; 1 to 2 in the paper.
        t_early: time of the response 1 [ms].

    Returns:
        Events of ``features * fields`` units.

    Raises:
        TypeError, ValueError: `values` are not as above, too few fields, or not ``0 <= t_early < t_late < duration``.

    Example:
        >>> lb.encode.population(torch.tensor([[0.4]]), duration=60.0, t_late=50.0, fields=5).units
        tensor([2, 1, 3], dtype=torch.int32)
    """
    check_values(values)
    check_window(t_early, t_late, duration)
    centres, width = _fields(values, fields, beta)
    response = torch.exp(-0.5 * ((values[..., None] - centres) / width) ** 2)  # (batch, features, fields)
    samples, features, field = (response.detach() >= _SILENT).nonzero(as_tuple=True)
    times = t_late - response[samples, features, field] * (t_late - t_early)
    batch, n = values.shape
    return pack(times, samples, features * fields + field, batch, n * fields, duration)


def decode_population(
    events: Events, t_late: float, fields: int = 8, beta: float = 1.5, t_early: float = 0.0
) -> Tensor:
    """The inverse of `population`, (batch, features).

    The two earliest fields of a feature determine its value exactly; one alone gives its centre, none NaN.
    Carries a gradient to the times.

    Example:
        >>> events = lb.encode.population(torch.tensor([[0.4]]), duration=60.0, t_late=50.0, fields=5)
        >>> lb.encode.decode_population(events, t_late=50.0, fields=5)
        tensor([[0.4000]])
    """
    check_window(t_early, t_late, events.duration)
    centres, width = _fields(events.times, fields, beta)
    features = check_units(events, fields, "fields")
    response = (t_late - first_times(events)) / (t_late - t_early)
    response = response.nan_to_num(nan=0.0).reshape(events.batch_size, features, fields)
    (r1, r2), (i1, i2) = (x.unbind(-1) for x in response.topk(2, dim=-1))
    c1, c2 = centres[i1], centres[i2]
    # log r = -(v - c)^2 / (2 width^2); the difference of two is linear in v
    both = r2 > 0
    ratio = torch.where(both, r1, 1.0).log() - torch.where(both, r2, 1.0).log()
    value = torch.where(both, width**2 * ratio / (c1 - c2) + (c1 + c2) / 2, c1)
    return torch.where(r1 > 0, value, torch.nan)


def _fields(like: Tensor, fields: int, beta: float) -> tuple[Tensor, float]:
    """Centres (fields,) and width of the receptive fields."""
    if fields < 3:
        raise ValueError(f"fields must be at least 3, got {fields}")
    check_positive(beta=beta)
    distance = 1 / (fields - 2)
    centres = (torch.arange(fields, device=like.device, dtype=like.dtype) - 0.5) * distance
    return centres, distance / beta
