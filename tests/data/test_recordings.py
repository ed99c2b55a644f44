"""Finding recordings and dividing them into splits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.data import divide, list_recordings
from lambent.data.readers.recordings import Recording


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# -- folders ------------------------------------------------------------------------------------------


def test_folder(tmp_path):
    touch(tmp_path, "yes/ann/1.wav", "yes/bob/1.wav", "no/b_nohash_0.wav", "no/c.flac", "README.md", "no/.DS_Store")
    found = [(r.path.relative_to(tmp_path).as_posix(), r.label, r.speaker, r.split) for r in list_recordings(tmp_path)]
    assert found == [
        ("no/b_nohash_0.wav", "no", "b", ""),
        ("no/c.flac", "no", None, ""),
        ("yes/ann/1.wav", "yes", "ann", ""),
        ("yes/bob/1.wav", "yes", "bob", ""),
    ]


def test_folder_without_classes(tmp_path):
    with pytest.raises(ValueError, match="no recordings; a folder needs one folder"):
        list_recordings(tmp_path)
    touch(tmp_path, "a.WAV")
    with pytest.raises(ValueError, match=r"a\.WAV: lies in no class"):
        list_recordings(tmp_path)
    with pytest.raises(FileNotFoundError):
        list_recordings(tmp_path / "none")


def test_one_word_in_two_formats(tmp_path):
    touch(tmp_path, "yes/1.wav", "yes/1.flac")
    with pytest.raises(ValueError, match=r"1\.wav and 1\.flac: two files of one name"):
        list_recordings(tmp_path)


# -- tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["", "path,label,speaker,split\n", "\n,,\nPath, Label,Speaker,SPLIT\n"])
def test_table(tmp_path, head):
    table = tmp_path / "words.csv"
    table.write_text(head + 'a.wav,yes,ann,Train\n"b, too.wav",no,bob,test\n\nc.wav,no,ann\n')
    assert list_recordings(table) == [
        Recording(tmp_path / "a.wav", "yes", "ann"),
        Recording(tmp_path / "b, too.wav", "no", "bob", "test"),
        Recording(tmp_path / "c.wav", "no", "ann"),
    ]


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("path,label,split", ["a.wav,yes,train", "b.wav,no,test"]),
        (" Split,LABEL , path", ["Train,yes,a.wav", "test,no,b.wav"]),
        ("label,path,split,speaker", ["yes,a.wav", "no,b.wav,test,"]),
    ],
)
def test_columns_go_by_the_heading(tmp_path, head, rows):
    table = tmp_path / "words.csv"
    table.write_text("\n".join([head, *rows]))
    assert list_recordings(table) == [
        Recording(tmp_path / "a.wav", "yes"),
        Recording(tmp_path / "b.wav", "no", split="test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,split\na.wav,yes,test,ann\n", r"line 2: expected path,label,split, got"),
        ("label,path\nyes\n", r"line 2: expected label,path, got"),
        ("path,label,gender\n", r"line 1: the heading names a column 'gender' where only path, label"),
        ("path,label,path\n", r"line 1: the heading names a column 'path' twice"),
        ("a.wav\n", r"line 1: expected path,label"),
        ("a.wav,yes\nb.wav,\n", r"line 2: expected path,label"),
        ("a.wav,yes,ann,test,more\n", r"line 1: expected"),
        ("a.wav,yes\nb.wav,no\na.wav,no\n", r"line 3: a\.wav was listed in line 1 already"),
        ('"a.wav,yes\n', "no table of comma-separated values"),
        ("path,label\n", "no recordings"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    table = tmp_path / "words.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=message):
        list_recordings(table)


def test_a_sound_is_no_table(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xfe\x00\x80WAVE")
    with pytest.raises(ValueError, match="no table"):
        list_recordings(tmp_path / "a.wav")


# -- splits -------------------------------------------------------------------------------------------


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


def test_splits_of_what_has_none():
    with pytest.raises(ValueError, match=r"x\.wav is in the split 'test' already"):
        divide([Recording("x.wav", "a", "s", "test")], {"test": 0.1}, "class")
    with pytest.raises(ValueError, match=r"the speaker of x\.wav is unknown"):
        divide([Recording("x.wav", "a")], {"test": 0.1}, "speaker")
