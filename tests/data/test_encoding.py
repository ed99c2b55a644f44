"""Folders of recordings to files of spikes: contents, resuming, bad files, full disks."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess

import h5py
import numpy as np
import pytest

import lambent as lb
from lambent.data import SpikeDataset, encode_recordings, encoding

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def folder(tmp_path):
    """Two classes, three speakers, two words of each, of different lengths."""
    root = tmp_path / "words"
    rng = np.random.default_rng(0)
    for label, pitch in (("high", 900), ("low", 200)):
        for n, speaker in enumerate(("ann", "bob", "cy")):
            (root / label / speaker).mkdir(parents=True)
            for i in range(2):
                t = np.arange(800 + 80 * n) / 8000
                sound = np.sin(2 * np.pi * pitch * t) + 0.05 * rng.normal(size=len(t))
                soundfile.write(root / label / speaker / f"{i}.wav", sound / 4, 8000)
    return root


@pytest.fixture
def counted(monkeypatch):
    """How many files were read."""
    seen = []

    def read(path):
        seen.append(path)
        return lb.encode.read_audio(path)

    monkeypatch.setattr(encoding, "read_audio", read)
    return seen


def same(a, b):
    return all(
        np.array_equal(getattr(a, k), getattr(b, k)) for k in ("times", "units", "offsets", "labels", "speakers")
    )


def test_words_are_those_of_the_cochlea(folder, tmp_path):
    out = tmp_path / "words.h5"
    report = encode_recordings(folder, out, 20, seed=5)
    assert report.written == {out: 12}
    assert not report.skipped
    assert not report.clipped
    data = SpikeDataset.from_shd(out)
    assert (data.n_units, data.duration, data.class_names) == (20, 170.0, ["high", "low"])
    assert data.labels.tolist() == [0] * 6 + [1] * 6
    assert data.speakers.tolist() == [0, 0, 1, 1, 2, 2] * 2
    audio, rate = lb.encode.read_audio(folder / "high" / "bob" / "1.wav")
    expected = lb.encode.Cochlea(20, seed=5)(audio, rate)
    word, _ = data[3]
    np.testing.assert_array_equal(word.units, expected.units)
    np.testing.assert_allclose(word.times, expected.times, rtol=1e-6)
    with h5py.File(out) as f:
        assert f["extra/speaker_names"][:].tolist() == [b"ann", b"bob", b"cy"]
        assert h5py.check_vlen_dtype(f["spikes/times"].dtype) == np.float32
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "words.h5."))] == []


def test_splits_share_classes_speakers_and_duration(folder, tmp_path):
    out = tmp_path / "my.words.h5.gz"
    report = encode_recordings(folder, out, 20, splits={"test": 0.3}, by="speaker")
    test = tmp_path / "my.words_test.h5.gz"
    assert report.written == {out: 8, test: 4}
    a, b = SpikeDataset.from_shd(out), SpikeDataset.from_shd(test)
    assert (a.class_names, a.duration, a.n_units) == (b.class_names, b.duration, b.n_units)
    assert set(a.speakers) | set(b.speakers) == {0, 1, 2}
    assert not set(a.speakers) & set(b.speakers)


def test_table_with_splits_and_duration(folder, tmp_path):
    table = tmp_path / "table.csv"
    rows = [f"words/high/ann/{i}.wav,up,ann,{split}" for i, split in enumerate(("train", "test"))]
    table.write_text("\n".join([*rows, "words/low/cy/0.wav,down,cy,"]))
    report = encode_recordings(table, tmp_path / "t.h5", 20, duration=80.0)
    assert report.written == {tmp_path / "t.h5": 2, tmp_path / "t_test.h5": 1}
    assert SpikeDataset.from_shd(tmp_path / "t.h5").duration == 80.0
    with pytest.raises(ValueError, match="in the split 'test' already"):
        encode_recordings(table, tmp_path / "t.h5", 20, splits={"test": 0.5})


def test_nothing_is_overwritten_unasked(folder, tmp_path, counted):
    (tmp_path / "o_test.h5").write_text("precious")
    with pytest.raises(FileExistsError, match=r"o_test\.h5: exists already"):
        encode_recordings(folder, tmp_path / "o.h5", 20, splits={"test": 0.5})
    assert not counted
    assert (tmp_path / "o_test.h5").read_text() == "precious"
    encode_recordings(folder, tmp_path / "o.h5", 20, splits={"test": 0.5}, overwrite=True)
    assert len(SpikeDataset.from_shd(tmp_path / "o_test.h5")) == 6


def test_files_and_level_are_noted(folder, tmp_path):
    encode_recordings(folder, tmp_path / "o.h5", 20, level="recorded:3", splits={"test": 0.5})
    for name in ("o.h5", "o_test.h5"):
        data = SpikeDataset.from_shd(tmp_path / name)
        assert data.level == "recorded:3"
        for i, file in enumerate(data.files):
            expected = lb.encode.Cochlea(20, level="recorded:3")(*lb.encode.read_audio(folder / file))
            np.testing.assert_array_equal(data[i][0].units, expected.units)


def test_words_of_nobody_are_each_of_a_speaker_of_their_own(folder, tmp_path):
    for n, name in enumerate(("x.wav", "y.wav", "z.wav")):
        soundfile.write(folder / "low" / name, 0.1 * np.sin(np.arange(900.0 + (n > 0))), 8000)
    shutil.copy(folder / "low" / "bob" / "0.wav", folder / "low" / "a.wav")
    report = encode_recordings(folder, tmp_path / "o.h5", 20)
    data = SpikeDataset.from_shd(tmp_path / "o.h5")
    of = dict(zip(data.files, data.speakers.tolist(), strict=True))
    assert len(set(data.speakers)) == 5
    assert of["low/x.wav"] != of["low/y.wav"] == of["low/z.wav"]  # the last two are one recording
    assert of["low/a.wav"] == of["low/bob/0.wav"]
    y, bob = folder / "low" / "y.wav", folder / "low" / "bob" / "0.wav"
    assert report.identical == {y.with_name("z.wav"): y, bob: y.with_name("a.wav")}
    assert report.apart == {}
    encode_recordings(folder, tmp_path / "p.h5", 20, splits={"test": 0.4}, by="speaker")


def test_identical_recordings(folder, tmp_path):
    copy = folder / "high" / "cy" / "9.wav"
    copy.write_bytes((folder / "high" / "ann" / "0.wav").read_bytes())
    for seed in range(3):
        out = tmp_path / f"{seed}.h5"
        report = encode_recordings(folder, out, 20, splits={"test": 0.5}, seed=seed)
        assert report.identical == {copy: folder / "high" / "ann" / "0.wav"}
        assert report.apart == {}
        files = set(SpikeDataset.from_shd(out).files)
        assert ("high/cy/9.wav" in files) == ("high/ann/0.wav" in files)
    table = tmp_path / "t.csv"
    table.write_text("file,class,split\nwords/high/ann/0.wav,a,\nwords/high/cy/9.wav,a,test\n")
    report = encode_recordings(table, tmp_path / "t.h5", 20)
    assert report.apart == {copy: folder / "high" / "ann" / "0.wav"}


def test_renditions(folder, tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    soundfile.write(noise / "n.wav", 0.1 * np.random.default_rng(0).normal(size=9000).clip(-3, 3), 8000)
    ways = lb.data.Renditions(3, snr=(5, 5), noise=noise)
    out = tmp_path / "o.h5"
    report = encode_recordings(folder, out, 20, splits={"test": 0.5}, renditions=ways, seed=2)
    assert report.written == {out: 18, tmp_path / "o_test.h5": 6}
    data, test = SpikeDataset.from_shd(out), SpikeDataset.from_shd(tmp_path / "o_test.h5")
    assert data.files == [name for name in data.files[::3] for _ in range(3)]
    assert not set(data.files) & set(test.files)
    audio, rate = lb.encode.read_audio(folder / data.files[0])
    for n in range(3):
        expected = lb.encode.Cochlea(20, seed=2 + n)(ways.vary(audio, rate, n, seed=2), rate)
        np.testing.assert_array_equal(data[n][0].units, expected.units)
    for part in data.split(0.34, seed=0):
        assert all(part.files.count(name) == 3 for name in part.files)


# -- resuming -----------------------------------------------------------------------------------------


def test_resumes_and_changes_nothing(folder, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(encoding, "_GROUP", 4)
    whole, out = tmp_path / "whole.h5", tmp_path / "words.h5"
    encode_recordings(folder, whole, 20)
    counted.clear()

    def stop(done, of):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_recordings(folder, out, 20, progress=stop)
    assert not out.exists()
    assert len(counted) == 8
    counted.clear()
    steps = []
    report = encode_recordings(folder, out, 20, progress=lambda done, of: steps.append((done, of)))
    assert report.resumed == 8
    assert len(counted) == 4
    assert steps == [(8, 12), (12, 12)]
    assert same(SpikeDataset.from_shd(out), SpikeDataset.from_shd(whole))
    assert not (tmp_path / "words.h5.parts").exists()


def test_renditions_resume(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_GROUP", 5)
    ways = lb.data.Renditions(2, snr=(0, 20), loudness=(-6, 6))
    encode_recordings(folder, tmp_path / "whole.h5", 20, renditions=ways, level="agc")

    def stop(done, of):
        assert of == 24
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_recordings(folder, tmp_path / "o.h5", 20, renditions=ways, level="agc", progress=stop)
    report = encode_recordings(folder, tmp_path / "o.h5", 20, renditions=ways, level="agc")
    assert report.resumed == 17
    assert (tmp_path / "o.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        encode_recordings(folder, tmp_path / "p.h5", 20, renditions=ways, level="agc", progress=stop)
    for other, known in ((lb.data.Renditions(2, snr=(0, 10)), 12), (ways, 17)):
        steps: list[tuple[int, int]] = []

        def stop_at_once(done, of, steps=steps):
            steps.append((done, of))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            encode_recordings(folder, tmp_path / "p.h5", 20, renditions=other, level="agc", progress=stop_at_once)
        assert steps == [(known, 24)]


def test_what_changed_is_encoded_again(folder, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(encoding, "_GROUP", 5)
    out = tmp_path / "words.h5"
    monkeypatch.setattr(encoding, "write_shd", lambda *a, **k: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
    for channels, expected in ((20, 12), (20, 0), (30, 12)):
        counted.clear()
        with pytest.raises(OSError, match="no"):
            encode_recordings(folder, out, channels)
        assert len(counted) == expected
    parts = sorted((tmp_path / "words.h5.parts").glob("*.npz"))
    parts[0].write_bytes(b"damaged")
    changed = folder / "low" / "cy" / "1.wav"
    soundfile.write(changed, np.sin(np.arange(999.0)), 8000)
    counted.clear()
    monkeypatch.undo()
    report = encode_recordings(folder, out, 20)
    assert report.resumed == 12 - 5 - 1
    assert report.written == {out: 12}


# -- what goes wrong ----------------------------------------------------------------------------------


def test_bad_files_are_left_out_and_named(folder, tmp_path):
    (folder / "low" / "ann" / "notes.txt").write_text("not a sound")
    soundfile.write(folder / "low" / "bob" / "silent.wav", np.zeros(800), 8000)
    soundfile.write(folder / "low" / "bob" / "loud.wav", np.clip(3 * np.sin(np.arange(900.0)), -1, 1), 8000)
    report = encode_recordings(folder, tmp_path / "words.h5", 20)
    assert {path.name: problem for path, problem in report.skipped.items()} == {
        "notes.txt": "no audio that can be read (Format not recognised.)",
    }
    assert [path.name for path in report.clipped] == ["loud.wav"]
    assert [path.name for path in report.silent] == ["silent.wav"]
    assert report.written == {tmp_path / "words.h5": 14}
    assert SpikeDataset.from_shd(tmp_path / "words.h5").files[10:12] == ["low/bob/loud.wav", "low/bob/silent.wav"]


def test_nothing_but_bad_files(tmp_path):
    (tmp_path / "words" / "a").mkdir(parents=True)
    (tmp_path / "words" / "a" / "x.wav").touch()
    with pytest.raises(ValueError, match=r"none of the 1 files could be encoded; the first, .*x\.wav: no audio"):
        encode_recordings(tmp_path / "words", tmp_path / "o.h5", 20)
    assert not (tmp_path / "o.h5").exists()


def test_classes_are_those_of_words_that_were_kept(tmp_path, folder):
    table = tmp_path / "t.csv"
    table.write_text("words/high/ann/0.wav,up\ngone.wav,down\n")
    report = encode_recordings(table, tmp_path / "o.h5", 20)
    assert [path.name for path in report.skipped] == ["gone.wav"]
    assert "No such file" in report.skipped[tmp_path / "gone.wav"]
    data = SpikeDataset.from_shd(tmp_path / "o.h5")
    assert data.class_names == ["up"]
    assert data.speakers is None
    assert data.files == ["words/high/ann/0.wav"]


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("o.npz", {}, ValueError, r"must end in \.h5"),
        ("none/o.h5", {}, FileNotFoundError, "no such folder"),
        ("o.h5", {"duration": -1.0}, ValueError, "duration must be positive"),
        ("o.h5", {"channels": 1}, ValueError, "channels must be at least 2"),
        ("o.h5", {"level": "loud"}, ValueError, "level must be rms"),
        ("o.h5", {"renditions": 0}, ValueError, "number of renditions must be"),
        ("o.h5", {"renditions": lb.data.Renditions(2, loudness=(-6, 6))}, ValueError, "loudness would do nothing"),
        ("o.h5", {"speaker_pattern": "x"}, ValueError, "has 0 groups"),
    ],
)
def test_bad_settings(folder, tmp_path, name, settings, error, message):
    with pytest.raises(error, match=message):
        encode_recordings(folder, tmp_path / name, **settings)
    assert not (tmp_path / "o.h5.parts").exists()


def test_a_failed_split_takes_the_others_with_it(folder, tmp_path, monkeypatch):
    calls = []

    def write(path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        lb.data.write_shd(path, *args, **kwargs)

    monkeypatch.setattr(encoding, "write_shd", write)
    with pytest.raises(OSError, match="No space left"):
        encode_recordings(folder, tmp_path / "o.h5", 20, splits={"test": 0.5})
    assert len(calls) == 2
    assert not any((tmp_path / path.name).exists() for path in calls)
    assert (tmp_path / "o.h5.parts").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk(folder, small_disk):
    with pytest.raises(OSError, match="No space left on device") as error:
        encode_recordings(folder, small_disk / "o.h5", 140)
    assert str(small_disk) in str(error.value)
    assert not (small_disk / "o.h5").exists()


def test_full_disk_while_the_file_is_written(words, small_disk):
    (small_disk / "fill").write_bytes(bytes(20000))
    with pytest.raises(OSError, match=r"No space left on device: .*o\.h5"):
        lb.data.write_shd(small_disk / "o.h5", words)
    assert [path.name for path in small_disk.iterdir()] == ["fill"]


@pytest.mark.slow
def test_processes_encode_the_same(folder, tmp_path):
    """Bad files are left out, and what was done before a call was interrupted is kept, as by one process."""
    pytest.importorskip("joblib", reason="several processes need joblib")
    (folder / "low" / "ann" / "bad.wav").write_text("no sound")
    alone = encode_recordings(folder, tmp_path / "alone.h5", 20, renditions=2)
    report = encode_recordings(folder, tmp_path / "words.h5", 20, renditions=2, jobs=2)
    assert [path.name for path in report.skipped] == ["bad.wav"]
    assert list(report.skipped.values()) == list(alone.skipped.values())
    assert same(SpikeDataset.from_shd(tmp_path / "words.h5"), SpikeDataset.from_shd(tmp_path / "alone.h5"))


def test_no_such_processes(folder, tmp_path):
    with pytest.raises(ValueError, match="jobs must be a number of processes"):
        encode_recordings(folder, tmp_path / "words.h5", 20, jobs=0)
    with pytest.raises(ValueError, match="backend must be one of"):
        encode_recordings(folder, tmp_path / "words.h5", 20, jobs=2, backend="mpi")
    assert not (tmp_path / "words.h5.parts").exists()
