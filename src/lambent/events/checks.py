"""The checks of packed spikes: sample b owns the entries offsets[b]:offsets[b + 1]."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.machine.warn import warn_caller

_EXCESS = 0.01  # steps
_LONGEST = float(np.finfo(np.float32).max)  # ms
_SECONDS = 10.0  # a longer sample is not taken for one in seconds
_RATE = 3.0  # spikes per unit and ms; the Heidelberg digits in seconds have 8, N-MNIST 6
_MANY = 100  # spikes, of which fewer say nothing about a rate
_BLOCK = 1 << 20  # spikes checked at a time, so that a check needs little memory beside the spikes


def n_steps(duration: float, dt: float) -> int:
    """Number of grid steps of `dt` [ms] that cover `duration` [ms].

    What is left of less than a hundredth of a step, and may come from rounding, is no step of its own.

    Raises:
        ValueError: these are more than fit in int32.
    """
    exact = duration / dt
    steps = max(1.0, np.ceil(exact - min(exact * 2.0**-22, _EXCESS)))
    if steps >= 2**31:
        raise ValueError(
            f"{duration:g} ms are more than 2**31 - 1 steps of {dt:g} ms; take longer steps or shorter samples"
        )
    return int(steps)


def check_n_units(n_units: Any) -> int:
    """`n_units`, if it is a number of units.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is out of range.
    """
    try:
        n = operator.index(n_units)
    except TypeError:
        raise TypeError(f"n_units must be a whole number, got {n_units!r}") from None
    if not 1 <= n < 2**31:
        raise ValueError(f"n_units must be at least 1 and fit in int32, got {n}")
    return n


def check_layout(times: NDArray[Any], units: NDArray[Any], offsets: NDArray[np.integer[Any]], duration: float) -> None:
    """Raise ValueError if packed arrays do not fit each other, or `duration` [ms] is none. See `check_spikes`."""
    for name, x in (("times", times), ("units", units), ("offsets", offsets)):
        if x.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {x.shape}")
    if not 0 < duration <= _LONGEST:
        raise ValueError(f"duration must be positive and finite [ms], as a float32 holds, got {duration}")
    if len(times) != len(units):
        raise ValueError(f"{len(times)} times but {len(units)} units")
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(times):
        raise ValueError(f"offsets must run from 0 to the number of spikes ({len(times)})")
    decreases = offsets[1:] < offsets[:-1]
    if decreases.any():
        raise ValueError(f"offsets decrease at sample {int(decreases.argmax())}")


def check_spikes(
    times: NDArray[np.floating[Any]],
    units: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    n_units: int,
    duration: float,
) -> None:
    """Validate packed spikes: sample b owns the entries ``offsets[b]:offsets[b + 1]``.

    Args:
        times: (n_spikes,) [ms].
        units: (n_spikes,).
        offsets: (batch + 1,).
        n_units: number of units.
        duration: length of every sample [ms].

    Raises:
        ValueError: arrays that do not fit each other, a time that is NaN, negative, at or past `duration`
            or earlier than the one before it, a unit out of range. Names the sample and the entry.
    """
    check_layout(times, units, offsets, duration)
    firsts = offsets[:-1][offsets[1:] > offsets[:-1]]  # the first spike of a sample follows nothing
    for start in range(0, len(times), _BLOCK):
        stop, second = min(start + _BLOCK, len(times)), max(start, 1)
        t, u = times[start:stop], units[start:stop]
        earlier = np.zeros(len(t), dtype=bool)
        earlier[second - start :] = times[second:stop] < times[second - 1 : stop - 1]
        earlier[firsts[slice(*np.searchsorted(firsts, (start, stop)))] - start] = False
        for bad, what in (
            (np.isnan(t), "time is NaN"),
            (np.isinf(t), "time is infinite"),
            (t < 0, "negative time"),
            (t >= float(duration), f"time at or past the duration of {duration:g} ms"),
            ((u < 0) | (u >= n_units), f"unit outside [0, {n_units})"),
            (earlier, "earlier than the spike before it"),
        ):
            if bad.any():
                entry = start + int(bad.argmax())
                raise ValueError(f"{locate(entry, offsets)}: {what} (time {times[entry]}, unit {units[entry]})")


def locate(entry: int, offsets: NDArray[np.integer[Any]], first_sample: int = 0) -> str:
    """Say in words which sample, and which of its entries, a position in packed arrays is."""
    sample = int(np.searchsorted(offsets, entry, side="right")) - 1
    return f"sample {first_sample + sample}, entry {entry - int(offsets[sample])}"


def as_float32(times: NDArray[np.floating[Any]], duration: float) -> NDArray[np.float32]:
    """Times as float32, those before `duration` still before it where rounding would take them there."""
    with np.errstate(over="ignore"):  # what no float32 holds is infinite then, which checks refuse
        narrow = times.astype(np.float32, copy=False)
        late = (narrow >= duration) & (times < duration)
    if late.any():
        last = np.float32(duration)
        last = last if last < duration else np.nextafter(last, np.float32(0))
        narrow = np.where(late, last, narrow)
    return narrow


def warn_of_seconds(n_spikes: int, n_units: int, batch: int, duration: float) -> None:
    """Warn if times are probably in seconds: samples of at most 10 ms with over three spikes per unit and millisecond.

    That is a mean rate above 3 kHz. No warning for less than 100 spikes.
    """
    if n_spikes < _MANY or duration > _SECONDS:
        return
    rate = n_spikes / (n_units * batch * duration)
    if rate > _RATE:
        warn_caller(
            f"{n_spikes} spikes in {batch} sample(s) of {duration:g} ms are {rate:.3g} per unit and millisecond: "
            "are the times in seconds? lambent takes milliseconds; multiply times, duration and dt by 1000"
        )
