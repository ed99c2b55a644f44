"""`Events`: what goes in comes out, and bad spikes are named."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only, tree_unflatten

from lambent import Events
from lambent.events import n_steps

quick = settings(deadline=None, max_examples=60)


@st.composite
def lists(draw, max_batch=5, min_batch=0):
    """(times, units, n_units, duration) of a valid batch, as lists, samples and batch possibly empty."""
    n_units = draw(st.integers(1, 9))
    duration = draw(st.sampled_from([0.5, 1.0, 7.3, 100.0]))
    last = float(np.nextafter(np.float32(duration), np.float32(0)))
    time = st.floats(0, last, width=32)
    times = draw(st.lists(st.lists(time, max_size=8).map(sorted), min_size=min_batch, max_size=max_batch))
    units = [draw(st.lists(st.integers(0, n_units - 1), min_size=len(t), max_size=len(t))) for t in times]
    return times, units, n_units, duration


def batch(times, units, n_units=4, duration=10.0):
    return Events.from_lists(times, units, n_units, duration)


def as_lists(events):
    return [e.times.tolist() for e in events], [e.units.tolist() for e in events]


def same(a, b):
    return (
        torch.equal(a.times, b.times)
        and torch.equal(a.units, b.units)
        and torch.equal(a.offsets, b.offsets)
        and (a.n_units, a.duration) == (b.n_units, b.duration)
    )


# -- construction and round trips ---------------------------------------------------------------------


@quick
@given(lists())
def test_lists_come_back(given_lists):
    times, units, n_units, duration = given_lists
    events = Events.from_lists(times, units, n_units, duration)
    assert as_lists(events) == (times, units)
    assert len(events) == events.batch_size == len(times)
    assert events.times.dtype == torch.float32
    assert events.units.dtype == torch.int32
    assert events.offsets.dtype == torch.int64


@pytest.mark.filterwarnings("ignore:.*times in seconds")  # so many spikes in steps of 0.02 ms no unit has
@quick
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(1, 4)),
    st.sampled_from([0.02, 0.1, 0.3, 0.5, 1.0, 1 / 3, 2.5, 7.0]),
    st.integers(0, 2**32 - 1),
)
def test_dense_comes_back(shape, dt, seed):
    dense = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(seed))
    events = Events.from_dense(dense, dt, batch_first=True)
    assert events.duration == shape[1] * dt
    assert torch.equal(events.to_dense(dt), dense.float())
    assert torch.equal(events.counts(), dense.sum(1).float())
    valid = Events(events.times, events.units, events.offsets, events.n_units, events.duration)
    assert same(valid, events)


def test_dense_times_are_the_start_of_the_step():
    dense = torch.zeros(1, 4, 2, dtype=torch.bool)
    dense[0, 1, 0] = dense[0, 3, 1] = True
    assert Events.from_dense(dense, 0.5).times.tolist() == [0.5, 1.5]


def test_to_dense_with_a_duration_that_is_no_multiple_of_dt():
    assert batch([[9.5]], [[0]]).to_dense(3.0).shape == (1, 4, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_lists_dtype(dtype):
    events = Events.from_lists([[1, 2]], [np.array([0, 1], dtype=np.uint16)], 2, 3.0, dtype=dtype)
    assert events.times.dtype == dtype
    assert events.counts().dtype == dtype


def test_unsigned_units_and_offsets():
    units, offsets = torch.tensor([1, 3], dtype=torch.uint16), torch.tensor([0, 1, 2], dtype=torch.uint8)
    events = Events(torch.tensor([1.0, 0.5]), units, offsets, 4, 2.0)
    assert events.units.tolist() == [1, 3]
    with pytest.raises(ValueError, match="sample 1, entry 0: unit outside"):
        Events(torch.tensor([1.0, 0.5]), units, offsets, 3, 2.0)


# -- indexing and joining -----------------------------------------------------------------------------


@quick
@given(lists(min_batch=1), st.data())
def test_indexing_picks_samples(given_lists, data):
    times, units, n_units, duration = given_lists
    events = Events.from_lists(times, units, n_units, duration)
    index = data.draw(st.lists(st.integers(-len(times), len(times) - 1), max_size=6))
    expected = [times[i] for i in index], [units[i] for i in index]
    assert as_lists(events[index]) == expected
    assert as_lists(events[torch.tensor(index, dtype=torch.int64)]) == expected
    assert as_lists(events[1:3]) == (times[1:3], units[1:3])
    mask = data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times)))
    assert as_lists(events[torch.tensor(mask)])[0] == [t for t, m in zip(times, mask, strict=True) if m]


def test_indexing_with_one_number_keeps_the_batch():
    events = batch([[1.0], [2.0, 3.0]], [[0], [1, 2]])
    for one in (-1, 1, np.int64(1), torch.tensor(1)):
        assert as_lists(events[one]) == ([[2.0, 3.0]], [[1, 2]])


@pytest.mark.parametrize("index", [2, -3, [0, 2]])
def test_index_out_of_range(index):
    with pytest.raises(IndexError):
        batch([[1.0], [2.0]], [[0], [1]])[index]


@quick
@given(lists(min_batch=1))
def test_cat_is_the_inverse_of_iterating(given_lists):
    events = Events.from_lists(*given_lists)
    assert same(Events.cat(list(events)), events)


def test_cat_needs_batches_that_fit():
    with pytest.raises(ValueError, match="at least one"):
        Events.cat([])
    with pytest.raises(ValueError, match="batch 1 has n_units=5"):
        Events.cat([batch([[]], [[]]), batch([[]], [[]], n_units=5)])
    with pytest.raises(ValueError, match=r"batch 1 .*duration=11"):
        Events.cat([batch([[]], [[]]), batch([[]], [[]], duration=11.0)])


# -- counts -------------------------------------------------------------------------------------------


@quick
@given(lists())
def test_counts(given_lists):
    times, units, n_units, duration = given_lists
    expected = [[u.count(k) for k in range(n_units)] for u in units]
    counts = Events.from_lists(times, units, n_units, duration).counts()
    assert counts.shape == (len(times), n_units)
    assert counts.tolist() == expected


def test_counts_of_a_layer_pass_through():
    plain = batch([[1.0], [2.0, 3.0]], [[0], [1, 1]])
    counts = plain.counts().requires_grad_()
    events = Events(plain.times, plain.units, plain.offsets, 4, 10.0, counts=counts)
    assert events.counts() is counts
    for part, rows in ((events[1], [1]), (events[[1, 0]], [1, 0]), (events.to(torch.float64), [0, 1])):
        assert torch.equal(part.counts(), counts[rows].to(part.times.dtype))
        assert part.counts().requires_grad
    joined = Events.cat([plain, events])
    joined.counts().sum().backward()
    assert torch.equal(counts.grad, torch.ones(2, 4))


# -- grid ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [0.001, 0.02, 0.1, 0.3, 1 / 3, 0.7, 1.0, 1.1, 3.0])
def test_float32_times_on_the_grid_fall_in_their_step(dt):
    n = np.arange(20_000)
    times = torch.from_numpy((n * dt).astype(np.float32))
    events = Events(times, torch.zeros(len(n), dtype=torch.int32), torch.tensor([0, len(n)]), 1, len(n) * dt)
    assert torch.equal(events.steps(dt), torch.from_numpy(n.astype(np.int32)))


@quick
@given(lists(), st.sampled_from([0.02, 0.1, 1.0, 3.0]))
def test_steps_are_floor_of_time_over_dt(given_lists, dt):
    times, units, n_units, duration = given_lists
    events = Events.from_lists(times, units, n_units, duration)
    steps = events.steps(dt).double()
    t = events.times.double()
    assert (steps * dt <= t * (1 + 1e-6)).all()
    assert (t < (steps + 1) * dt).all()
    assert (steps < n_steps(duration, dt)).all()


@pytest.mark.parametrize("dt", [0.1, 1 / 3, 1.0])
def test_float64_times_fall_in_their_step_in_long_samples(dt):
    """Also just before the next one, and after a million steps."""
    n = np.r_[np.arange(1000), 999_000 + np.arange(1000)]
    for late in (0.0, 0.5, 1 - 1e-6):
        times = torch.from_numpy((n + late) * dt)
        events = Events(times, torch.zeros(len(n), dtype=torch.int32), torch.tensor([0, len(n)]), 1, 1e6 * dt)
        assert torch.equal(events.steps(dt), torch.from_numpy(n.astype(np.int32)))


def test_steps_that_float32_cannot_tell_apart():
    x = torch.zeros(1, 4_300_000, 1)
    x[0, [0, 4_250_000, 4_299_999]] = 1
    assert torch.equal(Events.from_dense(x, 1.0, torch.float64).to_dense(1.0), x)
    with pytest.raises(ValueError, match=r"float32 cannot tell steps of 1 ms apart at 4\.3e\+06 ms"):
        Events.from_dense(x, 1.0).to_dense(1.0)


@pytest.mark.parametrize(
    ("duration", "dt", "steps"),
    [
        (1.0, 0.1, 10),
        (1000.0, 1.0, 1000),
        (10.5, 1.0, 11),
        (0.3, 1.0, 1),
        (4_300_000.0, 1.0, 4_300_000),
        (2.0**31 - 1, 1.0, 2**31 - 1),
        (float(np.float32(100.1)), 0.1, 1001),
        (100.02, 1.0, 101),
    ],
)
def test_n_steps(duration, dt, steps):
    assert n_steps(duration, dt) == steps


@pytest.mark.parametrize(("duration", "dt"), [(2.0**31, 1.0), (2.0**31 - 0.5, 1.0), (1e38, 1e-9), (1.0, 1e-12)])
def test_more_steps_than_can_be_counted(duration, dt):
    with pytest.raises(ValueError, match=r"are more than 2\*\*31 - 1 steps of"):
        n_steps(duration, dt)
    with pytest.raises(ValueError, match=r"are more than 2\*\*31 - 1 steps of"):
        Events.from_lists([[0.0]], [[0]], 1, duration, dtype=torch.float64).steps(dt)


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan")])
def test_dt_must_be_positive(dt):
    with pytest.raises(ValueError, match="dt must be positive"):
        batch([[1.0]], [[0]]).steps(dt)
    with pytest.raises(ValueError, match="dt must be positive"):
        Events.from_dense(torch.zeros(1, 1, 1), dt)


# -- gradients, devices, copies -----------------------------------------------------------------------


def test_times_carry_gradients():
    times = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)]
    events = Events.from_lists(times, [[0, 1], [2]], 4, 10.0)
    moved = Events.cat([events[1], events[0]]).to(torch.float64)
    (moved.times * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert times[0].grad.tolist() == [10.0, 100.0]
    assert times[1].grad.tolist() == [1.0]


def test_to_changes_the_precision_of_times_only():
    events = batch([[1.0], [2.0]], [[0], [1]]).to(torch.float64)
    assert (events.times.dtype, events.units.dtype) == (torch.float64, torch.int32)
    assert events.to("cpu").device == torch.device("cpu")
    for dtype in (torch.int32, torch.float16, torch.bfloat16):
        with pytest.raises(TypeError, match=f"float32 or float64, got {dtype}"):
            events.to(dtype)


def test_to_lower_precision_stays_within_the_duration():
    times = torch.tensor([1.0, 99.99999999], dtype=torch.float64, requires_grad=True)
    events = Events(times, torch.tensor([0, 1]), torch.tensor([0, 2]), 2, 100.0).to(torch.float32)
    assert events.times[1].item() == float(np.nextafter(np.float32(100), np.float32(0)))
    Events(events.times, events.units, events.offsets, 2, 100.0)
    events.times.sum().backward()
    assert times.grad.tolist() == [1.0, 1.0]


def test_to_another_device_moves_every_tensor():
    events = batch([[1.0], [2.0]], [[0], [1]]).to("meta")
    assert {x.device.type for x in (events.times, events.units, events.offsets)} == {"meta"}


def test_copies():
    events = batch([[1.0], [2.0]], [[0], [1]])
    assert same(pickle.loads(pickle.dumps(events)), events)
    assert same(copy.deepcopy(events), events)
    assert "2 spikes, batch 2, 4 units, 10 ms" in repr(events)


class TestCopies:
    """By pickle, by `torch.save`, by torch's pytrees."""

    def tracked(self, padded=False):
        times, units = torch.tensor([1.0, 3.0, 2.0, 0.0]), torch.tensor([0, 1, 1, 0], dtype=torch.int32)
        n = 4 if padded else 3
        counts = torch.tensor([[1.0, 1.0], [0.0, 1.0]], requires_grad=True)
        offsets = torch.tensor([0, 2, 3])
        return Events(times[:n], units[:n], offsets, 2, 5.0, counts=counts, check=False, padded=padded)

    @pytest.mark.parametrize("padded", [False, True])
    def test_a_file_of_weights_may_hold_events(self, tmp_path, padded):
        torch.save({"calibration": self.tracked(padded)}, tmp_path / "x.pt")
        found = torch.load(tmp_path / "x.pt", weights_only=True)["calibration"]
        assert same(found, self.tracked())
        assert found.counts().requires_grad
        assert torch.equal(found.counts(), self.tracked().counts())

    def test_what_a_file_holds_is_checked(self):
        bad = self.tracked()
        bad._units = bad._units + 1
        with pytest.raises(ValueError, match=r"sample 0, entry 1: unit outside \[0, 2\)"):
            pickle.loads(pickle.dumps(bad))

    @pytest.mark.parametrize("padded", [False, True])
    def test_pytree(self, padded):
        events = self.tracked(padded)
        leaves, spec = tree_flatten({"x": events})
        assert len(leaves) == 5
        assert same(tree_unflatten(leaves, spec)["x"], events)
        moved = tree_map_only(torch.Tensor, lambda x: x.to("meta"), events)
        assert {x.device.type for x in (moved.times, moved.units, moved.offsets, moved.counts())} == {"meta"}
        shapes = tree_map(lambda x: None if x is None else tuple(x.shape), [self.tracked(), batch([[1.0]], [[0]])])
        assert shapes[0].offsets == (3,)
        assert shapes[1]._counts is None

    def test_copies_of_no_data(self):
        assert copy.deepcopy(batch([[1.0]], [[0]]).to("meta")).times.is_meta


