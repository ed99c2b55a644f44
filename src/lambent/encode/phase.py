"""Values as binary digits, one per phase of a clock."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_values, pack
from lambent.events import Events, n_steps


def phase(values: Tensor, duration: float, bits: int = 8, dt: float = 1.0) -> Events:
    """Weighted spikes: the binary digits of each value, most significant first, one per `dt`, again and again.

    Kim, Kim, Huh, Lee & Choi 2018 (doi:10.1016/j.neucom.2018.05.087): a spike in phase k of a period counts
    2^-(k + 1). Values are rounded to multiples of ``1 / (2**bits - 1)``, so that 0 and 1 are exact.

    Args:
        values: (batch, features) float in [0, 1].
        duration: length of every sample [ms]; only whole periods of ``bits * dt`` are filled.
        bits: digits of a value, 1 to 24.
        dt: length of a phase [ms].

    Returns:
        Events of `features` units.

    Raises:
        TypeError, ValueError: `values` are not as above, or the numbers make no sense or leave no whole period.

    Example:
        >>> lb.encode.phase(torch.tensor([[2 / 3]]), duration=4.0, bits=2).times  # binary 10, twice
        tensor([0., 2.])
    """
    check_values(values)
    periods = _periods(duration, bits, dt)
    k = torch.arange(bits, device=values.device)
    levels = torch.round(values.detach().double() * (2**bits - 1)).to(torch.int64)
    digits = (levels[:, None] >> (bits - 1 - k)[:, None]) & 1  # (batch, bits, features)
    samples, steps, units = digits.repeat(1, periods, 1).nonzero(as_tuple=True)
    return pack(steps.to(values.dtype) * dt, samples, units, len(values), values.shape[1], duration)


def decode_phase(events: Events, bits: int = 8, dt: float = 1.0) -> Tensor:
    """The inverse of `phase`, (batch, features): the mean over periods, off by at most ``0.5 / (2**bits - 1)``.

    Example:
        >>> lb.encode.decode_phase(lb.encode.phase(torch.tensor([[0.4]]), duration=8.0, bits=4), bits=4)
        tensor([[0.4000]])
    """
    periods = _periods(events.duration, bits, dt)
    steps = events.steps(dt)
    weights = torch.where(steps < periods * bits, 2.0 ** (bits - 1 - steps % bits), 0.0).to(events.times.dtype)
    total = weights.new_zeros(events.batch_size * events.n_units)
    total = total.index_add(0, events.samples() * events.n_units + events.units, weights)
    return total.reshape(events.batch_size, -1) / (periods * (2**bits - 1))


def _periods(duration: float, bits: int, dt: float) -> int:
    check_positive(duration=duration, dt=dt)
    if not 1 <= bits <= 24:
        raise ValueError(f"bits must be in [1, 24], got {bits}")
    periods = n_steps(duration, dt) // bits
    if periods == 0:
        raise ValueError(f"a period of {bits} phases of {dt} ms does not fit into {duration} ms")
    return periods
