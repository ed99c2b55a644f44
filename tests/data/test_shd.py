"""Files in the Heidelberg layout: reading, writing, and what is wrong with broken ones."""

from __future__ import annotations

import gzip
import os

import h5py
import numpy as np
import pytest

from lambent.data import SpikeDataset, write_shd
from lambent.machine.hdf5 import ROWS

read = SpikeDataset.from_shd


def write_h5(path, times, units, labels, float_type=np.float32, **extra):
    """A file written by hand, row by row, with the plainest use of h5py."""
    with h5py.File(path, "w") as f:
        for name, rows, kind in (("times", times, float_type), ("units", units, np.uint16)):
            d = f.create_dataset(f"spikes/{name}", (len(rows),), dtype=h5py.vlen_dtype(kind))
            for i, row in enumerate(rows):
                d[i] = np.array(row, dtype=kind)
        f["labels"] = np.array(labels, dtype=np.uint16)
        for key, value in extra.items():
            f[f"extra/{key}"] = value
    return path


@pytest.fixture
def good(tmp_path):
    """Two samples and an empty one between them."""
    times, units = [[0.001, 0.002], [], [0.0005]], [[3, 699], [], [0]]
    return write_h5(tmp_path / "good.h5", times, units, [1, 0, 1], keys=np.array([b"no", b"yes"]))


def same(a, b):
    arrays = ("times", "units", "offsets", "labels", "speakers")
    assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
    assert a.units.dtype == b.units.dtype
    assert (a.n_units, a.duration, a.class_names) == (b.n_units, b.duration, b.class_names)


def one_sample(path, times, kind, units=(3, 9, 4)):
    return write_h5(path, [times], [units], [0], float_type=kind)


# -- reading ------------------------------------------------------------------------------------------


def test_read(good):
    dataset = read(good)
    assert dataset.times.tolist() == [1.0, 2.0, 0.5]
    assert dataset.units.tolist() == [3, 699, 0]
    assert dataset.offsets.tolist() == [0, 2, 2, 3]
    assert dataset.labels.tolist() == [1, 0, 1]
    assert dataset.class_names == ["no", "yes"]
    assert dataset.speakers is None
    assert (dataset.n_units, dataset.duration) == (700, 3.0)


@pytest.mark.parametrize(
    ("unit", "kind", "times"),
    [
        ("s", np.float64, [0.001, 0.5, 0.75]),
        ("ms", np.float32, [1, 500, 750]),
        ("ms", np.uint16, [1, 500, 750]),
        ("us", np.int64, [1000, 500_000, 750_000]),
        ("us", np.float64, [1000, 500_000, 750_000]),
        ("ns", np.uint64, [1_000_000, 500_000_000, 750_000_000]),
    ],
)
def test_units_of_time(tmp_path, unit, kind, times):
    path = one_sample(tmp_path / "x.h5", times, kind)
    dataset = read(path, time_unit=unit)
    assert dataset.times.tolist() == [1.0, 500.0, 750.0]
    assert dataset.duration == 751.0
    if unit == "s":
        same(read(path), dataset)
        return
    cure = r'time_unit="s", "ms", "us" or "ns" \(--time-unit\)'
    what = "go up to 7" if np.dtype(kind).kind == "f" else f"holds {np.dtype(kind)}"
    for options in ({}, {"duration": 800.0}, {"duration": 100.0, "crop": True}):
        with pytest.raises(ValueError, match=f"x.h5: spikes/times {what}.*{cure}"):
            read(path, **options)


def test_long_samples_are_no_mistake_if_a_duration_says_so(tmp_path):
    path = one_sample(tmp_path / "x.h5", [0.001, 5.0, 20.0], np.float32)
    assert read(path, 30_000.0).times.tolist() == read(path, time_unit="s").times.tolist() == [1.0, 5000.0, 20_000.0]
    data = read(path, 30_000.0)
    write_shd(tmp_path / "own.h5", data)
    same(read(tmp_path / "own.h5"), data)
    with pytest.raises(ValueError, match="in seconds, as lambent writes them, not in ms"):
        read(tmp_path / "own.h5", time_unit="ms")


def test_unknown_units_of_time(good):
    with pytest.raises(ValueError, match="time_unit must be one of"):
        SpikeDataset.from_shd(good, time_unit=["s"])
    with pytest.raises(ValueError, match="time_unit must be one of ns, us, ms, s, got 'min'"):
        read(good, time_unit="min")


