"""The Yin-Yang set: its classes, its shape and its times."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lambent.data import yin_yang


def values(dataset, t_early=0.0, t_late=30.0):
    """(n, 5): the time of each unit, the first four scaled back to the values they code."""
    times = np.empty((len(dataset), 5))
    row = np.repeat(np.arange(len(dataset)), 5)
    times[row, dataset.units] = dataset.times
    times[:, :4] = (times[:, :4] - t_early) / (t_late - t_early)
    return times


def test_layout():
    dataset = yin_yang(100, seed=0)
    assert (len(dataset), dataset.n_units, dataset.duration) == (100, 5, 60.0)
    assert dataset.class_names == ["yin", "yang", "dot"]
    events, _ = dataset.batch(range(100))
    assert torch.equal(events.counts(), torch.ones(100, 5))


@pytest.mark.parametrize("n", [1, 2, 300, 1000])
def test_classes_are_balanced_and_mixed(n):
    labels = yin_yang(n, seed=1).labels
    counts = np.bincount(labels, minlength=3)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1
    if n >= 300:
        assert len(set(labels[:20])) == 3


def test_seed_decides():
    first, again, other = (yin_yang(50, seed).times for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_values_and_their_complements():
    v = values(yin_yang(500, seed=0))
    assert np.allclose(v[:, 0] + v[:, 2], 1, atol=1e-6)
    assert np.allclose(v[:, 1] + v[:, 3], 1, atol=1e-6)
    assert np.allclose(v[:, 4], 12.0)


def test_geometry():
    """Points within the sign; dots within 0.1 of their centres; the halves swap under a half turn."""
    dataset = yin_yang(6000, seed=0)
    xy, labels = values(dataset)[:, :2], dataset.labels
    assert (np.hypot(*(xy - 0.5).T) <= 0.5 + 1e-6).all()
    to_dot = np.minimum(np.hypot(*(xy - [0.25, 0.5]).T), np.hypot(*(xy - [0.75, 0.5]).T))
    assert ((to_dot < 0.1) == (labels == 2)).all()
    left, right = (np.hypot(*(xy - [c, 0.5]).T) < 0.25 for c in (0.25, 0.75))
    half = np.where(left | right, left, xy[:, 1] > 0.5)  # the head of each half reaches into the other's side
    assert (half[labels < 2] == labels[labels < 2]).all()
    yin, yang = xy[labels == 0], xy[labels == 1]
    assert np.allclose(yin.mean(0), 1 - yang.mean(0), atol=0.02)
    assert yang[:, 1].mean() > 0.6


def test_points_spread_evenly_over_their_class():
    dataset = yin_yang(6000, seed=0)
    xy = values(dataset)[:, :2]
    dots = xy[dataset.labels == 2]
    assert (dots[:, 0] < 0.5).mean() == pytest.approx(0.5, abs=0.04)
    radius = np.hypot(*(dots - np.where(dots[:, :1] < 0.5, [0.25, 0.5], [0.75, 0.5])).T)
    assert (radius < 0.1 / 2**0.5).mean() == pytest.approx(0.5, abs=0.04)


def test_times_can_be_chosen():
    dataset = yin_yang(200, seed=0, t_early=10.0, t_late=40.0, t_bias=5.0, duration=50.0)
    v = values(dataset, 10.0, 40.0)
    assert (v[:, 4] == 5.0).all()
    assert np.allclose(v[:, :4], values(yin_yang(200, seed=0))[:, :4], atol=1e-6)
    assert dataset.duration == 50.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"t_early": -1.0}, "t_early=-1.0"),
        ({"t_late": 0.0}, "need 0 <= t_early < t_late < duration"),
        ({"duration": 30.0}, "duration=30.0"),
        ({"t_bias": 60.0}, "t_bias must be in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        yin_yang(**({"n": 10, "seed": 0} | arguments))
