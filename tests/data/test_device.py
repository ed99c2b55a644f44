"""Batches on a device: what torch does there equals what the compiled loops do on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent import Events
from lambent.data import DeviceDataset, augment, device, host
from waits import Waits, no_waits


@pytest.fixture(
    params=[
        "cpu",  # the same operations, without a device
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
        ),
    ]
)
def place(request):
    return request.param


def same(a, b):
    assert a.times.dtype == b.times.dtype
    assert (a.n_units, a.duration) == (b.n_units, b.duration)
    for name in ("offsets", "units", "times"):
        assert torch.equal(getattr(a, name), getattr(b, name).cpu())


@pytest.mark.parametrize(
    "make",
    [
        lambda data: augment.ShiftChannels(5),
        lambda data: augment.ShiftTime(20.0),
        lambda data: augment.ShiftTime(20.0, inside=0.9),
        lambda data: augment.JitterTimes(10.0),
        lambda data: augment.Dilate(0.5, 2.0),
        lambda data: augment.Dilate(0.5, 2.0, about_centre=True),
        lambda data: augment.WarpChannels(0.1, 0.2),
        lambda data: augment.Mask(0.3, 0.3),
        lambda data: augment.Drop(0.3),
        lambda data: augment.Blend(data, 0.5),
        lambda data: augment.Compose([augment.Blend(data, 1.0), augment.ShiftChannels(2), augment.Drop(0.1)]),
    ],
    ids=[
        "channels",
        "time",
        "time inside",
        "jitter",
        "dilate",
        "dilate about centre",
        "warp",
        "mask",
        "drop",
        "blend",
        "all",
    ],
)
def test_augmentations_equal_those_on_the_host(make, place, words, monkeypatch):
    chosen = torch.randperm(len(words), generator=torch.Generator().manual_seed(1))
    expected = make(words)(*words.batch(chosen), torch.Generator().manual_seed(2))
    monkeypatch.setattr(augment, "operations_for", lambda events: device)
    there = DeviceDataset(words, place)
    same(expected, make(there)(*there.batch(chosen), torch.Generator().manual_seed(2)))
    own = torch.Generator(place).manual_seed(2)
    events = make(there)(*there.batch(chosen), own)
    Events(events.times, events.units, events.offsets, events.n_units, events.duration)  # valid


def test_augmentations_do_not_wait(place, words, monkeypatch):
    """But for `Blend`, which must know how many it blends. The CPU poses as a device."""
    monkeypatch.setattr(augment, "makes_wait", lambda device: True)
    monkeypatch.setattr(augment, "operations_for", lambda events: device)
    steps = [augment.Drop(0.3), augment.ShiftChannels(5), augment.JitterTimes(10.0), augment.ShiftTime(20.0)]
    steps += [augment.WarpChannels(0.02, 0.05), augment.Mask(0.1, 0.1)]
    steps += [augment.Dilate(0.9, 1.1, about_centre=True), augment.ShiftTime(5.0, inside=0.9)]
    events, labels = DeviceDataset(words, place).batch(torch.arange(len(words)))
    given = len(events.times)
    generator = torch.Generator(place).manual_seed(0)
    with no_waits(None if place == "cuda" else Waits()):
        events = augment.Compose([*steps, augment.Dilate(0.5, 2.0), augment.Drop(0.3)])(events, labels, generator)
    assert len(events.padded().times) == given
    assert 0.2 * given < len(events.times) < 0.5 * given
    Events(events.times, events.units, events.offsets, events.n_units, events.duration)  # valid


@pytest.mark.parametrize("n", [0, 4, 60])
def test_padding_stays_out_of_it(n, place, words):
    """Of operations on what has padding come the spikes that come without any."""
    ours, theirs = DeviceDataset(words, place).batch(torch.arange(n))[0], words.batch(torch.arange(n))[0]
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        shift, units = torch.randn(n, generator=g).double() * 20, torch.randint(-9, 10, (n,), generator=g)
        keep = torch.rand(len(theirs.times), generator=g) < 0.8
        padding = torch.ones(len(ours.padded().times) - len(keep), dtype=torch.bool)
        ours = device.sort(device.move(ours, None, shift, units, torch.cat([keep, padding])))
        theirs = host.sort(host.move(theirs, None, shift, units, keep))
    assert n == 0 or len(ours.padded().times) > len(theirs.times)
    assert not ours.padded().times[len(theirs.times) :].any()
    same(theirs, ours)


def test_batches_equal_those_on_the_host(place, words):
    there = DeviceDataset(words, place)
    assert (len(there), there.n_units, there.duration) == (len(words), words.n_units, words.duration)
    generators = (torch.Generator().manual_seed(5) for _ in range(2))
    ours, theirs = (list(data.batches(17, True, g)) for data, g in zip((there, words), generators, strict=True))
    assert len(ours) == len(theirs) == 4
    for (events, labels), (expected, classes) in zip(ours, theirs, strict=True):
        same(expected, events)
        assert events.device.type == labels.device.type == place
        assert torch.equal(labels.cpu(), classes)
    same(words.batch([-1, 3])[0], there.batch(torch.tensor([len(words) - 1, 3], device=place))[0])
    assert place in repr(there)


def test_values_are_there_too(place, words, graded):
    there = DeviceDataset(graded, place)
    assert torch.equal(there.batch([5, 0, 41])[0].values.cpu(), graded.batch([5, 0, 41])[0].values)
    assert DeviceDataset(words, place).batch([5])[0].values is None


def test_bad_indices(words):
    there = DeviceDataset(words, "cpu")
    with pytest.raises(IndexError, match="sample 60 of 60"):
        there.batch([3, 60])
    with pytest.raises(ValueError, match="batch_size"):
        there.batches(0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from([0.0, 1e-30, 1.5, 7.0, 49.9]), max_size=9), max_size=5))
def test_sort_and_centres(samples):
    """Unsorted times, many equal; the sort is stable."""
    times = torch.tensor([t for s in samples for t in s], dtype=torch.float32)
    offsets = torch.tensor([0] + [len(s) for s in samples]).cumsum(0)
    events = Events(times, torch.arange(len(times), dtype=torch.int32), offsets, 100, 50.0, check=False)
    same(host.sort(events), device.sort(events))
    for a, b in zip(host.centres(events), device.centres(events), strict=True):
        np.testing.assert_allclose(a, b)