def test_how_many_units_there_are(tmp_path):
    """Of the Heidelberg sets 700; of others as many as the largest needs."""
    assert read(one_sample(tmp_path / "x.h5", [0, 0, 0], "f4")).n_units == 10
    assert read(one_sample(tmp_path / "SHD_train.h5", [0, 0, 0], "f4")).n_units == 700
    assert read(one_sample(tmp_path / "ssc_test.h5", [0, 0, 0], "f4")).n_units == 700
    assert read(one_sample(tmp_path / "y.h5", [0, 0, 0], "f4"), n_units=12).n_units == 12
    with h5py.File(tmp_path / "x.h5", "a") as f:
        f["extra/meta_info/age"] = [30]
    assert read(tmp_path / "x.h5").n_units == 700
    with pytest.raises(ValueError, match=r"unit 9 outside \[0, 9\); n_units \(--n-units\) says how many there are"):
        read(tmp_path / "y.h5", n_units=9)
    silent = write_h5(tmp_path / "silent.h5", [[], []], [[], []], [0, 1])
    with pytest.raises(ValueError, match=r"without spikes .* give n_units"):
        read(silent)
    assert read(silent, n_units=5).n_units == 5


def test_rows_of_other_kinds(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as f:
        f["spikes/times"], f["spikes/units"], f["labels"] = np.zeros((2, 3)), np.zeros((2, 3), int), [0, 1]
    with pytest.raises(
        ValueError, match=r"a row of numbers, of variable length, for each sample, got float64 of shape"
    ):
        read(path)


def test_gzip_is_known_by_its_content(good, tmp_path):
    for name in ("a.h5.gz", "b.h5"):
        (tmp_path / name).write_bytes(gzip.compress(good.read_bytes()))
        same(read(tmp_path / name), read(good))


@pytest.mark.parametrize("float_type", [np.float16, np.float32, np.float64])
def test_float_types(tmp_path, float_type):
    times = np.array([0.0, 0.0123, 0.9], dtype=float_type)
    path = write_h5(tmp_path / "a.h5", [times], [[0, 1, 2]], [0], float_type)
    expected = (times.astype(np.float64) * 1000).astype(np.float32)
    assert np.array_equal(read(path).times, expected)


def test_more_samples_than_are_read_at_a_time(tmp_path):
    n = 2 * ROWS + 3
    times = [[0.001 * k for k in range(i % 4)] for i in range(n)]
    units = [[i % 700] * (i % 4) for i in range(n)]
    dataset = read(write_h5(tmp_path / "a.h5", times, units, np.arange(n) % 2))
    assert np.array_equal(np.diff(dataset.offsets), np.arange(n) % 4)
    assert np.array_equal(dataset.units, np.repeat(np.arange(n) % 700, np.arange(n) % 4))
    assert np.allclose(dataset.times, np.concatenate(times) * 1e3)


def test_duration_and_crop(good):
    assert read(good, duration=1000).duration == 1000
    with pytest.raises(ValueError, match=r"good\.h5: sample 0, entry 1: time at or past"):
        read(good, duration=2.0)
    cropped = read(good, duration=2.0, crop=True)
    assert cropped.times.tolist() == [1.0, 0.5]
    assert cropped.units.tolist() == [3, 0]
    assert cropped.offsets.tolist() == [0, 1, 1, 2]
    with pytest.raises(ValueError, match="needs a duration"):
        read(good, crop=True)


@pytest.mark.parametrize("n_units", [699, 70_000])
def test_number_of_units(good, tmp_path, n_units):
    """What a file says itself can only be confirmed, so that no network runs on another one's inputs."""
    if n_units > 700:
        assert read(good, n_units=n_units).units.dtype == np.int32
    else:
        with pytest.raises(ValueError, match=r"good\.h5: spikes/units: sample 0, entry 1: unit 699 outside"):
            read(good, n_units=n_units)
    with h5py.File(good, "r+") as f:
        f.attrs["n_units"] = 700
    with pytest.raises(ValueError, match=rf"good\.h5: its spikes are of 700 units, {n_units} are wanted"):
        read(good, n_units=n_units)
    with pytest.raises(ValueError, match=r"its spikes are of 700 units, 800 are wanted"):
        read(one_sample(tmp_path / "shd_test.h5", [0, 0, 0], "f4"), n_units=800)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_units", "abc", "unexpected object of shape"),
        ("n_units", [700, 3], "unexpected int64 of shape"),
        ("n_units", -5, "n_units must be at least 1"),
        ("n_units", 0, "n_units must be at least 1"),
        ("duration_ms", "x", "unexpected object of shape"),
        ("duration_ms", [1.0, 2.0], "unexpected float64 of shape"),
        ("duration_ms", np.nan, "duration must be"),
        ("duration_ms", -1.0, "duration must be"),
    ],
)
def test_bad_attributes(good, name, value, message):
    with h5py.File(good, "r+") as f:
        f.attrs[name] = value
    with pytest.raises(ValueError, match=rf"good\.h5: attribute {name}: {message}"):
        read(good)
    read(good, duration=1000.0, n_units=700)


