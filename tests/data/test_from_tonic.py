"""Structured events as data sets: of tonic, N-MNIST, AEDAT 3.1 and DVS128 Gesture. Layouts are written out here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.data.readers.aedat import GESTURES

FIELDS = np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")])


def events(*rows):
    return np.array(list(rows), FIELDS)


class Tonic(list):
    """A list of pairs with what data sets of tonic have beside."""

    sensor_size = (4, 3, 2)


ONE, TWO = events((3, 2, 1500, 1), (0, 0, 500, 0)), events((1, 0, 100, 1))


# -- tonic --------------------------------------------------------------------------------------------


def test_tonic():
    data = lb.data.from_tonic(Tonic([(ONE, 1), (TWO, 0), (ONE[:0], 1)]))
    assert data.n_units == 24
    assert data.labels.tolist() == [1, 0, 1]
    assert data.times.tolist() == pytest.approx([0.5, 1.5, 0.1])
    assert data.units.tolist() == [0, 23, 13]
    assert data.offsets.tolist() == [0, 2, 3, 3]
    assert data.duration == 2.0
    cropped = lb.data.from_tonic(Tonic([(ONE, 1)]), duration=1.0, crop=True)
    assert cropped.units.tolist() == [0]


def test_tonic_names_of_classes():
    pairs = Tonic([(ONE, np.int64(1)), (TWO, torch.tensor(0))])
    pairs.classes = ["0 - zero", "1 - one"]
    assert lb.data.from_tonic(pairs).class_names == ["0 - zero", "1 - one"]
    pairs.classes = {"zero": 0, "one": 1}
    assert lb.data.from_tonic(pairs).class_names == ["0", "1"]
    spoken = lb.data.from_tonic(Tonic([(ONE, "dog"), (TWO, "cat"), (TWO, "dog")]))
    assert (spoken.class_names, spoken.labels.tolist()) == (["cat", "dog"], [1, 0, 1])


def test_tonic_other_targets():
    moves = lb.data.from_tonic(Tonic([(ONE, np.array([0.5, 1.0])), (TWO, np.array([2.0, 3.0]))]))
    assert moves.targets.tolist() == [[0.5, 1.0], [2.0, 3.0]]
    assert lb.data.from_tonic(Tonic([(ONE, None)])).targets is None
    with pytest.raises(ValueError, match="targets must have one shape"):
        lb.data.from_tonic(Tonic([(ONE, [1.0]), (TWO, [1.0, 2.0])]))


def test_tonic_is_not_imported():
    import sys

    lb.data.from_tonic(Tonic([(ONE, 1)]))
    assert "tonic" not in sys.modules


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([(TWO, 0), (events((9, 0, 0, 0)), 0)], ValueError, r"sample 1, entry 0: x 9 outside \[0, 4\)"),
        ([(np.zeros((5, 2, 3, 4), np.float32), 0)], TypeError, r"sample 0: events must be .* got an array float32"),
        ([ONE], TypeError, r"sample 0: expected a pair \(events, target\), got ndarray"),
        ([(ONE, 0, 0)], TypeError, "sample 0: expected a pair"),
        ([(ONE, -1)], ValueError, "sample 0: label -1 outside"),
    ],
)
def test_bad_samples_are_named(pairs, error, message):
    with pytest.raises(error, match=message):
        lb.data.from_tonic(Tonic(pairs))


def test_sensor_size_must_be_known():
    with pytest.raises(ValueError, match="does not say its sensor_size"):
        lb.data.from_tonic([(ONE, 0)])


# -- N-MNIST ------------------------------------------------------------------------------------------


def bits40(rows):
    """x, y, t, p as the files have it: a bit of polarity and 23 of time after two bytes of address."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, t, p in rows)


def test_nmnist(tmp_path):
    rows = [(3, 33, 0, 1), (33, 0, 70_000, 0), (0, 1, (1 << 23) - 1, 1)]
    (tmp_path / "1.bin").write_bytes(bits40(rows))
    assert lb.data.read_nmnist(tmp_path / "1.bin").tolist() == rows
    (tmp_path / "1.bin").write_bytes(b"")
    assert lb.data.read_nmnist(tmp_path / "1.bin").tolist() == []


