"""Levels: what a gain control does, on streams as on the whole."""

from __future__ import annotations

import numpy as np
import pytest

from lambent.audio.level import HEARD, LEVELS, Level, parse_level
from lambent.audio.membrane import RATE

TONE = 10 ** (-26 / 20) * np.sqrt(2) * np.sin(2 * np.pi * 440 / RATE * np.arange(20 * RATE))


def rms(x):
    return float(np.sqrt(np.mean(x**2)))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("rms", Level("rms")),
        ("recorded", Level("recorded")),
        ("recorded:-6.5", Level("recorded", -6.5)),
        ("agc", Level("agc")),
    ],
)
def test_levels_as_they_are_written(text, level):
    assert parse_level(text) == level
    assert str(level) == text


@pytest.mark.parametrize(
    "text", ["", "RMS", "rms:3", "agc:1", "recorded:", "recorded:loud", "recorded:nan", "recorded:1e9"]
)
def test_no_levels(text):
    with pytest.raises(ValueError, match="level must be rms, recorded, recorded:GAIN"):
        parse_level(text)
    with pytest.raises(TypeError, match="level must be a text"):
        parse_level(None)


@pytest.mark.parametrize("text", [*LEVELS, "recorded:6"])
def test_speech_of_usual_level_is_heard_at_one(text):
    expected = HEARD * (2 if ":" in text else 1)
    assert rms(parse_level(text).of(TONE)) == pytest.approx(expected, rel=0.01)


def test_a_gain_control_is_slow_and_lifts_only_so_far():
    agc = parse_level("agc")
    change = {db: agc.of(TONE * np.where(np.arange(len(TONE)) < RATE, 1, 10 ** (db / 20))) for db in (20, -20, -60)}
    second = slice(RATE, RATE + RATE // 50)  # 20 ms after the change the gain is as good as it was
    assert rms(change[20][second]) > 0.5 * 10 * HEARD
    assert rms(change[-20][second]) == pytest.approx(0.1 * HEARD, rel=0.05)
    assert rms(change[20][-RATE:]) == pytest.approx(HEARD, rel=0.05)
    assert rms(change[-20][-RATE:]) == pytest.approx(HEARD, rel=0.05)
    assert rms(change[-60][-RATE:]) == pytest.approx(HEARD * 10 ** (-36 / 20), rel=0.05)


@pytest.mark.parametrize("text", ["recorded:3", "agc"])
def test_blocks_of_any_length_are_the_whole(text):
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.normal(size=5000) + 0.3
    whole = parse_level(text).of(sound)
    stream = parse_level(text).started()
    cuts = np.sort(rng.integers(0, 5000, 12))
    np.testing.assert_array_equal(np.concatenate([stream(block) for block in np.split(sound, cuts)]), whole)
    np.testing.assert_array_equal(parse_level(text).of(sound[:700]), whole[:700])  # of the future it knows nothing
    assert abs(whole[1000:].mean()) < 0.01


def test_streams_have_no_rms():
    with pytest.raises(ValueError, match="needs the whole recording"):
        parse_level("rms").started()