def test_tools_that_walk_through_containers_stop_at_events():
    """Or they go on for ever, for a sample is a batch of one; Python itself does iterate."""
    assert not isinstance(batch([[1.0]], [[0]]), Iterable)
    assert [len(e) for e in batch([[1.0], []], [[0], []])] == [1, 1]
    assert len(list(batch([], []))) == 0


# -- what is probably a mistake -----------------------------------------------------------------------


def test_seconds_are_warned_of():
    seconds = np.sort(np.random.default_rng(0).uniform(0, 1.2, (2, 500)))
    units = np.arange(1000).reshape(2, 500) % 70
    with pytest.warns(UserWarning, match=r"1000 spikes in 2 .* of 1.4 ms are 5.1 per .* in seconds\?") as caught:
        Events.from_lists(seconds, units, 70, 1.4)
    assert caught[0].filename == __file__
    Events.from_lists(seconds * 1000, units, 70, 1400.0)
    Events.from_lists([[0.1] * 99], [[0] * 99], 1, 0.5)  # few
    Events.from_lists([np.arange(500) * 0.1], [[0] * 500], 1, 50.0)  # many merged into one unit


def test_time_as_the_first_axis_is_warned_of():
    x = torch.zeros(100, 32, 5)
    with pytest.warns(UserWarning, match=r"100 samples of 32 steps.*batch_first=False") as caught:
        events = Events.from_dense(x, 1.0)
    assert caught[0].filename == __file__
    assert (len(events), events.duration) == (100, 32.0)
    assert len(Events.from_dense(x, 1.0, batch_first=True)) == 100
    x[7, 3, 1] = 2
    events = Events.from_dense(x, 1.0, batch_first=False)
    assert (len(events), events.duration) == (32, 100.0)
    assert events[3].times.tolist() == [7.0, 7.0]
    assert torch.equal(events.to_dense(1.0), x.transpose(0, 1))


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float64])
def test_dense_arrays(kind):
    x = np.random.default_rng(0).random((3, 20, 4)) < 0.2
    assert torch.equal(Events.from_dense(x.astype(kind), 0.5).to_dense(0.5), torch.tensor(x).float())