def test_nmnist_overflow(tmp_path):
    """An entry of row 240 is no event, and moves all that follow by 2^13 us."""
    rows = [(1, 1, 5, 0), (0, 240, 0, 0), (2, 1, 6, 0), (0, 240, 0, 0), (3, 1, 7, 1)]
    (tmp_path / "1.bin").write_bytes(bits40(rows))
    assert lb.data.read_nmnist(tmp_path / "1.bin")["t"].tolist() == [5, 8198, 16391]


def test_nmnist_folder(tmp_path):
    for label, name, x in (("0", "2", 5), ("0", "10", 6), ("7", "1", 7)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{name}.bin").write_bytes(bits40([(x, 2, 1000, 1)]))
    data = lb.data.from_nmnist(tmp_path, 300.0)
    assert data.class_names == ["0", "7"]
    assert data.labels.tolist() == [0, 0, 1]
    assert data.units.tolist() == [(34 + 2) * 34 + x for x in (5, 6, 7)]
    (tmp_path / "0" / "2.bin").write_bytes(bits40([(34, 2, 1000, 1)]))
    with pytest.raises(ValueError, match=r"0.2\.bin, entry 0: x 34 outside"):
        lb.data.from_nmnist(tmp_path)
    (tmp_path / "7" / "1.bin").write_bytes(bits40([(1, 2, 1000, 1)] * 2)[:-3])
    with pytest.raises(ValueError, match=r"7.1\.bin: cut off inside an event, at byte 5"):
        lb.data.read_nmnist(tmp_path / "7" / "1.bin")
    with pytest.raises(ValueError, match="holds no BIN files"):
        lb.data.from_nmnist(tmp_path / "7")
    with pytest.raises(FileNotFoundError):
        lb.data.from_nmnist(tmp_path / "none")


# -- AEDAT 3.1 ----------------------------------------------------------------------------------------

TEXT = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01\r\n#!END-HEADER\r\n"


def packet(rows, overflow=0, kind=1, size=8, time_at=4, number=None, valid=None):
    """Rows of x, y, t, p, valid. Two int16, type and source, then int32 from the size to the number of valid ones."""
    number = len(rows) if number is None else number
    valid = sum(row[4] for row in rows) if valid is None else valid
    header = np.array([kind, 1], "<i2").tobytes()
    header += np.array([size, time_at, overflow, number, number, valid], "<i4").tobytes()
    return header + b"".join(
        np.array([v | p << 1 | y << 2 | x << 17, t & 0xFFFFFFFF], "<u4").tobytes() for x, y, t, p, v in rows
    )


GOOD = packet([(3, 2, 10, 1, 1), (127, 0, 20, 0, 1)])


def write(path, *parts, text=TEXT):
    path.write_bytes(text + b"".join(parts))
    return path


def test_aedat(tmp_path):
    special = packet([(0, 0, 0, 0, 1)] * 2, kind=0)
    imu = packet([(0, 0, 0, 0, 1)] * 9, kind=3, size=36, number=2, valid=2)
    later = packet([(5, 6, 30, 0, 1), (5, 7, 31, 0, 0)], overflow=1)
    file = write(tmp_path / "a.aedat", special, GOOD, imu, packet([]), later)
    assert lb.data.read_aedat(file).tolist() == [(3, 2, 10, 1), (127, 0, 20, 0), (5, 6, 2**31 + 30, 0)]
    assert len(lb.data.read_aedat(write(file))) == 0
    assert len(lb.data.read_aedat(write(file, GOOD, text=b"#!AER-DAT3.1\r\n"))) == 2


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_aedat_cut_off_anywhere(tmp_path, cut):
    file = write(tmp_path / "a.aedat", GOOD, GOOD[:-cut])
    with pytest.raises(ValueError, match=rf"a\.aedat: cut off .* byte {len(TEXT) + len(GOOD)}"):
        lb.data.read_aedat(file)


@pytest.mark.parametrize(
    ("parts", "text", "message"),
    [
        ([GOOD], b"", "no AEDAT 3.1 file; it begins with b'.x01"),
        ([GOOD], b"#!AER-DAT2.0\r\n", "no AEDAT 3.1 file"),
        ([], b"#!AER-DAT3.1\r\n#Format", "cut off in the text at its beginning, at byte 14"),
        ([GOOD], b"#!AER-DAT3.1\r\n#Format: SerializedTS\r\n", "its format is SerializedTS; only RAW"),
        ([GOOD, b"\xff" * 40], TEXT, f"no packet of events at byte {len(TEXT) + len(GOOD)}; the file is damaged"),
        ([packet([(0, 0, 0, 0, 1)], size=12)], TEXT, "no packet of events at byte"),
        ([packet([(0, 0, 0, 0, 1)], kind=99)], TEXT, "no packet of events at byte"),
        ([packet([(0, 0, 0, 0, 1)], number=-1)], TEXT, "no packet of events at byte"),
        ([packet([(0, 0, 0, 0, 0)], valid=1)], TEXT, "should hold 1 valid events, and 0 are marked so"),
        ([packet([(0, 0, -5, 0, 1)])], TEXT, "negative times"),
        ([GOOD, packet([(0, 0, 5, 0, 1)])], TEXT, f"byte {len(TEXT) + len(GOOD)} begins before the one in front"),
    ],
)
def test_damaged_aedat(tmp_path, parts, text, message):
    file = write(tmp_path / "a.aedat", *parts, text=text)
    with pytest.raises(ValueError, match=message) as error:
        lb.data.read_aedat(file)
    assert str(file) in str(error.value)


# -- DVS128 Gesture -----------------------------------------------------------------------------------


@pytest.fixture
def gestures(tmp_path):
    for user in ("user01_led", "user02_lab"):
        rows = [(x, 1, 1000 * x, 0, 1) for x in range(100)]
        write(tmp_path / f"{user}.aedat", packet(rows[:50]), packet(rows[50:]))
        (tmp_path / f"{user}_labels.csv").write_text(
            "class,startTime_usec,endTime_usec\n1,10000,20000\n11,40000,60000\n\n"
        )
    (tmp_path / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_lab.aedat\n\n")
    (tmp_path / "trials_to_test.txt").write_text("user02_lab.aedat\n")
    return tmp_path


def test_dvs_gesture(gestures):
    (first, a), (second, b) = lb.data.read_dvs_gesture(gestures / "user01_led.aedat")
    assert (a, b) == (0, 10)
    assert first["x"].tolist() == list(range(10, 20))
    assert second["t"].tolist() == list(range(0, 20_000, 1000))
    data = lb.data.from_dvs_gesture(gestures)
    assert (len(data), data.n_classes, data.n_units, data.duration) == (4, 11, 32768, 20.0)
    assert data.class_names == list(GESTURES)
    test = lb.data.from_dvs_gesture(gestures, train=False, duration=5.0, crop=True)
    assert (len(test), len(test.times)) == (2, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "the first line must be class,startTime_usec,endTime_usec"),
        ("", "the first line must be"),
        ("class,startTime_usec,endTime_usec\n1,2\n", "line 2: expected three whole numbers"),
        ("class,startTime_usec,endTime_usec\n1,2,3\n12,2,3\n", "line 3: no class of 1 to 11"),
        ("class,startTime_usec,endTime_usec\n1,3,3\n", "line 2: no class .* from a time to a later one"),
    ],
)
def test_bad_labels_are_named(gestures, text, message):
    (gestures / "user01_led_labels.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"user01_led_labels\.csv.*{message}"):
        lb.data.from_dvs_gesture(gestures)


def test_what_is_missing_is_named(gestures):
    (gestures / "user01_led_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match="user01_led_labels"):
        lb.data.from_dvs_gesture(gestures)
    (gestures / "trials_to_train.txt").write_text("\n")
    with pytest.raises(ValueError, match="lists no recordings"):
        lb.data.from_dvs_gesture(gestures)
