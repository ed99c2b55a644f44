"""The whole chain on real recordings: encode, train, export, listen; by files, as a stream, by microphone."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import lambent as lb
from lambent import cli
from lambent.audio.reading import resample
from lambent.runs.listen import Listener
from lambent.training import Run

soundfile = pytest.importorskip("soundfile")

SETTINGS = [
    "--hidden", "40", "--no-recurrent", "--epochs", "80", "--batch-size", "6", "--logit-scale", "100", "--lr", "5e-3",
    "--delay", "0", "--shift", "0", "--blend", "0", "--valid", "0",
]  # fmt: skip


def call(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lambent", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code


@pytest.fixture(scope="module")
def audio(shared):
    folder = shared / "data" / "audio"
    if not folder.is_dir():
        pytest.skip("needs the shared recordings")
    return folder


@pytest.fixture(scope="module")
def trained(audio, tmp_path_factory):
    """A run trained on the recordings of three digits, encoded from a table, and exported."""
    folder = tmp_path_factory.mktemp("listen")
    files = [path for path in sorted(audio.glob("*.wav")) if path.name[0] in "036"]
    with (folder / "words.csv").open("w", newline="") as table:
        csv.writer(table).writerows([path, *path.stem.split("_")[:2]] for path in files)
    assert call("encode", folder / "words.csv", folder / "words.h5", "--channels", 70) == 0
    assert call("train", folder / "words.h5", "--out", folder / "run", *SETTINGS) == 0
    assert call("export", folder / "run") == 0
    return folder / "run", files


def last_line(out):
    return json.loads(out.strip().splitlines()[-1])


def test_words_are_heard(trained, capsys, tmp_path):
    run, files = trained
    page = tmp_path / "page.html"
    assert call("listen", run, *files, "--json", "--out", page) == 0
    out = capsys.readouterr().out
    heard = last_line(out)["heard"]
    assert [word["file"] for word in heard] == [str(path) for path in files]
    right = [word["float"] == path.name[0] for word, path in zip(heard, files, strict=True)]
    assert np.mean(right) > 0.8  # these it was trained on
    assert np.mean([word["float"] == word["chip"] for word in heard]) > 0.8
    assert all(1 / 3 <= word[f"confidence_{kind}"] <= 1 for word in heard for kind in ("float", "chip"))
    assert "confidence" in out
    html = page.read_text()
    assert html.count("<svg") == 6
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_listening_is_evaluating(trained, capsys):
    """A file is classified as its spikes in the data set are."""
    run, files = trained
    assert call("evaluate", run, run.parent / "words.h5", "--chip", "--json") == 0
    accuracy = last_line(capsys.readouterr().out)
    listener = Listener(Run(run))
    heard = [listener.hear(*lb.encode.read_audio(path)) for path in files]
    for kind, key in (("float", "accuracy"), ("chip", "accuracy_chip")):
        right = np.mean([word.answer(kind) == path.name[0] for word, path in zip(heard, files, strict=True)])
        assert right == pytest.approx(accuracy[key])


def test_the_level_is_that_of_the_training_data(trained, tmp_path):
    run, _ = trained
    facts = Run(run).facts()
    assert facts["level"] == "rms"
    for level, heard in (("agc", "agc"), (None, "rms")):
        copy = Run(shutil.copytree(run, tmp_path / str(level)))
        copy.write_json("run.json", facts | {"level": level})
        listener = Listener(copy)
        assert listener.cochlea.level == heard
    copy.write_json("run.json", facts | {"level": 3})
    with pytest.raises(ValueError, match=r"run\.json: damaged: level is 3"):
        Listener(copy)


@pytest.fixture
def sentence(trained, tmp_path):
    """Four words with silence between them."""
    _, files = trained
    words = [lb.encode.read_audio(path)[0] for path in files[::5]]
    pieces = [x for word in words for x in (np.zeros(3200), word)]
    path = tmp_path / "sentence.wav"
    soundfile.write(path, np.concatenate([*pieces, np.zeros(4000)]), 8000)
    return path


def test_stream_and_microphone_hear_the_same(trained, sentence, capsys, monkeypatch):
    run, _ = trained
    assert call("listen", run, sentence, "--stream", "--json") == 0
    out = capsys.readouterr().out
    streamed = last_line(out)["heard"]
    assert 3 <= len(streamed) <= 6
    assert f"{sentence} at 0." in out
    assert (run / "listen.html").exists()

    sound, rate = lb.encode.read_audio(sentence)
    sound = resample(sound, rate, 16000)

    class InputStream:
        """A microphone before which the file is played, until somebody presses Ctrl-C."""

        def __init__(self, **_):
            self.at = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, n):
            if self.at > len(sound):
                raise KeyboardInterrupt
            self.at += n
            return sound[self.at - n : self.at, None].astype(np.float32), False

    fake = SimpleNamespace(InputStream=InputStream, PortAudioError=RuntimeError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert call("listen", run, "--microphone", "--json") == 0
    heard = last_line(capsys.readouterr().out)["heard"]
    assert len(heard) == len(streamed)
    for a, b in zip(heard, streamed, strict=True):
        assert a["spikes"] == pytest.approx(b["spikes"], rel=0.15)


def test_the_loudest_level_is_known(trained):
    listener = Listener(Run(trained[0]))
    sound = 0.1 * np.sin(np.arange(8000))
    assert list(listener.stream([sound], 8000, level=0.5)) == []
    assert listener.loudest == pytest.approx(0.1 / np.sqrt(2), rel=0.02)
    assert list(listener.stream([], 8000, level=0.5)) == []
    assert listener.loudest == 0


def test_long_sounds_are_cut(trained, tmp_path, capsys):
    run, files = trained
    sound, rate = lb.encode.read_audio(files[0])
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(sound, 20), rate)
    assert call("listen", run, path, files[0], "--json") == 0
    out = capsys.readouterr().out
    assert [word["cut"] for word in last_line(out)["heard"]] == [True, False]
    assert "cut at" in " ".join(out.split())


def test_mistakes(trained, tmp_path, capsys):
    run, files = trained
    assert call("listen", run) == 1
    assert "sound files or --microphone" in capsys.readouterr().err
    assert call("listen", run, files[0], "--microphone") == 1
    assert call("listen", tmp_path, files[0]) == 1
    assert "no training run here" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("hello")
    assert call("listen", run, tmp_path / "notes.txt", files[0], tmp_path / "none.wav", "--json") == 1
    captured = capsys.readouterr()
    assert [word["file"] for word in last_line(captured.out)["heard"]] == [str(files[0])]
    assert "no audio that can be read" in captured.err
    assert "none.wav" in captured.err
    (run / "listen.html").unlink()
    assert call("listen", run, tmp_path / "none.wav", "--json") == 1
    assert last_line(capsys.readouterr().out)["page"] is None
    assert not (run / "listen.html").exists()


def test_encode_says_how_to_go_on(audio, tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lambent.data.encode_recordings", interrupt)
    assert call("encode", audio, tmp_path / "o.h5") == 130
    assert "the same command goes on" in capsys.readouterr().out


def test_encode_command(audio, tmp_path, capsys):
    folder = tmp_path / "words"
    for path in sorted(audio.glob("[01]_*.wav")):
        digit, speaker, _ = path.stem.split("_")
        (folder / digit / speaker).mkdir(parents=True)
        shutil.copy(path, folder / digit / speaker)
    out = tmp_path / "o.h5"
    args = ("encode", folder, out, "--channels", 16, "--split", "test=0.2", "--by", "speaker", "--json")
    assert call(*args) == 0
    assert last_line(capsys.readouterr().out) == {
        "written": {str(out): 10, str(tmp_path / "o_test.h5"): 2},
        "skipped": {},
        "clipped": [],
    }
    assert call(*args) == 1
    assert "o.h5: exists already" in capsys.readouterr().err
    (folder / "0" / "theo" / "notes.txt").write_text("hello")
    assert call(*args, "--overwrite") == 1
    captured = capsys.readouterr()
    assert "notes.txt: no audio that can be read" in captured.out.replace("\n", " ")
    assert sum(last_line(captured.out)["written"].values()) == 12
    assert call("encode", folder, out, "--by", "speaker", "--overwrite") == 1
    assert "give one, such as --split" in capsys.readouterr().err
    for bad, message in (("test", "NAME=SHARE"), ("test=2", "share between 0 and 1"), ("test=x", "NAME=SHARE")):
        assert call("encode", folder, out, "--split", bad, "--overwrite") == 1
        assert message in capsys.readouterr().err
