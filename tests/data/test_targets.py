"""`SpikeDataset` with targets other than class labels, and torch's `DataLoader` as it comes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset

import lambent as lb
from lambent.data import SpikeDataset, augment


def spikes(n=12):
    """Packed spikes of n samples: times, units, offsets."""
    rng = np.random.default_rng(0)
    return np.sort(rng.uniform(0, 50, (n, 8))).ravel(), rng.integers(0, 6, 8 * n), np.arange(n + 1) * 8


def make(targets, n=12, **more):
    return SpikeDataset(*spikes(n), targets, 6, 50.0, **more)


RNG = np.random.default_rng(1)
KINDS = {
    "classes": (np.arange(12) % 3, torch.int64),
    "numbers": (RNG.random(12), torch.float32),
    "vectors": (RNG.random((12, 4)).astype(np.float32), torch.float32),
    "steps": (RNG.integers(0, 5, (12, 50)), torch.int64),
    "curves": (RNG.random((12, 50, 2)), torch.float32),
    "none": (None, None),
}


@pytest.fixture(params=KINDS)
def case(request):
    targets, dtype = KINDS[request.param]
    return make(targets), targets, dtype


def check(got, targets, dtype, chosen):
    if targets is None:
        assert got is None
        return
    assert got.dtype == dtype
    assert torch.equal(got, torch.tensor(targets[chosen], dtype=dtype))


def test_batches_and_parts(case):
    data, targets, dtype = case
    chosen = [7, 0, 11]
    check(data.batch(chosen)[1], targets, dtype, chosen)
    check(data.subset(chosen).batch([0, 1, 2])[1], targets, dtype, chosen)
    check(data.with_duration(60.0).batch(chosen)[1], targets, dtype, chosen)
    check(lb.data.DeviceDataset(data, "cpu").batch(chosen)[1], targets, dtype, chosen)
    check(data.subset([]).batch([])[1], targets, dtype, [])
    check(lb.data.collate([data[i] for i in chosen])[1], targets, dtype, chosen)
    assert len(data.split(0.25, seed=0)[1]) == 3
    assert data.checksum() == make(targets).checksum()


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_loads_a_set_as_it_is(case, workers):
    data, targets, dtype = case
    seen = 0
    for events, got in DataLoader(data, batch_size=5, num_workers=workers):
        chosen = list(range(seen, min(seen + 5, 12)))
        expected, _ = data.batch(chosen)
        assert torch.equal(events.times, expected.times)
        assert torch.equal(events.units, expected.units)
        assert torch.equal(events.offsets, expected.offsets)
        check(got, targets, dtype, chosen)
        seen += len(events)
    assert seen == 12


def test_torch_loads_parts_lists_and_joined_sets(case):
    data, targets, dtype = case
    events, got = next(iter(DataLoader(Subset(data, [3, 1]), batch_size=2)))
    assert len(events) == 2
    check(got, targets, dtype, [3, 1])
    if targets is not None:  # torch itself joins no None
        events, got = next(iter(DataLoader(ConcatDataset([data, data]), batch_size=24)))
        assert len(events) == 24
        check(got, targets, dtype, [*range(12), *range(12)])
    alone = next(iter(DataLoader([data[i][0] for i in range(3)], batch_size=3)))
    assert len(alone) == 3
    mapped = next(iter(DataLoader([{"spikes": data[i][0], "i": i} for i in range(3)], batch_size=3)))
    assert len(mapped["spikes"]) == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_pinned():
    events, labels = next(iter(DataLoader(make(np.arange(12)), batch_size=4, pin_memory=True, num_workers=2)))
    assert events.times.is_pinned()
    assert labels.is_pinned()


def test_repr_says_what_targets_are():
    says = {name: repr(make(targets)) for name, (targets, _) in KINDS.items()}
    assert "12 samples, 3 classes, 96 spikes" in says["classes"]
    assert "one number(s) a sample" in says["numbers"]
    assert "4 number(s) a sample" in says["vectors"]
    assert "50 labels a sample" in says["steps"]
    assert "50x2 number(s) a sample" in says["curves"]
    assert "no targets" in says["none"]


def test_labels_of_steps():
    labels = np.array([[0, 1, -100], [2, -100, -100]])
    assert make(labels, 2).class_names == ["0", "1", "2"]
    assert make(labels, 2, class_names=["a", "b", "c"]).n_classes == 3
    with pytest.raises(ValueError, match=r"sample 1, entry 0: label 2 outside \[0, 2\)"):
        make(labels, 2, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"sample 0, entry 2: label -1 outside"):
        make(np.array([[0, 1, -1], [2, 0, 0]]), 2)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (np.zeros(11), ValueError, r"labels must be one per sample, \(12,\) or \(12, ...\), got shape \(11,\)"),
        (1.0, ValueError, r"got shape \(\)"),
        (np.full((12, 2), np.nan), ValueError, "sample 0, entry 0: label nan not finite"),
        (np.array([1.0] * 11 + [np.inf]), ValueError, "sample 11: label inf not finite"),
        (np.ones(12, bool), TypeError, "labels must be integers, got bool"),
        (["a"] * 12, TypeError, "labels must be integers"),
    ],
)
def test_bad_targets_are_named(targets, error, message):
    with pytest.raises(error, match=message):
        make(targets)


@pytest.mark.parametrize("kind", ["numbers", "vectors", "steps", "none"])
def test_what_needs_classes_says_so(kind, tmp_path):
    data = make(KINDS[kind][0])
    for use in (
        lambda: lb.data.write_shd(tmp_path / "x.h5", data),
        lambda: augment.Blend(data),
        lambda: lb.data.DeviceDataset(data, "cpu").labels,
        lambda: data.labels,
    ):
        with pytest.raises(ValueError, match=r"needs a class label for each sample, and SpikeDataset\(12 samples, "):
            use()
    assert not list(tmp_path.iterdir())


def test_from_events():
    x = np.random.default_rng(0).random((30, 40, 5)) < 0.1
    data = SpikeDataset.from_events(lb.Events.from_dense(x, dt=2.0), torch.arange(30) % 2, ["no", "yes"])
    assert (len(data), data.n_units, data.duration, data.class_names) == (30, 5, 80.0, ["no", "yes"])
    events, labels = data.batch(range(30))
    assert torch.equal(events.to_dense(2.0), torch.tensor(x).float())
    assert labels.tolist() == [0, 1] * 15
    lists = lb.Events.from_lists([[1.0], [2.0, 3.0]], [[0], [1, 1]], 2, 10.0, torch.float64)
    assert SpikeDataset.from_events(lists).targets is None
    with pytest.raises(TypeError, match=r"events must be lambent\.Events, got ndarray"):
        SpikeDataset.from_events(x)
    with pytest.raises(ValueError, match="labels must be one per sample"):
        SpikeDataset.from_events(lists, [0, 1, 2])


def test_from_events_keeps_a_copy_without_gradients():
    layer = lb.LIF(5, 4)
    events, labels = lb.data.yin_yang(3, seed=0).batch(range(3))
    hidden = layer(events)
    data = SpikeDataset.from_events(hidden, labels)
    assert np.array_equal(data.times, hidden.times.detach().numpy())
    given = lb.Events.from_lists([[1.0]], [[0]], 2**17, 10.0)
    kept = SpikeDataset.from_events(given)
    given.times[0] = 5.0
    given.units[0] = 3
    assert (kept.times[0], kept.units[0]) == (1.0, 0)


def test_a_set_in_seconds_is_warned_of():
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="in seconds"):
        SpikeDataset(np.sort(rng.uniform(0, 1, 500)), rng.integers(0, 70, 500), [0, 500], [0], 70, 1.2)
