"""`grid_cpu` against `reference`: spikes equal, gradients to rounding."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from grid_cases import NAMES, dense, operation_arguments, random_events, random_layer, run, run_voltages, same
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import lambent as lb
from lambent.engines import engine_for, reference
from lambent.engines.grid import cpu as grid_cpu
from lambent.engines.groups import sample_groups
from lambent.neurons import LIF, Integrator


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
def test_lif_equals_reference(dtype, reset, delays, recurrent):
    g = torch.Generator().manual_seed(3)
    events = random_events(g, 5, 60, 12, 0.1, dtype=dtype)
    p = random_layer(g, 12, 9, dtype)
    expected = run(reference, events, p, reset, delays, recurrent)
    assert len(expected[0].times) > 50
    assert expected[0].counts()[:, 0].sum() == 0
    same(expected, run(grid_cpu, events, p, reset, delays, recurrent), dtype)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 9),
    steps=st.integers(1, 40),
    size=st.integers(1, 20),
    drive=st.sampled_from([0.0, 1.0, 4.0]),
    dt=st.sampled_from([1.0, 0.5, 0.1, 2.0]),
    reset=st.sampled_from(["zero", "subtract"]),
    delays=st.booleans(),
    recurrent=st.booleans(),
)
def test_random_networks(seed, batch, steps, size, drive, dt, reset, delays, recurrent):
    g = torch.Generator().manual_seed(seed)
    events = random_events(g, batch, steps, 7, 0.2, dt)
    p = random_layer(g, 7, size, drive=drive)
    same(
        run(reference, events, p, reset, delays, recurrent, dt),
        run(grid_cpu, events, p, reset, delays, recurrent, dt),
        torch.float64,
    )


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_voltages_equal_reference(dt):
    g = torch.Generator().manual_seed(4)
    events = random_events(g, 4, 50, 6, 0.2, dt)
    p = random_layer(g, 6, 5)
    expected, got = (run_voltages(engine, events, p, dt) for engine in (reference, grid_cpu))
    for a, b in zip(expected, got, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)


def test_many_spikes_grow_the_buffers():
    # one unit per sample firing in every step: far beyond the 64 spikes a unit that buffers begin with
    events = lb.Events.from_dense(torch.ones(2, 400, 1, dtype=torch.int32), 1.0)
    neuron = LIF(torch.full((1,), 20.0), torch.full((1,), 5.0), torch.ones(1))
    out = grid_cpu.spikes(events, neuron, dense(torch.full((1, 1), 100.0)), None, 1.0)
    assert out.counts().tolist() == [[399.0], [399.0]]
    assert out.times[:399].tolist() == [float(n) for n in range(1, 400)]


def test_thread_count_does_not_matter():
    g = torch.Generator().manual_seed(5)
    events = random_events(g, 33, 80, 12, 0.1, dtype=torch.float32)
    p = random_layer(g, 12, 9, torch.float32)
    threads = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            results.append(run(grid_cpu, events, p, "zero", True, True))
    finally:
        torch.set_num_threads(threads)
    for out, grads in results[1:]:
        assert torch.equal(out.times, results[0][0].times)
        assert all(torch.equal(grads[k], results[0][1][k]) for k in NAMES)


@pytest.mark.parametrize("value", [0.01, -0.01, 0.0])
def test_silent_units_get_a_gradient_at_their_highest_voltage(value: float) -> None:
    """Or that of the mean voltage where they never rise above rest."""
    # far below threshold, dV_max / dw is exact: V is linear in the weight
    events = lb.Events.from_lists([[0.0, 3.0]], [[0, 0]], 1, 50.0, dtype=torch.float64)
    weight = torch.full((1, 1), value, dtype=torch.float64, requires_grad=True)
    tau_mem, tau_syn, threshold = (torch.full((1,), x, dtype=torch.float64) for x in (20.0, 5.0, 2.0))
    neuron = LIF(tau_mem, tau_syn, threshold, min_slope=0.1)
    out = grid_cpu.spikes(events, neuron, dense(weight), None, 1.0)
    assert out.counts().tolist() == [[0.0]]
    out.counts().sum().backward()
    response = grid_cpu.levels(events, Integrator(tau_mem, tau_syn), dense(torch.ones_like(weight)), 1.0)
    expected = response.max() if value > 0 else response.mean()
    assert weight.grad.item() == pytest.approx(expected.item() / 2.0, rel=1e-12)


def test_first_spike_converges_to_the_continuous_solution():
    """Time of the first spike and its gradient against root finding on the closed form, first order in dt."""
    g = torch.Generator().manual_seed(6)
    tau_mem, tau_syn, inputs = 20.0, 5.0, 12
    arrivals = torch.sort(torch.rand(inputs, generator=g, dtype=torch.float64) * 20).values
    weights = torch.rand(inputs, 1, generator=g, dtype=torch.float64) + 1

    def voltage(t):
        lag = np.maximum(t - arrivals.numpy(), 0)
        scale = tau_syn / (tau_mem - tau_syn)
        return scale * (np.exp(-lag / tau_mem) - np.exp(-lag / tau_syn))

    time = brentq(lambda t: voltage(t) @ weights.numpy()[:, 0] - 1, 0, 20, xtol=1e-12)
    slope = (voltage(time + 1e-5) - voltage(time - 1e-5)) @ weights.numpy()[:, 0] / 2e-5
    exact = -voltage(time) / slope

    errors = []
    for dt in (0.4, 0.1, 0.025):
        w = weights.clone().requires_grad_()
        one = torch.ones(1, dtype=torch.float64)
        events = lb.Events(arrivals, torch.arange(inputs), torch.tensor([0, inputs]), inputs, 60.0)
        neuron = LIF(tau_mem * one, tau_syn * one, one, min_slope=0.01)
        first = lb.losses.first_spike_times(grid_cpu.spikes(events, neuron, dense(w), None, dt))
        assert abs(first.item() - time) < 2 * dt
        first.sum().backward()
        errors.append(np.linalg.norm(w.grad[:, 0].numpy() - exact) / np.linalg.norm(exact))
    assert errors[0] < 0.1
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2


def test_operations_are_registered_properly():
    g = torch.Generator().manual_seed(7)
    events = random_events(g, 3, 20, 4, 0.3, dtype=torch.float32)
    p = random_layer(g, 4, 3, torch.float32)
    neuron, inputs = LIF(p["tau_mem"], p["tau_syn"], p["threshold"]), dense(p["weight"], p["delay"])
    graded = events.with_values(torch.rand(len(events.times), generator=g) + 0.5)
    for x, payload in ((events, []), (graded, [3.0, 0.3])):
        kinds, spikes, leaves, steps = operation_arguments(x, neuron, inputs, dense(p["recurrent"]))
        args = (*kinds, *spikes, *leaves, steps, 1.0, payload, [], None)
        torch.library.opcheck(torch.ops.lambent.spikes_grid_cpu, args)
        kinds, spikes, leaves, steps = operation_arguments(x, Integrator(p["tau_mem"], p["tau_syn"]), inputs)
        torch.library.opcheck(torch.ops.lambent.levels_grid_cpu, (*kinds[:2], *spikes, *leaves[:2], steps))


def test_engine_for_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="meta"):
        engine_for(torch.device("meta"), 1.0)


def test_groups_cover_every_batch():
    for batch in (*range(1, 70), 1000):
        bounds = sample_groups(batch)
        assert bounds[0][0] == 0
        assert bounds[-1][1] == batch
        assert all(a[1] == b[0] for a, b in pairwise(bounds))
        assert len(bounds) <= 8
        assert np.all([b > a for a, b in bounds])


@pytest.mark.parametrize(("dt", "delay", "duration", "expected"), [(0.01, 39.99, 50.0, 2500), (1.0, 2**25, 50.0, None)])
def test_long_delays_reach_the_right_unit(dt, delay, duration, expected):
    """In many steps of many units; and those past the end take no memory."""
    layer = lb.LIF(1, 5001, dt=dt, delay=delay, max_delay=1e9)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 2500] = 100.0 / dt
    events = lb.Events.from_lists([[0.0]], [[0]], 1, duration)
    out = layer(events)
    assert set(out.units.tolist()) == ({expected} if expected else set())
    if expected:
        assert out.times[0].item() == pytest.approx(delay + dt)
        out.counts().sum().backward()
        assert layer.weight.grad[0, 2500] != 0


def test_too_long_delays():
    layer = lb.LIF(1, 1000, dt=0.001, delay=1100.0, max_delay=2000.0)
    with pytest.raises(ValueError, match="delays of 1100000 steps are too long for 1000 units"):
        layer(lb.Events.from_lists([[]], [[]], 1, 3000.0))


_LONG_SAMPLE = """
import resource, sys, torch, lambent as lb
def run(layer, readout, duration):
    times = torch.linspace(0, 900, 300)
    events = lb.Events(times, (torch.arange(300) % 10).int(), torch.tensor([0, 300]), 10, duration)
    readout(layer(events)).sum().backward()
