"""The whole chain: against spikes that another implementation made, reproducibility, and bad recordings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.audio.membrane import RATE, REACH

BANDS = np.arange(0, 701, 50)


@pytest.fixture(scope="module")
def ear():
    return lb.encode.Cochlea(70, seed=3)


def same(a, b):
    return torch.equal(a.times, b.times) and torch.equal(a.units, b.units)


# -- what comes out -----------------------------------------------------------------------------------


def pairs(folder):
    """Recordings with their spikes as another implementation made them.

    The spike file holds five recordings of each digit and speaker in random order; spontaneous spikes go on to
    within 2 ms of its 50 ms of silence after the sound, so the length tells which is which.
    """
    import gzip

    import h5py

    with gzip.open(folder / "spoken_digits_test.h5.gz") as raw, h5py.File(raw) as f:
        speakers = [name.decode() for name in f["extra/speaker_names"][:]]
        words = list(
            zip(f["labels"][:], f["extra/speaker"][:], f["spikes/times"][:], f["spikes/units"][:], strict=True)
        )
    for path in sorted((folder / "audio").glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        audio, rate = lb.encode.read_audio(path)
        end = len(audio) / rate + 0.05
        fits = [
            units
            for label, who, times, units in words
            if label == int(digit) and who == speakers.index(speaker) and 0 < end - times.max() + 2e-4 < 2.5e-3
        ]
        if len(fits) == 1:
            yield audio, rate, fits[0]


def test_spikes_per_band_are_those_of_another_implementation(shared):
    found = list(pairs(shared / "data"))[::4]
    assert len(found) > 10
    theirs = np.array([np.histogram(units, BANDS)[0] for *_, units in found])
    audio, rates = [x for x, *_ in found], [rate for _, rate, _ in found]
    ours = np.array(
        [
            [np.histogram(word.units, BANDS)[0] for word in lb.encode.Cochlea(seed=seed)(audio, rates)]
            for seed in range(3)
        ]
    )
    assert 2500 < ours.sum(2).min() < ours.sum(2).max() < 14000
    mean, noise = ours.mean(0), ours.var(0, ddof=1)
    # all words together: each band within 2 %, or within its noise
    error = np.sqrt(noise.sum(0) * (1 + 1 / 3))
    assert (np.abs((theirs - mean).sum(0)) < np.maximum(4 * error, 0.02 * mean.sum(0))).all()
    assert abs(theirs.sum() / mean.sum() - 1) < 0.01
    # word by word: the differences are as large as those between two seeds of ours
    spread = np.sqrt(np.maximum(noise.mean(0) / mean.mean(0) * mean, 1) * (1 + 1 / 3))
    assert np.sqrt((((theirs - mean) / spread) ** 2).mean()) < 1.3


def test_a_tone_is_heard_at_its_place():
    t = np.arange(8000) / 16000
    for hertz, unit in ((2000.0, 308), (500.0, 493), (200.0, 614)):
        counts = lb.encode.Cochlea(700)(np.sin(2 * np.pi * hertz * t), 16000).counts()[0].numpy()
        smooth = np.convolve(counts, np.ones(15) / 15, "same")
        assert abs(int(smooth.argmax()) - unit) < 40


def test_events_are_on_the_grid_and_in_order(ear, vowel):
    events = ear(vowel, 8000)
    assert (len(events), events.n_units, events.duration) == (1, 70, 250.0)
    assert 200 < len(events.times) < 1000
    steps = events.times.numpy() * RATE / 1000
    np.testing.assert_array_equal(steps, np.round(steps))
    lb.Events(events.times, events.units, events.offsets, 70, 250.0)  # valid


def test_long_recordings_go_in_blocks(monkeypatch, vowel):
    """Two seconds in blocks are what one long transform gives."""
    audio = np.tile(vowel, 10) * (1 + np.sin(np.arange(16000) / 500))
    blocks = lb.encode.Cochlea(20)(audio, 8000)
    monkeypatch.setattr("lambent.audio.cochlea.block_length", lambda samples: samples + samples % 2 + 2 * REACH)
    whole = lb.encode.Cochlea(20)(audio, 8000)
    assert abs(len(blocks.times) / len(whole.times) - 1) < 0.01
    assert (blocks.counts() - whole.counts()).abs().max() < 12


# -- the same and not the same ------------------------------------------------------------------------


def test_seeded(ear, vowel):
    first = ear(vowel, 8000)
    assert same(first, ear(vowel, 8000))
    assert same(first, lb.encode.Cochlea(70, seed=3)(torch.from_numpy(vowel), 8000))
    assert not same(first, lb.encode.Cochlea(70, seed=4)(vowel, 8000))


def test_threads_and_batches_change_nothing(ear, vowel):
    threads = torch.get_num_threads()
    recordings, rates = [vowel, vowel[::-1].copy(), vowel[:900]], [8000, 8000, 16000]
    alone = [ear(x, rate, 300.0) for x, rate in zip(recordings, rates, strict=True)]
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            batch = ear(recordings, rates, 300.0)
            assert all(same(a, b) for a, b in zip(batch, alone, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_words_do_not_share_their_noise(ear, vowel):
    """Silence sounds different before every word."""
    quiet = np.zeros(8000)
    a, b = (ear(np.concatenate([quiet, word]), 8000) for word in (vowel, -vowel))
    early = [e.times[e.times < 900] for e in (a, b)]
    assert min(map(len, early)) > 30
    assert not torch.equal(*early)


def test_level_stereo_and_integers_do_not_matter(ear, vowel):
    counts = ear(vowel, 8000).counts()
    whole = np.round(vowel / np.abs(vowel).max() * 32000).astype(np.int16)
    for other in (vowel * 1e-200, vowel * 1e200, np.stack([vowel, vowel], 1), whole, torch.from_numpy(whole)):
        here = ear(other, 8000).counts()
        assert abs(here.sum() / counts.sum() - 1) < 0.1
        assert np.corrcoef(here[0], counts[0])[0, 1] > 0.9
    left = np.stack([vowel, 0 * vowel], 1)
    assert abs(len(ear(left, 8000).times) / counts.sum() - 1) < 0.1


@pytest.mark.parametrize("rate", [11025, 16000, 44100, 96000])
def test_any_sampling_rate(ear, vowel, rate):
    there = np.interp(np.arange(0, 0.2, 1 / rate), np.arange(1600) / 8000, vowel)
    counts, expected = ear(there, rate).counts()[0], ear(vowel, 8000).counts()[0]
    assert abs(counts.sum() / expected.sum() - 1) < 0.15
    assert np.corrcoef(counts, expected)[0, 1] > 0.9


def test_duration_and_crop(ear, vowel):
    whole = ear(vowel, 8000)
    with pytest.raises(ValueError, match=r"lasts 250 ms .* duration is 100 ms"):
        ear(vowel, 8000, 100)
    short = ear(vowel, 8000, 100, crop=True)
    n = int((whole.times < 100).sum())
    assert short.duration == 100
    assert torch.equal(short.times, whole.times[:n])
    assert ear(vowel, 8000, 1000).duration == 1000


# -- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ([], "empty"),
        (np.zeros(0), "empty"),
        (np.array([0.3]), "only one sample"),
        (np.array([0.0, 1.0, np.nan]), "sample 2 is NaN"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), "sample 1 is NaN or infinite"),
        (np.zeros((2, 800)), "shape \\(2, 800\\)"),
        (np.zeros((2, 2, 2)), "shape"),
        ([np.arange(3.0), np.ones(1)], "recording 1: only one sample"),
    ],
)
def test_bad_recordings(ear, audio, message):
    with pytest.raises(ValueError, match=message):
        ear(audio, 8000)


@pytest.mark.parametrize("level", ["rms", "recorded", "agc"])
def test_silence_gives_no_spikes(vowel, level):
    """Also within a batch, and whatever constant it is."""
    ear = lb.encode.Cochlea(70, seed=3, level=level)
    for quiet in (np.zeros(8000), np.full(800, 0.5), np.full(100, 128, np.uint8), np.zeros((9, 2))):
        assert len(ear(quiet, 8000).times) == 0
    assert ear(np.zeros(8000), 8000).duration == 1050
    events = ear([np.zeros(800), vowel, np.zeros(99)], 8000)
    assert torch.equal(events.counts().sum(1) > 0, torch.tensor([False, True, False]))
    alone = ear(vowel, 8000)
    assert torch.equal(events[1].times, alone.times)


@pytest.mark.parametrize("audio", [np.array(["a", "b"]), np.array([1j, 2]), np.array([True, False]), None])
def test_no_recordings(ear, audio):
    with pytest.raises(TypeError, match="array of numbers"):
        ear(audio, 8000)


@pytest.mark.parametrize(
    ("rate", "error"),
    [(0, ValueError), (-8000, ValueError), (4_000_000_007, ValueError), (8000.5, TypeError), ("x", TypeError)],
)
def test_bad_sampling_rate(ear, vowel, rate, error):
    with pytest.raises(error, match="sampling_rate"):
        ear(vowel, rate)


def test_other_mistakes(ear, vowel):
    with pytest.raises(ValueError, match="2 recordings but 3 sampling rates"):
        ear([vowel, vowel], [8000] * 3)
    for duration in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="duration must be positive"):
            ear(vowel, 8000, duration)
    with pytest.raises(ValueError, match="channels must be at least 2"):
        lb.encode.Cochlea(1)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        lb.encode.Cochlea(seed=-1)
    with pytest.raises(ValueError, match="level must be rms, recorded"):
        lb.encode.Cochlea(level="loud")
    with pytest.raises(TypeError, match="channels must be an integer"):
        lb.encode.Cochlea(70.0)


def test_short_and_loud_sounds_are_encoded(ear, vowel):
    assert ear(vowel[:2], 8000).duration == 51
    clipped = np.clip(vowel, -0.3, 0.3)
    assert len(ear(clipped, 8000).times) > 200


def test_a_constant_offset_is_nothing_to_hear(vowel):
    cochlea = lb.encode.Cochlea(300)
    plain, lifted = (len(cochlea(0.2 * vowel + offset, 16000).times) for offset in (0.0, 0.8))
    assert lifted == pytest.approx(plain, rel=0.05)


# -- levels -------------------------------------------------------------------------------------------


def count(audio, level, rate=8000):
    return len(lb.encode.Cochlea(70, seed=3, level=level)(audio, rate).times)


def test_levels_of_the_same_sound(vowel):
    """Faint sounds stay fainter as recorded, a gain control lifts them, and rms makes them all one."""
    sound = np.tile(0.05 * vowel / vowel.std(), 10)
    for faint in (0.1, 0.01):
        rms, agc, recorded = (count(faint * sound, level) / count(sound, level) for level in ("rms", "agc", "recorded"))
        assert rms == pytest.approx(1, rel=0.05)
        assert recorded < agc < rms
    assert count(sound, "recorded") == pytest.approx(count(sound, "rms"), rel=0.05)
    assert count(sound, "recorded:-20") == pytest.approx(count(0.1 * sound, "recorded"), rel=0.15)


def test_integers_fill_the_range_of_their_type(vowel):
    sound = 0.05 * vowel / vowel.std()
    whole = np.round(sound * 2**15).astype(np.int16)
    for other in (whole, torch.from_numpy(whole), np.round(sound * 127 + 128).astype(np.uint8), sound.astype("f4")):
        assert count(other, "recorded") == pytest.approx(count(sound, "recorded"), rel=0.05)
    for level in ("recorded", "agc"):
        with pytest.raises(
            ValueError, match=rf'recording 1: level "{level}" takes samples in \[-1, 1\], and the largest'
        ):
            count([sound, whole.astype(float)], level)


def test_a_constant_is_nothing_to_hear_at_any_level(vowel):
    sound = np.tile(0.05 * vowel / vowel.std(), 10)
    for level in ("recorded", "agc"):
        for rate in (8000, 16000):
            assert count(sound + 0.5, level, rate) == pytest.approx(count(sound, level, rate), rel=0.05)


def test_a_level_shows_and_seeds_the_same_noise():
    assert repr(lb.encode.Cochlea(70, seed=3)) == "Cochlea(70, seed=3)"
    assert repr(lb.encode.Cochlea(70, level="recorded:6")) == "Cochlea(70, seed=0, level='recorded:6')"
    assert lb.encode.Cochlea(70, level="agc").level == "agc"