# -- empty --------------------------------------------------------------------------------------------


def test_empty_batch_and_empty_samples():
    nothing = batch([], [])
    assert len(nothing) == 0
    assert nothing.counts().shape == (0, 4)
    assert nothing.to_dense(1.0).shape == (0, 10, 4)
    assert same(Events.cat([nothing, nothing]), nothing)
    silent = batch([[], []], [[], []])
    assert len(silent) == 2
    assert not silent.counts().any()
    assert silent.to_dense(1.0).shape == (2, 10, 4)
    assert silent.samples().shape == silent.steps(1.0).shape == (0,)
    assert same(silent[1], batch([[]], [[]]))


# -- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "unit", "message"),
    [
        (float("nan"), 0, "time is NaN"),
        (-0.5, 0, "negative time"),
        (10.0, 0, "time at or past the duration"),
        (float("inf"), 0, "time is infinite"),
        (0.5, 0, "earlier than the spike before it"),
        (5.0, 4, r"unit outside \[0, 4\)"),
        (5.0, -1, r"unit outside \[0, 4\)"),
        (5.0, 2**40, r"unit outside \[0, 4\)"),
    ],
)
@pytest.mark.parametrize("sample", [0, 2])
def test_bad_spikes_are_named(time, unit, message, sample):
    times, units = [[1.0], [], [2.0, 3.0]], [[1], [], [1, 2]]
    times[sample].append(time)
    units[sample].append(unit)
    with pytest.raises(ValueError, match=f"sample {sample}, entry {len(times[sample]) - 1}: {message}"):
        batch(times, units)


