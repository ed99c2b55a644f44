"""The same tests for every neuron, every kind of connections and every engine on a grid, against the reference."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch
from grid_cases import CUDA, TOLERANCE, random_events
from own import DeepReset, DeepResetUnits, Untrained

import lambent as lb
from lambent.connections import CONNECTIONS, AvgPool2d, Conv1d, Conv2d, Dense, Sparse, SumPool2d
from lambent.engines import reference
from lambent.engines.grid import cpu as grid_cpu
from lambent.engines.kinds import class_of, kind_of
from lambent.neurons import LIF, NEURONS, AdaptiveLIF, AdLIF, Equations, Integrator, RefractoryLIF, Resonator

SIZE, INPUTS, STEPS = 6, 12, 40
DOUBLE = torch.float64


def taus(g):
    return torch.rand(SIZE, generator=g, dtype=DOUBLE) * 20 + 5, torch.rand(SIZE, generator=g, dtype=DOUBLE) * 5 + 2


def adaptive(g, **options):
    tau_adapt, beta = torch.linspace(60, 10, SIZE, dtype=DOUBLE), torch.linspace(0.5, 0, SIZE, dtype=DOUBLE)
    return with_threshold(AdaptiveLIF, g, tau_adapt=tau_adapt, beta=beta, **options)


def adlif(g, **options):
    tau_adapt, a = torch.linspace(30, 10, SIZE, dtype=DOUBLE), torch.linspace(1, 0, SIZE, dtype=DOUBLE)
    return with_threshold(AdLIF, g, tau_adapt=tau_adapt, a=a, b=0.5 * a, **options)


def refractory(g):
    return with_threshold(RefractoryLIF, g, t_ref=torch.linspace(4, 0, SIZE, dtype=DOUBLE))


def resonator(g, **options):
    return Resonator(*(3 * taus(g)[0], torch.linspace(5, 12, SIZE, dtype=DOUBLE), 0.7 + taus(g)[1] / 10), **options)


def equations(g):
    """A current with a bias, and a threshold that follows it."""
    tau_mem, tau_syn = taus(g)
    return Equations(
        "di/dt = -i / tau_syn; dv/dt = (i + bias - v) / tau_mem; dh/dt = (v / 2 - h) / tau_h",
        spike="v > theta + beta * h",
        reset="v -= theta; h += jump",
        input="i",
        **{"tau_mem": tau_mem, "tau_syn": tau_syn, "tau_h": tau_mem + 10, "theta": 0.7 + tau_syn / 10},
        **{"bias": torch.linspace(0.3, 0, SIZE, dtype=DOUBLE), "beta": 0.2 + tau_syn / 50, "jump": 0.1 + tau_syn / 50},
    )


def nonlinear_equations(g):
    """Quadratic integrate and fire, with a current that saturates."""
    tau_mem, tau_syn = taus(g)
    return Equations(
        """
        di/dt = -i / tau_syn
        dv/dt = (i + gain * v ** 2 - v - w) / tau_mem  # and w below
        dw/dt = (tanh(a * v) - w + 0.1 * exp(-w)) / tau_w
        """,
        spike="v >= theta",
        reset="v = low; w += b",
        input="i",
        **{"tau_mem": tau_mem, "tau_syn": tau_syn, "tau_w": tau_mem + 10, "theta": 0.7 + tau_syn / 10},
        **{"gain": tau_syn / 10, "a": tau_syn / 10, "b": tau_syn / 20, "low": -tau_syn / 20},
    )


def oscillating_equations(g):
    """A resonator that its inputs enter without a current between."""
    return Equations(
        "dx/dt = -x / tau - turn * y; dy/dt = turn * x - y / tau",
        spike="y > theta", reset="x = 0; y *= 0.5", input="x",
        **{"tau": taus(g)[0], "turn": torch.linspace(1, 0.5, SIZE, dtype=DOUBLE), "theta": 0.7 + taus(g)[1] / 10},
    )  # fmt: skip


def with_threshold(kind, g, **options):
    return kind(*taus(g), torch.rand(SIZE, generator=g, dtype=DOUBLE) * 0.5 + 0.7, **options)


MAKE_NEURON = {
    "LIF": partial(with_threshold, LIF),
    "LIF, subtract": partial(with_threshold, LIF, reset="subtract"),
    "LIF, bias": lambda g: with_threshold(LIF, g, bias=torch.linspace(0.5, -0.1, SIZE, dtype=DOUBLE)),
    "AdaptiveLIF": adaptive,
    "AdaptiveLIF, subtract": partial(adaptive, reset="subtract"),
    "AdLIF": adlif,
    "AdLIF, subtract": partial(adlif, reset="subtract"),
    "RefractoryLIF": refractory,
    "Resonator": resonator,
    "Resonator, phase": partial(resonator, rule="phase"),
    "Equations": equations,
    "Equations, nonlinear": nonlinear_equations,
    "Equations, oscillating": oscillating_equations,
    "Integrator": lambda g: Integrator(*taus(g)),
    "own": partial(with_threshold, DeepReset),
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


def conv(kind, g, n_in, delays, strength=1.0):
    """From 12 units to 6, padded and with gaps, or from 6 to 6."""
    if kind is Conv1d:
        made = Conv1d((2, 6), 2, 2, dilation=3, groups=2) if n_in == INPUTS else Conv1d((2, 3), 2, 3, padding=1)
    elif n_in == INPUTS:
        made = Conv2d((1, 3, 4), 2, 3, stride=(1, 2), padding=(1, 0))
    else:
        made = Conv2d((2, 1, 3), 2, (1, 3), padding=(0, 1), groups=2)
    shape = made.parameter_shape
    delay = torch.rand(shape, generator=g, dtype=DOUBLE) * 9 if delays else None
    return made.with_values(weight=3 * strength * (weights(g, *shape) + 0.7), delay=delay)


def pool(kind, g, n_in, delays, strength=1.0):
    """From 12 units to 6, or from 6 to 6; windows overlap."""
    weight = torch.tensor(7.0 * strength, dtype=DOUBLE)
    made = kind((2, 3, 2), (3, 2), 1, (1, 0), weight) if n_in == INPUTS else kind((2, 1, 3), (1, 3), 1, (0, 1), -weight)
    return made.with_values(delay=torch.rand(made.parameter_shape, generator=g, dtype=DOUBLE) * 9 if delays else None)


MAKE_CONNECTIONS = {
    "Dense": partial(dense, delays=False),
    "Dense, delays": partial(dense, delays=True),
    "Sparse": partial(sparse, delays=False),
    "Sparse, delays": partial(sparse, delays=True),
    "Conv1d": partial(conv, Conv1d, delays=False),
    "Conv1d, delays": partial(conv, Conv1d, delays=True),
    "Conv2d": partial(conv, Conv2d, delays=False),
    "Conv2d, delays": partial(conv, Conv2d, delays=True),
    "SumPool2d": partial(pool, SumPool2d, delays=False),
    "SumPool2d, delays": partial(pool, SumPool2d, delays=True),
    "AvgPool2d": partial(pool, AvgPool2d, delays=False),
}
ENGINES = {"cpu": grid_cpu}
try:
    from lambent.engines.grid import gpu as grid_gpu

    ENGINES["gpu"] = grid_gpu
except ImportError:
    pass


@pytest.mark.parametrize("neuron", MAKE_NEURON)
def test_states_have_all_a_name_or_none(neuron):
    made = MAKE_NEURON[neuron](torch.Generator().manual_seed(0))
    assert len(made.state_names) in (0, made.on_grid(1.0, DOUBLE).n_states)


def test_nobody_is_left_out():
    """Every neuron and all connections of the package's lists are in the tables above."""
    g = torch.Generator().manual_seed(0)
    assert {type(make(g)) for make in MAKE_NEURON.values()} == {*NEURONS, DeepReset}
    assert {type(make(g, INPUTS)) for make in MAKE_CONNECTIONS.values()} == {*CONNECTIONS}


