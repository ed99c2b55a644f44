"""Structured events, as cameras and tonic give them, as `Events`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lambent import Events

XYTP = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
SENSOR = (4, 3, 2)


def record(*events, dtype=XYTP):
    return np.array(list(events), dtype=dtype)


def test_units_lie_as_polarity_row_column():
    rng = np.random.default_rng(0)
    n = 50
    x, y, p, t = rng.integers(0, 4, n), rng.integers(0, 3, n), rng.integers(0, 2, n), np.sort(rng.integers(0, 9000, n))
    cameras = np.rec.fromarrays([x, y, t, p], dtype=XYTP)
    events = Events.from_structured(cameras, SENSOR)
    dense = np.zeros((2, 3, 4))
    np.add.at(dense, (p, y, x), 1)
    assert torch.equal(events.counts()[0].reshape(2, 3, 4), torch.tensor(dense).float())
    assert np.allclose(events.times, t / 1000)
    assert events.duration == t[-1] // 1000 + 1


def test_one_array_a_list_a_mapping_an_object_array():
    one, two = record((0, 0, 1000, 0)), record((3, 2, 500, 1), (1, 0, 2500, 0))
    for many in ([one, two], np.array([one, two], dtype=object), [one, {name: two[name] for name in XYTP.names}]):
        events = Events.from_structured(many, SENSOR, 10.0)
        assert events.offsets.tolist() == [0, 1, 3]
        assert events.times.tolist() == [1.0, 0.5, 2.5]
        assert events.units.tolist() == [0, 23, 1]
    assert len(Events.from_structured(dict(t=[1], x=[0]), 1)) == 1
    assert len(Events.from_structured([], SENSOR)) == 0
    assert Events.from_structured([one[:0], one], SENSOR).offsets.tolist() == [0, 0, 1]


def test_units_in_a_row_as_tonic_has_the_heidelberg_sets():
    shd = record((100, 699, 1), (300, 0, 1), dtype=[("t", int), ("x", int), ("p", int)])
    for size in ((700, 1, 1), (700,), 700, np.array([700, 1, 1])):
        events = Events.from_structured(shd, size)
        assert (events.n_units, events.units.tolist()) == (700, [699, 0])


def test_other_names_of_fields():
    dv = record((2500, 1, 2, 1), dtype=[("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")])
    assert Events.from_structured(dv, SENSOR).units.tolist() == [12 + 8 + 1]


def test_unsorted_events_are_sorted_stably():
    mixed = record((0, 0, 3000, 0), (1, 0, 1000, 0), (2, 0, 3000, 0), (3, 0, 1000, 0))
    events = Events.from_structured([mixed, mixed[:1]], SENSOR)
    assert events.times.tolist() == [1.0, 1.0, 3.0, 3.0, 3.0]
    assert events.units.tolist() == [1, 3, 0, 2, 0]


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e-6), ("us", 1e-3), ("ms", 1.0), ("s", 1e3)])
@pytest.mark.parametrize("kind", ["<u4", "<i8", "<f8"])
def test_units_of_time(unit, factor, kind):
    x = np.array([(0, 3), (1, 900)], dtype=[("x", "i4"), ("t", kind)])
    events = Events.from_structured(x, 2, time_unit=unit, dtype=torch.float64)
    assert events.times.tolist() == [3 * factor, 900 * factor]


def test_the_time_of_a_clock():
    clock = record((0, 0, 81_000_000, 0), (1, 0, 81_500_000, 0))
    with pytest.raises(ValueError, match="no event is before 81000 ms, and no sample lasts longer than 500 ms"):
        Events.from_structured([clock[:0], clock], SENSOR)
    assert Events.from_structured(clock, SENSOR, start="first").times.tolist() == [0.0, 500.0]
    assert Events.from_structured(clock, SENSOR, start=80_000_000).times.tolist() == [1000.0, 1500.0]
    assert Events.from_structured(clock, SENSOR, start=0).times.tolist() == [81000.0, 81500.0]
    late = [record((0, 0, 1_200_000, 0)), record((0, 0, 10, 0), (1, 0, 20, 0))]
    assert Events.from_structured(late, SENSOR).duration == 1201.0
    epoch = np.array([(0, 1_700_000_000_000_000_123), (0, 1_700_000_000_000_001_123)], dtype=[("x", "u2"), ("t", "u8")])
    assert Events.from_structured(epoch, 1, time_unit="ns", start="first", dtype=torch.float64).times[1] == 0.001


def test_crop_and_rounding():
    long = [record((0, 0, 10, 0), (1, 0, 5000, 0), (2, 0, 5001, 0)), record((3, 0, 4999, 0))]
    with pytest.raises(ValueError, match="sample 0: time 5 ms at or past the duration of 5 ms; crop=True"):
        Events.from_structured(long, SENSOR, 5.0)
    events = Events.from_structured(long, SENSOR, 5.0, crop=True)
    assert events.units.tolist() == [0, 3]
    assert events.offsets.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="crop=True needs a duration"):
        Events.from_structured(long, SENSOR, crop=True)
    late = record((0, 0, 999_999_999_999, 0))
    assert Events.from_structured(late, SENSOR, 1e9, start=0).times < 1e9


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((4, 0, 5, 0), r"sample 1, entry 1: x 4 outside \[0, 4\)"),
        ((-1, 0, 5, 0), r"sample 1, entry 1: x -1 outside"),
        ((0, 3, 5, 0), r"sample 1, entry 1: y 3 outside \[0, 3\)"),
        ((0, 0, -5, 0), "sample 1, entry 1: time -5 is before the start"),
        ((0, 0, 5, -1), r"sample 1, entry 1: p -1 outside \[0, 2\)"),
        ((0, 0, 5, 2), r"sample 1, entry 1: p 2 outside"),
    ],
)
def test_bad_events_are_named(bad, message):
    dtype = [("x", "i4"), ("y", "i4"), ("t", "i8"), ("p", "i4")]
    with pytest.raises(ValueError, match=message):
        Events.from_structured([record(dtype=dtype), record((0, 0, 7, 0), bad, dtype=dtype)], SENSOR)


@pytest.mark.parametrize(
    ("records", "size", "error", "message"),
    [
        (record((0, 0, 1, 0))[["x", "y", "p"]], SENSOR, ValueError, "fields x, y, p, but no t"),
        (record((0, 0, 1, 0))[["x", "t", "p"]], SENSOR, ValueError, "no field y, of which the sensor has 3 values"),
        (record((0, 2, 1, 0)), (4, 1, 2), ValueError, r"entry 0: y 2 outside \[0, 1\)"),
        (np.zeros((2, 4)), SENSOR, TypeError, r"sample 0: events must be a structured array .* got an array float64"),
        ([torch.zeros(3)], SENSOR, TypeError, "sample 0: events must be a structured array .* got Tensor"),
        (dict(x=[0.5], t=[1]), 1, TypeError, "sample 0: x must be integers, got float64") ,
        (dict(x=[0], t=["a"]), 2, TypeError, "t must be numbers"),
        (dict(x=[0, 1], t=[1]), 2, ValueError, r"one dimension and length, got x \(2,\), t \(1,\)"),
        (dict(x=[0], t=[float("nan")]), 2, ValueError, "entry 0: time nan is NaN"),
        (record((0, 0, 1, 0)), (4, 3, 2, 1), ValueError, "sensor_size must be"),
        (record((0, 0, 1, 0)), (4, 0), ValueError, "sensor_size must be .* each at least 1"),
        (record((0, 0, 1, 0)), (4.0, 3), TypeError, "sensor_size must be whole numbers"),
        (record((0, 0, 1, 0)), 2**32, ValueError, "n_units must .* fit in int32"),
    ],
)  # fmt: skip
def test_bad_records_are_named(records, size, error, message):
    with pytest.raises(error, match=message):
        Events.from_structured(records, size)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="time_unit must be one of ns, us, ms, s, got 'usec'"):
        Events.from_structured([], 1, time_unit="usec")
    with pytest.raises(ValueError, match="start must be a time or \"first\", got 'begin'"):
        Events.from_structured(dict(x=[0], t=[1]), 1, start="begin")
