"""Renditions: noise at its level, drawn the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from lambent.data import Renditions

soundfile = pytest.importorskip("soundfile")
SOUND = 0.1 * np.sin(2 * np.pi * 0.05 * np.arange(4000)) + 0.02


def decibels(part, whole=SOUND):
    return 20 * np.log10(np.std(whole) / np.std(part))


@pytest.fixture
def noise(tmp_path):
    """Two recordings of noise, one shorter than a word, in folders."""
    rng = np.random.default_rng(1)
    (tmp_path / "noise" / "kitchen").mkdir(parents=True)
    soundfile.write(tmp_path / "noise" / "short.wav", 0.2 * rng.normal(size=700).clip(-3, 3), 8000)
    soundfile.write(tmp_path / "noise" / "kitchen" / "a.flac", 0.1 * rng.normal(size=(90000, 2)).clip(-3, 3), 16000)
    (tmp_path / "noise" / "README.md").write_text("no sound")
    return tmp_path / "noise"


@pytest.mark.parametrize("recorded", [False, True])
def test_noise_has_its_level(noise, recorded):
    ways = Renditions(9, snr=(3, 6), noise=noise if recorded else None)
    ways.check()
    found = [decibels(ways.vary(SOUND, 8000, n, seed=0) - SOUND) for n in range(1, 9)]
    assert 2.8 < min(found) < max(found) < 6.2
    assert max(found) - min(found) > 0.5


def test_draws_follow_from_seed_rendition_and_recording(noise):
    ways = Renditions(3, noise=noise, loudness=(-6, 6))
    assert ways.snr == (5.0, 25.0)
    first = ways.vary(SOUND, 8000, 1, seed=0)
    np.testing.assert_array_equal(first, Renditions(3, noise=noise, loudness=(-6, 6)).vary(SOUND, 8000, 1, seed=0))
    others = [ways.vary(SOUND, 8000, 2, seed=0), ways.vary(SOUND, 8000, 1, seed=1), -ways.vary(-SOUND, 8000, 1, seed=0)]
    assert not any(np.array_equal(first, other) for other in others)


def test_the_first_rendition_and_silence_are_as_they_are(noise):
    ways = Renditions(2, noise=noise)
    assert ways.vary(SOUND, 8000, 0, seed=0) is SOUND
    assert not ways.vary(np.zeros(99), 8000, 1, seed=0).any()


def test_loudness_alone():
    louder = Renditions(2, loudness=(6, 6)).vary(SOUND, 8000, 1, seed=0)
    np.testing.assert_allclose(louder, SOUND * 10 ** (6 / 20))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"number": 0}, "whole number of at least 1, got 0"),
        ({"number": 2.5}, "whole number"),
        ({"number": True}, "whole number"),
        ({"number": 2, "snr": (30, 10)}, "snr must be a range from low to high"),
        ({"number": 2, "snr": (10, float("nan"))}, "snr must be a range"),
        ({"number": 2, "snr": 10}, "snr must be a range of two numbers"),
        ({"number": 2, "loudness": ("a", "b")}, "loudness must be a range of two"),
        ({"snr": (10, 30)}, "need renditions of 2 or more"),
        ({"loudness": (-6, 6)}, "need renditions of 2 or more"),
    ],
)
def test_bad_settings_of_renditions(settings, message):
    with pytest.raises(ValueError, match=message):
        Renditions(**settings)


def test_bad_noise(tmp_path, noise):
    with pytest.raises(FileNotFoundError, match="gone: there is no such folder of noise"):
        Renditions(2, noise=tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no sound files"):
        Renditions(2, noise=tmp_path / "empty")
    with pytest.raises(ValueError, match="need renditions of 2 or more"):
        Renditions(1, noise=noise)
    soundfile.write(noise / "off.wav", np.zeros(100), 8000)
    with pytest.raises(ValueError, match=r"off\.wav: silent, which is no noise"):
        Renditions(2, noise=noise).check()
    (noise / "off.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"off\.wav: no audio"):
        Renditions(2, noise=noise).check()