layer = lb.LIF(10, 256, recurrent=True, delay=5.0)
readout = lb.LIReadout(256, 20)
for x in (layer, readout):
    x.tau_mem.requires_grad_(bool(int(sys.argv[1])))
run(layer, readout, 1000.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(layer, readout, 200_000.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("trained", [0, 1])
def test_memory_does_not_grow_with_steps(trained):
    """200,000 steps, of which an array of floats per unit would take 200 MB."""
    pytest.importorskip("resource", reason="peak memory is read where there is the module resource")
    ran = subprocess.run([sys.executable, "-c", _LONG_SAMPLE, str(trained)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 30_000  # kB


@pytest.mark.parametrize(("dt", "tau"), [(0.001, 1000.0), (0.01, 50_000.0), (1.0, 1e5)])
def test_decays_hold_where_float32_would_not(dt, tau):
    """float32 knows 1,000 ms at a step of 0.001 ms as 987."""
    duration = 80_000 * dt
    readout = lb.LIReadout(1, 1, tau_mem=tau, tau_syn=dt, dt=dt, reduce="none")
    v = readout(lb.Events.from_lists([[0.0]], [[0]], 1, duration))[0, :, 0].double()
    assert readout.weight.dtype == torch.float32
    fades = torch.log(v[1000] / v[-1]).item()
    assert fades == pytest.approx((len(v) - 1001) * dt / tau, rel=1e-4)
    layer = lb.LIF(1, 1, tau_mem=tau, tau_syn=dt, dt=dt)
    out = layer(lb.Events.from_lists([[0.0]], [[0]], 1, duration))
    assert out.counts().dtype == torch.float32