def layer(neuron, inputs, recurrent=None):
    g = torch.Generator().manual_seed(5)
    own = None if recurrent is None else MAKE_CONNECTIONS[recurrent](g, SIZE, strength=0.3)
    return MAKE_NEURON[neuron](g), MAKE_CONNECTIONS[inputs](g, INPUTS), own


def leaves(*values, only=None):
    """Copies whose parameters (`only` these, if given) are leaves that want gradients, and these by name."""
    out, found = [], {}
    for i, value in enumerate(values):
        if value is None:
            out.append(None)
            continue
        given = (n for n in value.parameters if getattr(value, n) is not None)
        own = {n: getattr(value, n) for n in given if only is None or n in only}
        own = {n: x.detach().clone().requires_grad_() for n, x in own.items()}
        found |= {f"{i} {n}": x for n, x in own.items()}
        out.append(value.with_values(**own))
    return out, found


def events():
    return random_events(torch.Generator().manual_seed(3), 2, STEPS, INPUTS, 0.4)


def device_of(engine):
    return "cuda" if CUDA and engine is ENGINES.get("gpu") else "cpu"


def moved(value, device):
    """Units or connections on a device."""
    if value is None:
        return None
    there = {n: getattr(value, n) for n in (*value.parameters, *getattr(value, "buffers", ()))}
    return value.with_values(**{n: x.to(device) for n, x in there.items() if x is not None})


