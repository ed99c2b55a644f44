"""Parts of `Events` and several together: `keep`, `select`, `merge`, windows, and dropout."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent import Events


def batch(times, units, n_units=3, duration=10.0, **more):
    events = Events.from_lists(times, units, n_units, duration)
    return Events(events.times, events.units, events.offsets, n_units, duration, **more) if more else events


def tracked():
    """Three units in two samples, with gradients of times and of counts."""
    times = torch.tensor([1.0, 2.0, 4.0, 5.0, 3.0], requires_grad=True)
    counts = torch.tensor([[2.0, 1.0, 1.0], [0.0, 0.0, 1.0]], requires_grad=True)
    events = Events(times, torch.tensor([0, 1, 0, 2, 2]), torch.tensor([0, 4, 5]), 3, 10.0, counts=counts)
    return events, times, counts


def test_keep():
    events, times, counts = tracked()
    kept = events.keep(torch.tensor([True, False, False, True, True]))
    assert kept.times.tolist() == [1.0, 5.0, 3.0]
    assert kept.offsets.tolist() == [0, 2, 3]
    assert kept.counts().tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    (kept.times.sum() + 6 * kept.counts().sum()).backward()
    assert times.grad.tolist() == [1.0, 0.0, 0.0, 1.0, 1.0]
    assert counts.grad.tolist() == [[3.0, 0.0, 6.0], [0.0, 0.0, 6.0]]
    assert len(batch([], []).keep(torch.ones(0, dtype=torch.bool))) == 0
    with pytest.raises(TypeError, match=r"mask must be a tensor of booleans, got torch\.float32"):
        events.keep(torch.ones(5))
    with pytest.raises(ValueError, match=r"mask must have shape \(5,\), got \(4,\)"):
        events.keep(torch.ones(4, dtype=torch.bool))


@pytest.mark.parametrize("units", [[2, 0], torch.tensor([2, 0], dtype=torch.int32)])
def test_select(units):
    events, times, counts = tracked()
    some = events.select(units)
    assert (some.n_units, some.units.tolist(), some.times.tolist()) == (2, [1, 1, 0, 0], [1.0, 4.0, 5.0, 3.0])
    assert some.offsets.tolist() == [0, 3, 4]
    assert some.counts().tolist() == [[1.0, 2.0], [1.0, 0.0]]
    (some.times.sum() + 5 * some.counts()[:, 1].sum()).backward()
    assert times.grad.tolist() == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert counts.grad.tolist() == [[5.0, 0.0, 0.0], [5.0, 0.0, 0.0]]


def test_select_by_mask():
    some = batch([[1.0, 2.0], []], [[0, 2], []]).select(torch.tensor([False, True, True]))
    assert (some.n_units, some.units.tolist(), len(some)) == (2, [1], 2)


@pytest.mark.parametrize(
    ("units", "error", "message"),
    [
        ([3], ValueError, r"unit 3 outside \[0, 3\)"),
        ([-1], ValueError, r"unit -1 outside"),
        ([1, 2, 1], ValueError, "unit 1 is chosen more than once"),
        ([], ValueError, "at least one"),
        ([[0]], ValueError, r"one dimension, got shape \(1, 1\)"),
        (torch.zeros(3, dtype=torch.bool), ValueError, "at least one"),
        (torch.zeros(4, dtype=torch.bool), ValueError, r"a mask must have shape \(3,\), got \(4,\)"),
        ([0.0], TypeError, "units must be integers"),
    ],
)
def test_bad_selections_are_named(units, error, message):
    with pytest.raises(error, match=message):
        batch([[1.0]], [[0]]).select(units)


def test_merge():
    events, times, counts = tracked()
    other = batch([[2.0, 9.0], [0.5]], [[1, 0], [1]], n_units=2)
    both = Events.merge([other, events])
    assert both.n_units == 5
    assert both.times.tolist() == [1.0, 2.0, 2.0, 4.0, 5.0, 9.0, 0.5, 3.0]
    assert both.units.tolist() == [2, 1, 3, 2, 4, 0, 1, 4]
    assert both.offsets.tolist() == [0, 6, 8]
    Events(both.times, both.units, both.offsets, 5, 10.0)  # is sound
    assert both.counts().tolist() == [[1.0, 1.0, 2.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    (both.times * torch.arange(8)).sum().backward(retain_graph=True)
    assert times.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 7.0]
    both.counts().sum().backward()
    assert counts.grad.tolist() == [[1.0] * 3] * 2
    back = both.select([2, 3, 4])
    assert torch.equal(back.times, events.times)
    assert torch.equal(back.units, events.units)
    assert Events.merge([other])._counts is None


def test_what_cannot_be_merged_is_named():
    one = batch([[1.0]], [[0]])
    for other, message in (
        (batch([], []), "batch 1 has batch_size 0, batch 0 has 1"),
        (batch([[1.0]], [[0]], duration=11.0), r"duration 11\.0"),
        (one.to(torch.float64), r"dtype torch\.float64"),
        (one.to("meta"), "device meta"),
    ):
        with pytest.raises(ValueError, match=message):
            Events.merge([one, other])
    with pytest.raises(ValueError, match="at least one"):
        Events.merge([])
    wide = batch([[]], [[]], n_units=2**30)
    with pytest.raises(ValueError, match="fit in int32"):
        Events.merge([wide, wide])


def test_windows_hold_all_spikes():
    events = batch([[0.0, 3.9, 4.0, 9.9], [5.0]], [[0, 0, 1, 2], [2]])
    counts = events.windowed_counts(4.0)
    assert counts.shape == (2, 3, 3)
    assert counts[0].tolist() == [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert torch.equal(counts.sum(1), events.counts())


class TestDropout:
    def test_drops_while_training_only(self):
        torch.manual_seed(0)
        events = batch([torch.arange(1000) / 10.0] * 2, [torch.arange(1000) % 3] * 2, duration=100.0)
        drop = lb.EventDropout(0.3)
        dropped = drop(events)
        assert 1300 < len(dropped.times) < 1500
        Events(dropped.times, dropped.units, dropped.offsets, 3, 100.0)
        assert drop.eval()(events) is events
        assert lb.EventDropout(0.0)(events) is events
        assert len(lb.EventDropout(1.0)(events).times) == 0
        assert repr(drop) == "EventDropout(p=0.3)"

    def test_gradients_of_a_network(self):
        torch.manual_seed(1)
        model = torch.nn.Sequential(lb.LIF(5, 20), lb.EventDropout(0.5), lb.LIReadout(20, 3))
        events, labels = lb.data.yin_yang(20, seed=0).batch(range(20))
        torch.nn.functional.cross_entropy(model(events), labels).backward()
        assert model[0].weight.grad.abs().sum() > 0

    def test_bad_arguments_are_named(self):
        with pytest.raises(ValueError, match="p must be a probability"):
            lb.EventDropout(1.5)
        with pytest.raises(TypeError, match=r"EventDropout takes lambent\.Events, got Tensor"):
            lb.EventDropout()(torch.ones(2))
