"""The same tests for every neuron, every kind of connections and every engine on a grid, against the reference."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from grid_cases import TOLERANCE, random_events
from refractory import Refractory, RefractoryUnits

import lambent as lb
from lambent.connections import CONNECTIONS, Dense, Sparse
from lambent.engines import reference
from lambent.engines.grid import cpu as grid_cpu
from lambent.neurons import LIF, NEURONS, AdaptiveLIF, Integrator

SIZE, INPUTS, STEPS = 6, 5, 40
DOUBLE = torch.float64


def taus(g):
    return torch.rand(SIZE, generator=g, dtype=DOUBLE) * 20 + 5, torch.rand(SIZE, generator=g, dtype=DOUBLE) * 5 + 2


def adaptive(g, **options):
    tau_adapt, beta = torch.linspace(60, 10, SIZE, dtype=DOUBLE), torch.linspace(0, 0.5, SIZE, dtype=DOUBLE)
    return with_threshold(AdaptiveLIF, g, tau_adapt=tau_adapt, beta=beta, **options)


def with_threshold(kind, g, **options):
    return kind(*taus(g), torch.rand(SIZE, generator=g, dtype=DOUBLE) * 0.5 + 0.7, **options)


MAKE_NEURON = {
    "LIF": partial(with_threshold, LIF),
    "LIF, subtract": partial(with_threshold, LIF, reset="subtract"),
    "AdaptiveLIF": adaptive,
    "AdaptiveLIF, subtract": partial(adaptive, reset="subtract"),
    "Integrator": lambda g: Integrator(*taus(g)),
    "Refractory": partial(with_threshold, Refractory),
}
SPIKING = [name for name in MAKE_NEURON if name != "Integrator"]


def weights(g, *shape):
    return torch.randn(*shape, generator=g, dtype=DOUBLE) * 1.5 + 0.3


def dense(g, n_in, delays, strength=1.0):
    delay = torch.rand(n_in, SIZE, generator=g, dtype=DOUBLE) * 9 if delays else None
    return Dense(n_in, SIZE, strength * weights(g, n_in, SIZE), delay)


def sparse(g, n_in, delays, strength=1.0):
    there = torch.rand(n_in, SIZE, generator=g) < 0.5
    there[1] = False  # a source that reaches nobody
    indices = there.nonzero().T
    n = indices.shape[1]
    delay = torch.rand(n, generator=g, dtype=DOUBLE) * 9 if delays else None
    return Sparse(n_in, SIZE, indices=indices, weight=3 * strength * weights(g, n), delay=delay)


MAKE_CONNECTIONS = {
    "Dense": partial(dense, delays=False),
    "Dense, delays": partial(dense, delays=True),
    "Sparse": partial(sparse, delays=False),
    "Sparse, delays": partial(sparse, delays=True),
}
ENGINES = {"cpu": grid_cpu}
try:
    from lambent.engines.grid import gpu as grid_gpu

    ENGINES["gpu"] = grid_gpu
except ImportError:
    pass


def test_nobody_is_left_out():
    """Every neuron and all connections of the package's lists are in the tables above."""
    g = torch.Generator().manual_seed(0)
    assert {type(make(g)) for make in MAKE_NEURON.values()} == {*NEURONS, Refractory}
    assert {type(make(g, INPUTS)) for make in MAKE_CONNECTIONS.values()} == {*CONNECTIONS}


def layer(neuron, inputs, recurrent=None):
    g = torch.Generator().manual_seed(5)
    own = None if recurrent is None else MAKE_CONNECTIONS[recurrent](g, SIZE, strength=0.3)
    return MAKE_NEURON[neuron](g), MAKE_CONNECTIONS[inputs](g, INPUTS), own


def leaves(*values):
    """Copies whose parameters are leaves that want gradients, and these by name."""
    out, found = [], {}
    for i, value in enumerate(values):
        if value is None:
            out.append(None)
            continue
        own = {n: getattr(value, n) for n in value.parameters if getattr(value, n) is not None}
        own = {n: x.detach().clone().requires_grad_() for n, x in own.items()}
        found |= {f"{i} {n}": x for n, x in own.items()}
        out.append(value.with_values(**own))
    return out, found


def events():
    return random_events(torch.Generator().manual_seed(3), 4, STEPS, INPUTS, 0.15)


def outcome(engine, neuron, inputs, recurrent):
    (neuron, inputs, own), found = leaves(*layer(neuron, inputs, recurrent))
    e = events()
    times = e.times.clone().requires_grad_()
    x = lb.Events(times, e.units, e.offsets, e.n_units, e.duration)
    out = engine.spikes(x, neuron, inputs, own, 1.0)
    weigh = torch.cos(torch.arange(out.counts().numel(), dtype=DOUBLE)).view_as(out.counts())
    ((out.counts() * weigh).sum() + torch.sin(0.1 * out.times + out.units).sum()).backward()
    return out, {"times": times.grad} | {n: x.grad for n, x in found.items()}


