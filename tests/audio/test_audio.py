"""Reading sound files, good and bad."""

from __future__ import annotations

import numpy as np
import pytest

from lambent.audio import reading
from lambent.audio.reading import mono
from lambent.encode import read_audio

soundfile = pytest.importorskip("soundfile")


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")],
)
@pytest.mark.parametrize("rate", [8000, 96000])
def test_formats(tmp_path, vowel, suffix, subtype, rate):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, vowel / 4, rate, subtype)
    audio, found = read_audio(path)
    assert found == rate
    assert np.abs(audio - vowel / 4).max() < (0.01 if subtype == "PCM_U8" else 1e-4)


def test_stereo_is_mixed_down(tmp_path, vowel):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([vowel, -vowel / 2], 1) / 4, 8000, "DOUBLE")
    np.testing.assert_allclose(read_audio(path)[0], vowel / 16, atol=1e-12)


@pytest.mark.parametrize("announced", [0, 2**36 - 1, 1500])
def test_how_much_a_flac_file_announces(tmp_path, monkeypatch, announced):
    """Nothing, as what was written while it was recorded; or anything, for which no memory is taken."""
    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.sin(np.arange(1500) / 9), 8000)
    raw = bytearray(path.read_bytes())
    raw[21:26] = (raw[21] >> 4 << 36 | announced).to_bytes(5, "big")
    path.write_bytes(raw)
    if announced != 1500:
        with pytest.raises(ValueError, match=r"a\.flac: " + ("does not say" if announced == 0 else "")):
            read_audio(path)
        return
    assert read_audio(path)[0].shape == (1500,)
    monkeypatch.setattr(reading, "_MOST_SAMPLES", 1000)
    with pytest.raises(ValueError, match=r"a\.flac: more than 1,000 samples; cut it into pieces"):
        read_audio(path)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "big endian"]
)
def test_half_copied_files_are_no_shorter_words(tmp_path, vowel, kind, channels):
    """libsndfile alone reads most of these as whole."""
    path, options = tmp_path / "a.sound", {"endian": "BIG"} if kind == "big endian" else {}
    sound = np.stack([np.tile(vowel, 20) / 4] * channels, 1)
    soundfile.write(path, sound, 16000, format="WAV" if options else kind, **options)
    assert len(read_audio(path)[0]) == len(sound)
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 2 * channels if kind != "OGG" else len(whole) // 3):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"a\.sound: (cut off|no audio|empty)"):
            read_audio(path)


def test_a_size_that_a_recorder_did_not_know_is_none(tmp_path, vowel):
    path = tmp_path / "a.wav"
    soundfile.write(path, vowel / 4, 8000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    for unknown in (b"\xff\xff\xff\xff",):
        content[at : at + 4] = unknown
        path.write_bytes(content)
        assert len(read_audio(path)[0]) == len(vowel)


def test_channels_that_cancel(tmp_path, vowel):
    """A side turned over is not silence, nor is what noise leaves of it the sound."""
    noise = 1e-3 * np.random.default_rng(0).normal(size=len(vowel))
    for other in (-vowel, -vowel + noise, noise - 0.97 * vowel):
        mixed = mono(np.stack([vowel, other], 1))
        assert np.abs(np.corrcoef(mixed, vowel)[0, 1]) > 0.99


def write_bad(path, vowel):
    """Files that hold no sound, by what is wrong with them."""
    wav, flac = path / "good.wav", path / "good.flac"
    soundfile.write(wav, vowel / 4, 8000)
    soundfile.write(flac, np.tile(vowel, 20) / 4, 8000)
    content = {
        "no audio": b"hello, world\n" * 20,
        "no bytes": b"",
        "head only": wav.read_bytes()[:20],
        "broken head": b"RIFF" + bytes(range(200)),
        "cut off": flac.read_bytes()[: flac.stat().st_size // 2],
    }
    for name, data in content.items():
        (path / f"{name}.wav").write_bytes(data)
    for name, samples in {"no samples": [], "one sample": [0.5]}.items():
        soundfile.write(path / f"{name}.wav", np.array(samples, float), 8000)
    soundfile.write(path / "not a number.wav", np.array([0.1, np.nan, 0.2]), 8000, "FLOAT")
    strange = bytearray(wav.read_bytes())
    strange[24:28] = (4_000_000_007).to_bytes(4, "little")
    (path / "strange rate.wav").write_bytes(strange)
    return wav


BAD = {
    "no audio": "no audio that can be read",
    "no bytes": "no audio that can be read",
    "head only": "no audio that can be read",
    "broken head": "no audio that can be read",
    "cut off": "cut off or damaged|no audio that can be read",
    "no samples": "empty",
    "one sample": "only one sample",
    "not a number": "sample 1 is NaN",
    "strange rate": "sampling_rate must be|no audio that can be read",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path, vowel, name):
    write_bad(tmp_path, vowel)
    path = tmp_path / f"{name}.wav"
    with pytest.raises(ValueError, match=BAD[name]) as error:
        read_audio(path)
    assert str(path) in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(IsADirectoryError):
        read_audio(tmp_path)


def test_soundfile_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"lambent\[audio\]"):
        read_audio(tmp_path / "a.wav")
