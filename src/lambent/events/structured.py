"""Records of event cameras and the like, x, y, t and p of every event, as times and units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lambent.events.checks import check_n_units

Start = float | Literal["first"] | None

TIME_UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
_ALSO = {"timestamp": "t", "ts": "t", "polarity": "p"}
_LATE = 1000.0  # ms; who starts later and lasts shorter has the time of a clock


class Packed(NamedTuple):
    """Times [ms], sorted inside samples, units and offsets of samples that last `duration` [ms]."""

    times: NDArray[Any]
    units: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_units: int
    duration: float


def time_scale(time_unit: str) -> float:
    """Milliseconds in a unit of time; ValueError if there is no such one."""
    if not isinstance(time_unit, str) or time_unit not in TIME_UNITS:
        raise ValueError(f"time_unit must be one of {', '.join(TIME_UNITS)}, got {time_unit!r}")
    return TIME_UNITS[time_unit]


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


def pack_records(
    records: Iterable[tuple[str, Any]],
    sensor_size: int | Sequence[int],
    duration: float | None = None,
    time_unit: str = "us",
    start: Start = None,
    crop: bool = False,
    kind: Any = np.float32,
) -> Packed:
    """Events of samples, one record after the other, packed; the arguments are those of `Events.from_structured`.

    Args:
        records: what a sample is called in messages, and its events.
        kind: of the times, a float.

    Raises:
        TypeError, ValueError: as `Events.from_structured`.
    """
    scale = time_scale(time_unit)
    if crop and duration is None:
        raise ValueError("crop=True needs a duration to crop to")
    shape = sensor_shape(sensor_size)
    n_units = check_n_units(math.prod(shape))
    times, units = [], []
    ends: list[tuple[float, float]] = []
    for where, record in records:
        ms, unit = _read(record, shape, scale, start, where)
        if len(ms):
            ends.append((float(ms[0]), float(ms[-1])))
        if duration is not None and len(late := np.flatnonzero(ms >= duration)):
            if not crop:
                at = f"time {ms[late[0]]:g} ms at or past the duration of {duration:g} ms"
                raise ValueError(f"{where}: {at}; crop=True drops such events")
            ms, unit = ms[: late[0]], unit[: late[0]]
        times.append(ms.astype(kind))
        units.append(unit)
    if start is None:
        _refuse_clock(ends)
    if duration is None:
        duration = math.floor(max((last for _, last in ends), default=0.0)) + 1.0
    together = np.concatenate([*times, np.zeros(0, kind)])
    np.minimum(together, np.nextafter(kind(duration), kind(0)), out=together)  # rounding may have reached `duration`
    offsets = np.cumsum([0, *map(len, times)], dtype=np.int64)
    return Packed(together, np.concatenate([*units, np.zeros(0, np.int32)]), offsets, n_units, float(duration))


def _refuse_clock(ends: Sequence[tuple[float, float]]) -> None:
    """Raise if all samples, given by first and last event, begin later than 1 s and than any of them lasts."""
    earliest = min((first for first, _ in ends), default=0.0)
    longest = max((last - first for first, last in ends), default=0.0)
    if earliest > max(_LATE, longest) and longest:
        raise ValueError(
            f"no event is before {earliest:g} ms, and no sample lasts longer than {longest:g} ms: are these times of a "
            'clock? start="first" lets each sample begin at 0, start=0 keeps the times'
        )


def _read(
    record: Any, shape: tuple[int, int, int], scale: float, start: Start, where: str
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Times [ms] and units of one sample, sorted by time; what is at equal times keeps its order."""
    fields = _fields(record, where)
    if "t" not in fields:
        raise ValueError(f"{where}: the events have fields {', '.join(fields)}, but no t")
    t = fields["t"]
    exact = t.astype(np.float64 if t.dtype.kind == "f" else np.int64)
    ms = (exact - _beginning(exact, start)) * scale
    if (bad := ~(ms >= 0)).any():
        i = int(bad.argmax())
        raise ValueError(f"{where}, entry {i}: time {t[i]} is {'NaN' if t[i] != t[i] else 'before the start'}")
    units = np.zeros(len(ms), dtype=np.int64)
    for name, size in zip("pyx", shape, strict=True):
        if name not in fields and size > 1:
            raise ValueError(f"{where}: the events have no field {name}, of which the sensor has {size} values")
        if size == 1 and (name == "p" or name not in fields):
            continue  # who has one polarity numbers it as he likes
        x = fields[name]
        if x.dtype.kind not in "iub":
            raise TypeError(f"{where}: {name} must be integers, got {x.dtype}")
        x = x.astype(np.int64)
        if (bad := (x < 0) | (x >= size)).any():
            i = int(bad.argmax())
            raise ValueError(f"{where}, entry {i}: {name} {x[i]} outside [0, {size})")
        units = units * size + x
    if (ms[1:] < ms[:-1]).any():
        order = ms.argsort(kind="stable")
        ms, units = ms[order], units[order]
    return ms, units.astype(np.int32)


def _fields(record: Any, where: str) -> dict[str, NDArray[Any]]:
    names: Iterable[str] = ()
    if isinstance(record, np.ndarray):
        names = record.dtype.names or ()
    elif isinstance(record, Mapping):
        names = record
    found = {_ALSO.get(name, name): np.asarray(record[name]) for name in names}
    if not found:
        what = f"an array {record.dtype} {record.shape}" if isinstance(record, np.ndarray) else type(record).__name__
        raise TypeError(f"{where}: events must be a structured array with fields x, y, t, p, got {what}")
    used = {name: x for name, x in found.items() if name in "xytp"}
    if any(x.ndim != 1 for x in used.values()) or len({len(x) for x in used.values()}) > 1:
        shapes = ", ".join(f"{name} {x.shape}" for name, x in used.items())
        raise ValueError(f"{where}: the fields must be of one dimension and length, got {shapes}")
    if "t" in used and used["t"].dtype.kind not in "iuf":
        raise TypeError(f"{where}: t must be numbers, got {used['t'].dtype}")
    return used


def _beginning(t: NDArray[Any], start: Start) -> Any:
    if start is None or not len(t):
        return 0
    if start == "first":
        return t.min()
    if isinstance(start, str):
        raise ValueError(f'start must be a time or "first", got {start!r}')
    return start