def assert_same_gradients(expected, got):
    for name, grad in expected.items():
        assert (got[name] - grad).abs().max() <= TOLERANCE[DOUBLE] * grad.abs().max().clamp(min=1e-12), name


PAIRS = [(n, c, r) for n in SPIKING for c in MAKE_CONNECTIONS for r in (None, c) if n == "LIF" or c.startswith("Dense")]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("neuron", "inputs", "recurrent"), PAIRS)
def test_spikes_and_gradients_equal_the_reference(engine, neuron, inputs, recurrent):
    if engine == "gpu" and inputs.startswith("Sparse"):
        with pytest.raises(NotImplementedError, match="Sparse connections do not run on a GPU yet"):
            outcome(ENGINES[engine], neuron, inputs, recurrent)
        return
    expected, gradients = outcome(reference, neuron, inputs, recurrent)
    out, found = outcome(ENGINES[engine], neuron, inputs, recurrent)
    assert len(expected.times) > 20
    assert torch.equal(out.units, expected.units)
    assert torch.equal(out.offsets, expected.offsets)
    assert torch.allclose(out.times, expected.times)
    assert torch.equal(out.counts(), expected.counts())
    assert_same_gradients(gradients, found)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("inputs", MAKE_CONNECTIONS)
def test_levels_and_gradients_equal_the_reference(engine, inputs):
    def outcome(engine):
        (neuron, connections), found = leaves(*layer("Integrator", inputs)[:2])
        v = engine.levels(events(), neuron, connections, 1.0)
        (v * torch.sin(torch.arange(v.numel(), dtype=DOUBLE).view_as(v))).sum().backward()
        return v.detach(), {n: x.grad for n, x in found.items()}

    if engine == "gpu" and inputs.startswith("Sparse"):
        with pytest.raises(NotImplementedError, match="Sparse connections do not run on a GPU yet"):
            outcome(ENGINES[engine])
        return
    (expected, gradients), (v, found) = outcome(reference), outcome(ENGINES[engine])
    assert torch.allclose(v, expected, rtol=1e-9, atol=1e-11)
    assert_same_gradients(gradients, found)


# -- a neuron's functions among themselves ---------------------------------------------------------------------------


def numbers(neuron, dt, seed=1):
    """The units of a neuron, a state near the threshold, and an adjoint."""
    g = torch.Generator().manual_seed(seed)
    p = MAKE_NEURON[neuron](g).on_grid(dt, DOUBLE)
    p = type(p)(*(f.detach().requires_grad_() for f in p))
    x, a = ([torch.randn(SIZE, generator=g, dtype=DOUBLE) for _ in range(p.n_states)] for _ in range(2))
    x[0] = x[0].abs() + 3  # a current that drives the membrane up
    if neuron == "Refractory":
        x[2] = torch.tensor([0.0, 0.0, dt, 2 * dt, 3 * dt, 0.0], dtype=DOUBLE)
    return p, tuple(v.requires_grad_() for v in x), tuple(a)


