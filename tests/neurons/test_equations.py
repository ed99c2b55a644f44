"""Neurons from equations: what they compute, and what is wrong with wrong ones."""

from __future__ import annotations

import pickle

import pytest
import torch
from scipy.integrate import solve_ivp

import lambent as lb
from lambent.engines import reference
from lambent.engines.grid import cpu as grid_cpu
from lambent.neurons import AdLIF, Equations
from lambent.neurons.flow import flow, matrix

LIF = {
    "equations": "dv/dt = (i - v) / tau_mem; di/dt = -i / tau_syn",
    "spike": "v > theta",
    "reset": "v = 0",
    "input": "i",
    **{"tau_mem": 20.0, "tau_syn": 5.0, "theta": 1.0},
}


def made(**changed):
    options = {**LIF, **changed}
    return Equations(options.pop("equations"), **{k: v for k, v in options.items() if v is not None})


def random_events(n=8, duration=60.0):
    g = torch.Generator().manual_seed(0)
    spikes = (torch.rand(n, 5, int(duration), generator=g) < 0.15).float()
    events = lb.Events.from_dense(spikes.transpose(1, 2), 1.0)
    return lb.Events(events.times.double(), events.units, events.offsets, events.n_units, events.duration)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_lif_from_equations_is_lif(reset):
    """Spikes, and gradients with respect to weights and all parameters."""
    weight = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    found = []
    for neuron in (
        lb.neurons.LIF(reset=reset),
        made(reset="v = 0" if reset == "zero" else "v -= theta"),
    ):
        layer = lb.Spiking(neuron, lb.connections.Dense(5, 6, weight)).double()
        names = [*layer.neuron.parameters]
        named = {"theta" if name == "threshold" else name: name for name in names if getattr(layer, name) is not None}
        for name in named.values():
            getattr(layer, name).requires_grad_()
        out = layer(random_events())
        (out.times.sin().sum() + out.counts().square().sum()).backward()
        found.append((out, layer.weight.grad, *(getattr(layer, named[x]).grad for x in sorted(named))))
    (expected, *gradients), (out, *others) = found
    assert len(out.times) > 50
    assert torch.equal(out.times, expected.times)
    assert torch.equal(out.units, expected.units)
    for ours, theirs in zip(others, gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_adlif_from_equations_is_adlif():
    equations = "di/dt = -i / tau_syn; dv/dt = (i - v - w) / tau_mem; dw/dt = (a * v - w) / tau_adapt"
    own = made(equations=equations, reset="v = 0; w += b", tau_adapt=100.0, a=0.5, b=0.5)
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(1)) + 0.5
    layers = [lb.Spiking(neuron, lb.connections.Dense(5, 6, weight)) for neuron in (own, AdLIF())]
    outs = [layer(random_events()) for layer in layers]
    assert len(outs[0].times) > 50
    assert torch.equal(outs[0].times, outs[1].times)


def test_adlif_swings_as_the_equations_do():
    """Baronig et al. 2024: forward Euler would let this oscillation grow; the grid's states are the solution itself."""
    tau_mem, tau_syn, tau_adapt, a, weight = 20.0, 5.0, 10.0, 40.0, 0.5
    neuron = AdLIF(tau_mem=tau_mem, tau_syn=tau_syn, tau_adapt=tau_adapt, a=a, threshold=9.0)
    layer = lb.Spiking(neuron, lb.connections.Dense(1, 1, [[weight]]), dt=1.0)
    voltage = lb.record(layer, lb.Events.from_lists([[0.0]], [[0]], 1, 60.0), "voltage").voltage[0][0, 0]
    rates = [[-1 / tau_syn, 0, 0], [1 / tau_mem, -1 / tau_mem, -1 / tau_mem], [0, a / tau_adapt, -1 / tau_adapt]]
    times = torch.arange(1.0, 60.0)
    solved = solve_ivp(
        lambda _, x: torch.tensor(rates, dtype=torch.float64).numpy() @ x, (0, 60), [weight, 0, 0], t_eval=times,
        rtol=1e-9, atol=1e-12,
    )  # fmt: skip
    assert torch.allclose(torch.as_tensor(voltage[1:60], dtype=torch.float64), torch.tensor(solved.y[1]), atol=1e-5)
    assert solved.y[1].min() < -0.02  # it swings