def outcome(engine, neuron, inputs, recurrent):
    return outcome_of(engine, layer(neuron, inputs, recurrent), events())


def outcome_of(engine, made, e, only=None, of_times=True):
    (neuron, inputs, own), found = leaves(*made, only=only)
    times = e.times.clone().requires_grad_(of_times)
    x = lb.Events(times, e.units, e.offsets, e.n_units, e.duration)
    device = device_of(engine)
    there = (moved(value, device) for value in (neuron, inputs, own))
    out = engine.spikes(x.to(device), *there, 1.0).to("cpu")
    weigh = torch.cos(torch.arange(out.counts().numel(), dtype=DOUBLE)).view_as(out.counts())
    ((out.counts() * weigh).sum() + torch.sin(0.1 * out.times + out.units).sum()).backward()
    of_times = {"times": times.grad} if of_times else {}
    return out, of_times | {n: x.grad for n, x in found.items()}


def assert_same_gradients(expected, got):
    for name, grad in expected.items():
        assert (got[name] - grad).abs().max() <= TOLERANCE[DOUBLE] * grad.abs().max().clamp(min=1e-12), name


# LIF with everything, other neurons with the least and the most: each pair is compiled for itself
PAIRS = [("LIF", c, r) for c in MAKE_CONNECTIONS for r in (None, c)]
PAIRS += [(n, *c) for n in SPIKING if n != "LIF" for c in (("Dense", None), ("Dense, delays", "Dense, delays"))]
PAIRS += [("LIF", "Dense", "Sparse, delays"), ("LIF", "Sparse", "Dense"), ("RefractoryLIF", "Sparse, delays", "Dense")]
PAIRS += [
    ("LIF", "Conv2d", "Dense"),
    ("LIF", "Dense, delays", "Conv2d, delays"),
    ("RefractoryLIF", "Conv2d, delays", "SumPool2d"),
]
# Triton's interpreter takes seconds for each: every neuron once, every kind of connections on one side
ON_GPU = [(n, "Dense, delays", "Dense, delays") for n in SPIKING] + [("LIF", "Dense", None), ("LIF", "Dense", "Dense")]
ON_GPU += [("LIF", c, None) for c in ("Sparse", "Conv1d", "Conv2d, delays", "SumPool2d, delays", "AvgPool2d")]
ON_GPU += [("LIF", "Dense", "Sparse, delays"), ("LIF", "Dense, delays", "Conv2d, delays")]
RUNS = [("cpu", *pair) for pair in PAIRS] + [("gpu", *pair) for pair in ON_GPU if "gpu" in ENGINES]