def test_later_samples_may_start_earlier():
    assert len(batch([[], [5.0], [], [1.0, 1.0], []], [[], [0], [], [1, 0], []])) == 5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"times": [1.0, 2.0]}, TypeError, "times must be a tensor, got list"),
        ({"times": torch.tensor([1, 2])}, TypeError, "times must be float32 or float64"),
        ({"times": torch.tensor([1.0, 2.0]).half()}, TypeError, "float32 or float64 .* got torch.float16"),
        ({"units": torch.tensor([0.0, 1.0])}, TypeError, "units must be integers, got torch.float32"),
        ({"units": torch.tensor([True, False])}, TypeError, "units must be integers, got torch.bool"),
        ({"offsets": torch.tensor([0.0, 2.0])}, TypeError, "offsets must be integers"),
        ({"times": torch.ones(1, 2)}, ValueError, r"times must have one dimension, got shape \(1, 2\)"),
        ({"units": torch.tensor([0])}, ValueError, "2 times but 1 units"),
        ({"units": torch.empty(2, dtype=torch.int32, device="meta")}, ValueError, "units is on meta"),
        ({"offsets": torch.tensor([0, 1])}, ValueError, "offsets must run from 0"),
        ({"offsets": torch.tensor([1, 2])}, ValueError, "offsets must run from 0"),
        ({"offsets": torch.tensor([], dtype=torch.int64)}, ValueError, "offsets must run from 0"),
        ({"offsets": torch.tensor([0, 2, 1, 2])}, ValueError, "offsets decrease at sample 1"),
        ({"n_units": 0}, ValueError, "n_units must be at least 1"),
        ({"n_units": 2.99}, TypeError, "n_units must be a whole number, got 2.99"),
        ({"n_units": 2**33}, ValueError, "n_units must .* fit in int32"),
        ({"counts": torch.zeros(7, 2)}, ValueError, r"counts must have shape \(1, 4\), got \(7, 2\)"),
        ({"counts": torch.zeros(1, 4, dtype=torch.int64)}, TypeError, "counts must be floating point"),
        ({"duration": 0.0}, ValueError, "duration must be positive"),
        ({"duration": float("inf")}, ValueError, "duration must be positive and finite"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    good = {
        "times": torch.tensor([1.0, 2.0]),
        "units": torch.tensor([0, 1]),
        "offsets": torch.tensor([0, 2]),
        "n_units": 4,
        "duration": 10.0,
    }
    Events(**good)
    with pytest.raises(error, match=message):
        Events(**(good | change))


def test_lists_that_do_not_fit():
    with pytest.raises(ValueError, match="times lists 1 samples, units 2"):
        batch([[1.0]], [[0], [1]])
    with pytest.raises(ValueError, match="sample 1: 1 times but 2 units"):
        batch([[], [1.0]], [[], [0, 1]])
    with pytest.raises(TypeError, match="sample 1: units must be integers"):
        batch([[], [1.0]], [[], [0.5]])
    with pytest.raises(TypeError, match=r"sample 0: times must be a sequence of numbers, got 1\.0"):
        batch([1.0, 2.0], [0, 1])


@pytest.mark.parametrize("count", [-1.0, 0.5, float("nan")])
def test_dense_counts_must_be_whole(count):
    dense = torch.zeros(2, 3, 4)
    dense[1, 2, 3] = count
    with pytest.raises(ValueError, match="sample 1, step 2, unit 3"):
        Events.from_dense(dense, 1.0)


def test_dense_needs_three_dimensions():
    with pytest.raises(ValueError, match=r"got shape \(2, 3\)"):
        Events.from_dense(torch.zeros(2, 3), 1.0)
    with pytest.raises(TypeError, match="spikes must be a tensor or a NumPy array, got list"):
        Events.from_dense([[[0, 1]]], 1.0)


def test_padding_is_never_seen():
    """Only `padded` shows it."""
    times = torch.tensor([1.0, 3.0, 2.0, 0.0, 0.0], requires_grad=True)
    units = torch.tensor([0, 1, 1, 1, 0], dtype=torch.int32)

    def make():
        return Events(times, units, torch.tensor([0, 2, 3]), 2, 5.0, check=False, padded=True)

    assert make().padded().samples().tolist() == [0, 0, 1, 2, 2]
    assert make().samples().tolist() == [0, 0, 1]
    assert make().units.tolist() == [0, 1, 1]
    assert make().counts().tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert make().to_dense(1.0).sum() == 3
    assert make()[1].times.tolist() == [2.0]
    assert Events.cat([make(), make()]).offsets.tolist() == [0, 2, 3, 5, 6]
    assert "3 spikes" in repr(make())
    events = make()
    assert len(events.to(torch.float64).times) == len(pickle.loads(pickle.dumps(make())).times) == 3
    events.times.sum().backward()
    assert times.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


# -- values of graded spikes -----------------------------------------------------------------------------------------


def graded():
    return Events.from_lists([[1.0, 2.5, 2.5], [0.5]], [[0, 1, 1], [2]], 3, 10.0, values=[[0.5, 2.0, -1.0], [4.0]])


def test_values_go_where_spikes_go():
    e = graded()
    assert e.values.tolist() == [0.5, 2.0, -1.0, 4.0]
    assert e[1].values.tolist() == [4.0]
    assert e[[1, 0]].values.tolist() == [4.0, 0.5, 2.0, -1.0]
    assert e.select([1]).values.tolist() == [2.0, -1.0]
    assert e.keep(e.times < 2.0).values.tolist() == [0.5, 4.0]
    plain = e.with_values(None)
    assert plain.values is None
    assert Events.cat([e, plain]).values.tolist() == [0.5, 2.0, -1.0, 4.0, 1.0, 1.0, 1.0, 1.0]
    assert Events.cat([plain, plain]).values is None
    assert Events.merge([plain, e]).values.tolist() == [1.0, 0.5, 1.0, 1.0, 2.0, -1.0, 1.0, 4.0]
    assert e.to(torch.float64).values.dtype is torch.float64
    assert e.padded().values is e.values
    assert repr(e).startswith("Events(4 graded spikes, batch 2")
    assert "-1 to 4" in e._repr_html_()


def test_dense_spikes_are_sums_of_values_and_counts_are_counts():
    values = torch.tensor([0.5, 2.0, -1.0, 4.0], requires_grad=True)
    e = graded().with_values(values)
    dense = e.to_dense(5.0)
    assert dense[:, 0].tolist() == [[0.5, 1.0, 0.0], [0.0, 0.0, 4.0]]
    dense[:, 0, 1].sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert e.counts().tolist() == [[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
    assert e.windowed_counts(10.0)[:, 0].tolist() == e.counts().tolist()
    assert not e.detach().values.requires_grad


def test_values_are_kept_in_files(tmp_path):
    e = graded()
    torch.save(e, tmp_path / "e.pt")
    for again in (torch.load(tmp_path / "e.pt"), copy.deepcopy(e), pickle.loads(pickle.dumps(e))):
        assert torch.equal(again.values, e.values)
    state = e.with_values(None).__getstate__()[:6]  # what files held before there were values
    old = Events.__new__(Events)
    old.__setstate__(state)
    assert old.values is None
    assert torch.equal(old.times, e.times)
    doubled = tree_map(lambda x: x if x is None else x * 2, e)
    assert torch.equal(doubled.values, 2 * e.values)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1.0] * 4, TypeError, "values must be a tensor, got list"),
        (torch.ones(4, dtype=torch.int64), TypeError, "values must be floating point"),
        (torch.ones(3), ValueError, r"values must have shape \(4,\), got \(3,\)"),
        (torch.tensor([1.0, 1.0, 1.0, torch.nan]), ValueError, "sample 1, entry 0: value nan is not finite"),
        (torch.tensor([1.0, -torch.inf, 1.0, 1.0]), ValueError, "sample 0, entry 1: value -inf is not finite"),
    ],
)
def test_wrong_values_are_named(values, error, message):
    e = graded()
    with pytest.raises(error, match=message):
        Events(e.times, e.units, e.offsets, 3, 10.0, values)
    with pytest.raises(error, match=message):
        e.with_values(values)


def test_lists_of_values_must_fit():
    with pytest.raises(ValueError, match="times lists 1 samples, values 2"):
        Events.from_lists([[1.0]], [[0]], 1, 2.0, values=[[1.0], [1.0]])
    with pytest.raises(ValueError, match="sample 0: 1 times but 2 values"):
        Events.from_lists([[1.0]], [[0]], 1, 2.0, values=[[1.0, 1.0]])
