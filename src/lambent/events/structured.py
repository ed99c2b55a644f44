"""Records of event cameras and the like, x, y, t and p of every event, as times and units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Start = float | Literal["first"] | None

TIME_UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
_ALSO = {"timestamp": "t", "ts": "t", "polarity": "p"}
_LATE = 1000.0  # ms; who starts later and lasts shorter has the time of a clock


class Packed(NamedTuple):
    """Times [ms], sorted inside samples, units and offsets."""

    times: NDArray[np.float64]
    units: NDArray[np.int32]
    offsets: NDArray[np.int64]


def sensor_shape(sensor_size: int | Sequence[int]) -> tuple[int, int, int]:
    """(polarities, rows, columns) of (width[, height[, polarities]]).

    Raises:
        TypeError: these are no whole numbers.
        ValueError: there are more than three, or one is not positive.
    """
    sizes = np.atleast_1d(np.asarray(sensor_size))
    if not np.issubdtype(sizes.dtype, np.integer):
        raise TypeError(f"sensor_size must be whole numbers, got {sensor_size!r}")
    if sizes.ndim != 1 or not 1 <= len(sizes) <= 3 or (sizes < 1).any():
        raise ValueError(f"sensor_size must be (width, height, polarities), each at least 1, got {sensor_size!r}")
    width, height, polarities = [*sizes.tolist(), 1, 1][:3]
    return polarities, height, width


def time_scale(time_unit: str) -> float:
    """The milliseconds in a unit of time.

    Raises:
        ValueError: it is no known one.
    """
    if time_unit not in TIME_UNITS:
        raise ValueError(f"time_unit must be one of {', '.join(TIME_UNITS)}, got {time_unit!r}")
    return TIME_UNITS[time_unit]


def pack_records(records: Iterable[Any], shape: tuple[int, int, int], time_unit: str, start: Start) -> Packed:
    """Events of samples, one record after the other, packed.

    Args:
        records: a structured array of each sample, or a mapping from fields to arrays.
        shape: polarities, rows, columns.
        time_unit: that of the records.
        start: what is time 0 [time_unit]; "first": the first event of each sample; None: 0, if times look like it.

    Raises:
        TypeError, ValueError: as `Events.from_structured`.
    """
    scale = time_scale(time_unit)
    times, units, sizes = [], [], [0]
    for sample, record in enumerate(records):
        t, u = _read(record, shape, scale, start, sample)
        times.append(t)
        units.append(u)
        sizes.append(len(t))
    if start is None:
        _refuse_clock([t for t in times if len(t)])
    offsets = np.cumsum(sizes, dtype=np.int64)
    return Packed(np.concatenate([*times, np.zeros(0)]), np.concatenate([*units, np.zeros(0, np.int32)]), offsets)


def _refuse_clock(times: list[NDArray[np.float64]]) -> None:
    """Raise if all samples begin later than 1 s and than any of them lasts. Times are sorted and there are some."""
    first = min((t[0] for t in times), default=0.0)
    longest = max((t[-1] - t[0] for t in times), default=0.0)
    if first > max(_LATE, longest) and longest:
        raise ValueError(
            f"no event is before {first:g} ms, and no sample lasts longer than {longest:g} ms: are these times of a "
            'clock? start="first" lets each sample begin at 0, start=0 keeps the times'
        )


def fit_duration(packed: Packed, duration: float | None, crop: bool) -> tuple[Packed, float]:
    """The events and their duration [ms]: left out, the first whole millisecond past the last event.

    Args:
        crop: drop events at or past `duration`, which else are left to be found.

    Raises:
        ValueError: there is no duration to crop to.
    """
    if duration is None:
        if crop:
            raise ValueError("crop=True needs a duration to crop to")
        return packed, float(np.floor(packed.times.max(initial=0.0))) + 1.0
    if not crop or not (late := packed.times >= duration).any():
        return packed, duration
    kept = np.concatenate([[0], np.cumsum(~late)])[packed.offsets]
    return Packed(packed.times[~late], packed.units[~late], kept), duration


def _read(
    record: Any, shape: tuple[int, int, int], scale: float, start: Start, sample: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Times [ms] and units of one sample, sorted by time; what is at equal times keeps its order."""
    fields = _fields(record, sample)
    if "t" not in fields:
        raise ValueError(f"sample {sample}: the events have fields {', '.join(fields)}, but no t")
    t = fields["t"]
    exact = t.astype(np.float64 if t.dtype.kind == "f" else np.int64)
    ms = (exact - _beginning(exact, start)) * scale
    where = f"sample {sample}, entry "
    if (bad := ~(ms >= 0)).any():
        i = int(bad.argmax())
        raise ValueError(f"{where}{i}: time {t[i]} is {'NaN' if t[i] != t[i] else 'before the start'}")
    units = np.zeros(len(ms), dtype=np.int64)
    for name, size in zip("pyx", shape, strict=True):
        if name not in fields and size > 1:
            raise ValueError(f"sample {sample}: the events have no field {name}, of which the sensor has {size} values")
        if size == 1 and (name == "p" or name not in fields):
            continue  # who has one polarity numbers it as he likes
        x = fields[name]
        if x.dtype.kind not in "iub":
            raise TypeError(f"sample {sample}: {name} must be integers, got {x.dtype}")
        x = x.astype(np.int64)
        if (bad := (x < 0) | (x >= size)).any():
            i = int(bad.argmax())
            raise ValueError(f"{where}{i}: {name} {x[i]} outside [0, {size})")
        units = units * size + x
    if (ms[1:] < ms[:-1]).any():
        order = ms.argsort(kind="stable")
        ms, units = ms[order], units[order]
    return ms, units.astype(np.int32)


def _fields(record: Any, sample: int) -> dict[str, NDArray[Any]]:
    names: Iterable[str] = ()
    if isinstance(record, np.ndarray):
        names = record.dtype.names or ()
    elif isinstance(record, Mapping):
        names = record
    found = {_ALSO.get(name, name): np.asarray(record[name]) for name in names}
    if not found:
        what = f"an array {record.dtype} {record.shape}" if isinstance(record, np.ndarray) else type(record).__name__
        raise TypeError(f"sample {sample}: events must be a structured array with fields x, y, t, p, got {what}")
    used = {name: x for name, x in found.items() if name in "xytp"}
    if any(x.ndim != 1 for x in used.values()) or len({len(x) for x in used.values()}) > 1:
        shapes = ", ".join(f"{name} {x.shape}" for name, x in used.items())
        raise ValueError(f"sample {sample}: the fields must be of one dimension and length, got {shapes}")
    if "t" in used and used["t"].dtype.kind not in "iuf":
        raise TypeError(f"sample {sample}: t must be numbers, got {used['t'].dtype}")
    return used


def _beginning(t: NDArray[Any], start: Start) -> Any:
    if start is None or not len(t):
        return 0
    if start == "first":
        return t.min()
    if isinstance(start, str):
        raise ValueError(f'start must be a time or "first", got {start!r}')
    return start
