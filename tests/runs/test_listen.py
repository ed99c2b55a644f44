"""The whole chain on real recordings: encode, train, export, listen; by files, as a stream, by microphone."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import call, last_line

import lambent as lb
from lambent.audio.reading import resample
from lambent.runs.listen import Listener
from lambent.runs.streams import Ear
from lambent.training import Run

soundfile = pytest.importorskip("soundfile")

SETTINGS = [
    "--hidden", "40", "--no-recurrent", "--epochs", "80", "--batch-size", "6", "--logit-scale", "100", "--lr", "5e-3",
    "--delay", "0", "--shift", "0", "--stretch", "0", "--shift-time", "0", "--dilate", "0", "--mask", "0",
    "--mask-time", "0", "--valid", "0",
]  # fmt: skip


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


@pytest.fixture(scope="module")
def sentence(trained):
    """Some words with silence between them, and the table that says so; the run hears them."""
    run, files = trained
    path, sound, said = run.parent / "sentence.wav", [np.zeros(8000)], []
    for file in files[::3]:
        word = lb.encode.read_audio(file)[0]
        at = sum(map(len, sound)) / 8000
        said.append((f"{at:.3f}", f"{at + len(word) / 8000:.3f}", file.name[0]))
        sound += [0.3 * word, np.zeros(8000)]
    soundfile.write(path, np.concatenate(sound), 8000)
    with path.with_suffix(".csv").open("w", newline="") as table:
        csv.writer(table).writerows([("start", "end", "word"), *said])
    return path, said


def test_a_stream_is_evaluated(trained, sentence, capsys):
    run, (path, said) = trained[0], sentence
    assert call("listen", run, path, "--stream", "--operating-point", "1/h") == 1
    assert "was not evaluated on streams" in capsys.readouterr().err
    assert call("evaluate", run, path, "--stream", "--chip", "--json") == 0
    out = capsys.readouterr().out
    found = last_line(out)
    assert "cannot be heard at level rms" in out
    assert f"{len(said)} words in" in out
    assert "false alarms/h" in out
    assert found["words"] == len(said)
    for kind in ("float", "chip"):
        curve = found["curves"][kind]
        assert np.all(np.diff(curve["thresholds"]) > 0)
        assert curve["misses"][-1] == 1
        assert min(curve["misses"]) < 0.5  # these it was trained on
        assert curve["false_alarms"][-1] == 0
        assert all(a <= b for a, b in zip(curve["unprompted"], curve["false_alarms"], strict=True))
    assert found["points"][3]["at_most"] == 1.0
    assert (run / "detections.svg").read_text().startswith("<?xml")
    saved = Run(run).read_json("stream.json")
    assert call("evaluate", run, path, "--stream", "--chip", "--json") == 0
    assert Run(run).read_json("stream.json") == saved  # the same again
    capsys.readouterr()
    assert call("listen", run, path, "--stream", "--operating-point", "1/h", "--json") == 0
    out = capsys.readouterr().out
    assert "threshold 0." in out
    point = next(p for p in found["points"] if p["network"] == "chip" and p["at_most"] == 1.0)
    right = [
        any(w["word"] == word and float(start) <= w["time"] <= float(end) + 1 for w in last_line(out)["heard"])
        for start, end, word in said
    ]
    assert 1 - np.mean(right) == pytest.approx(point["misses"])


def test_stream_and_microphone_hear_the_same(trained, sentence, capsys, monkeypatch):
    run, path = trained[0], sentence[0]
    assert call("listen", run, path, "--stream", "--threshold", "0.5", "--json") == 0
    out = capsys.readouterr().out
    streamed = last_line(out)["heard"]
    assert streamed
    assert f"{path} at {streamed[0]['time']:.2f} s: {streamed[0]['word']}" in out
    assert (run / "listen.html").exists()
    assert all(word["confidence"] >= 0.5 for word in streamed)

    sound, rate = lb.encode.read_audio(path)
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
    assert call("listen", run, "--microphone", "--threshold", "0.5", "--json") == 0
    heard = last_line(capsys.readouterr().out)["heard"]
    assert [word["word"] for word in heard] == [word["word"] for word in streamed][: len(heard)]
    assert len(heard) >= len(streamed) - 1  # the last may end with the stream


def test_scores_do_not_depend_on_blocks(trained, sentence):
    """Bit for bit on the chip model and in float."""
    run, sound = Run(trained[0]), lb.encode.read_audio(sentence[0])[0]
    ear = Ear(run, ("float", "chip"))
    whole = list(ear.hear([sound], 8000))
    pieces = list(ear.hear(np.array_split(sound, 77), 8000))
    for kind in ear.kinds:
        a, b = (np.concatenate([x.scores[kind] for x in found]) for found in (whole, pieces))
        np.testing.assert_array_equal(a, b)
        assert len(a) == len(whole) * 100 / ear.hop


def test_a_window_is_heard_as_a_sample(trained):
    """From rest, the first window that is all heard has the scores that the network gives for these events."""
    run = Run(trained[0])
    ear = Ear(run, ("float", "chip"))
    sound = np.concatenate([lb.encode.read_audio(trained[1][0])[0], np.zeros(16000)])
    blocks = list(ear.hear([sound], 8000))
    times = np.concatenate([b.events.times.double().numpy() + 100 * i for i, b in enumerate(blocks)])
    units = np.concatenate([b.events.units.numpy() for b in blocks])
    window = ear.window // ear.hop * ear.hop  # the last hop that ends within
    own = times < window
    events = lb.Events.from_lists([times[own] + ear.window - window], [units[own]], 70, ear.window)
    wanted = {"float": run.model()(events)[0].detach().numpy()}
    network = run.chip().load(run.network)
    wanted["chip"] = network.readout.scores(network.run(events, ("voltage",)))[0]
    for kind in ear.kinds:
        scores = np.concatenate([b.scores[kind] for b in blocks])[round(window / ear.hop) - 1]
        np.testing.assert_allclose(scores, wanted[kind], rtol=1e-4, atol=1e-4)


def test_confidence_is_calibrated(trained, tmp_path):
    run, files = trained
    plain = Listener(Run(run)).hear(*lb.encode.read_audio(files[0]))
    copy = Run(shutil.copytree(run, tmp_path / "copy"))
    copy.write_json("confidence.json", {"temperature": 3.0})
    soft = Listener(copy).hear(*lb.encode.read_audio(files[0]))
    for kind in ("float", "chip"):
        assert soft.answer(kind) == plain.answer(kind)
        assert 1 / 3 < soft.confidence[kind].max() < plain.confidence[kind].max()
    copy.write_json("confidence.json", {"temperature": -1})
    with pytest.raises(ValueError, match=r"confidence\.json: damaged: temperature is -1"):
        Listener(copy)


def test_options_of_streams(trained, sentence, capsys, tmp_path):
    run, path = trained[0], sentence[0]
    for args, message in (
        (("--threshold", "0.5"), "--threshold is for --stream"),
        (("--operating-point", "1/h"), "--operating-point is for --stream"),
        (("--stream", "--operating-point", "1/h", "--smoothing", "50"), "drop --smoothing"),
        (("--stream", "--operating-point", "often"), "such as 1/h, got 'often'"),
        (("--stream", "--background", "nine"), "no class 'nine'"),
        (("--stream", "--background", "0", "--background", "3", "--background", "6"), "no word is left"),
    ):
        assert call("listen", run, path, *args) == 1
        captured = capsys.readouterr()
        assert message in captured.err
    assert call("evaluate", run, path, "--smoothing", "50") == 1
    assert "--smoothing is for --stream" in capsys.readouterr().err
    assert call("evaluate", run, path, "--stream", "--host") == 1
    assert "--host is not for --stream" in capsys.readouterr().err
    assert call("evaluate", run, trained[1][0], "--stream") == 1
    assert "start,end,word" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert call("evaluate", run, tmp_path / "empty", "--stream") == 1
    assert "holds no sound files" in capsys.readouterr().err
    shutil.copy(path, tmp_path / "late.wav")
    for text, message in (
        ("start,end,word\n1,900,0\n", "ends at 900 s"),
        ("start,end,word\n1,2,ten\n", "none of the words to detect"),
        ("from,to,word\n1,2,0\n", "'start' is missing"),
    ):
        (tmp_path / "late.csv").write_text(text)
        assert call("evaluate", run, tmp_path / "late.wav", "--stream") == 1
        assert message in capsys.readouterr().err


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