def test_bad_class_names(good):
    with h5py.File(good, "r+") as f:
        f["extra/keys"][1] = b"y\x1b"
    with pytest.raises(ValueError, match=r"good\.h5: the name of class 1 holds a control character"):
        read(good)


# -- writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.h5", "a.h5.gz"])
def test_round_trip(words, tmp_path, name):
    write_shd(tmp_path / name, words)
    same(read(tmp_path / name), words)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b" if name.endswith("gz") else b"\x89HDF")


def test_files_and_level_round_trip(words, tmp_path):
    """Whatever files are called, also what is no UTF-8."""
    names = [f"zwölf/{i}.wav" for i in range(58)] + [os.fsdecode(b"\xff.wav"), "a, b\n"]
    data = SpikeDataset(words.times, words.units, words.offsets, words.labels, 20, 120.0, files=names, level="agc")
    write_shd(tmp_path / "a.h5", data)
    back = read(tmp_path / "a.h5")
    assert (back.files, back.level) == (names, "agc")
    write_shd(tmp_path / "b.h5.gz", back.subset([3, 59]).with_duration(130.0))
    again = read(tmp_path / "b.h5.gz")
    assert (again.files, again.level) == ([names[3], names[59]], "agc")
    write_shd(tmp_path / "c.h5", words)
    assert (read(tmp_path / "c.h5").files, read(tmp_path / "c.h5").level) == (None, None)
    with h5py.File(tmp_path / "d.h5", "w") as f, h5py.File(tmp_path / "c.h5") as c:
        for name in ("labels", "spikes", "extra"):
            c.copy(name, f)
        f["extra/files"] = np.array([b"a.wav"] * 3)
    with pytest.raises(ValueError, match=r"d\.h5: files must be one per sample, 60, got 3"):
        read(tmp_path / "d.h5")


@pytest.mark.parametrize("name", ["a.h5", "a.h5.gz"])
def test_values_round_trip(graded, tmp_path, name):
    write_shd(tmp_path / name, graded)
    back = read(tmp_path / name)
    same(back, graded)
    assert back.values.dtype == np.float32
    assert np.array_equal(back.values, graded.values)
    assert back.checksum() == graded.checksum()
    cropped = read(tmp_path / name, duration=50.0, crop=True)
    assert np.array_equal(cropped.values, graded.values[graded.times < 50.0])


def with_values(path, rows, kind=np.float64):
    with h5py.File(path, "a") as f:
        d = f.create_dataset("spikes/values", (len(rows),), dtype=h5py.vlen_dtype(kind))
        for i, row in enumerate(rows):
            d[i] = np.array(row, dtype=kind)
    return path


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int16, np.uint8])
def test_values_of_other_kinds(good, kind):
    assert read(with_values(good, [[1, 2], [], [3]], kind)).values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2], []], "spikes/times has 3 rows, spikes/values 2"),
        ([[1], [2], [3]], "sample 0 has 2 spikes/times but 1 spikes/values"),
        ([[1, 2], [], [float("nan")]], "spikes/values: sample 2, entry 0: value nan is not finite"),
        ([[1, float("inf")], [], [1]], "spikes/values: sample 0, entry 1: value inf is not finite"),
        ([[1, 1e300], [], [1]], r"spikes/values: sample 0, entry 1: value 1e\+300 is not finite, as float32"),
    ],
)
def test_bad_values(good, rows, message):
    with pytest.raises(ValueError, match=rf"good\.h5: {message}"):
        read(with_values(good, rows))


def test_values_that_are_no_rows(good):
    with h5py.File(good, "a") as f:
        f["spikes/values"] = np.ones(3)
    with pytest.raises(ValueError, match=r"good\.h5: spikes/values must hold a row of numbers"):
        read(good)


def test_round_trip_without_speakers_or_samples(tmp_path):
    for dataset in (
        SpikeDataset([0.1, 7.3], [0, 69_999], [0, 2], [0], 70_000, 9.5),
        SpikeDataset([], [], [0], [], 5, 10.0),
    ):
        write_shd(tmp_path / "a.h5", dataset)
        same(read(tmp_path / "a.h5"), dataset)