def test_nonlinear_units_converge_to_their_equations():
    """To the first order in the step, here the voltage before a spike."""
    neuron = made(equations="di/dt = -i / tau_syn; dv/dt = (i - v + exp(v) - 1 + v ** 3) / tau_mem", theta=5.0)
    weight = 2.0

    def rates(_, x):
        return [-x[0] / 5.0, (x[0] - x[1] + torch.tensor(x[1]).exp().item() - 1 + x[1] ** 3) / 20.0]

    exact = solve_ivp(rates, (0, 10), [weight, 0], rtol=1e-10, atol=1e-12).y[1, -1]
    off = []
    for dt in (0.1, 0.01):
        p = neuron.with_values(**{n: torch.tensor([float(getattr(neuron, n))]) for n in neuron.parameters})
        p = p.on_grid(dt, torch.float64)
        x, arriving = (torch.zeros(1, dtype=torch.float64),) * 2, torch.tensor([weight], dtype=torch.float64)
        for _ in range(round(10 / dt)):
            x, arriving = p.advance(x, arriving, p), 0 * arriving
        off.append(abs(x[1].item() - exact))
    assert off[0] < 0.02
    assert off[1] < 0.15 * off[0]


def test_flow_is_the_matrix_exponential():
    rates = torch.randn(7, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected, found = torch.linalg.matrix_exp(2.0 * rates), flow(rates, 2.0)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(x.cos().sum(), rates)[0] for x in (expected, found)]
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-8)
    one = matrix(torch.ones(2), (-1.0, 0.0), (1.0, torch.tensor([-1.0, -2.0])))
    assert torch.equal(one[1], torch.tensor([[-1.0, 0.0], [1.0, -2.0]], dtype=torch.float64))


def test_equations_of_every_function_run_on_the_cpu_as_in_the_reference():
    equations = """
    di/dt = -i / tau_syn
    dv/dt = (i - sin(v) - u / (1 + cos(u)) + sqrt(1 + v ** 2) - 1) / tau_mem
    du/dt = (tanh(v) - log(1 + u ** 2) + exp(-u) - 1 - u + (1 + v ** 2) ** 0.3 / 10) / tau_mem
    """
    neuron, weight = made(equations=equations, reset="v = 0; u *= 0.5"), torch.full((5, 3), 1.5, dtype=torch.float64)
    per_unit = {name: torch.full((3,), LIF[name], dtype=torch.float64).requires_grad_() for name in neuron.parameters}
    found = []
    for engine in (reference, grid_cpu):
        inputs = lb.connections.Dense(5, 3, weight)
        out = engine.spikes(random_events(), neuron.with_values(**per_unit), inputs, None, 1.0)
        found.append((out.times.double(), *torch.autograd.grad(out.times.sin().sum(), [*per_unit.values()])))
    assert len(found[0][0]) > 20
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_layers_of_equations_are_kept():
    layer = lb.Spiking(made(theta=torch.tensor([1.0, 2.0])), lb.connections.Dense(5, 2, torch.ones(5, 2)), dt=0.5)
    layer.tau_mem.requires_grad_()
    model = torch.nn.Sequential(layer)
    lb.save(model, "model.safetensors")
    copies = [lb.load("model.safetensors"), pickle.loads(pickle.dumps(model))]
    expected = model(random_events())
    for copy in copies:
        assert torch.equal(copy(random_events()).times, expected.times)
        assert copy[0].tau_mem.requires_grad
        assert "dv/dt = (i - v) / tau_mem" in repr(copy[0].neuron)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_is_trained_is_kept_in_bounds():
    layer = lb.Spiking(made(), lb.connections.Dense(5, 2), dt=1.0)
    assert layer.parameter_roles["tau_mem"] == "tau"
    for name, value in {"tau_syn": -3.0, "theta": -1.0}.items():
        getattr(layer, name).requires_grad_().data.fill_(value)
    layer.constrain_()
    assert layer.tau_syn.tolist() == [1.0, 1.0]
    assert (layer.theta > 0).all()