@pytest.mark.parametrize(("engine", "neuron", "inputs", "recurrent"), RUNS)
def test_spikes_and_gradients_equal_the_reference(engine, neuron, inputs, recurrent):
    expected, gradients = outcome(reference, neuron, inputs, recurrent)
    out, found = outcome(ENGINES[engine], neuron, inputs, recurrent)
    assert len(expected.times) > 12
    assert torch.equal(out.units, expected.units)
    assert torch.equal(out.offsets, expected.offsets)
    assert torch.allclose(out.times, expected.times)
    assert torch.equal(out.counts(), expected.counts())
    assert_same_gradients(gradients, found)


@pytest.mark.parametrize(("only", "of_times"), [(["weight"], True), (["delay"], False), ([], True)])
@pytest.mark.parametrize("inputs", ["Dense", "Dense, delays", "Sparse, delays", "Conv2d, delays"])
def test_gradients_are_the_same_where_others_are_not_wanted(inputs, only, of_times):
    made = layer("LIF", inputs)
    if made[1].delay is None and "delay" in only:
        only = ["weight"]
    _, gradients = outcome_of(reference, made, events())
    _, found = outcome_of(grid_cpu, made, events(), only, of_times)
    assert set(found) == {f"1 {name}" for name in only} | ({"times"} if of_times else set())
    assert_same_gradients({name: gradients[name] for name in found}, found)


@pytest.mark.parametrize("only", [None, ["weight", "delay"]])
@pytest.mark.parametrize(
    ("inputs", "recurrent", "factor"),
    [("Dense", "Dense", 1), ("Dense, delays", "Sparse, delays", 1), ("Dense, delays", "Dense, delays", 150)],
)
def test_long_samples_equal_the_reference(inputs, recurrent, factor, only):
    """The adjoint is worked out in chunks of steps, over whose ends spikes are under way."""
    e = random_events(torch.Generator().manual_seed(3), 1, 2200, INPUTS, 0.05)
    neuron, inputs, own = layer("LIF", inputs, recurrent)
    far = [c if c.delay is None else c.with_values(delay=factor * c.delay) for c in (inputs, own)]
    expected, gradients = outcome_of(reference, (neuron, *far), e, only)
    out, found = outcome_of(grid_cpu, (neuron, *far), e, only)
    assert len(expected.times) > 100
    assert torch.equal(out.units, expected.units)
    assert_same_gradients(gradients, found)


def test_long_levels_equal_the_reference():
    e = random_events(torch.Generator().manual_seed(3), 1, 2200, INPUTS, 0.05)

    def outcome(engine):
        (neuron, connections), found = leaves(*layer("Integrator", "Dense, delays")[:2])
        v = engine.levels(e, neuron, connections, 1.0)
        (v * torch.sin(torch.arange(v.numel(), dtype=DOUBLE).view_as(v))).sum().backward()
        return {n: x.grad for n, x in found.items()}

    assert_same_gradients(outcome(reference), outcome(grid_cpu))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("inputs", MAKE_CONNECTIONS)
def test_levels_and_gradients_equal_the_reference(engine, inputs):
    def outcome(engine):
        (neuron, connections), found = leaves(*layer("Integrator", inputs)[:2])
        device = device_of(engine)
        v = engine.levels(events().to(device), moved(neuron, device), moved(connections, device), 1.0).to("cpu")
        (v * torch.sin(torch.arange(v.numel(), dtype=DOUBLE).view_as(v))).sum().backward()
        return v.detach(), {n: x.grad for n, x in found.items()}

    (expected, gradients), (v, found) = outcome(reference), outcome(ENGINES[engine])
    assert torch.allclose(v, expected, rtol=1e-9, atol=1e-11)
    assert_same_gradients(gradients, found)


def test_connections_without_kernels_for_the_gpu_are_named():
    gpu = pytest.importorskip("lambent.connections.gpu")
    own = type("Own", (Dense,), {"__module__": __name__})
    with pytest.raises(NotImplementedError, match="Own connections do not run on a GPU yet"):
        gpu.gpu_connections(own)


# -- a neuron's functions among themselves ---------------------------------------------------------------------------