@pytest.mark.parametrize(
    ("milliseconds", "kept"),
    [(np.float32(0.25) * 1000, np.float16), (np.float32(0.3) * 1000, np.float32), (None, np.float64)],
)
def test_times_are_stored_as_short_as_they_can_be(tmp_path, milliseconds, kept):
    if milliseconds is None:
        milliseconds = np.sort(np.random.default_rng(0).uniform(0, 999, 1000).astype(np.float32))
    times = np.atleast_1d(milliseconds)
    dataset = SpikeDataset(times, np.zeros(len(times), int), [0, len(times)], [0], 1, 1000.0)
    write_shd(tmp_path / "a.h5", dataset)
    with h5py.File(tmp_path / "a.h5") as f:
        assert h5py.check_vlen_dtype(f["spikes/times"].dtype) == kept
    same(read(tmp_path / "a.h5"), dataset)


def test_the_same_data_give_the_same_file(words, tmp_path):
    for name in ("a.h5.gz", "b.h5.gz"):
        write_shd(tmp_path / name, words)
    assert (tmp_path / "a.h5.gz").read_bytes() == (tmp_path / "b.h5.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file(words, tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    path.write_bytes(b"old")
    monkeypatch.setattr("lambent.data.shd_writer._fill", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_shd(path, words)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert path.read_bytes() == b"old"


# -- broken files -------------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        read(tmp_path / "nowhere.h5")


@pytest.mark.parametrize("content", [b"", b"no HDF5 file at all", b"\x89HDF\r\n\x1a\n"])
def test_not_hdf5(tmp_path, content):
    for data in (content, gzip.compress(content)):
        (tmp_path / "a.h5").write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.h5: no HDF5 file"):
            read(tmp_path / "a.h5")


@pytest.mark.parametrize("part", [0.2, 0.7, 0.99])
def test_truncated(words, tmp_path, part):
    for name, message in (("a.h5", "damaged .*truncated"), ("a.h5.gz", "truncated gzip")):
        path = tmp_path / name
        write_shd(path, words)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
            read(path)


def test_garbled_gzip(words, tmp_path):
    path = tmp_path / "a.h5.gz"
    write_shd(path, words)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.h5\.gz: broken"):
        read(path)


@pytest.mark.parametrize("name", ["spikes/times", "spikes/units", "labels"])
def test_missing_dataset(good, name):
    with h5py.File(good, "a") as f:
        del f[name]
    with pytest.raises(ValueError, match=rf"good\.h5: no dataset {name}"):
        read(good)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("spikes/times", np.zeros(3), "spikes/times must hold a row of numbers, .* for each sample, got float64"),
        ("spikes/units", np.zeros((3, 2), int), "a row of integers, .* got int64 of shape"),
        ("labels", np.zeros(3), "labels has the wrong type, float64"),
        ("labels", np.zeros(2, int), "spikes/times has 3 rows, spikes/units 3, labels 2"),
        ("labels", np.array([1, 0, 2]), r"sample 2: label 2 outside \[0, 2\)"),
        ("extra/keys", np.zeros(2), "extra/keys has the wrong type"),
        ("extra/speaker", np.zeros(1, int), "speakers must be one per sample"),
    ],
)
def test_wrong_dataset(good, name, value, message):
    with h5py.File(good, "a") as f:
        if name in f:
            del f[name]
        f[name] = value
    with pytest.raises(ValueError, match=rf"good\.h5: .*{message}"):
        read(good)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.002, 0.001], "sample 200, entry 1: earlier than the spike before it"),
        ([0.001, float("nan")], "sample 200, entry 1: time is NaN"),
        ([-0.001, 0.0], "sample 200, entry 0: negative time"),
        ([0.0, float("inf")], "sample 200, entry 1: time is infinite"),
        ([0.0, 0.0, 0.0], "sample 200 has 3 spikes/times but 2 spikes/units"),
    ],
)
def test_bad_spikes(tmp_path, times, message):
    rows = [[0.01]] * 200 + [times]
    path = write_h5(tmp_path / "a.h5", rows, [[0]] * 200 + [[0, 1]], [0] * 201)
    with pytest.raises(ValueError, match=rf"a\.h5: {message}"):
        read(path)
    if "NaN" in message:
        with pytest.raises(ValueError, match=message):
            read(path, duration=5.0, crop=True)


# -- the real thing -----------------------------------------------------------------------------------


def test_spoken_digits(spoken_digits, tmp_path):
    dataset = read(spoken_digits / "spoken_digits_test.h5.gz", duration=1024.0)
    assert len(dataset) == 300
    assert dataset.class_names[:3] == ["zero", "one", "two"]
    assert np.bincount(dataset.labels).tolist() == [30] * 10
    assert np.bincount(dataset.speakers).tolist() == [50] * 6
    assert 4000 < len(dataset.times) / 300 < 10_000
    write_shd(tmp_path / "a.h5", dataset)
    same(read(tmp_path / "a.h5"), dataset)
