"""Sound as it comes in, from a file and from a microphone."""

from __future__ import annotations

import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from lambent.audio.sources import MICROPHONE_RATE, file_blocks, microphone_blocks


def test_a_file_as_the_source(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    sound, rate = 0.2 * np.sin(np.arange(8000.0)), 8000
    soundfile.write(tmp_path / "a.wav", sound, rate, "DOUBLE")
    blocks, found = file_blocks(tmp_path / "a.wav")
    assert found == rate
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
