"""The distance of van Rossum against the integral that it is, its gradient, and what it does to a layer."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.losses import distance, van_rossum, van_rossum_distances

DOUBLE = torch.float64


def trains(seed, batch=3, units=4, spikes=12, duration=50.0):
    g = torch.Generator().manual_seed(seed)
    times = [torch.rand(spikes, generator=g, dtype=DOUBLE).sort().values * duration for _ in range(batch)]
    who = [torch.randint(units - 1, (spikes,), generator=g) for _ in range(batch)]  # the last unit is silent
    return lb.Events.from_lists(times, who, units, duration, dtype=DOUBLE)


@pytest.mark.parametrize("tau", [1.0, 8.0])
def test_it_is_the_integral(tau):
    """Of the squared difference of both trains, filtered, with one extra spike costing 1/2."""
    step = 0.01
    grid = torch.arange(0, 50 + 30 * tau, step, dtype=DOUBLE)

    def filtered(events):
        age = (grid - events.times.unsqueeze(1)).clamp(min=0) / tau
        found = torch.zeros(len(events), events.n_units, len(grid), dtype=DOUBLE)
        return found.index_put((events.samples(), events.units.long()), age * torch.exp(-age), accumulate=True)

    one, two = trains(0), trains(1)
    # the integral for a single spike is tau / 4
    wanted = (filtered(one) - filtered(two)).pow(2).sum(2) * step * 2 / tau
    assert torch.allclose(van_rossum_distances(one, two, tau), wanted, atol=1e-4)
    assert van_rossum_distances(two, one, tau).allclose(van_rossum_distances(one, two, tau))
    assert van_rossum(one, two, tau).isclose(wanted.mean(), atol=1e-4)
    assert van_rossum_distances(one, one, tau).abs().max() < 1e-12
    alone, nothing = (lb.Events.from_lists([t], [[0] * len(t)], 1, 50.0) for t in ([20.0], []))
    assert van_rossum_distances(alone, nothing, tau).tolist() == [[0.5]]
    assert van_rossum_distances(nothing, nothing, tau).tolist() == [[0.0]]


def test_gradients_of_both_trains():
    one, two = trains(2), trains(3)

    def distances(first, second):
        a, b = (
            lb.Events(t, e.units, e.offsets, e.n_units, e.duration, check=False)
            for t, e in ((first, one), (second, two))
        )
        return van_rossum_distances(a, b, 5.0)

    leaves = [x.times.clone().requires_grad_() for x in (one, two)]
    assert torch.autograd.gradcheck(distances, leaves)
    times = one.times.clone().requires_grad_()
    van_rossum(lb.Events(times, one.units, one.offsets, 4, 50.0), one).backward()  # smooth where spikes meet
    assert times.grad.abs().max() < 1e-12


def test_pieces_make_no_difference(monkeypatch):
    one, two = trains(4), trains(5)
    times = one.times.clone().requires_grad_()
    found = []
    for pairs in (1 << 18, 7, 1):
        monkeypatch.setattr(distance, "_PAIRS", pairs)
        times.grad = None
        value = van_rossum_distances(lb.Events(times, one.units, one.offsets, 4, 50.0), two)
        value.sum().backward()
        found.append((value.detach(), times.grad))
    for value, grad in found[1:]:
        assert torch.allclose(value, found[0][0])
        assert torch.allclose(grad, found[0][1])


def test_a_layer_learns_spike_trains():
    """Also a unit that is silent at first; ten spikes each at wanted times."""
    torch.manual_seed(0)
    inputs = lb.Events.from_dense((torch.rand(1, 100, 60) < 0.05).int(), 1.0)
    wanted = lb.Events.from_lists([[20.0, 30.0, 40.0, 55.0, 70.0, 80.0]], [[0, 1, 0, 1, 0, 1]], 2, 100.0)
    layer = lb.LIF(60, 2)
    with torch.no_grad():
        layer.weight[:, 1] *= 0.05
    assert layer(inputs).counts()[0, 1] == 0
    optimizer, found = torch.optim.Adam(layer.parameters(), 0.02), []
    for _ in range(300):
        optimizer.zero_grad()
        loss = van_rossum(layer(inputs), wanted)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert layer(inputs).counts()[0, 1] > 0
    assert min(found) < 0.3 * found[0]


def test_bad_arguments():
    one = trains(6)
    with pytest.raises(TypeError, match=r"targets must be lambent\.Events, got Tensor"):
        van_rossum(one, torch.zeros(3))
    for other, message in (
        (one[:2], "targets have batch_size 2, the events have 3"),
        (trains(6, units=5), "targets have n_units 5, the events have 4"),
        (trains(6, duration=60.0), "targets have duration 60.0"),
    ):
        with pytest.raises(ValueError, match=message):
            van_rossum_distances(one, other)
    for tau in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="tau must be positive"):
            van_rossum(one, one, tau)
    nothing = lb.Events.from_lists([], [], 2, 10.0)
    with pytest.raises(ValueError, match="the batch is empty"):
        van_rossum(nothing, nothing)
    assert van_rossum_distances(nothing, nothing).shape == (0, 2)


def test_values_weigh_spikes():
    """A spike of value 2 is two at once, and gradients of values are those of finite differences."""
    one = lb.Events.from_lists([[5.0, 9.0]], [[0, 0]], 1, 30.0, DOUBLE, values=[[2.0, 1.0]])
    two = lb.Events.from_lists([[5.0, 5.0, 9.0]], [[0, 0, 0]], 1, 30.0, DOUBLE)
    target = lb.Events.from_lists([[6.0, 20.0]], [[0, 0]], 1, 30.0, DOUBLE, values=[[1.5, 0.5]])
    assert torch.allclose(van_rossum_distances(one, target, 5.0), van_rossum_distances(two, target, 5.0))
    given = [x.requires_grad_() for x in (one.times.clone(), one.values.clone(), target.values.clone())]

    def of(times, values, wanted):
        x = lb.Events(times, one.units, one.offsets, 1, 30.0, values, check=False)
        return van_rossum_distances(x, target.with_values(wanted), 5.0)

    assert torch.autograd.gradcheck(of, given)
