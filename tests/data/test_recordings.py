"""Finding recordings in folders and tables, their speakers and their own splits."""

from __future__ import annotations

import pytest

from lambent.data import list_recordings
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


def listed(folder, **settings):
    """What there is, and what the reader says of it."""
    said = []
    found = list_recordings(folder, notice=said.append, **settings)
    return [(r.name, r.label, r.split) for r in found], said


def test_lists_of_the_speech_commands(tmp_path):
    touch(tmp_path, "yes/a_nohash_0.wav", "yes/b_nohash_0.wav", "no/c_nohash_0.wav", "_background_noise_/tap.wav")
    (tmp_path / "validation_list.txt").write_text("yes/b_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("./no/c_nohash_0.wav\r\nno/gone_nohash_0.wav\r\n\r\n")
    found, said = listed(tmp_path)
    assert found == [
        ("no/c_nohash_0.wav", "no", "test"), ("yes/a_nohash_0.wav", "yes", ""), ("yes/b_nohash_0.wav", "yes", "valid"),
    ]  # fmt: skip
    assert [x.removeprefix(f"{tmp_path}/") for x in said] == [
        "_background_noise_: is no class, and was left out",
        "validation_list.txt: 1 recordings for valid",
        "testing_list.txt: 1 recordings for test; 1 lines name no file",
    ]


@pytest.mark.parametrize(
    ("valid", "test", "message"),
    [
        (b"yes/b.wav", b"", r"validation_list\.txt: names no file of the folder; the first line is 'yes/b\.wav'"),
        (b"yes/1.wav", b"yes/1.wav", r"testing_list\.txt: yes/1\.wav is in validation_list\.txt, too"),
        (b"\xff\xfe", b"", r"validation_list\.txt: no list of files"),
    ],
)
def test_broken_lists(tmp_path, valid, test, message):
    touch(tmp_path, "yes/1.wav", "no/1.wav")
    (tmp_path / "validation_list.txt").write_bytes(valid)
    (tmp_path / "testing_list.txt").write_bytes(test)
    with pytest.raises(ValueError, match=message):
        list_recordings(tmp_path)


def test_tables_of_a_folder(tmp_path):
    touch(tmp_path, "yes/1.wav", "yes/2.wav", "no/3.wav")
    (tmp_path / "train.csv").write_text("file,class\r\nyes/1.wav,yes\r\n")
    assert listed(tmp_path)[1] == []  # a table alone is any table
    (tmp_path / "val.csv").write_text("file,class\r\nno/3.wav,_unknown_\r\n")
    found, said = listed(tmp_path)
    assert found == [("yes/1.wav", "yes", ""), ("no/3.wav", "_unknown_", "valid")]
    assert said == [f"{tmp_path}: its classes and splits are those of train.csv, val.csv"]
    (tmp_path / "valid.csv").write_text("file,class\n")
    with pytest.raises(ValueError, match=r"valid\.csv, val\.csv are tables of one split"):
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


def test_a_table_for_each_split(tmp_path):
    (tmp_path / "lists").mkdir()
    for name, rows in {"a": "1.wav,yes\n2.wav,no\n", "b": "3.wav,yes\n"}.items():
        (tmp_path / "lists" / f"{name}.csv").write_text("fname,word\n" + rows)
    tables = {"train": tmp_path / "lists" / "a.csv", "test": tmp_path / "lists" / "b.csv"}
    assert listed(tables)[0] == [("1.wav", "yes", ""), ("2.wav", "no", ""), ("3.wav", "yes", "test")]
    assert {r.path.parent for r in list_recordings(tables)} == {tmp_path / "lists"}
    (tmp_path / "sound").mkdir()
    assert {r.path.parent for r in list_recordings(tables, root=tmp_path / "sound")} == {tmp_path / "sound"}
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        list_recordings(tables, root=tmp_path / "none")
    with pytest.raises(ValueError, match="a root is for tables"):
        list_recordings(tmp_path, root=tmp_path)


def test_tables_that_contradict(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("path,label,split\na.wav,yes,Train\n")
    test.write_text("path,label\na.wav,yes\n")
    with pytest.raises(ValueError, match=r"test\.csv, line 2: a\.wav was listed in .*train\.csv, line 2 already"):
        list_recordings({"train": train, "test": test})
    test.write_text("path,label,split\nb.wav,yes,validation\n")
    assert len(list_recordings({"train": train, "valid": test})) == 2
    with pytest.raises(ValueError, match=r"test\.csv, line 2: is in the split 'validation', the table is for 'test'"):
        list_recordings({"train": train, "test": test})


def test_columns_that_are_not_used_are_said(tmp_path):
    (tmp_path / "t.csv").write_text("file,label,age,gender\na.wav,yes,30,f\n")
    assert listed(tmp_path / "t.csv")[1] == [f"{tmp_path / 't.csv'}: columns that are not used: age, gender"]


def test_no_recordings_in_a_table(tmp_path):
    for text in ("path,label\n", ""):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(ValueError, match=r"t\.csv: no recordings"):
            list_recordings(tmp_path / "t.csv")


def test_a_recording_is_listed_once(tmp_path):
    (tmp_path / "t.csv").write_text("a.wav,yes\nb.wav,no\na.wav,no\n")
    with pytest.raises(ValueError, match=r"line 3: a\.wav was listed in line 1 already"):
        list_recordings(tmp_path / "t.csv")


# -- speakers -----------------------------------------------------------------------------------------


def speakers(source, **settings):
    return [r.speaker for r in list_recordings(source, **settings)]


def test_speakers_from_names(tmp_path):
    touch(tmp_path, "yes/0a7c_nohash_0.wav", "yes/yes_0b40_nohash_1.wav", "yes/x.wav", "yes/_nohash_0.wav")
    assert speakers(tmp_path) == ["0a7c", None, None, "0b40"]
    (tmp_path / "t.csv").write_text("file,class,speaker\nyes/yes_0b40_nohash_1.wav,a,\nyes/0a7c_nohash_0.wav,a,cy\n")
    assert speakers(tmp_path / "t.csv") == ["0b40", "cy"]


def test_speakers_by_a_pattern(tmp_path):
    touch(tmp_path, "yes/0001_NO_01.wav", "no/0002_NO_01.wav", "no/ann/3.wav", "no/x.wav")
    said = []
    assert speakers(tmp_path, speaker_pattern=r"/(\d+)_NO_", notice=said.append) == ["0002", "ann", None, "0001"]
    assert said == ["the speaker pattern does not fit 1 files, whose speakers are unknown: no/x.wav ..."]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        (r"\d+", "has 0 groups; put one pair of parentheses"),
        (r"(\d)(\d)", "has 2 groups"),
        ("(q+)", "fits no file, such as yes/1.wav"),
        ("(q*)", "fits no file"),
    ],
)
def test_bad_patterns(tmp_path, pattern, message):
    touch(tmp_path, "yes/1.wav")
    with pytest.raises(ValueError, match=message):
        list_recordings(tmp_path, speaker_pattern=pattern)
