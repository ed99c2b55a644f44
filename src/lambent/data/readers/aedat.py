"""AEDAT 3.1, the files of iniVation's cAER, and the DVS128 Gesture data set (Amir et al. 2017) that is kept in them."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lambent.data.dataset import SpikeDataset
from lambent.data.readers.nmnist import EVENT
from lambent.data.readers.structured import from_samples
from lambent.machine.files import read_file

GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
_COLUMNS = ["class", "startTime_usec", "endTime_usec"]

_VERSION = b"#!AER-DAT3.1"
_HEADER = np.dtype(
    [
        ("type", "<i2"),
        ("source", "<i2"),
        ("size", "<i4"),
        ("time_at", "<i4"),
        ("overflow", "<i4"),
        ("capacity", "<i4"),
        ("number", "<i4"),
        ("valid", "<i4"),
    ]
)
_KINDS = 14  # of events
_POLARITY = 1
_EVENT = np.dtype([("data", "<u4"), ("time", "<i4")])


class _Packet(NamedTuple):
    at: int
    overflow: int
    events: NDArray[Any]


def read_aedat(path: str | Path) -> NDArray[Any]:
    """The polarity events of an AEDAT 3.1 file: structured array with x, y, t [us] and p.

    Times are those of the camera's clock. Events that are not marked as valid, and packets of other kinds of events,
    are passed over, as the format has it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, compressed, cut off or damaged; names the byte.

    Example:
        >>> from pathlib import Path
        >>> packet = np.array([1 | 1 << 16, 8, 4, 0, 1, 1, 1], "<i4")  # type, source, size, ..., number, valid
        >>> event = np.array([1 | 1 << 1 | 2 << 2 | 3 << 17, 1500], "<u4")  # valid, on, y, x; time
        >>> header = b"#!AER-DAT3.1\\r\\n#Format: RAW\\r\\n#!END-HEADER\\r\\n"
        >>> _ = Path("one.aedat").write_bytes(header + packet.tobytes() + event.tobytes())
        >>> lb.data.read_aedat("one.aedat").tolist()
        [(3, 2, 1500, 1)]
    """
    content = read_file(path)
    found = [np.empty(0, EVENT)]
    latest = -1
    for packet in _packets(content, _skip_text(content, path), path):
        marked = packet.events["data"] & 1 == 1
        data, time = packet.events["data"][marked], packet.events["time"][marked]
        if (time < 0).any():
            raise ValueError(f"{path}: the packet at byte {packet.at} has negative times; the file is damaged")
        events = np.empty(len(data), EVENT)
        events["x"], events["y"] = data >> 17 & 0x7FFF, data >> 2 & 0x7FFF
        events["t"], events["p"] = (packet.overflow << 31) + time.astype(np.int64), data >> 1 & 1
        if len(events):
            if events["t"][0] < latest:
                raise ValueError(
                    f"{path}: the packet at byte {packet.at} begins before the one in front of it; the camera's clock "
                    "was set back, cut the file there"
                )
            latest = int(events["t"][0])
        found.append(events)
    return np.concatenate(found)


def read_dvs_gesture(path: str | Path, labels: str | Path | None = None) -> list[tuple[NDArray[Any], int]]:
    """The gestures of one recording of DVS128 Gesture: events of each, t [us] from its beginning, and label, 0 to 10.

    Args:
        path: for instance ``user01_natural.aedat``.
        labels: CSV with the columns class (from 1 on), startTime_usec, endTime_usec; left out,
            ``user01_natural_labels.csv``.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: as `read_aedat`, or a line of the CSV is none (named).

    Example:
        >>> from pathlib import Path
        >>> packet = np.array([1 | 1 << 16, 8, 4, 0, 1, 1, 1, 3 << 17 | 1, 1500], "<i4")
        >>> _ = Path("user01_led.aedat").write_bytes(b"#!AER-DAT3.1\\r\\n" + packet.tobytes())
        >>> _ = Path("user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\\n7,1000,2000\\n")
        >>> [(events.tolist(), label) for events, label in lb.data.read_dvs_gesture("user01_led.aedat")]
        [([(3, 0, 500, 0)], 6)]
    """
    path = Path(path)
    windows = _read_windows(path.with_name(f"{path.stem}_labels.csv") if labels is None else Path(labels))
    events = read_aedat(path)
    gestures = []
    for label, begin, end in windows:
        chosen = events[(events["t"] >= begin) & (events["t"] < end)]
        chosen["t"] -= begin
        gestures.append((chosen, label))
    return gestures


def from_dvs_gesture(
    folder: str | Path, train: bool = True, duration: float | None = None, *, crop: bool = False
) -> SpikeDataset:
    """DVS128 Gesture, as it is unpacked: the recordings that ``trials_to_train.txt`` or ``_test.txt`` lists.

    Units are (2, 128, 128), times those from the beginning of each gesture.

    Args:
        folder: holds the lists, and the ``.aedat`` and ``_labels.csv`` of every recording.
        train: the training set, or the test set.
        duration: length of every sample [ms]. Give training and test set the same. Left out, the first whole
            millisecond past the last event.
        crop: drop events at or past `duration` instead of raising.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: as `read_dvs_gesture`, or the list is empty.

    Example:
        >>> from pathlib import Path
        >>> packet = np.array([1 | 1 << 16, 8, 4, 0, 1, 1, 1, 3 << 17 | 1, 1500], "<i4")
        >>> _ = Path("user01_led.aedat").write_bytes(b"#!AER-DAT3.1\\r\\n" + packet.tobytes())
        >>> _ = Path("user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\\n7,1000,2000\\n")
        >>> _ = Path("trials_to_train.txt").write_text("user01_led.aedat\\n")
        >>> lb.data.from_dvs_gesture(".", duration=1000.0)
        SpikeDataset(1 samples, 11 classes, 1 spikes (1 a sample), 32768 units, 1000 ms)
    """
    trials = Path(folder, f"trials_to_{'train' if train else 'test'}.txt")
    try:
        names = [line.strip() for line in read_file(trials).decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{trials}: no text: {error}") from error
    if not names:
        raise ValueError(f"{trials} lists no recordings")
    if bad := [name for name in names if Path(name).name != name]:
        raise ValueError(f"{trials}: must list files beside it, got {bad[0]!r}")
    samples = (
        (f"{trials.parent / name}, gesture {i}", events, label)
        for name in names
        for i, (events, label) in enumerate(read_dvs_gesture(trials.parent / name))
    )
    return from_samples(samples, (128, 128, 2), duration, GESTURES, start=0, crop=crop)


def _skip_text(content: bytes, path: str | Path) -> int:
    """Where the packets begin."""
    if not content.startswith(_VERSION):
        raise ValueError(f"{path}: no AEDAT 3.1 file; it begins with {content[:12]!r}, not {_VERSION!r}")
    at = 0
    while content[at : at + 1] == b"#":
        end = content.find(b"\n", at)
        if end < 0:
            raise ValueError(f"{path}: cut off in the text at its beginning, at byte {at}")
        line, at = content[at:end].strip(), end + 1
        if line.startswith(b"#Format:") and line[8:].strip() != b"RAW":
            raise ValueError(f"{path}: its format is {line[8:].strip().decode(errors='replace')}; only RAW can be read")
        if line == b"#!END-HEADER":
            break
    return at


def _packets(content: bytes, at: int, path: str | Path) -> list[_Packet]:
    """The packets of polarity events, checked."""
    packets = []
    while at < len(content):
        begin, at = at, at + _HEADER.itemsize
        if at > len(content):
            raise ValueError(f"{path}: cut off at byte {begin}, in the header of a packet")
        kind, _, size, time_at, overflow, capacity, number, valid = np.frombuffer(content, _HEADER, 1, begin)[0].item()
        sound = 0 <= kind < _KINDS and size > 0 and overflow >= 0 and 0 <= valid <= number <= capacity
        if not sound or (kind == _POLARITY and (size, time_at) != (_EVENT.itemsize, 4)):
            raise ValueError(f"{path}: no packet of events at byte {begin}; the file is damaged")
        end = at + number * size
        if end > len(content):
            raise ValueError(f"{path}: cut off in the packet at byte {begin}, which goes on to byte {end}")
        if kind == _POLARITY:
            events = np.frombuffer(content, _EVENT, number, at)
            if (marked := int((events["data"] & 1).sum())) != valid:
                raise ValueError(
                    f"{path}: the packet at byte {begin} should hold {valid} valid events, and {marked} are marked so"
                )
            packets.append(_Packet(begin, overflow, events))
        at = end
    return packets


def _read_windows(path: Path) -> list[tuple[int, int, int]]:
    """Label from 0 on, beginning and end [us] of every gesture."""
    try:
        rows = list(csv.reader(StringIO(read_file(path).decode("utf-8-sig"), newline="")))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no CSV: {error}") from error
    if not rows or [x.strip() for x in rows[0]] != _COLUMNS:
        raise ValueError(f"{path}: the first line must be {','.join(_COLUMNS)}")
    windows = []
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        try:
            number, begin, end = map(int, row)
        except ValueError:
            raise ValueError(f"{path}, line {line}: expected three whole numbers, got {','.join(row)}") from None
        if not (1 <= number <= len(GESTURES) and 0 <= begin < end):
            raise ValueError(f"{path}, line {line}: no class of 1 to {len(GESTURES)} from a time to a later one: {row}")
        windows.append((number - 1, begin, end))
    return windows
