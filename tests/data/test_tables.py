"""CSV files of recordings, as people have them."""

from __future__ import annotations

import pytest

from lambent.data.readers.tables import read_table


def cells(table):
    return [(row.path, row.label, row.speaker, row.split) for row in read_table(table, table.parent)[0]]


@pytest.mark.parametrize("path", ["path", "file", "Filename", "wav", "File Name", "file-path"])
@pytest.mark.parametrize("label", ["label", "class", "Word", "target", "category"])
def test_usual_headings(tmp_path, path, label):
    table = tmp_path / "words.csv"
    table.write_text(f"{label},{path}\r\nyes,a.wav\r\n")
    assert cells(table) == [("a.wav", "yes", "", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("heading", [True, False])
def test_separators_and_encodings(tmp_path, encoding, separator, heading):
    table = tmp_path / "words.csv"
    rows = [["path", "label", "speaker", "split"]] * heading + [
        [f'"b{separator} too.wav"', "zwölf", "", "train"], ["", "", "", ""], ["a.wav", "no", "bob", "Test"],
    ]  # fmt: skip
    table.write_bytes("\n".join(separator.join(row) for row in rows).encode(encoding))
    assert cells(table) == [(f"b{separator} too.wav", "zwölf", "", ""), ("a.wav", "no", "bob", "Test")]


def test_a_semicolon_and_a_comma(tmp_path):
    table = tmp_path / "words.csv"
    table.write_text("a.wav;yes, please\nb.wav;no\n")
    assert cells(table) == [("a.wav", "yes, please", "", None), ("b.wav", "no", "", None)]


def test_of_several_columns_of_a_meaning_one_is_used(tmp_path):
    table = tmp_path / "esc50.csv"
    table.write_text("filename,fold,target,category,take\n1-100032-A-0.wav,1,0,dog,A\n")
    assert cells(table) == [("1-100032-A-0.wav", "dog", "", None)]
    assert read_table(table, tmp_path)[1] == ["fold", "target", "take"]


def test_a_recording_needs_no_suffix_if_it_is_there(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "words.csv").write_text("a,yes\nb,no\n")
    assert cells(tmp_path / "words.csv") == [("a", "yes", "", None), ("b", "no", "", None)]


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
    assert cells(table) == [("a.wav", "yes", "", "" if "rain" in rows[0] else None), ("b.wav", "no", "", "test")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,split\na.wav,yes,test,ann\n", r"line 2: expected path,label,split, got"),
        ("label,path\nyes\n", r"line 2: expected label,path, got"),
        ("sound,meaning\na.wav,yes\n", r"line 1: neither a heading such as path,label nor a recording, but"),
        ("file;meaning\na.wav;yes\n", r"line 1: the heading names no column of labels; call it one of label, class"),
        ("speaker,label\nann,yes\n", r"line 1: the heading names no column of paths; call it one of path, file"),
        ("yes,a.wav\n", r"line 1: neither a heading"),
        ("x" * 3000 + "\n", r"line 1: neither a heading"),
        ("path,label,path\n", r"line 1: the heading names a column 'path' twice"),
        ("a.wav\n", r"line 1: expected path,label"),
        ("a.wav,yes\nb.wav,\n", r"line 2: expected path,label"),
        ("a.wav,yes,ann,test,more\n", r"line 1: expected"),
        ('"a.wav,yes\n', "no table of comma-separated values"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    table = tmp_path / "words.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(table, tmp_path)


def test_a_sound_is_no_table(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xfe\x00\x80WAVE")
    with pytest.raises(ValueError, match="no table"):
        read_table(tmp_path / "a.wav", tmp_path)
