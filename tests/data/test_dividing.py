"""Recordings divided into splits by class and by speaker; the same sound on one side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.data import divide
from lambent.data.dividing import contents
from lambent.data.readers.recordings import Recording


def words(sizes):
    """Recordings of three classes by speakers with so many of each class."""
    return [
        Recording(f"{label}/{who}/{i}.wav", label, f"s{who}")
        for label in ("a", "b", "c")
        for who, n in enumerate(sizes)
        for i in range(n)
    ]


@given(st.lists(st.integers(4, 12), min_size=4, max_size=12), st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_splits(sizes, seed):
    given_words = words(sizes)
    shares = {"test": 0.2, "valid": 0.1}
    by_class = divide(given_words, shares, "class", seed)
    for label in ("a", "b", "c"):
        here = [r.split for r in by_class if r.label == label]
        assert abs(here.count("test") - 0.2 * len(here)) <= 1
        assert abs(here.count("valid") - 0.1 * len(here)) <= 1
    by_speaker = divide(given_words, shares, "speaker", seed)
    of = {}
    for r in by_speaker:
        assert of.setdefault(r.speaker, r.split) == r.split
    assert set(of.values()) == {"", "test", "valid"}
    test = sum(r.split == "test" for r in by_speaker)
    assert test <= 0.2 * len(by_speaker) + 3 * max(sizes)
    for divided in (by_class, by_speaker):
        assert [r.path for r in divided] == [r.path for r in given_words]
    assert by_speaker == divide(given_words, shares, "speaker", seed)


@pytest.mark.parametrize(
    ("shares", "by", "message"),
    [
        ({"test": 0.1}, "word", "by class or speaker, not by 'word'"),
        ({"test": 1.5}, "class", "test=1.5"),
        ({"": 0.1}, "class", "=0.1"),
        ({"train": 0.5}, "class", "other than train"),
        ({"a": 0.5, "b": 0.5}, "class", "nothing is left"),
        ({"test": 0.01}, "class", "class 'a': 8 recordings are too few"),
        ({"a": 0.1, "b": 0.1}, "speaker", "2 speakers are too few for 2 splits"),
    ],
)
def test_bad_splits(shares, by, message):
    with pytest.raises(ValueError, match=message):
        divide(words([4, 4]), shares, by)


def test_what_has_a_split_is_not_divided():
    with pytest.raises(ValueError, match=r"x\.wav is in the split 'test' already"):
        divide([Recording("x.wav", "a", "s", "test")], {"test": 0.1}, "class")


def test_files_of_nobody_are_each_of_their_own():
    known = [Recording(f"{i}.wav", "a", f"s{i % 2}") for i in range(8)]
    unknown = [Recording(f"x{i}.wav", "a") for i in range(24)]
    splits = [r.split for r in divide(known + unknown, {"test": 0.25}, "speaker", seed=1)]
    assert 6 <= splits.count("test") <= 10
    assert len(set(splits[0:8:2])) == len(set(splits[1:8:2])) == 1
    assert {r.split for r in divide(unknown[:2], {"test": 0.5}, "speaker")} == {"", "test"}


@given(st.integers(0, 99), st.sampled_from(["class", "speaker"]))
@settings(deadline=None, max_examples=50)
def test_the_same_sound_stays_on_one_side(seed, by):
    rng = np.random.default_rng(seed)
    given_words = words([6] * 30)
    same = [str(x) if x < 40 else None for x in rng.integers(0, 2000, len(given_words))]
    same[0] = same[-1] = "first and last"
    divided = divide(given_words, {"test": 0.2, "valid": 0.1}, by, seed, same)
    side = {}
    for r, sound in zip(divided, same, strict=True):
        assert side.setdefault(sound or r.path, r.split) == r.split
        if by == "speaker":
            assert side.setdefault(r.speaker, r.split) == r.split
    assert {r.split for r in divided} == {"", "test", "valid"}


def test_speakers_who_share_all_are_one():
    recordings = [Recording(f"{i}.wav", "a", f"s{i % 3}") for i in range(12)]
    with pytest.raises(ValueError, match=r"1 speakers are too few .* those who share a recording count as one"):
        divide(recordings, {"test": 0.3}, "speaker", same=["x"] * 12)


def test_contents(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    sound = np.round(1000 * np.sin(np.arange(900.0))).astype(np.int16)
    files = {"a.wav": (sound, 8000), "b.flac": (sound, 8000), "c.wav": (sound, 16000), "d.wav": (sound[1:], 8000)}
    files |= {"off.wav": (0 * sound, 8000), "also off.wav": (0 * sound, 8000)}
    for name, (x, rate) in files.items():
        soundfile.write(tmp_path / name, x, rate)
    (tmp_path / "bad.wav").write_text("no sound")
    a, b, *others, bad, gone = contents([tmp_path / name for name in (*files, "bad.wav", "gone.wav")])
    assert a == b
    assert len({a, *others}) == 5
    assert bad is gone is None
