"""Encoders of values: what they promise of spike numbers and times, round trips, gradients, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent import encode

FLOAT = {torch.float32: 2e-6, torch.float64: 1e-12}
matrices = st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4).map(
    lambda x: torch.tensor(x, dtype=torch.float64)
)


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def values(request):
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(20, 7, generator=generator, dtype=request.param)
    x[0, :2] = torch.tensor([0.0, 1.0])
    return x


def test_latency(values):
    events = encode.latency(values, 60.0, 40.0, 5.0)
    assert (events.counts() == 1).all()
    assert events.times.min() == 5
    assert events.times.max() == 40
    torch.testing.assert_close(encode.decode_latency(events, 40.0, 5.0), values, atol=FLOAT[values.dtype], rtol=0)
    first = encode.latency(torch.tensor([[0.2, 0.9]]), 60.0, 40.0)
    assert first.units.tolist() == [1, 0]


def test_silent_units_decode_to_nan():
    events = encode.latency(torch.tensor([[0.5, 0.5]]), 60.0, 40.0)
    silenced = type(events)(events.times[:1], events.units[:1], torch.tensor([0, 1]), 2, 60.0)
    assert encode.decode_latency(silenced, 40.0).isnan().tolist() == [[False, True]]
    assert encode.decode_population(type(events)(*[x[:0] for x in (events.times, events.units)], torch.tensor([0, 0]),
                                                 8, 60.0), 40.0).isnan().all()  # fmt: skip


@settings(deadline=None)
@given(matrices, st.floats(1, 500), st.floats(1, 400))
def test_regular_rate_round_trip(values, duration, max_rate):
    events = encode.rate(values, duration, max_rate, regular=True)
    bound = 500 / (max_rate * duration)
    assert (encode.decode_rate(events, max_rate) - values).abs().max() <= bound * (1 + 1e-9)


def test_regular_rate_has_equal_intervals():
    events = encode.rate(torch.tensor([[0.5]]), 100.0, 100.0, regular=True)
    assert events.times.tolist() == [10, 30, 50, 70, 90]


def test_poisson_rate_statistics():
    values = torch.tensor([[0.0, 0.1, 0.5, 1.0]]).repeat(4000, 1)
    events = encode.rate(values, 200.0, 50.0, generator=torch.Generator().manual_seed(0))
    counts = events.counts()
    expected = values[0] * 10
    error = (expected / 4000).sqrt()
    assert ((counts.mean(0) - expected).abs() <= 4 * error).all()
    assert ((counts.var(0) - expected).abs() <= 0.1 * expected).all()
    spread = events.times[events.units == 3]  # uniform over the sample
    assert abs(spread.mean() - 100) < 4 * 200 / math.sqrt(12 * len(spread))


def test_poisson_rate_follows_its_seed(values):
    a, b, c = (encode.rate(values, 100.0, 200.0, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a.times, b.times)
    assert torch.equal(a.units, b.units)
    assert a.times.shape != c.times.shape or not torch.equal(a.times, c.times)


@settings(deadline=None)
@given(matrices, st.integers(1, 24), st.sampled_from([0.1, 0.5, 1.0, 3.0]), st.integers(1, 3))
def test_phase_round_trip(values, bits, dt, periods):
    events = encode.phase(values, bits * dt * periods + 0.6 * dt, bits, dt)
    error = (encode.decode_phase(events, bits, dt) - values).abs().max()
    assert error <= 0.5 / (2**bits - 1) + 1e-12


def test_phase_of_known_values():
    events = encode.phase(torch.tensor([[1.0, 0.0, 5 / 7]]), 6.0, bits=3)
    assert events.counts().tolist() == [[6, 0, 4]]
    assert events.times[events.units == 2].tolist() == [0, 2, 3, 5]


@settings(deadline=None)
@given(matrices, st.integers(2, 8))
def test_burst_round_trip(values, max_spikes):
    events = encode.burst(values, 200.0, max_spikes)
    assert torch.equal(events.counts(), torch.ceil(values * max_spikes))
    error = (encode.decode_burst(events, max_spikes) - values).abs()
    single = events.counts() == 1
    assert (error[single] <= 0.5 / max_spikes).all()
    assert (error[~single] < 1e-9).all()


def test_burst_intervals():
    events = encode.burst(torch.tensor([[1.0, 0.5]]), 100.0, 4, isi_min=2.0, isi_max=10.0)
    assert events.times[events.units == 0].tolist() == [0, 2, 4, 6]
    assert events.times[events.units == 1].tolist() == [0, 6]


@pytest.mark.parametrize(("fields", "beta"), [(3, 1.5), (8, 1.5), (12, 1.0), (6, 2.0)])
def test_population_round_trip(values, fields, beta):
    events = encode.population(values, 60.0, 50.0, fields, beta, t_early=2.0)
    assert events.n_units == 7 * fields
    assert (events.counts() <= 1).all()
    assert events.times.min() >= 2
    assert events.times.max() <= 2 + 0.9 * 48 + 1e-4
    decoded = encode.decode_population(events, 50.0, fields, beta, t_early=2.0)
    torch.testing.assert_close(decoded, values, atol=50 * FLOAT[values.dtype], rtol=0)


def test_population_of_one_spike_gives_the_centre():
    events = encode.population(torch.tensor([[0.24]]), 60.0, 50.0, fields=4, beta=6.0)
    assert events.units.tolist() == [1]
    assert encode.decode_population(events, 50.0, fields=4, beta=6.0).item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    "encoder",
    [
        lambda v: encode.latency(v, 60.0, 40.0),
        lambda v: encode.burst(v, 60.0),
        lambda v: encode.population(v, 60.0, 50.0, 5),
    ],
)
def test_times_carry_gradients(encoder):
    values = (0.05 + 0.9 * torch.rand(3, 4, generator=torch.Generator().manual_seed(0))).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: encoder(v).times, values)


@pytest.mark.parametrize(
    "decode",
    [
        lambda v: encode.decode_latency(encode.latency(v, 60.0, 40.0), 40.0),
        lambda v: encode.decode_population(encode.population(v, 60.0, 50.0), 50.0),
    ],
)
def test_gradients_survive_the_round_trip(decode):
    values = (0.05 + 0.9 * torch.rand(3, 4, generator=torch.Generator().manual_seed(1))).double().requires_grad_()
    decode(values).sum().backward()
    torch.testing.assert_close(values.grad, torch.ones_like(values))


ENCODERS = {
    "latency": lambda v: encode.latency(v, 60.0, 40.0),
    "rate": lambda v: encode.rate(v, 60.0, 100.0),
    "phase": lambda v: encode.phase(v, 60.0),
    "burst": lambda v: encode.burst(v, 60.0),
    "population": lambda v: encode.population(v, 60.0, 50.0),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_bad_values(name):
    encoder = ENCODERS[name]
    good = torch.rand(2, 3)
    for bad in (1.5, -0.1, math.nan, math.inf):
        wrong = good.clone()
        wrong[1, 2] = bad
        with pytest.raises(ValueError, match="sample 1, feature 2"):
            encoder(wrong)
    with pytest.raises(ValueError, match=r"batch, features"):
        encoder(good[0])
    with pytest.raises(ValueError, match=r"batch, features"):
        encoder(good[:, :0])
    with pytest.raises(TypeError, match="floating point"):
        encoder(torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match="tensor"):
        encoder(good.tolist())
    assert len(encoder(good[:0])) == 0


V = torch.full((1, 1), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode.latency(V, 40.0, 40.0), "t_late"),
        (lambda: encode.latency(V, 40.0, 10.0, -1.0), "t_early"),
        (lambda: encode.rate(V, 0.0, 10.0), "duration"),
        (lambda: encode.rate(V, 10.0, math.inf), "max_rate"),
        (lambda: encode.phase(V, 5.0, 8), "does not fit"),
        (lambda: encode.phase(V, 5.0, 0), "bits"),
        (lambda: encode.phase(V, 5.0, 4, 0.0), "dt"),
        (lambda: encode.burst(V, 10.0, 5), "last"),
        (lambda: encode.burst(V, 100.0, 0), "max_spikes"),
        (lambda: encode.burst(V, 100.0, 5, 10.0, 2.0), "isi_min"),
        (lambda: encode.population(V, 60.0, 50.0, 2), "fields"),
        (lambda: encode.population(V, 60.0, 50.0, 4, 0.0), "beta"),
        (lambda: encode.decode_population(encode.latency(V, 60.0, 50.0), 50.0, 4), "multiple of 4"),
    ],
)
def test_bad_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()
