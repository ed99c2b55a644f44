"""Signals as their changes: unit c spikes where channel c rises, unit ``channels + c`` where it falls."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.encode._spikes import check_positive, check_signals, check_units, pack
from lambent.events import Events


def delta(signals: Tensor, dt: float, threshold: float) -> Events:
    """Send-on-delta: a spike whenever the signal is `threshold` away from where it was at the last spike.

    Miskowicz 2006 (doi:10.3390/s6010049); also known as level-crossing sampling and as what an event camera does.
    Between samples the signal is a straight line, so that a steep rise gives several spikes within one step, each
    at its own time. The times carry a gradient to `signals`.

    Args:
        signals: (batch, channels, steps) float, a sample every `dt`, the first at time 0.
        dt: step [ms]; the duration is ``steps * dt``.
        threshold: change per spike.

    Returns:
        Events of ``2 * channels`` units.

    Raises:
        TypeError, ValueError: `signals` are not as above, `dt` or `threshold` is not positive.

    Example:
        >>> events = lb.encode.delta(torch.tensor([[[0.0, 1.0, 0.0]]]), dt=1.0, threshold=0.5)
        >>> events.times, events.units
        (tensor([0.5000, 1.0000, 1.5000, 2.0000]), tensor([0, 0, 1, 1], dtype=torch.int32))
    """
    check_signals(signals, dt)
    check_positive(threshold=threshold)
    x = (signals - signals[..., :1]) / threshold
    level = torch.zeros_like(x[..., 0], dtype=torch.int64)
    levels = [level]
    for now in x.detach().unbind(-1)[1:]:
        level = level + torch.trunc(now - level).to(torch.int64)
        levels.append(level)
    passed = torch.stack(levels, -1).diff(dim=-1)  # (batch, channels, steps - 1), levels passed on the way
    samples, channels, step = passed.nonzero(as_tuple=True)
    numbers = passed[samples, channels, step].abs()
    spike = torch.repeat_interleave(torch.arange(len(numbers), device=numbers.device), numbers)
    number_in_step = torch.arange(len(spike), device=numbers.device) - (numbers.cumsum(0) - numbers)[spike]
    samples, channels, step = samples[spike], channels[spike], step[spike]
    sign = passed[samples, channels, step].sign()
    crossed = torch.stack(levels, -1)[samples, channels, step] + sign * (number_in_step + 1)
    before, after = x[samples, channels, step], x[samples, channels, step + 1]
    times = (step + (crossed - before) / (after - before)) * dt
    return _pack_signed(times, samples, channels, sign, signals, dt)


def step_forward(signals: Tensor, dt: float, threshold: float) -> Events:
    """Step-forward: at most one spike per step, where the signal left the band around a baseline that follows it.

    Kasabov et al. 2016 (doi:10.1016/j.neunet.2015.09.011): above ``baseline + threshold`` an up spike and the baseline
    rises by `threshold`; below ``baseline - threshold`` likewise down. Spikes lie on the grid. Arguments, result and
    errors as `delta`.

    Example:
        >>> lb.encode.step_forward(torch.tensor([[[0.0, 1.0, 1.0, 0.0]]]), dt=1.0, threshold=0.4).units
        tensor([0, 0, 1], dtype=torch.int32)
    """
    check_signals(signals, dt)
    check_positive(threshold=threshold)
    x = signals.detach() / threshold
    base = x[..., 0]
    signs = [torch.zeros_like(base)]
    for now in x.unbind(-1)[1:]:
        sign = (now > base + 1).to(x.dtype) - (now < base - 1).to(x.dtype)
        base = base + sign
        signs.append(sign)
    return _on_grid(torch.stack(signs, -1), dt)


def moving_window(signals: Tensor, dt: float, threshold: float, window: int = 5) -> Events:
    """Moving window: a spike where the signal is more than `threshold` away from the mean of the last `window` samples.

    Petro, Kasabov & Kiss 2020 (doi:10.1109/TNNLS.2019.2906158). At the start the mean is that of the samples there
    are. There is no inverse: the size of a change past the threshold is lost, and errors add up. Arguments, result and
    errors as `delta`.

    Example:
        >>> lb.encode.moving_window(torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]), dt=1.0, threshold=0.4, window=2).times
        tensor([2., 3.])
    """
    check_signals(signals, dt)
    check_positive(threshold=threshold)
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    x = signals.detach().double()
    total = torch.cat([torch.zeros_like(x[..., :1]), x.cumsum(-1)], -1)
    step = torch.arange(1, x.shape[-1], device=x.device)
    start = (step - window).clamp(min=0)
    away = x[..., 1:] - (total[..., step] - total[..., start]) / (step - start)
    signs = (away > threshold).to(torch.int64) - (away < -threshold).to(torch.int64)
    return _on_grid(torch.nn.functional.pad(signs, (1, 0)).to(signals.dtype), dt)


def decode_delta(events: Events, dt: float, threshold: float, start: Tensor | float = 0.0) -> Tensor:
    """The signals (batch, channels, steps) that `delta` saw, off by less than `threshold` at any step.

    Args:
        events: of ``2 * channels`` units.
        dt: step [ms].
        threshold: change per spike.
        start: (batch, channels) or a number, the signals at time 0.

    Example:
        >>> events = lb.encode.delta(torch.tensor([[[0.0, 1.0, 0.0]]]), dt=1.0, threshold=0.5)
        >>> lb.encode.decode_delta(events, dt=1.0, threshold=0.5)
        tensor([[[0., 1., 0.]]])
    """
    # a crossing between two samples is known at the later one
    return _staircase(events, dt, threshold, start, torch.ceil(events.times.detach().double() / dt * (1 - 2.0**-22)))


def decode_step_forward(events: Events, dt: float, threshold: float, start: Tensor | float = 0.0) -> Tensor:
    """The baseline (batch, channels, steps) of `step_forward`.

    It stays within `threshold` of the signal as long as that changes by at most `threshold` per step. Arguments as
    `decode_delta`.

    Example:
        >>> events = lb.encode.step_forward(torch.tensor([[[0.0, 0.5, 1.0]]]), dt=1.0, threshold=0.4)
        >>> lb.encode.decode_step_forward(events, dt=1.0, threshold=0.4)
        tensor([[[0.0000, 0.4000, 0.8000]]])
    """
    return _staircase(events, dt, threshold, start, events.steps(dt))


def _staircase(events: Events, dt: float, threshold: float, start: Tensor | float, step: Tensor) -> Tensor:
    check_positive(dt=dt, threshold=threshold)
    channels = check_units(events, 2, "up and down")
    steps = round(events.duration / dt)
    sign = torch.where(events.units < channels, 1.0, -1.0).to(events.times.dtype)
    index = (events.samples() * channels + events.units % channels) * steps + step.to(torch.int64).clamp(max=steps - 1)
    change = sign.new_zeros(events.batch_size * channels * steps).index_add(0, index, sign)
    climbed = threshold * change.reshape(events.batch_size, channels, steps).cumsum(-1)
    return climbed + torch.as_tensor(start, dtype=climbed.dtype, device=climbed.device)[..., None]


def _on_grid(signs: Tensor, dt: float) -> Events:
    samples, channels, step = signs.nonzero(as_tuple=True)
    times = step.to(signs.dtype) * dt
    return _pack_signed(times, samples, channels, signs[samples, channels, step], signs, dt)


def _pack_signed(times: Tensor, samples: Tensor, channels: Tensor, sign: Tensor, like: Tensor, dt: float) -> Events:
    batch, n, steps = like.shape
    units = torch.where(sign > 0, channels, channels + n)
    return pack(times, samples, units, batch, 2 * n, steps * dt)
