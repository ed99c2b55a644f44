"""`lambent encode` as a stranger types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lambent.data import SpikeDataset

soundfile = pytest.importorskip("soundfile")
QUICK = ("--channels", 20)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two words by four speakers, and tables as some public sets have them beside their folder."""
    rng = np.random.default_rng(0)
    rows = []
    for label, pitch in (("yes", 900), ("no", 200)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for n in range(8):
            t = np.arange(800) / 8000
            sound = 0.2 * np.sin(2 * np.pi * pitch * t) + 0.05 * rng.normal(size=len(t)).clip(-2, 2)
            name = f"{label}/{n // 2:08d}_NO_{n % 2}.wav"
            soundfile.write(tmp_path / "set" / name, sound, 8000)
            rows.append(f"{name},{label}")
    for split, part in (("train", slice(0, 4)), ("val", slice(4, 6)), ("test", slice(6, 8))):
        lines = ["file,class", *(row for first in (0, 8) for row in rows[first : first + 8][part])]
        (tmp_path / f"{split}.csv").write_bytes("\r\n".join(lines).encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "set"


def sizes(out):
    return json.loads(out.strip().splitlines()[-1])["written"]


def test_a_table_for_each_split(run, folder):
    for split in ("train", "val", "test"):
        (folder.parent / f"{split}.csv").rename(folder / f"{split}.csv")
    expected = {"o.h5": 8, "o_valid.h5": 4, "o_test.h5": 4}
    tables = ("--train", "set/train.csv", "--valid", "set/val.csv", "--test", "set/test.csv")
    code, out, err = run("encode", "o.h5", *tables, *QUICK, "--json")
    assert (code, err) == (0, "")
    assert sizes(out) == expected
    assert SpikeDataset.from_shd("o_test.h5").files[0] == "yes/00000003_NO_0.wav"
    code, out, _ = run("encode", "set", "o.h5", *QUICK, "--json", "--overwrite")
    assert code == 0
    assert "set: its classes and splits are those of train.csv, val.csv, test.csv" in out
    assert sizes(out) == expected


def test_tables_that_lie_elsewhere(run, folder):
    code, out, err = run("encode", "set", "o.h5", "--train", "train.csv", "--test", "test.csv", *QUICK, "--json")
    assert (code, err) == (0, "")
    assert sizes(out) == {"o.h5": 8, "o_test.h5": 4}


def test_speakers_by_a_pattern(run, folder):
    code, *_ = run(
        "encode", "set", "o.h5", *QUICK, "--speaker-pattern", r"/(\d+)_NO", "--split", "test=0.25", "--by", "speaker"
    )
    assert code == 0
    train, test = (SpikeDataset.from_shd(name) for name in ("o.h5", "o_test.h5"))
    assert (len(train), len(test)) == (12, 4)
    assert not set(train.speakers) & set(test.speakers)


def test_renditions_and_level(run, folder):
    (folder / "_background_noise_").mkdir()
    noise = 0.1 * np.random.default_rng(0).normal(size=9000).clip(-3, 3)
    soundfile.write(folder / "_background_noise_" / "n.wav", noise, 8000)
    soundfile.write(folder / "no" / "copy.wav", soundfile.read(folder / "no" / "00000000_NO_0.wav")[0], 8000)
    soundfile.write(folder / "no" / "off.wav", np.zeros(900), 8000)
    options = ("--renditions", 2, "--snr", "10:30", "--noise", "set/_background_noise_", "--loudness", "-6:6")
    code, out, err = run("encode", "set", "o.h5", *QUICK, "--level", "agc", *options, "--split", "test=0.25", "--json")
    assert (code, err) == (0, "")
    assert "wrote o.h5: 28 words" in out
    assert "set/_background_noise_: is no class, and was left out" in out
    assert "1 recordings sound exactly as another" in out
    assert "no spikes: set/no/off.wav" in out
    found = json.loads(out.strip().splitlines()[-1])
    assert found["silent"] == ["set/no/off.wav"]
    assert found["identical"] == {"set/no/copy.wav": "set/no/00000000_NO_0.wav"}
    assert "apart" not in found
    assert SpikeDataset.from_shd("o_test.h5").level == "agc"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "encode takes SOURCE OUT.h5, or OUT.h5 and --train with a table"),
        (("o.h5",), "encode takes SOURCE OUT.h5"),
        (("set", "b", "o.h5"), "encode takes SOURCE OUT.h5"),
        (("o.h5", "--test", "test.csv"), "--valid and --test go with --train"),
        (("o.h5", "--train", "gone.csv"), "gone.csv: No such file"),
        (("train.csv", "o.h5", "--train", "train.csv"), "train.csv: no such folder"),
        (("set", "o.h5", "--speaker-pattern", "("), "is no regular expression"),
        (("set", "o.h5", "--snr", "loud", "--renditions", 2), "--snr takes LOW:HIGH, such as 10:30, not 'loud'"),
        (("set", "o.h5", "--snr", "30:10", "--renditions", 2), "from low to high"),
        (("set", "o.h5", "--snr", "10:30"), "need renditions of 2 or more"),
        (("set", "o.h5", "--loudness", "-6:6", "--renditions", 2), "loudness would do nothing"),
        (("set", "o.h5", "--noise", "gone", "--renditions", 2), "gone: there is no such folder of noise"),
        (("set", "o.h5", "--level", "loud"), "level must be rms, recorded"),
        (("o.h5", "--train", "train.csv", "--split", "test=0.1"), "none of the 8 files"),
    ],
)
def test_mistakes(run, folder, args, message):
    code, _, err = run("encode", *args)
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (folder.parent / "o.h5").exists()