def test_what_stops_to_make_sense_is_named():
    layer = lb.Spiking(made(reset="v = low", low=-0.5), lb.connections.Dense(5, 2), dt=1.0)
    layer.low.data[1] = 2.0
    with pytest.raises(ValueError, match="unit 1: reset: 'v = low' leaves it at its threshold or above"):
        layer(random_events())
    layer.theta.data[0] = -1.0
    with pytest.raises(ValueError, match="unit 0: spike: 'v > theta' holds at rest"):
        layer(random_events())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"equations": ""}, "there are none"),
        ({"equations": "v = 3"}, 'must read "dNAME/dt = ..."'),
        ({"equations": "dv/dt = (i - v / tau_mem; di/dt = -i / tau_syn"}, "is no expression"),
        ({"equations": "dv/dt = i.real"}, "'i.real' is none of"),
        ({"equations": "dv/dt = __import__('os')"}, "is none of"),
        ({"equations": "dv/dt = abs(i)"}, r"'abs\(i\)' is none of .* exp, log, sqrt"),
        ({"equations": "dv/dt = i / 0"}, "is not finite"),
        ({"equations": "dv/dt = 1e999 * i"}, "is none of"),
        ({"equations": "dv/dt = i; dv/dt = -v; di/dt = -i"}, "dv/dt comes twice"),
        ({"equations": "dv/dt = (i - sqrt(v)) / tau_mem; di/dt = -i / tau_syn"}, "dv/dt is not smooth where"),
        ({"equations": "dexp/dt = 1"}, "'exp' is no name for a state"),
        ({"tau_mem": None}, "tau_mem is neither a state .* nor has it a value"),
        ({"tau_men": 3.0}, "tau_men is in none of the equations"),
        ({"v": 3.0}, "v is a state"),
        ({"input": "g"}, "'g' is none of the states v, i"),
        ({"spike": "v"}, 'must read "... > ..."'),
        ({"spike": "0 < v < theta"}, 'must read "... > ..."'),
        ({"spike": "theta > 0.5"}, "has none of the states"),
        ({"spike": "v * i > theta"}, "must be linear in the states"),
        ({"spike": "v < theta"}, "holds at rest"),
        ({"theta": -1.0}, "holds at rest"),
        ({"theta": torch.tensor([1.0, 0.0])}, "holds at rest"),
        ({"spike": "i > theta", "reset": "i = 0"}, "holds i, which jumps as something arrives"),
        ({"equations": "dv/dt = -v; di/dt = (v - i) / tau_syn", "tau_mem": None}, "moves nothing in it"),
        ({"equations": "dv/dt = (i * (3 - v) - v) / tau_mem; di/dt = -i / tau_syn"}, "depends on the states"),
        ({"reset": ""}, "leaves a unit at its threshold"),
        ({"reset": "v = theta"}, "leaves a unit at its threshold"),
        ({"reset": "v = theta + 1"}, "above its threshold"),
        ({"reset": "v = high", "high": 1.5}, "leaves a unit at its threshold or above"),
        ({"reset": "v"}, 'must read "NAME = ..."'),
        ({"reset": "u = 0"}, "u is none of the states v, i"),
        ({"reset": "v = 0; v = 0"}, "v is set twice"),
        ({"spike": "v > weight", "weight": 1.0, "theta": None}, "weight means something else to a layer"),
        ({"spike": "v > dt", "dt": 1.0, "theta": None}, "dt means something else to a layer"),
        ({"min_slope": 0.0}, "min_slope must be positive"),
    ],
)  # fmt: skip
def test_wrong_equations(changed, message):
    with pytest.raises(ValueError, match=message):
        made(**changed)


def test_wrong_types():
    with pytest.raises(TypeError, match="spike must be a text, got 3"):
        made(spike=3)
    with pytest.raises(TypeError, match="theta must be a number, or one per unit, got 'high'"):
        made(theta="high")
    with pytest.raises(ValueError, match="they have no parameter; name one"):
        Equations("dv/dt = i - v; di/dt = -i", spike="v > 1", reset="v = 0", input="i")
    with pytest.raises(ValueError, match=r"theta must be a number or have shape \(2,\), got \(3,\)"):
        lb.Spiking(made(theta=torch.ones(3)), lb.connections.Dense(5, 2))
    with pytest.raises(ValueError, match="Equations has no solution in continuous time"):
        lb.Spiking(made(), lb.connections.Dense(5, 2), dt=None)