@pytest.mark.parametrize("neuron", MAKE_NEURON)
def test_retreat_and_gradient_are_the_derivative_of_advance(neuron):
    p, x, a = numbers(neuron, 1.0)
    kind, arriving = type(p), torch.linspace(-1, 2, SIZE, dtype=DOUBLE).requires_grad_()
    out = kind.advance(x, arriving, p)
    fields = [getattr(p, name) for name in kind.step_gradients]
    expected = torch.autograd.grad(out, (*x, arriving, *fields), a, allow_unused=True, materialize_grads=True)
    back, d_arriving = kind.retreat(a, x, arriving, p)
    found = (*back, d_arriving, *kind.gradient(a, d_arriving, x, arriving, p))
    for theirs, ours in zip(expected, found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("neuron", MAKE_NEURON)
def test_lift_is_the_derivative_of_level(neuron):
    p, x, a = numbers(neuron, 1.0)
    expected = torch.autograd.grad(type(p).level(x, p), x, a[0], allow_unused=True, materialize_grads=True)
    for theirs, ours in zip(expected, type(p).lift(a[0], p), strict=True):
        assert torch.allclose(ours, theirs)


def flow(kind, x, p, dt):
    """dx/dt between events, from one very short step."""
    return [(new - old) / dt for new, old in zip(kind.advance(x, torch.zeros(SIZE, dtype=DOUBLE), p), x, strict=True)]


@pytest.mark.parametrize("neuron", MAKE_NEURON)
def test_drift_is_what_a_later_arrival_does(neuron):
    """DESIGN 4.1: dL/dt_arrival = a . (f(x-) - f(x+)), with a step that goes to 0."""
    dt = 1e-6
    p, x, a = numbers(neuron, dt)
    kind, one = type(p), torch.ones(SIZE, dtype=DOUBLE)
    if neuron == "Refractory":
        x = (x[0], x[1], torch.zeros_like(x[2]))
    after = kind.advance(x, one, p)
    silent = kind.advance(x, 0 * one, p)
    shifted = tuple(v + (b - c) for v, b, c in zip(x, after, silent, strict=True))
    expected = sum(b * (f - h) for b, f, h in zip(a, flow(kind, x, p, dt), flow(kind, shifted, p, dt), strict=True))
    _, arriving = kind.retreat(a, x, one, p)
    assert torch.allclose(kind.drift(arriving, a, p), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("neuron", SPIKING)
def test_jump_and_spike_gradient_are_those_of_the_general_rule(neuron):
    """DESIGN 4.1: a(-) = g_x^T a(+) - e_x [a(+).(g_x f(-) - f(+)) + G] / (e_x.f(-)), with a step that goes to 0.

    Parameters likewise: dL/dp = g_p^T a(+) - e_p [...] / (e_x.f(-)).
    """
    dt = 1e-6
    p, x, a = numbers(neuron, dt)
    kind = type(p)
    x = [x[0], torch.zeros_like(x[1]), *(0 * v if neuron == "Refractory" else v for v in x[2:])]
    x[1] = p.threshold - kind.level(x, p)
    x = tuple(v.detach().requires_grad_() for v in x)
    pull, push = torch.linspace(-2, 3, SIZE, dtype=DOUBLE), torch.linspace(1, 2, SIZE, dtype=DOUBLE)
    fields = [getattr(p, name) for name in kind.spike_gradients]
    grad = partial(torch.autograd.grad, allow_unused=True, materialize_grads=True, retain_graph=True)
    after = kind.reset(x, p)
    before, later = flow(kind, x, p, dt), flow(kind, tuple(v.detach() for v in after), p, dt)
    carried, carried_fields = grad(after, x, a), grad(after, fields, a)
    moved = sum(c * f for c, f in zip(carried, before, strict=True)) - sum(b * f for b, f in zip(a, later, strict=True))
    excess = kind.level(x, p) - p.threshold
    e_x, e_p = (grad(excess, of, torch.ones(SIZE, dtype=DOUBLE)) for of in (x, fields))
    slope = sum(e * f for e, f in zip(e_x, before, strict=True))
    expected = [
        c + e * (push - (moved + pull) / slope) for c, e in zip((*carried, *carried_fields), (*e_x, *e_p), strict=True)
    ]
    marks = kind.marks(x, p)
    found = kind.jump(a, pull, push, marks, p)
    for theirs, ours in zip(expected, (*found, *kind.spike_gradient(found, marks, p)), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


# -- a neuron of one's own -------------------------------------------------------------------------------------------


def test_a_neuron_of_ones_own_trains():
    torch.manual_seed(0)
    data = lb.data.yin_yang(300, seed=0)
    events, labels = data.batch(range(300))
    hidden = lb.Spiking(Refractory(period=2.0), lb.connections.Dense(data.n_units, 40))
    model = torch.nn.Sequential(hidden, lb.LIReadout(40, 3, reduce="max"))
    lb.training.calibrate(model, events, 3.0)
    hidden.tau_mem.requires_grad_()
    hidden.threshold.requires_grad_()
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(lb.losses.readout_cross_entropy(model(events), labels, scale=5.0))
        losses[-1].backward()
        optimizer.step()
        hidden.constrain_()
    assert losses[-1] < 0.7 * losses[0]
    assert (hidden.tau_mem != 20.0).any()
    spikes = hidden(events).to_dense(1.0)[:, :, :].bool()
    assert not (spikes[:, 1:] & spikes[:, :-1]).any()  # two steps of rest after a spike


def test_what_a_neuron_cannot_do_is_named():
    with pytest.raises(ValueError, match="Refractory has no solution in continuous time"):
        lb.Spiking(Refractory(), Dense(2, 3), dt=None)
    layer = lb.Spiking(Untrained(), Dense(2, 3))
    layer.tau_mem.requires_grad_()
    with pytest.raises(NotImplementedError, match="Untrained has no gradient with respect to alpha_mem"):
        layer(lb.Events.from_lists([[1.0]], [[0]], 2, 5.0))


class UntrainedUnits(RefractoryUnits):
    """Units that know no gradients of their fields."""

    step_gradients = spike_gradients = ()


class Untrained(Refractory):
    """A neuron that does not learn."""

    def on_grid(self, dt, dtype):
        return UntrainedUnits(*super().on_grid(dt, dtype))
