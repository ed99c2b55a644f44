"""When words are reported, and what that is by the truth."""

from __future__ import annotations

import numpy as np
import pytest

from lambent.runs.curve import Curve, parse_rate
from lambent.runs.detecting import Detection, Detector, Rule, Smooth, keywords, matched
from lambent.runs.truth import Said, find_recordings, read_truth

NAMES = ["no", "yes", "_unknown_"]
WORDS = keywords(NAMES)


def sure(*best: tuple[int, float, int]) -> np.ndarray:
    """Confidences (n, 3): so much of one class, for so many hops."""
    rows = []
    for word, p, n in best:
        row = np.full(3, (1 - p) / 2)
        row[word] = p
        rows += [row] * n
    return np.array(rows)


def test_which_classes_are_words() -> None:
    assert WORDS.tolist() == [True, True, False]
    assert keywords(["_silence_", "Background_Noise", "go"]).tolist() == [False, False, True]
    assert keywords(NAMES, ["no"]).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="no class 'maybe'"):
        keywords(NAMES, ["maybe"])
    with pytest.raises(ValueError, match="no word is left"):
        keywords(NAMES, ["no", "yes"])


def detect(track: np.ndarray, **rule: float) -> list[tuple[float, int]]:
    found = Detector(WORDS, Rule(**({"threshold": 0.6, "refractory": 100.0} | rule)), 20.0)(track)
    return [(round(d.time, 3), d.word) for d in found]


def test_a_word_is_reported_once() -> None:
    assert detect(sure((2, 0.9, 5), (1, 0.9, 40), (2, 0.9, 5))) == [(0.12, 1)]
    assert detect(sure((2, 0.9, 5), (1, 0.9, 10), (2, 0.9, 5), (1, 0.9, 2))) == [(0.12, 1), (0.42, 1)]
    assert detect(sure((1, 0.9, 10), (0, 0.9, 10))) == [(0.02, 1), (0.22, 0)]
    assert detect(sure((1, 0.5, 10), (2, 0.9, 10))) == []


def test_after_a_word_there_is_a_pause() -> None:
    track = sure((1, 0.9, 2), (0, 0.9, 10))
    assert detect(track, refractory=0.0) == [(0.02, 1), (0.06, 0)]
    assert detect(track) == [(0.02, 1)]


def test_blocks_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    scores = np.repeat(rng.normal(size=(60, 3)), 7, 0)
    smooth = Smooth(20.0, 100.0, 0.5)
    track = smooth(scores)
    assert track.shape == scores.shape
    np.testing.assert_allclose(track.sum(1), 1)
    for cuts in ([1, 2, 200], [50], []):
        own, detector = Smooth(20.0, 100.0, 0.5), Detector(WORDS, Rule(0.6), 20.0)
        parts = [own(part) for part in np.split(scores, cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), track)
        found = [d for part in parts for d in detector(part)]
        assert found == Detector(WORDS, Rule(0.6), 20.0)(track)
        assert found
    assert detector.heard == len(scores)
    assert detector(np.zeros((0, 3))) == []


def test_rules() -> None:
    for bad in ({"threshold": 0.0}, {"threshold": 1.1}, {"smoothing": -1.0}, {"refractory": float("inf")}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Rule(**bad)


def test_by_the_truth() -> None:
    truth = [Said(1.0, 1.5, "yes"), Said(3.0, 3.4, "no"), Said(5.0, 5.5, "yes")]
    found = [Detection(t, w, 0.9) for t, w in ((0.5, 1), (1.9, 1), (2.4, 1), (3.5, 1), (3.6, 0), (7.0, 1))]
    what = matched(found, truth, NAMES, 1.0)
    assert [(d.time, s.start) for d, s in what.hits] == [(1.9, 1.0), (3.6, 3.0)]
    assert [d.time for d in what.false] == [0.5, 2.4, 3.5, 7.0]
    assert what.missed == [truth[2]]


def test_operating_points() -> None:
    curve = Curve(
        [0.1, 0.2, 0.3, 0.4],
        [0.0, 0.1, 0.2, 1.0],
        [5.0, 20.0, 1.0, 0.0],
        [2.0, 2.0, 0.0, 0.0],
        [100.0, 110.0, 120.0, np.nan],
    )
    assert curve.at(1.0) == {"threshold": 0.3, "misses": 0.2, "false_alarms": 1.0, "unprompted": 0.0, "latency": 120.0}
    point = curve.at(5.0)
    assert point is not None
    assert point["threshold"] == 0.3  # 0.1 has few, for want of pauses between them
    assert curve.at(100.0)["threshold"] == 0.1  # type: ignore[index]
    assert Curve([0.5], [0.0], [3.0], [0.0], [1.0]).at(1.0) is None
    again = Curve.from_dict(curve.as_dict())
    assert again.as_dict() == curve.as_dict()
    assert curve.as_dict()["latency"][-1] is None
    with pytest.raises(ValueError, match="one length"):
        Curve.from_dict(curve.as_dict() | {"misses": [0.0]})
    assert (parse_rate("1/h"), parse_rate("0.5/h"), parse_rate(" 2 ")) == (1.0, 0.5, 2.0)
    for bad in ("", "1/s", "-1/h", "nan"):
        with pytest.raises(ValueError, match="such as 1/h"):
            parse_rate(bad)


def test_truth(tmp_path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("\ufeffWord, Start, end, who\nyes, 2.5, 3, anna\nno, 1, 1.5, bob\n", encoding="utf-8")
    assert read_truth(table) == [Said(1.0, 1.5, "no"), Said(2.5, 3.0, "yes")]
    table.write_text("start,end,word\n")
    assert read_truth(table) == []
    for text, message in (
        ("", "'start' is missing"),
        ("start,end,word\n1,2\n", "line 2: start and end must be seconds"),
        ("start,end,word\nx,2,no\n", "line 2: start and end must be seconds"),
        ("start,end,word\n2,1,no\n", "begins before it ends"),
        ("start,end,word\n1,nan,no\n", "begins before it ends"),
        ("start,end,word\n1,2,\n", "begins before it ends"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_truth(table)
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        read_truth(table)
    with pytest.raises(FileNotFoundError, match=r"b\.csv is missing"):
        find_recordings([tmp_path / "b.wav"])
