"""`SpikeDataset` in memory: storage, batches, parts."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, random_split

from lambent import Events
from lambent.data import SpikeDataset, collate


def spikes_of(dataset, i):
    inside = slice(dataset.offsets[i], dataset.offsets[i + 1])
    return dataset.times[inside].tolist(), dataset.units[inside].tolist()


def check_batch(dataset, events, labels, expected):
    """The batch holds just the samples `expected` of the set, in this order."""
    assert labels.dtype == torch.int64
    assert labels.tolist() == dataset.labels[expected].tolist()
    assert len(events) == len(expected)
    Events(events.times, events.units, events.offsets, dataset.n_units, dataset.duration)  # valid
    for one, i in zip(events, expected, strict=True):
        assert (one.times.tolist(), one.units.tolist()) == spikes_of(dataset, i)


def numbered(n=23):
    """Sample i is one spike of unit i, so that units tell which samples a batch holds."""
    return SpikeDataset(np.zeros(n), np.arange(n), np.arange(n + 1), np.arange(n) % 3, n, 1.0)


def test_files_and_level(words):
    files = [f"{i // 2}.wav" for i in range(60)]
    data = SpikeDataset(
        words.times, words.units, words.offsets, np.arange(60) // 2 % 3, 20, 120.0, files=files, level="recorded"
    )
    part = data.subset([5, 0, 59])
    assert (part.files, part.level) == (["2.wav", "0.wav", "29.wav"], "recorded")
    longer = data.with_duration(200.0)
    assert (longer.files, longer.level) == (files, "recorded")
    for seed in range(5):  # samples of one file stay together, of each class as many
        rest, held = data.split(0.2, seed=seed)
        assert not set(rest.files) & set(held.files)
        assert np.bincount(held.labels).tolist() == [4, 4, 4]
    assert len(data.split(3, seed=0)[1]) in (2, 4)
    with pytest.raises(ValueError, match="files must be one per sample, 60, got 1"):
        SpikeDataset(words.times, words.units, words.offsets, words.labels, 20, 120.0, files=["a"])
    with pytest.raises(TypeError, match="files must be names, got 0"):
        SpikeDataset(words.times, words.units, words.offsets, words.labels, 20, 120.0, files=range(60))
    with pytest.raises(TypeError, match="level must be a text, got 3"):
        SpikeDataset(words.times, words.units, words.offsets, words.labels, 20, 120.0, level=3)


# -- storage ------------------------------------------------------------------------------------------


def test_types_and_sizes(words):
    assert words.times.dtype == np.float32
    assert words.units.dtype == np.uint16
    assert words.offsets.dtype == words.labels.dtype == np.int64
    assert len(words) == 60
    assert words.n_classes == 3
    assert repr(words) == (
        f"SpikeDataset(60 samples, 3 classes, {len(words.times)} spikes "
        f"({len(words.times) / 60:.0f} a sample), 20 units, 120 ms)"
    )


@pytest.mark.parametrize(("n_units", "kept"), [(65535, np.uint16), (65536, np.int32)])
def test_units_are_kept_as_narrow_as_they_fit(n_units, kept):
    dataset = SpikeDataset([0.0], [n_units - 1], [0, 1], [0], n_units, 1.0)
    assert dataset.units.dtype == kept
    assert dataset[0][0].units.tolist() == [n_units - 1]


def test_ten_thousand_long_samples_fit_into_a_gigabyte():
    """A tenth of 10,000 samples of 10,000 spikes: at most a tenth of 1 GB, checks and copies included."""
    n, size = 1000, 10_000
    times = np.tile(np.linspace(0, 999, size, dtype=np.float32), n)
    units = np.zeros(n * size, dtype=np.uint16)
    tracemalloc.start()
    dataset = SpikeDataset(times, units, np.arange(n + 1) * size, np.zeros(n, dtype=int), 700, 1000.0)
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    arrays = (dataset.times, dataset.units, dataset.offsets, dataset.labels)
    assert sum(a.nbytes for a in arrays) + extra < 1e8


def test_class_names_default_to_numbers():
    assert numbered().class_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"times": [1.0, 3.0, 2.0]}, ValueError, "sample 1, entry 1: earlier than the spike before it"),
        ({"times": [1.0, 2.0, float("nan")]}, ValueError, "sample 1, entry 1: time is NaN"),
        ({"times": [-1.0, 2.0, 3.0]}, ValueError, "sample 0, entry 0: negative time"),
        ({"times": [1.0, 2.0, 5.0]}, ValueError, "sample 1, entry 1: time at or past the duration of 5 ms"),
        ({"times": [1.0, 2.0]}, ValueError, "2 times but 3 units"),
        ({"times": [[1.0, 2.0, 3.0]]}, ValueError, "times must have one dimension"),
        ({"units": [0, 4, 0]}, ValueError, r"sample 1, entry 0: unit 4 outside \[0, 4\)"),
        ({"units": [0, 0, -1]}, ValueError, r"sample 1, entry 1: unit -1 outside \[0, 4\)"),
        ({"units": [0.0, 0.0, 0.0]}, TypeError, "units must be integers"),
        ({"offsets": [0, 1, 2]}, ValueError, "offsets must run from 0 to the number of spikes"),
        ({"offsets": [0, 4, 3]}, ValueError, "offsets decrease at sample 1"),
        ({"labels": [0]}, ValueError, r"labels must be one per sample, \(2,\)"),
        ({"labels": ["a", "b"]}, TypeError, "labels must be integers"),
        ({"labels": [0.0, 1.0]}, ValueError, "class_names are for labels"),
        ({"labels": None}, ValueError, "class_names are for labels"),
        ({"labels": [0, 2]}, ValueError, r"sample 1: label 2 outside \[0, 2\)"),
        ({"labels": [-1, 0]}, ValueError, r"sample 0: label -1 outside \[0, 2\)"),
        ({"class_names": ["a", " "]}, ValueError, "the name of class 1 is empty"),
        ({"class_names": ["a\n", "b"]}, ValueError, "the name of class 0 holds a control character: 'a\\\\n'"),
        ({"speakers": [1, 2, 3]}, ValueError, "speakers must be one per sample"),
        ({"n_units": 0}, ValueError, "n_units must be at least 1"),
        ({"duration": float("nan")}, ValueError, "duration must be positive"),
        ({"duration": 1e39}, ValueError, "duration must be positive and finite"),
        ({"duration": 10**400}, ValueError, "duration must be positive and finite"),
        ({"labels": [0, 10**9], "class_names": None}, ValueError, "label 1000000000: more than 100,000 classes"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    good = {
        "times": [1.0, 0.5, 3.0],
        "units": [0, 1, 2],
        "offsets": [0, 1, 3],
        "labels": [0, 1],
        "n_units": 4,
        "duration": 5.0,
        "class_names": ["a", "b"],
    }
    SpikeDataset(**good)
    with pytest.raises(error, match=message):
        SpikeDataset(**(good | change))


def test_spikes_out_of_order_are_found_across_the_blocks_of_the_check(monkeypatch):
    monkeypatch.setattr("lambent.events.checks._BLOCK", 4)
    offsets = [0, 3, 3, 4, 10]  # sample 2 is one spike, sample 3 starts with the second block
    times = np.array([7, 8, 9, 5, 1, 2, 3, 4, 5, 6], dtype=np.float32)
    SpikeDataset(times, np.zeros(10, int), offsets, np.zeros(4, int), 1, 10.0)
    times[8] = 3.5  # the first spike of the third block
    with pytest.raises(ValueError, match="sample 3, entry 4: earlier"):
        SpikeDataset(times, np.zeros(10, int), offsets, np.zeros(4, int), 1, 10.0)


# -- samples and batches ------------------------------------------------------------------------------


def test_one_sample(words):
    for i in (0, 5, 59):
        events, label = words[i]
        assert isinstance(label, int)
        check_batch(words, events, torch.tensor([label]), [i])
    assert words[-1][1] == words.labels[59]
    with pytest.raises(TypeError, match=r"a whole number, got slice\(1, 3, None\); see batch"):
        words[1:3]
    with pytest.raises(IndexError, match="sample 60 of 60"):
        words[60]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_batch_in_any_order(words, kind):
    chosen = [5, 0, 59, 5, 17, 3]
    check_batch(words, *words.batch(kind(chosen)), chosen)
    check_batch(words, *words.__getitems__(chosen), chosen)


def test_batch_of_none_and_from_the_end(words):
    check_batch(words, *words.batch([]), [])
    check_batch(words, *words.batch([-1, -60]), [59, 0])


@pytest.mark.parametrize(
    ("indices", "error"), [([60], IndexError), ([-61], IndexError), ([[1]], IndexError), ([0.5], TypeError)]
)
def test_batch_of_what_is_not_there(words, indices, error):
    with pytest.raises(error):
        words.batch(indices)


def test_a_batch_is_a_copy(words):
    before = words.times.copy()
    words.batch([1, 2])[0].times.zero_()
    words[3][0].times.zero_()
    assert (words.times == before).all()


def test_batches_lose_and_repeat_nothing():
    dataset = numbered()
    for shuffle in (False, True):
        parts = list(dataset.batches(5, shuffle, torch.Generator().manual_seed(0)))
        assert [len(events) for events, _ in parts] == [5, 5, 5, 5, 3]
        order = torch.cat([events.units for events, _ in parts]).tolist()
        assert sorted(order) == list(range(23))
        assert (order != list(range(23))) == shuffle
        assert torch.cat([labels for _, labels in parts]).tolist() == dataset.labels[order].tolist()


def test_order_follows_the_generator():
    def order(seed):
        parts = numbered().batches(5, shuffle=True, generator=torch.Generator().manual_seed(seed))
        return torch.cat([events.units for events, _ in parts]).tolist()

    assert order(1) == order(1) != order(2)


def test_batch_size_must_be_positive(words):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        words.batches(0)


def test_data_loader(words):
    loader = DataLoader(words, batch_size=7, collate_fn=collate)
    for k, (events, labels) in enumerate(loader):
        check_batch(words, events, labels, list(range(60))[7 * k : 7 * k + 7])
    one_by_one = DataLoader([words[i] for i in range(60)], batch_size=60, collate_fn=collate)
    check_batch(words, *next(iter(one_by_one)), list(range(60)))
    part = random_split(words, [20, 40], generator=torch.Generator().manual_seed(0))[0]
    check_batch(words, *next(iter(DataLoader(part, batch_size=20, collate_fn=collate))), part.indices)


def test_collate_nothing():
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_pickle(words):
    again = pickle.loads(pickle.dumps(words))
    check_batch(words, *again.batch(np.arange(60)), list(range(60)))


# -- parts --------------------------------------------------------------------------------------------


def test_subset(words):
    chosen = [7, 0, 59, 7]
    part = words.subset(chosen)
    check_batch(words, *part.batch([0, 1, 2, 3]), chosen)
    assert part.class_names == words.class_names
    assert part.speakers.tolist() == words.speakers[chosen].tolist()
    assert part.units.dtype == words.units.dtype
    of_one = words.subset(words.speakers == 2)
    assert (of_one.speakers == 2).all()
    assert len(of_one) == 15
    with pytest.raises(IndexError, match=r"mask must have shape \(60,\)"):
        words.subset(np.ones(3, dtype=bool))


@pytest.mark.parametrize(
    ("held_out", "number"), [(0.1, 6), (0.5, 30), (7, 7), (59, 59), (np.float32(0.1), 6), (np.int64(7), 7)]
)
def test_split_by_label(words, held_out, number):
    rest, part = words.split(held_out, seed=0)
    assert (len(rest), len(part)) == (60 - number, number)
    counts = np.bincount(part.labels, minlength=3)
    assert np.abs(counts - number / 3).max() < 1

    def keys(dataset):
        return [(*map(tuple, spikes_of(dataset, i)), dataset.labels[i]) for i in range(len(dataset))]

    assert sorted(keys(rest) + keys(part)) == sorted(keys(words))


def test_split_depends_on_the_seed_only(words):
    first, again, other = (words.split(0.5, seed)[1].times for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("held_out", "number"), [(0.25, 1), (2, 2)])
def test_split_by_speaker(words, held_out, number):
    rest, part = words.split(held_out, seed=0, by="speaker")
    assert len(set(part.speakers)) == number
    assert not set(part.speakers) & set(rest.speakers)
    assert len(rest) + len(part) == 60


def test_split_that_cannot_be(words):
    for held_out in (0, 60, 0.001, 1.0, -3):
        with pytest.raises(ValueError, match="of 60 samples"):
            words.split(held_out, seed=0)
    with pytest.raises(ValueError, match='by must be "label" or "speaker"'):
        words.split(0.1, seed=0, by="unit")
    with pytest.raises(ValueError, match="who spoke"):
        numbered().split(1, seed=0, by="speaker")


def test_with_duration():
    data = SpikeDataset([1.0, 8.5], [0, 1], [0, 1, 2], [0, 0], 2, 10.0)
    longer = data.with_duration(20.0)
    assert longer.duration == 20.0
    assert longer.batch([1])[0].duration == 20.0
    assert data.with_duration(9.0).duration == 9.0
    with pytest.raises(ValueError, match="sample 1, entry 0"):
        data.with_duration(8.0)


def test_values_stay_with_their_spikes(graded, words):
    assert graded.values.dtype == np.float32
    assert repr(graded) == repr(words).replace(" spikes", " graded spikes")
    assert "graded" in graded._repr_html_()
    whole = graded.batch(range(60))[0]
    assert whole.values.tolist() == graded.values.tolist()
    chosen = [7, -1, 7, 0, 59, 3]
    batch = graded.batch(chosen)[0]
    assert torch.equal(batch.values, whole[chosen].values)
    assert torch.equal(graded[7][0].values, whole[7].values)
    assert graded.subset(chosen).values.tolist() == batch.values.tolist()
    assert graded.with_duration(200.0).values.tolist() == graded.values.tolist()
    rest, held = graded.split(0.2, seed=0)
    assert sorted([*rest.values, *held.values]) == sorted(graded.values)
    assert torch.equal(pickle.loads(pickle.dumps(graded)).batch(chosen)[0].values, batch.values)
    for workers in (0, 1):
        loader = DataLoader(graded, batch_size=17, num_workers=workers)
        assert torch.equal(torch.cat([events.values for events, _ in loader]), whole.values)
    assert graded.batch([])[0].values.shape == (0,)


def test_joined_sets_of_which_one_has_values(graded, words):
    loader = DataLoader(torch.utils.data.ConcatDataset([graded, words]), batch_size=120)
    (events, _), *_ = loader
    n = len(words.times)
    assert events.values.tolist() == [*graded.values.tolist(), *[1.0] * n]
    assert DataLoader(words, batch_size=9).__iter__().__next__()[0].values is None


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"values must be one per spike, \(3,\), got shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], ValueError, r"got shape \(1, 3\)"),
        ([1.0, 2.0, float("nan")], ValueError, "sample 1, entry 0: value nan is not finite"),
        ([1.0, 1e300, 1.0], ValueError, r"sample 0, entry 1: value 1e\+300 is not finite, as float32"),
        (["a", "b", "c"], TypeError, "values must be real numbers"),
        ([1j, 2, 3], TypeError, "values must be real numbers"),
    ],
)
def test_bad_values(values, error, message):
    with pytest.raises(error, match=message):
        SpikeDataset([1.0, 2.0, 3.0], [0, 0, 0], [0, 2, 3], [0, 1], 4, 5.0, values=values)


def test_values_of_any_numbers_and_none():
    data = SpikeDataset([1.0, 2.0], [0, 0], [0, 2], None, 4, 5.0, values=[3, -4])
    assert (data.values.dtype, data.values.tolist()) == (np.float32, [3.0, -4.0])
    assert SpikeDataset([], [], [0, 0], None, 4, 5.0, values=[])[0][0].values.shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_graded_events(dtype):
    values = torch.tensor([0.5, -2.0, 3.0], dtype=dtype, requires_grad=True)
    events = Events.from_lists([[1.0], [2.0, 3.0]], [[0], [1, 1]], 2, 5.0, dtype, [[1.0], [1.0, 1.0]])
    data = SpikeDataset.from_events(events.with_values(values), labels=[0, 1])
    assert (data.values.dtype, data.values.tolist()) == (np.float32, [0.5, -2.0, 3.0])
    with torch.no_grad():
        values.fill_(9.0)
    assert data.values.tolist() == [0.5, -2.0, 3.0]  # a copy


def test_checksum_tells_values_apart(graded, words):
    ones = SpikeDataset.from_events(words.batch(range(60))[0].with_values(torch.ones(len(words.times))), words.labels)
    changed = graded.subset(range(60))
    changed.values[3] += 1
    assert len({x.checksum() for x in (words, graded, ones, changed)}) == 4


def test_checksum_tells_data_apart(words):
    assert words.checksum() == words.with_duration(words.duration + 1).checksum()
    times, labels = words.times.copy(), words.labels.copy()
    times[0], labels[0] = 0.0, (labels[0] + 1) % words.n_classes
    rest = (words.n_units, words.duration, words.class_names)
    for changed in (
        (times, words.units, words.offsets, words.labels),
        (words.times, words.units, words.offsets, labels),
    ):
        assert SpikeDataset(*changed, *rest).checksum() != words.checksum()
