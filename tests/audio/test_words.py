"""Cutting a stream into words, from a file and from a microphone."""

from __future__ import annotations

import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.audio.words import MICROPHONE_RATE, cut_words, file_blocks, microphone_blocks

RATE = 8000


def speech(*parts):
    """Alternately silence and a tone, of so many seconds."""
    rng = np.random.default_rng(0)
    pieces = []
    for i, seconds in enumerate(parts):
        t = np.arange(int(seconds * RATE)) / RATE
        pieces.append(1e-3 * rng.normal(size=len(t)) + (0.2 * np.sin(2 * np.pi * 300 * t) if i % 2 else 0))
    return np.concatenate(pieces)


def cut(sound, size=800, **kwargs):
    blocks = (sound[i : i + size] for i in range(0, len(sound), size))
    return list(cut_words(blocks, RATE, **({"level": 0.01, "longest": 1.0} | kwargs)))


def test_words_are_cut_at_silence():
    found = cut(speech(0.5, 0.3, 0.4, 0.6, 0.5))
    assert len(found) == 2
    for (start, sound), expected, length in zip(found, (0.5, 1.2), (0.3, 0.6), strict=True):
        assert expected - 0.1 <= start <= expected
        assert length <= len(sound) / RATE <= length + 0.2
        assert np.sqrt(np.mean(sound**2)) > 0.1


def test_a_word_goes_on_over_a_short_pause():
    assert len(cut(speech(0.3, 0.2, 0.1, 0.2, 0.3))) == 1


def test_a_word_may_begin_and_end_with_the_stream():
    ((start, sound),) = cut(speech(0, 0.3))
    assert start == 0
    assert len(sound) / RATE == pytest.approx(0.3, abs=0.021)


def test_silence_and_clicks_are_no_words():
    assert cut(speech(2.0)) == []
    assert cut(speech(0.5, 0.02, 0.5)) == []
    assert cut(np.empty(0)) == []
    assert len(cut(speech(0.5, 0.3, 0.5), level=0.5)) == 0


def test_every_level_is_noticed():
    levels = []
    assert cut(speech(0.5, 0.3, 0.5), level=0.5, notice=levels.append) == []
    assert len(levels) == 1.3 / 0.02
    assert max(levels) == pytest.approx(0.2 / np.sqrt(2), rel=0.02)
    assert min(levels) == pytest.approx(1e-3, rel=0.3)


def test_endless_sound_is_cut_at_the_longest():
    found = cut(speech(0, 3.5))
    assert len(found) == 4
    assert all(len(sound) <= 1.01 * RATE for _, sound in found)


@given(st.integers(1, 5000))
@settings(deadline=None, max_examples=25)
def test_blocks_of_any_size_give_the_same_words(size):
    sound = speech(0.3, 0.3, 0.4, 0.4, 0.3)
    for (a, x), (b, y) in zip(cut(sound, size), cut(sound), strict=True):
        assert a == b
        np.testing.assert_array_equal(x, y)


def test_a_file_as_the_source(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    sound = speech(0.3, 0.3, 0.4)
    soundfile.write(tmp_path / "a.wav", sound, RATE, "DOUBLE")
    blocks, rate = file_blocks(tmp_path / "a.wav")
    assert rate == RATE
    blocks = list(blocks)
    assert max(map(len, blocks)) == 800
    np.testing.assert_allclose(np.concatenate(blocks), sound)


# -- microphone, played by a file -----------------------------------------------------------------------


class Microphone(SimpleNamespace):
    """What sounddevice offers, hearing `sound`."""

    class PortAudioError(Exception):
        pass

    sound = np.zeros(0)

    class InputStream:
        def __init__(self, samplerate, channels, dtype):
            assert (samplerate, channels, dtype) == (MICROPHONE_RATE, 1, "float32")
            self.at = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, n):
            self.at += n
            return Microphone.sound[self.at - n : self.at, None], False


def test_microphone(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone)
    monkeypatch.setattr(Microphone, "sound", np.arange(16000, dtype=np.float32))
    blocks = list(islice(microphone_blocks(), 3))
    np.testing.assert_array_equal(np.concatenate(blocks), Microphone.sound[:4800])


def test_no_microphone(monkeypatch):
    def fail(*args, **kwargs):
        raise Microphone.PortAudioError("Error querying device -1")

    monkeypatch.setitem(sys.modules, "sounddevice", Microphone)
    monkeypatch.setattr(Microphone, "InputStream", fail)
    with pytest.raises(OSError, match="no microphone to listen to: Error querying"):
        next(microphone_blocks())
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ImportError, match=r"lambent\[microphone\]"):
        next(microphone_blocks())