def numbers(neuron, dt, seed=1):
    """The units of a neuron, a state near the threshold, and an adjoint."""
    g = torch.Generator().manual_seed(seed)
    p = MAKE_NEURON[neuron](g).on_grid(dt, DOUBLE)
    p = type(p)(*(f.detach().requires_grad_() for f in p))
    x, a = ([torch.randn(SIZE, generator=g, dtype=DOUBLE) for _ in range(p.n_states)] for _ in range(2))
    x[0] = x[0].abs() + 3  # a current that drives the membrane up
    if neuron == "RefractoryLIF":
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
    for k, (theirs, ours) in enumerate(zip(expected, found, strict=True)):
        if neuron == "RefractoryLIF" and k == 2:
            continue  # what is left of the rest: where it ends it jumps, which autograd does not see; tested below
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
    if neuron == "RefractoryLIF":
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

    The same with p for x is what the spike adds to a field. A count's gradient moves the level, and so all of e.
    """
    dt = 1e-6
    p, x, a = numbers(neuron, dt)
    kind = type(p)
    x = [x[0], torch.zeros_like(x[1]), *(0 * v if neuron == "RefractoryLIF" else v for v in x[2:])]
    by_phase = neuron == "Resonator, phase"  # which spikes at Im = 0, whatever Re is, and whose level is Re
    if not by_phase:
        x[1] = p.threshold - kind.level(x, p)
    x = tuple(v.detach().requires_grad_() for v in x)
    pull, push = torch.linspace(-2, 3, SIZE, dtype=DOUBLE), torch.linspace(1, 2, SIZE, dtype=DOUBLE)
    variables = (*x, *(getattr(p, name) for name in kind.spike_gradients))
    gradient = partial(torch.autograd.grad, allow_unused=True, materialize_grads=True, retain_graph=True)
    after = kind.reset(x, p)
    before, later = flow(kind, x, p, dt), flow(kind, tuple(v.detach() for v in after), p, dt)
    carried = gradient(after, variables, a)
    one = torch.ones(SIZE, dtype=DOUBLE)
    level = gradient(kind.level(x, p) - p.threshold, variables, one)
    e = gradient(x[1], variables, one) if by_phase else level
    moved = sum(c * f for c, f in zip(carried, before, strict=False)) - sum(
        b * f for b, f in zip(a, later, strict=True)
    )
    slope = sum(e_x * f for e_x, f in zip(e, before, strict=False))
    expected = [c + high * push - e_v * (moved + pull) / slope for c, high, e_v in zip(carried, level, e, strict=True)]
    marks = kind.marks(x, p)
    found = kind.jump(a, pull, push, marks, p)
    for theirs, ours in zip(expected, (*found, *kind.spike_gradient(found, a, marks, p)), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("neuron", SPIKING)
def test_gradients_are_those_of_spike_times(neuron):
    """Against finite differences on a fine grid, where every spike but the first depends on those before it."""
    dt, g = 0.002, torch.Generator().manual_seed(2)
    units = MAKE_NEURON[neuron](g)
    names = [name for name in units.parameters if getattr(units, name) is not None]
    units = units.with_values(**{name: getattr(units, name)[:1].clone().requires_grad_() for name in names})
    weight = torch.tensor([[9.0], [7.0]], dtype=DOUBLE, requires_grad=True)
    times = torch.tensor([1.0, 3.0, 9.0, 11.0, 12.0, 20.0, 21.0, 22.0], dtype=DOUBLE)
    x = lb.Events(times, torch.tensor([0, 1, 0, 1, 1, 0, 1, 0]), torch.tensor([0, 8]), 2, 40.0)

    def last(units, weight):
        out = grid_cpu.spikes(x, units, Dense(2, 1, weight), None, dt)
        assert len(out.times) >= 3
        return out.times[2]

    leaves = [weight, *(getattr(units, name) for name in names)]
    found = torch.autograd.grad(last(units, weight), leaves)
    for k, (leaf, grad) in enumerate(zip(leaves, found, strict=True)):
        h = 0.01 * leaf.detach().flatten()[0]
        shifted = []
        for sign in (-1, 1):
            values = [v.detach().clone() for v in leaves]
            values[k].view(-1)[0] += sign * h
            shifted.append(last(units.with_values(**dict(zip(names, values[1:], strict=True))), values[0]).item())
        expected = (shifted[1] - shifted[0]) / (2 * h.item())
        rounding = dt / (2 * abs(h.item()))
        off = abs(grad.flatten()[0].item() - expected)
        assert off < 0.02 * abs(expected) + 0.02 + rounding, ["weight", *names][k]


# -- layers of every kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "recurrent"),
    [(c, r) for c in MAKE_CONNECTIONS for r in (None, c)]
    + [("Dense", "Sparse, delays"), ("SumPool2d", "Dense, delays")],
)
def test_layers_are_kept_whole(inputs, recurrent):
    """By deepcopy, pickle and `state_dict`, without the tensors that they were made with."""
    neuron, connections, own = layer("LIF", inputs, recurrent)
    one = lb.Spiking(neuron, connections, own)
    g = torch.Generator().manual_seed(6)
    others = [MAKE_CONNECTIONS[inputs](g, INPUTS), None if own is None else MAKE_CONNECTIONS[recurrent](g, SIZE)]
    other = lb.Spiking(LIF(), *others)
    if "Sparse" in inputs and other.indices.shape != one.indices.shape:
        with pytest.raises(RuntimeError, match="size mismatch for indices"):
            other.load_state_dict(one.state_dict())
        other = copy.deepcopy(one)
        other.indices.zero_()
    elif "Sparse" not in f"{recurrent}" or other.recurrent_indices.shape == one.recurrent_indices.shape:
        other.double()
    else:
        other = copy.deepcopy(one)
    other.load_state_dict(one.state_dict())
    x = events()
    expected = one.double()(x)
    for copied in (copy.deepcopy(one), pickle.loads(pickle.dumps(one)), other):
        out = copied(x)
        assert torch.equal(out.times, expected.times)
        assert torch.equal(out.units, expected.units)
    tensors = sum(t.nbytes for t in one.state_dict().values())
    assert len(pickle.dumps(one)) < 1.5 * tensors + 20_000


def test_what_a_layer_is_made_of_is_copied():
    connections = Dense(SIZE, SIZE, torch.rand(SIZE, SIZE))
    one, other = lb.Spiking(LIF(), connections, connections), lb.Spiking(LIF(), connections)
    before = connections.weight.clone()
    with torch.no_grad():
        one.weight.add_(1.0)
    for untouched in (connections.weight, one.recurrent_weight, other.weight):
        assert torch.equal(untouched, before)


@pytest.mark.parametrize("name", ["weight", "threshold", "delay", "recurrent_weight"])
def test_parameters_of_another_shape_are_named(name):
    one = lb.LIF(3, 4, recurrent=True, delay=1.0)
    x = lb.Events.from_lists([[1.0]], [[0]], 3, 9.0)
    setattr(one, name, torch.nn.Parameter(torch.ones(1, 1)))
    with pytest.raises(ValueError, match=rf"{name} must have shape \(.*\), got \(1, 1\)"):
        one(x)


def test_a_frozen_weight_with_trained_delays():
    neuron, inputs, _ = layer("LIF", "Dense, delays")
    results = []
    for engine in (reference, *ENGINES.values()):
        delay = inputs.delay.clone().requires_grad_()
        out = engine.spikes(events(), neuron, inputs.with_values(delay=delay), None, 1.0)
        out.times.sin().sum().backward()
        results.append(delay.grad)
    for found in results[1:]:
        assert torch.allclose(found, results[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0, 2), ValueError, "n_in must be at least 1"),
        (lambda: Dense(2, 2.5), TypeError, "n_out must be a whole number"),
        (lambda: Sparse(-1, 2, density=0.5), ValueError, "n_in must be at least 1"),
        (lambda: Sparse(2, 2), ValueError, "either density or indices"),
        (lambda: Sparse(2, 2, density=1.5), ValueError, "density must lie in"),
        (lambda: Sparse(2, 2, indices=[[0, 5], [1, 1]]), ValueError, "connection 1 has source 5"),
        (lambda: Sparse(2, 2, indices=[[0], [1]], weight=[1.0, 2.0]), ValueError, "weight must have shape"),
        (lambda: Dense(2, 3, [[1.0, 2.0]]), ValueError, r"weight must have shape \(2, 3\)"),
        (lambda: lb.Spiking(LIF, Dense(2, 3)), TypeError, "neuron must be one of lambent.neurons, got the class LIF"),
        (lambda: lb.Spiking(lb.LIF(2, 3), Dense(2, 3)), TypeError, "neuron must be one of lambent.neurons"),
        (lambda: lb.Spiking(LIF(), Dense(2, 3), True), TypeError, "recurrent must be one of lambent.connections"),
        (lambda: lb.Spiking(LIF(), Dense(2, 3), Dense(2, 3)), ValueError, "connects 2 to 3 units, the layer has 3"),
        (lambda: lb.Spiking(Integrator(), Dense(2, 3)), TypeError, "Integrator units never spike"),
        (lambda: lb.Spiking(LIF(), Dense(2, 3, delay=-1.0)), ValueError, "delay must lie in"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_whole_numbers_will_do():
    one = lb.Spiking(LIF(), Dense(2, 3, torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.int64)))
    assert one.weight.dtype is one.delay.dtype is torch.float32
    assert Sparse(3, 2, indices=[[], []]).entries().source.shape == (0,)


def test_sparse_connections_take_memory_for_themselves_alone():
    few = Sparse(50_000, 50_000, density=1e-6)
    assert few.weight.shape == (2500,)
    assert len((few.indices[0] * 50_000 + few.indices[1]).unique()) == 2500


# -- a neuron of one's own -------------------------------------------------------------------------------------------


def test_a_neuron_of_ones_own_trains():
    torch.manual_seed(0)
    data = lb.data.yin_yang(300, seed=0)
    events, labels = data.batch(range(300))
    hidden = lb.Spiking(RefractoryLIF(t_ref=2.0), lb.connections.Dense(data.n_units, 40))
    model = torch.nn.Sequential(hidden, lb.LIReadout(40, 3, reduce="max"))
    lb.calibrate(model, events, 3.0)
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
    spikes = hidden(events).to_dense(1.0).bool()
    assert not (spikes[:, 1:] & spikes[:, :-1]).any()  # two steps of rest after a spike


def test_what_a_neuron_cannot_do_is_named():
    with pytest.raises(ValueError, match="AdLIF has no solution in continuous time"):
        lb.Spiking(AdLIF(), Dense(2, 3), dt=None)
    layer = lb.Spiking(Untrained(), Dense(2, 3))
    layer.tau_mem.requires_grad_()
    with pytest.raises(NotImplementedError, match="Untrained has no gradient with respect to alpha_mem"):
        layer(lb.Events.from_lists([[1.0]], [[0]], 2, 5.0))


def test_a_neuron_that_is_defined_again_takes_its_own_place():
    """As in a notebook, whose cell is run once more; also where it is of no module."""

    def defined(again):
        class Units(DeepResetUnits):
            if again:

                @staticmethod
                def above(before, x, p):
                    return x[1] >= 2.0 * p.threshold

        class Again(DeepReset):
            def on_grid(self, dt, dtype):
                return Units(*super().on_grid(dt, dtype))

        return Again(*taus(torch.Generator().manual_seed(1)), torch.ones(SIZE, dtype=DOUBLE))

    _, inputs, _ = layer("LIF", "Dense")
    for engine in (reference, *ENGINES.values()):
        first, second = defined(False), defined(True)
        counts = [len(engine.spikes(events(), neuron, inputs, None, 1.0).times) for neuron in (first, second, first)]
        assert counts[0] == counts[2] > counts[1]
    assert class_of(kind_of(type(first))) is type(first)
    assert class_of(kind_of(type(second))) is type(second)
