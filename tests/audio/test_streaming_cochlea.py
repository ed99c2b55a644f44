"""A stream gives what the whole gives, wherever it is cut."""

from __future__ import annotations

import numpy as np
import pytest

import lambent as lb
from lambent.audio.reading import resample
from lambent.audio.streaming import _resampled


def words(seconds: float, rate: int) -> np.ndarray:
    """Something that sounds and pauses."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.2 * np.sin(2 * np.pi * 440 * t) * (np.sin(2 * np.pi * 1.5 * t) > 0) + 0.02 * np.sin(2 * np.pi * 1500 * t)


def cut(sound: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.integers(0, len(sound), 20))
    return np.split(sound, edges)


def spikes(blocks) -> tuple[list[float], list[int], float]:
    times, units, at = [], [], 0.0
    for events in blocks:
        times += (events.times.double() + at).tolist()
        units += events.units.tolist()
        at += events.duration
    return times, units, at


@pytest.mark.parametrize("level", ["agc", "recorded"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_any_cuts_give_the_same(level: str, rate: int) -> None:
    cochlea, sound = lb.encode.Cochlea(30, seed=3, level=level), words(1.3, rate)
    whole = spikes(cochlea.stream([sound], rate))
    assert len(whole[0]) > 300
    assert whole[2] == 1400.0
    for seed in range(3):
        assert spikes(cochlea.stream(cut(sound, seed), rate)) == whole
    assert spikes(lb.encode.Cochlea(30, seed=4, level=level).stream([sound], rate)) != whole


def test_it_hears_as_a_recording_is_heard() -> None:
    """Up to the noise, the ramps and rounding."""
    sound = words(2.0, 16000)
    cochlea = lb.encode.Cochlea(40, level="recorded")
    times, units, _ = spikes(cochlea.stream([sound], 16000, block=300))
    whole = cochlea(sound, 16000)

    def picture(t, u):
        return np.histogram2d(np.asarray(t), np.asarray(u), bins=(20, 10), range=((0, 2000), (0, 40)))[0]

    a, b = picture(times, units), picture(whole.times.numpy(), whole.units.numpy())
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95  # as with noise of another seed
    assert len(times) == pytest.approx(len(whole.times), rel=0.05)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 11025, 16001])
def test_resampling_in_blocks(rate: int) -> None:
    sound = words(1.7, rate)
    wanted = resample(sound, rate, 16000)
    for seed in range(2):
        found = np.concatenate(list(_resampled(iter(cut(sound, seed)), rate)))
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_integers_constants_and_silence() -> None:
    cochlea, sound = lb.encode.Cochlea(20, level="agc"), words(0.5, 16000)
    integers = np.round(sound * 2**15).astype(np.int16)
    assert len(spikes(cochlea.stream([integers], 16000))[0]) == pytest.approx(
        len(spikes(cochlea.stream([sound], 16000))[0]), rel=0.02
    )
    lifted = spikes(cochlea.stream([sound + 0.3], 16000))
    assert len(lifted[0]) == pytest.approx(len(spikes(cochlea.stream([sound], 16000))[0]), rel=0.02)
    for constant, rate in ((0.0, 16000), (0.4, 8000)):  # fibres fire now and then, as between words
        assert len(spikes(cochlea.stream([np.full(8000, constant)], rate))[0]) < 30
    assert next(cochlea.stream([], 16000)).duration == 100.0  # the silence after it
    assert next(cochlea.stream([sound], 16000)).times.max() < 100


def test_a_stream_is_heard_as_it_comes() -> None:
    came = []

    def microphone():
        for block in np.split(words(1.0, 16000), 100):
            came.append(len(block))
            yield block

    next(lb.encode.Cochlea(20, level="agc").stream(microphone(), 16000))
    assert sum(came) / 16 == 200  # [ms]: a block and what is looked ahead


def test_what_is_no_stream() -> None:
    cochlea, sound = lb.encode.Cochlea(20, level="agc"), words(0.2, 16000)
    with pytest.raises(ValueError, match='"rms" needs the whole recording'):
        lb.encode.Cochlea(20).stream([sound], 16000)
    with pytest.raises(ValueError, match=r"whole number of milliseconds, got 0\.5"):
        cochlea.stream([sound], 16000, block=0.5)
    with pytest.raises(ValueError, match="sampling_rate must be from 1000"):
        cochlea.stream([sound], 10)
    bad = sound.copy()
    bad[7] = np.nan
    with pytest.raises(ValueError, match=r"sample 3207 of the stream is nan"):
        list(cochlea.stream([sound, bad], 16000))
    with pytest.raises(ValueError, match=r"sample 3200 of the stream is 0?.*must lie in"):
        list(cochlea.stream([sound, 1e4 * (sound + 1)], 16000))
    with pytest.raises(ValueError, match=r"must be \(samples,\), got shape \(3200, 1\)"):
        list(cochlea.stream([sound[:, None]], 16000))
    with pytest.raises(TypeError, match="floats or signed integers, got bool"):
        list(cochlea.stream([sound > 0], 16000))
