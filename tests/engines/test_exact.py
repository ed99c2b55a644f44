"""The exact engine: gradients by gradcheck, spike times against an independent integration, ties and limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from grid_cases import dense, sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import lambent as lb
from lambent.engines.exact import cpu as exact
from lambent.engines.exact.solution import crossing, earliest_crossing, propagator, voltage
from lambent.engines.grid import cpu as grid_cpu
from lambent.neurons import LIF

DURATION = 80.0
UNITS = ("tau_mem", "tau_syn", "threshold", "bias")
TAUS = {
    "general": lambda g, n: (uniform(g, n, lo=5, hi=25), uniform(g, n, lo=2, hi=7)),
    "tau_mem = tau_syn": lambda g, n: (uniform(g, n, lo=5, hi=9),) * 2,
    "tau_mem = 2 tau_syn": lambda g, n: (lambda t: (2 * t, t))(uniform(g, n, lo=3, hi=9)),
    "tau_mem < tau_syn": lambda g, n: (uniform(g, n, lo=3, hi=6), uniform(g, n, lo=6, hi=20)),
}


def uniform(g, *shape, lo=0.0, hi=1.0):
    return lo + (hi - lo) * torch.rand(*shape, generator=g, dtype=torch.float64)


def random_events(g, batch=2, spikes=8, units=5):
    times = [uniform(g, spikes, hi=50).sort().values for _ in range(batch)]
    return lb.Events.from_lists(
        times, [torch.randint(units, (spikes,), generator=g) for _ in times], units, DURATION, dtype=torch.float64
    )


def random_layer(seed, taus="general", n_in=5, size=4):
    g = torch.Generator().manual_seed(seed)
    tau_mem, tau_syn = TAUS[taus](g, size)
    p = {
        "weight": torch.randn(n_in, size, generator=g, dtype=torch.float64) + 1.2,
        "recurrent_weight": torch.randn(size, size, generator=g, dtype=torch.float64) * 0.5,
        "delay": uniform(g, n_in, size, hi=9),
        "recurrent_delay": uniform(g, size, size, hi=9),
        "tau_mem": tau_mem,
        "tau_syn": tau_syn,
        "threshold": uniform(g, size, lo=0.7, hi=1.2),
        "bias": uniform(g, size, lo=-0.1, hi=0.2),
    }
    if taus == "tau_mem < tau_syn":  # long currents would feed on themselves
        p["weight"] *= 0.3
        p["recurrent_weight"] *= 0.1
    p["bias"][0] = 1.3  # fires without input
    return p


def layer(p, times, events, delays=True, recurrent=True, reset="zero", min_slope=1e-9):
    x = lb.Events(times, events.units, events.offsets, events.n_units, events.duration, check=False)
    own = dense(p["recurrent_weight"], p["recurrent_delay"] if delays else None) if recurrent else None
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], p["bias"], reset=reset, min_slope=min_slope)
    return exact.spikes(x, neuron, dense(p["weight"], p["delay"] if delays else None), own)


def stable(f, inputs, change=1e-3):
    """Whether no spike comes or goes when all inputs move a little: three random directions, both ways.

    The change is far larger than gradcheck's, so that no spike grazes threshold either, where finite differences err.
    """
    spikes = f(*inputs)
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        way = [change * torch.randn(x.shape, generator=g, dtype=x.dtype) for x in inputs]
        for sign in (1, -1):
            if f(*(x.detach() + sign * d for x, d in zip(inputs, way, strict=True))).shape != spikes.shape:
                return False
    return True


def assert_gradients(f, inputs):
    assert torch.autograd.gradcheck(f, [x.clone().requires_grad_() for x in inputs], atol=1e-6, rtol=1e-6)


def first_stable(draw):
    """What `draw(seed)` gives for the first seed for which it gives something."""
    return next(x for x in map(draw, range(200)) if x is not None)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("taus", list(TAUS))
@pytest.mark.parametrize(("delays", "recurrent"), [(False, False), (False, True), (True, True)])
def test_gradcheck_of_a_layer(reset, taus, delays, recurrent):
    names = ["weight", *UNITS] + recurrent * ["recurrent_weight"] + delays * ["delay", "recurrent_delay"]

    def draw(seed):
        events, p = random_events(torch.Generator().manual_seed(100 + seed)), random_layer(seed, taus)

        def spikes(times, *values):
            new = p | dict(zip(names, values, strict=True))
            return layer(new, times, events, delays, recurrent, reset).times

        inputs = [events.times, *(p[n] for n in names)]
        several = layer(p, events.times, events, delays, recurrent).counts()[:, 1:].max() >= 3
        return (spikes, inputs) if several and stable(spikes, inputs) else None

    assert_gradients(*first_stable(draw))


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "max", "last"])
@pytest.mark.parametrize("taus", list(TAUS))
def test_gradcheck_of_two_layers_and_a_readout(reduce, taus):
    readout = lb.LIReadout(4, 3, reduce=reduce, dt=None).double()

    def draw(seed):
        g = torch.Generator().manual_seed(seed)
        events, tau_mem, tau_syn = random_events(g), *TAUS[taus](g, 3)
        a, b = random_layer(seed, taus), random_layer(seed + 1, taus, n_in=4)

        def hidden(times, w, r, w2, r2):
            h = layer(a | {"weight": w, "recurrent_weight": r}, times, events)
            return layer(b | {"weight": w2, "recurrent_weight": r2}, h.times, h, delays=False)

        def logits(times, w, r, w2, r2, *values):
            parameters = dict(zip(("weight", "tau_mem", "tau_syn"), values, strict=True))
            return torch.func.functional_call(readout, parameters, (hidden(times, w, r, w2, r2),))

        first = [events.times, a["weight"], a["recurrent_weight"], b["weight"], b["recurrent_weight"]]
        inputs = [*first, torch.randn(4, 3, generator=g, dtype=torch.float64), tau_mem, tau_syn]
        return (logits, inputs) if stable(lambda *x: hidden(*x).times, first) else None

    assert_gradients(*first_stable(draw))


def integrated(p, events):
    """Spikes of one sample of a recurrent layer without delays, by a general ODE solver with event detection."""
    tau_mem, tau_syn, threshold, bias = (p[n].numpy() for n in UNITS)
    size = len(threshold)
    y, now, spikes, arrivals = np.zeros(2 * size), 0.0, [], list(zip(events.times.tolist(), events.units, strict=True))

    def slope(t, y):
        return np.concatenate([(-y[:size] + y[size:] + bias) / tau_mem, -y[size:] / tau_syn])

    def reaching(k):
        def above(t, y):
            return y[k] - threshold[k]

        above.terminal, above.direction = True, 1
        return above

    crossings = [reaching(k) for k in range(size)]
    while now < DURATION:
        end = arrivals[0][0] if arrivals else DURATION
        if end > now:
            run = solve_ivp(slope, (now, end), y, "DOP853", events=crossings, rtol=1e-13, atol=1e-14, max_step=1.0)
            now, y = run.t[-1], run.y[:, -1].copy()
            if run.status == 1:
                k = next(k for k, found in enumerate(run.t_events) if len(found))
                spikes.append((now, k))
                y[k] = 0.0
                y[size:] += p["recurrent_weight"][k].numpy()
                continue
        if arrivals:
            y[size:] += p["weight"][arrivals.pop(0)[1]].numpy()
    return spikes


@pytest.mark.parametrize("taus", list(TAUS))
def test_spike_times_equal_an_independent_integration(taus):
    events, p = random_events(torch.Generator().manual_seed(3), batch=1), random_layer(1, taus)
    out = layer(p, events.times, events, delays=False)
    expected = integrated(p, events)
    assert len(expected) >= 8
    assert out.units.tolist() == [k for _, k in expected]
    assert np.abs(out.times.numpy() - [t for t, _ in expected]).max() < 1e-9


@settings(max_examples=500, deadline=None)
@given(
    v=st.floats(-3, 0.999),
    i=st.floats(-20, 20),
    tau_m=st.floats(0.5, 50),
    ratio=st.sampled_from([1.0, 2.0, 0.3, 0.999999, 1.0 + 1e-12, 5.0, 200.0, 0.01]),
    bias=st.floats(-1, 3),
    longest=st.sampled_from([100.0, 5000.0]),
)
def test_crossing_is_the_first_and_none_is_missed(v, i, tau_m, ratio, bias, longest):
    tau_s = tau_m / ratio
    v, threshold = v - bias, 1.0 - bias
    s = crossing(v, i, tau_m, tau_s, threshold, longest)
    end = min(s, longest)
    grid = np.concatenate([np.geomspace(1e-4, 1, 1000) * end, np.linspace(0, end, 2000)])
    grid = grid[grid < end]
    course = np.array([voltage(x, v, i, tau_m, tau_s) for x in grid])
    assert (course < threshold + 1e-9).all()
    if s < np.inf:
        assert voltage(s, v, i, tau_m, tau_s) == pytest.approx(threshold, abs=1e-9)
        x = np.linspace(0, 20 * max(tau_m, tau_s), 20_000)
        height = max(propagator(t, tau_m, tau_s)[2] for t in x) * 1.01
        assert earliest_crossing(v, i, tau_m, threshold, height) <= s


def one_unit(times, weights, tau_mem, tau_syn, bias, duration):
    """Spike times of a unit with an input per weight."""
    layer = lb.LIF(len(weights), 1, tau_mem=tau_mem, tau_syn=tau_syn, bias=bias, dt=None).double()
    with torch.no_grad():
        layer.weight[:, 0] = torch.tensor(weights)
    events = lb.Events.from_lists([times], [list(range(len(times)))], len(weights), duration, dtype=torch.float64)
    return layer, layer(events)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20.0, 0.1), (100.0, 0.3), (1.0, 1.0)])
def test_inhibition_delays_what_a_bias_drives(tau_mem, tau_syn):
    for weight in np.linspace(-20, -2, 37):
        _, out = one_unit([0.0], [weight], tau_mem, tau_syn, 1.5, 10 * tau_mem)
        assert np.log(3) * tau_mem < out.times[0] < np.log(3) * tau_mem + 10 * tau_syn + tau_mem


def test_a_drive_of_zero_is_no_end():
    _, out = one_unit([0.0], [-1.5], 20.0, 5.0, 1.5, 60.0)
    _, near = one_unit([0.0], [-1.5 + 1e-9], 20.0, 5.0, 1.5, 60.0)
    assert torch.allclose(out.times, near.times, atol=1e-6)


def test_a_bias_at_threshold_never_fires():
    assert len(one_unit([], [1.0], 10.0, 5.0, 1.0, 2000.0)[1].times) == 0


def test_long_currents_have_finite_gradients():
    layer, _ = one_unit([], [9.0, 9.0], 1.0, 20.0, None, 1000.0)
    events = lb.Events.from_lists([[0.0, 900.0]], [[0, 1]], 2, 1000.0, dtype=torch.float64)
    layer.tau_mem.requires_grad_()
    layer.tau_syn.requires_grad_()
    layer(events).times.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (layer.tau_mem, layer.tau_syn, layer.weight))
    for reduce in ("mean", "exp_mean", "max", "last"):
        assert torch.isfinite(lb.LIReadout(2, 1, tau_mem=1.0, tau_syn=20.0, reduce=reduce, dt=None)(events)).all()


@pytest.mark.parametrize("dt", [None, 1.0])
@pytest.mark.parametrize("name", ["weight", "recurrent_weight", "delay", "recurrent_delay"])
def test_values_that_mean_nothing_are_named(dt, name):
    layer = lb.LIF(2, 3, recurrent=True, delay=1.0, recurrent_delay=1.0, dt=dt)
    events = lb.Events.from_lists([[0.0]], [[0]], 2, 10.0)
    for value in (float("nan"), float("inf"), *([-1.0] if "delay" in name else [])):
        with torch.no_grad():
            getattr(layer, name)[1, 2] = value
        with pytest.raises(ValueError, match=f"{name} from unit 1 to unit 2"):
            layer(events)


def test_delays_are_shifts_of_the_input():
    events, p = random_events(torch.Generator().manual_seed(4), batch=1), random_layer(5)
    p["delay"] = torch.full_like(p["delay"], 4.0)
    late = layer(p | {"bias": torch.zeros(4, dtype=torch.float64)}, events.times, events, recurrent=False)
    early = layer(p | {"bias": torch.zeros(4, dtype=torch.float64)}, events.times, events, False, recurrent=False)
    before_end = early.times < DURATION - 4
    assert torch.allclose(late.times, early.times[before_end] + 4)


def test_sparse_connections_equal_dense_ones():
    events, p = random_events(torch.Generator().manual_seed(6)), random_layer(6)
    target = torch.tensor([[0, 2], [1, 3], [2, 3], [0, 1], [3, 1]])
    p["weight"] = torch.zeros_like(p["weight"]).scatter(1, target, 1.5)
    full = p["weight"].clone().requires_grad_()
    few = p["weight"].gather(1, target).requires_grad_()
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], p["bias"], min_slope=1e-9)
    delay, own = p["delay"], dense(p["recurrent_weight"], p["recurrent_delay"])
    a = exact.spikes(events, neuron, dense(full, delay), own)
    b = exact.spikes(events, neuron, sparse(few, target, delay.gather(1, target), n_out=4), own)
    assert len(a.times) > 10
    assert torch.allclose(a.times, b.times, rtol=1e-12)
    a.times.sin().sum().backward()
    b.times.sin().sum().backward()
    assert torch.allclose(full.grad.gather(1, target), few.grad, rtol=1e-9)


def test_the_grid_converges_to_it():
    events, p = random_events(torch.Generator().manual_seed(7)), random_layer(7)
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], min_slope=1e-9)
    own = dense(p["recurrent_weight"] * 0.2)
    expected = exact.spikes(events, neuron, dense(p["weight"]), own)
    order = (expected.samples() * 4 + expected.units).argsort(stable=True)
    for dt in (0.02, 0.005):
        out = grid_cpu.spikes(events, neuron, dense(p["weight"]), own, dt)
        assert torch.equal(out.counts(), expected.counts())
        by_unit = (out.samples() * 4 + out.units).argsort(stable=True)
        assert (out.times[by_unit] - expected.times[order]).abs().max() < 20 * dt


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_a_silent_unit_has_the_gradient_of_its_highest_voltage(reduce: str, recurrent: bool) -> None:
    """Or of the mean where that is rest, because all that arrives inhibits."""
    p = random_layer(8)
    p["threshold"] = torch.full((4,), 100.0, dtype=torch.float64)
    p["weight"], p["bias"] = p["weight"].abs(), p["bias"] * 0
    if reduce == "mean":
        p["weight"] = -p["weight"]
    events = random_events(torch.Generator().manual_seed(8))
    readout = lb.LIReadout(5, 4, reduce=reduce, dt=None).double()
    parameters = {n: p[n].clone().requires_grad_() for n in ("weight", "tau_mem", "tau_syn")}
    times = events.times.clone().requires_grad_()
    x = lb.Events(times, events.units, events.offsets, 5, DURATION)
    highest = torch.func.functional_call(readout, parameters, (x,))
    expected = torch.autograd.grad(highest.sum() / 100.0, [*parameters.values(), times])
    out = layer(p | parameters, times, events, delays=False, recurrent=recurrent)
    found = torch.autograd.grad(out.counts().sum(), [*parameters.values(), times])
    assert out.counts().sum() == 0
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-14)


def test_first_spikes_and_counts_reach_silent_units():
    layer = lb.LIF(3, 2, dt=None)
    with torch.no_grad():
        layer.weight.fill_(0.1)
    events = lb.Events.from_lists([[0.0, 3.0]], [[0, 1]], 3, 50.0)
    out = layer(events)
    assert out.counts().tolist() == [[0.0, 0.0]]
    lb.losses.first_spike_times(out).sum().backward()
    assert (layer.weight.grad[:2] < 0).all()  # more weight, earlier spike
    assert (layer.weight.grad[2] == 0).all()


def test_results_do_not_depend_on_threads():
    events, p = random_events(torch.Generator().manual_seed(9), batch=33), random_layer(9)
    threads, results = torch.get_num_threads(), []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            w = p["weight"].clone().requires_grad_()
            out = layer(p | {"weight": w}, events.times, events)
            out.times.sin().sum().backward()
            results.append((out.times, w.grad))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_runaway_excitation_is_an_error(monkeypatch):
    monkeypatch.setattr(exact, "SPIKE_LIMIT", 1000)
    p = random_layer(10)
    p["recurrent_weight"] = torch.full((4, 4), 50.0, dtype=torch.float64)
    events = random_events(torch.Generator().manual_seed(10))
    with pytest.raises(RuntimeError, match=r"sample 0: the layer spiked 4000 times, unit \d last at .* ms"):
        layer(p, events.times, events, delays=False)


def test_float32_times_stay_within_the_duration():
    one, end = torch.ones(1), np.nextafter(np.float32(50), np.float32(0))
    neuron = LIF(20 * one, 5 * one, one, min_slope=1e-6)
    early = exact.spikes(lb.Events.from_lists([[1.0]], [[0]], 1, 60.0), neuron, dense(9.0 * one.view(1, 1)), None)
    # the same spike, a hair before the end: it would round up to the duration
    start = 50 - (early.times[0].item() - 1) - 1e-7
    times = torch.tensor([start], dtype=torch.float64)
    x = lb.Events(times, torch.tensor([0]), torch.tensor([0, 1]), 1, 50.0)
    late = exact.spikes(x, neuron, dense(9.0 * one.view(1, 1)), None)
    assert late.times.dtype is torch.float64
    as_float32 = lb.Events(times.float(), x.units, x.offsets, 1, 50.0)
    w = (9.0 * one.view(1, 1)).requires_grad_()
    out = exact.spikes(as_float32, neuron, dense(w), None)
    assert (out.times <= end).all()


def test_no_input_no_spikes():
    out = lb.LIF(3, 2, recurrent=True, dt=None)(lb.Events.from_lists([[], []], [[], []], 3, 10.0))
    assert len(out.times) == 0
    assert len(out) == 2


@pytest.mark.parametrize("graded", [False, True])
def test_operation_is_registered_properly(graded):
    events, p = random_events(torch.Generator().manual_seed(11)), random_layer(11)
    weight = torch.cat([p["weight"], p["recurrent_weight"]]).flatten().requires_grad_()
    delay = torch.zeros(36, dtype=torch.float64).requires_grad_()
    args = (
        events.times.clone().requires_grad_(), events.units, events.offsets,
        torch.ones_like(events.times).requires_grad_() if graded else None,
        [p[name].requires_grad_() for name in ("tau_mem", "tau_syn", "threshold", "bias")],
        [torch.arange(0, 37, 4), torch.arange(4, dtype=torch.int32).repeat(9), weight, delay], 5, DURATION, 1e-9, True,
        [15.0, 4.0] if graded else [],
    )  # fmt: skip
    torch.library.opcheck(torch.ops.lambent.spikes_exact, args)
