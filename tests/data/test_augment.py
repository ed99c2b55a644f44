"""Augmentations: valid spikes out, the same for the same generator, and each does what it says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent import Events
from lambent.data import SpikeDataset
from lambent.data.augment import (
    Blend,
    Compose,
    Dilate,
    Drop,
    JitterTimes,
    Mask,
    ShiftChannels,
    ShiftTime,
    WarpChannels,
)
from lambent.data.host import sort_samples

quick = settings(deadline=None, max_examples=40)

N_UNITS, DURATION = 20, 100.0


def random_set(seed, sizes=(0, 1, 7, 30, 0, 12), classes=2):
    """Samples of these sizes; the classes take turns."""
    rng = np.random.default_rng(seed)
    times = [np.sort(rng.uniform(0, DURATION, n).astype(np.float32)) for n in sizes]
    times = [np.minimum(t, np.nextafter(np.float32(DURATION), np.float32(0))) for t in times]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    units = rng.integers(0, N_UNITS, offsets[-1])
    labels = np.arange(len(sizes)) % classes
    return SpikeDataset(np.concatenate([[], *times]), units, offsets, labels, N_UNITS, DURATION)


def whole(dataset):
    return dataset.batch(np.arange(len(dataset)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def equal(a, b):
    return all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("times", "units", "offsets"))


def crowd(n_samples, n_spikes=1, time=50.0, unit=10):
    """Many equal samples, each with equal spikes."""
    n = n_samples * n_spikes
    times, units = torch.full((n,), time), torch.full((n,), unit)
    events = Events(times, units, torch.arange(n_samples + 1) * n_spikes, N_UNITS, DURATION)
    return events, torch.zeros(n_samples, dtype=torch.int64)


def all_of(dataset):
    each = [
        ShiftChannels(5),
        ShiftTime(20.0),
        ShiftTime(20.0, inside=0.8),
        JitterTimes(10.0),
        Dilate(0.5, 2.0),
        Dilate(0.5, 2.0, about_centre=True),
        WarpChannels(0.1, 0.3),
        Mask(0.4, 0.4),
        Drop(0.3),
        Blend(dataset, 0.7),
    ]
    return [*each, Compose(each)]


# -- what holds for all -------------------------------------------------------------------------------


@quick
@given(st.integers(0, 2**20), st.lists(st.integers(0, 40), max_size=6), st.integers(0, 2**20))
def test_valid_repeatable_and_without_side_effects(data_seed, sizes, seed):
    dataset = random_set(data_seed, sizes)
    events, labels = whole(dataset)
    for aug in all_of(dataset):
        out = aug(events, labels, generator(seed))
        Events(out.times, out.units, out.offsets, out.n_units, out.duration)
        assert (len(out), out.n_units, out.duration) == (len(sizes), N_UNITS, DURATION)
        assert (out.times.dtype, out.units.dtype) == (torch.float32, torch.int32)
        assert equal(out, aug(events, labels, generator(seed)))
        assert equal(events, whole(dataset)[0])


def test_another_seed_gives_another_result():
    dataset = random_set(0)
    for aug in all_of(dataset):
        a, b = (aug(*whole(dataset), generator(seed)) for seed in (1, 2))
        assert not equal(a, b), aug


def test_nothing_to_do():
    dataset = random_set(0)
    events, labels = whole(dataset)
    for aug in (
        ShiftChannels(0),
        ShiftTime(0),
        JitterTimes(0),
        Dilate(1, 1),
        Dilate(1, 1, about_centre=True),
        WarpChannels(),
        Mask(),
        Drop(0),
        Blend(dataset, 0),
        Compose([]),
    ):
        assert equal(aug(events, labels, generator()), events), aug


def test_double_precision_stays():
    dataset = random_set(0)
    events, labels = whole(dataset)
    out = Compose(all_of(dataset))(events.to(torch.float64), labels, generator())
    assert out.times.dtype == torch.float64


def test_a_duration_between_two_float32_numbers():
    """The last float32 time that is valid stays valid; see the comparison in `Events`."""
    duration = 1023.1
    last = np.nextafter(np.float32(duration), np.float32(0))
    events = Events(torch.tensor([last] * 64), torch.zeros(64, dtype=torch.int32), torch.arange(65), 1, duration)
    for aug in (ShiftTime(1e-4), Dilate(1 - 1e-7, 1 + 1e-7), JitterTimes(1e-4)):
        out = aug(events, torch.zeros(64), generator())
        Events(out.times, out.units, out.offsets, out.n_units, out.duration)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShiftChannels(-1), "max_shift must not be negative, got -1"),
        (lambda: ShiftTime(-1.0), "max_ms"),
        (lambda: JitterTimes(float("nan")), "std_ms"),
        (lambda: Dilate(0.0, 1.0), "0 < low <= high"),
        (lambda: Dilate(2.0, 1.0), "0 < low <= high"),
        (lambda: WarpChannels(shift=2), r"shift must be a share of the units in \[0, 1\), got 2"),
        (lambda: WarpChannels(stretch=-0.1), "stretch"),
        (lambda: Mask(units=1.1), r"units must be a share in \[0, 1\], got 1\.1"),
        (lambda: Mask(time=float("nan")), "time must be a share"),
        (lambda: Drop(1.1), "p must be a probability"),
        (lambda: Blend(random_set(0), -0.1), "p must be a probability"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shifts_are_whole():
    with pytest.raises(TypeError, match=r"max_shift must be a whole number, got 1\.5"):
        ShiftChannels(1.5)


@pytest.mark.parametrize(
    "augmentation",
    [ShiftChannels(1), WarpChannels(0.1), ShiftTime(1.0), JitterTimes(1.0), Dilate(0.9, 1.1), Drop(0.5), Mask(0.5)],
)
def test_gradients_would_be_lost(augmentation):
    times = torch.tensor([1.0], requires_grad=True)
    events = Events(times, torch.tensor([0]), torch.tensor([0, 1]), 2, 5.0)
    with pytest.raises(ValueError, match="carry gradients"):
        augmentation(events, torch.tensor([0]), torch.Generator())


# -- one by one ---------------------------------------------------------------------------------------


def test_shift_channels_moves_samples_as_a_whole():
    events, labels = whole(random_set(1))
    for seed in range(5):
        out = ShiftChannels(3)(events, labels, generator(seed))
        for before, after in zip(events, out, strict=True):
            fits = []
            for shift in range(-3, 4):
                moved = before.units + shift
                inside = (moved >= 0) & (moved < N_UNITS)
                same_times = torch.equal(before.times[inside], after.times)
                fits.append(same_times and torch.equal(moved[inside], after.units))
            assert any(fits)


def test_shift_channels_draws_all_shifts_evenly():
    out = ShiftChannels(2)(*crowd(10_000), generator())
    share = torch.bincount(out.units - 8) / 10_000
    assert torch.allclose(share, torch.full((5,), 0.2), atol=0.02)


def test_shift_time():
    out = ShiftTime(10.0)(*crowd(10_000, n_spikes=2), generator())
    shift = out.times.reshape(-1, 2) - 50
    assert torch.equal(shift[:, 0], shift[:, 1])
    assert shift.abs().max() <= 10
    assert shift.mean().abs() < 0.3
    assert shift.std() == pytest.approx(20 / 12**0.5, rel=0.03)


def test_shift_time_drops_what_leaves():
    events, labels = crowd(1000, time=99.0)
    out = ShiftTime(10.0)(events, labels, generator())
    assert 0.5 < len(out.times) / 1000 < 0.6
    assert out.times.max() < DURATION


def test_shift_time_keeps_the_middle_inside():
    events, labels = crowd(1000, n_spikes=100)
    events.times[:] = torch.linspace(5.0, 85.0, 100).repeat(1000)
    out = ShiftTime(1000.0, inside=1.0)(events, labels, generator())
    assert len(out.times) >= 99_000  # the last may touch the end
    starts = torch.stack([x.times[0] for x in out])
    assert starts.min() == pytest.approx(0.0, abs=1e-4)
    assert starts.max() == pytest.approx(20.0, abs=1e-4)
    out = ShiftTime(1000.0, inside=0.9)(events, labels, generator())
    assert out.counts().sum(1).min() >= 94
    assert len(ShiftTime(10.0, inside=0.9)(events[:0], labels[:0], generator())) == 0


def test_jitter_moves_every_spike_on_its_own():
    out = JitterTimes(3.0)(*crowd(2, n_spikes=20_000), generator())
    assert out.offsets.tolist() == [0, 20_000, 40_000]
    assert (out.times - 50).mean().abs() < 0.1
    assert (out.times - 50).std() == pytest.approx(3.0, rel=0.03)


def test_jitter_keeps_every_spike_and_its_unit():
    events, labels = whole(random_set(2))
    out = JitterTimes(300.0)(events, labels, generator())
    assert torch.equal(out.offsets, events.offsets)
    assert torch.equal(out.counts(), events.counts())
    assert 0 <= out.times.min() < out.times.max() < DURATION


def test_dilate_stretches_samples_as_a_whole():
    low, high = 0.5, 1.6
    events, labels = crowd(10_000, n_spikes=2)
    events.times[::2] = 25.0
    first, second = Dilate(low, high)(events, labels, generator()).times.reshape(-1, 2).T
    assert torch.allclose(second, 2 * first)
    factor = torch.log(second / 50)
    assert np.log(low) - 1e-6 <= factor.min() < factor.max() <= np.log(high) + 1e-6
    assert factor.mean() == pytest.approx((np.log(low) + np.log(high)) / 2, abs=0.01)


def test_dilate_drops_what_leaves():
    out = Dilate(1.0, 4.0)(*crowd(1000), generator())
    assert 0.45 < len(out.times) / 1000 < 0.55
    assert len(out) == 1000


def test_dilate_about_the_centre_leaves_the_mean_time():
    events, labels = crowd(1000, n_spikes=2)
    events.times[::2] = 30.0
    out = Dilate(0.5, 2.0, about_centre=True)(events, labels, generator()).times.reshape(-1, 2)
    assert torch.allclose(out.mean(1), torch.tensor(40.0))
    assert 4.9 < (out[:, 1] - out[:, 0]).min() / 2 < 5.5
    assert 18 < (out[:, 1] - out[:, 0]).max() / 2 < 20.1


def test_warp_shifts_by_a_share_of_the_units():
    out = WarpChannels(shift=0.2)(*crowd(10_000), generator())
    share = torch.bincount(out.units - 6) / 10_000  # unit 10, from 4 below to 4 above
    assert torch.allclose(share, torch.tensor([0.5, 1, 1, 1, 1, 1, 1, 1, 0.5]) / 8, atol=0.02)


def test_warp_stretches_about_the_middle():
    factors = []
    for unit in (2, 17):
        out = WarpChannels(stretch=0.2)(*crowd(10_000, unit=unit), generator())
        assert len(out.units) == 10_000
        far = (out.units + 0.5 - N_UNITS / 2).abs()
        assert 7.5 / 1.2 - 0.5 <= far.min() < far.max() <= 7.5 * 1.2 + 0.5
        factors.append(far)
    assert (factors[0] - factors[1]).abs().max() <= 1  # what is drawn is a sample's: both ends move alike
    left = len(WarpChannels(stretch=0.2)(*crowd(10_000, unit=0), generator()).units)
    assert left / 10_000 == pytest.approx(
        (1 + np.log(10 / 9.5) / np.log(1.2)) / 2, abs=0.02
    )  # the rest is past the end


def test_mask_hides_a_band_and_a_span():
    n = 2000
    events, labels = crowd(n, n_spikes=N_UNITS)
    events.units[:] = torch.arange(N_UNITS).repeat(n)
    events.times[:] = torch.linspace(0, 99, N_UNITS).repeat(n)
    for mask, of in ((Mask(units=0.5), "units"), (Mask(time=0.5), "times")):
        left = [getattr(x, of).unique() for x in mask(events, labels, generator())]
        gone = torch.tensor([N_UNITS - len(x) for x in left])
        assert gone.min() == 0
        assert gone.max() in (9, 10)
        assert gone.double().mean() == pytest.approx(5, abs=0.3)
        kept = torch.cat(left).unique(return_counts=True)[1]
        assert kept.min() > n / 2  # all are seen
        assert all(len(x.double().diff().round(decimals=3).unique()) <= 2 for x in left)  # one gap


def test_drop():
    out = Drop(0.25)(*crowd(1, n_spikes=20_000), generator())
    assert len(out.times) / 20_000 == pytest.approx(0.75, abs=0.01)
    assert Drop(1.0)(*crowd(3, n_spikes=5), generator()).offsets.tolist() == [0, 0, 0, 0]


def test_compose_goes_from_left_to_right():
    events, labels = crowd(1)
    out = Compose([Dilate(1.9, 1.9), Dilate(0.5, 0.5)])(events, labels, generator())
    assert torch.allclose(out.times, torch.tensor([47.5]))
    assert len(Compose([Dilate(2.1, 2.1), Dilate(0.5, 0.5)])(events, labels, generator()).times) == 0


def two_words(n_spikes):
    """Two samples of class 1 with all spikes at one point each, and one of class 0 elsewhere."""
    at = ((10.0, 2), (30.0, 6), (90.0, 19))
    times = np.repeat([t for t, _ in at], n_spikes)
    units = np.repeat([u for _, u in at], n_spikes)
    return SpikeDataset(times, units, np.arange(4) * n_spikes, [1, 1, 0], N_UNITS, DURATION)


def test_blend_meets_half_way_and_takes_half_of_each():
    dataset = two_words(10_000)
    events, labels = dataset.batch([0])
    places = set()
    for seed in range(20):
        out = Blend(dataset, 1.0)(events, labels, generator(seed))
        place = set(zip(out.times.tolist(), out.units.tolist(), strict=True))
        assert len(place) == 1
        places |= place
        assert len(out.times) == pytest.approx(10_000, rel=0.05)
    assert places == {(10.0, 2), (20.0, 4)}  # blended with itself or with the other of its class


def test_blend_draws_partners_of_the_class_evenly():
    sizes = [0] * 5 + [1] * 4 + [0] * 3  # 4 samples of class 1, told apart by their unit
    times, units = [50.0] * 4, [0, 2, 4, 6]
    offsets, labels = np.concatenate([[0], np.cumsum(sizes)]), [0] * 5 + [1] * 4 + [2] * 3
    dataset = SpikeDataset(times, units, offsets, labels, N_UNITS, DURATION)
    events, labels = dataset.batch([5] * 20_000)
    out = Blend(dataset, 1.0)(events, labels, generator())
    share = torch.bincount(out.units.long(), minlength=4) / len(out.units)
    assert torch.allclose(share, torch.full((4,), 0.25), atol=0.02)  # units 0..3: half-way to 0, 2, 4, 6


def test_blend_leaves_the_others_alone():
    dataset = random_set(5, sizes=[9] * 200)
    events, labels = whole(dataset)
    out = Blend(dataset, 0.3)(events, labels, generator())
    kept = [equal(a, b) for a, b in zip(events, out, strict=True)]
    assert 0.6 < sum(kept) / 200 < 0.8


def test_blend_with_silence():
    dataset = SpikeDataset([10.0, 20.0], [1, 2], [0, 0, 2], [0, 0], N_UNITS, DURATION)
    for seed in range(10):
        out = Blend(dataset, 1.0)(*whole(dataset), generator(seed))
        pairs = list(zip(out.times.tolist(), out.units.tolist(), strict=True))
        assert set(pairs) <= {(10.0, 1), (20.0, 2)}


def test_blend_needs_a_set_that_fits():
    dataset = random_set(0)
    events, labels = whole(dataset)
    other = Events(events.times, events.units, events.offsets, N_UNITS + 1, DURATION)
    with pytest.raises(ValueError, match="21 units and 100 ms, the data set of Blend 20 units"):
        Blend(dataset)(other, labels, generator())
    for label in (-1, 2, 7):
        labels[3] = label
        with pytest.raises(ValueError, match=f"no sample of class {label}"):
            Blend(dataset)(events, labels, generator())
    assert "6 samples" in repr(Blend(dataset))


# -- the kernel ---------------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.5, 7.0, 9.999999]), max_size=20), max_size=4),
)
def test_sort_is_a_stable_sort(samples):
    times = np.array([t for sample in samples for t in sample], dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in samples])]).astype(np.int64)
    units = np.arange(len(times), dtype=np.int32)
    order = [a + np.argsort(times[a:b], kind="stable") for a, b in pairwise(offsets)]
    order = np.concatenate([np.zeros(0, dtype=int), *order])
    out_times, out_units = sort_samples(times, units, offsets, 10.0)
    assert np.array_equal(out_units, units[order])
    assert np.array_equal(out_times, times[order])


@pytest.mark.parametrize(
    "augmentation",
    [ShiftChannels(3), ShiftTime(20.0), JitterTimes(5.0), Dilate(0.5, 2.0), Drop(0.3), Mask(0.3, 0.3)],
    ids=repr,
)
def test_values_stay_with_their_spikes(augmentation):
    events, labels = random_set(3).batch(range(6))
    number = torch.arange(len(events.times), dtype=torch.float32)
    found, plain = (
        augmentation(x, labels, torch.Generator().manual_seed(1)) for x in (events.with_values(number), events)
    )
    assert torch.equal(found.offsets, plain.offsets)
    assert torch.equal(found.units, plain.units)
    assert torch.allclose(found.times, plain.times)
    assert plain.values is None
    before = events.with_values(number)
    shift = found.units - before.units[found.values.long()]
    for b in range(len(found)):
        assert len(shift[found.samples() == b].unique()) <= 1
    assert torch.equal(found.samples(), before.samples()[found.values.long()])


@pytest.mark.parametrize(("own", "partners"), [(True, True), (True, False), (False, True)])
def test_blend_keeps_values(own, partners):
    """Where only one of the two has any, the other's spikes count as 1."""
    plain = random_set(3)
    whole, _ = plain.batch(range(len(plain)))
    numbered = SpikeDataset.from_events(whole.with_values(torch.arange(2.0, len(whole.times) + 2)), plain.labels)
    data, others = (numbered if own else plain), (numbered if partners else plain)
    expected, found = (
        Blend(y, 0.7)(*x.batch(range(6)), torch.Generator().manual_seed(1)) for x, y in ((plain, plain), (data, others))
    )
    assert torch.equal(found.offsets, expected.offsets)
    assert torch.equal(found.units, expected.units)
    assert torch.allclose(found.times, expected.times)
    ones = (found.values == 1).sum()
    assert (0 < ones < len(found.values)) if own != partners else not ones


def test_augmentations_refuse_values_with_gradients():
    events, labels = random_set(3).batch(range(6))
    events = events.with_values(torch.ones_like(events.times).requires_grad_())
    with pytest.raises(ValueError, match="detach them"):
        Drop(0.5)(events, labels, torch.Generator())
