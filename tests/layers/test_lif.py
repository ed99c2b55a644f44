"""The LIF module: arguments, gradients through stacks, constraints."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import lambent as lb


def events(batch=3, steps=40, units=6, rate=0.3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return lb.Events.from_dense((torch.rand(batch, steps, units, generator=g) < rate).int(), 1.0)


def active(*args, **kwargs):
    torch.manual_seed(1)
    layer = lb.LIF(*args, **kwargs)
    layer.weight.data.abs_().mul_(0.4)
    return layer


def test_events_in_events_out():
    layer = active(6, 5, recurrent=True)
    out = layer(events())
    assert isinstance(out, lb.Events)
    assert (out.n_units, out.duration, len(out)) == (5, 40.0, 3)
    assert len(out.times) > 0
    lb.Events(out.times, out.units, out.offsets, 5, 40.0)  # what comes out is valid
    assert torch.equal(out.counts(), lb.Events(out.times, out.units, out.offsets, 5, 40.0).counts())


def test_a_spike_acts_one_step_later():
    layer = lb.LIF(1, 1)
    layer.weight.data.fill_(100.0)
    out = layer(lb.Events.from_lists([[7.0]], [[0]], 1, 20.0))
    assert out.times[0] == 8.0


def test_delays_are_rounded_to_steps():
    for delay, expected in ((2.4, 10.0), (2.6, 11.0), (0.0, 8.0)):
        layer = lb.LIF(1, 1, delay=delay)
        layer.weight.data.fill_(100.0)
        assert layer(lb.Events.from_lists([[7.0]], [[0]], 1, 20.0)).times[0] == expected


def test_gradients_flow_through_a_stack_to_the_input_times():
    model = torch.nn.Sequential(
        active(6, 8, recurrent=True, delay=2.0, recurrent_delay=1.0), active(8, 8), lb.LIReadout(8, 3)
    )
    model.requires_grad_()
    for p in (model[0].tau_mem, model[0].tau_syn, model[0].threshold, model[1].tau_mem, model[1].tau_syn):
        p.requires_grad_()
    assert len(list(model.parameters())) == 11
    x = events(rate=0.05)
    times = x.times.clone().requires_grad_()
    out = model(lb.Events(times, x.units, x.offsets, x.n_units, x.duration))
    torch.nn.functional.cross_entropy(30 * out, torch.tensor([0, 1, 2])).backward()
    for name, p in [("times", times), *model.named_parameters()]:
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all(), name
        assert p.grad.any(), name


def test_state_dict_and_pickle_round_trip():
    layer = active(6, 5, recurrent=True, delay=1.0, tau_mem=torch.linspace(5, 30, 5))
    other = lb.LIF(6, 5, recurrent=True, delay=0.0)
    other.load_state_dict(layer.state_dict())
    again = pickle.loads(pickle.dumps(layer))
    for each in (other, again):
        assert torch.equal(each(events()).times, layer(events()).times)


def test_attributes():
    layer = lb.LIF(3, 4, recurrent=True, tau_mem=12.0, tau_syn=3.0, threshold=0.5, dt=0.5)
    assert layer.weight.shape == (3, 4)
    assert layer.recurrent_weight.shape == (4, 4)
    assert layer.delay is None
    assert layer.tau_mem.tolist() == [12.0] * 4
    assert layer.max_delay == 31.0
    assert not layer.tau_mem.requires_grad
    assert lb.LIF(3, 4).recurrent_weight is None
    assert "recurrent" in repr(layer)


@pytest.mark.parametrize("layer", [lb.LIF(3, 4, recurrent=True, bias=True, delay=1.0), lb.LIReadout(3, 4)])
def test_what_is_fixed_stays_fixed_until_it_is_chosen(layer):
    model = torch.nn.Sequential(layer)
    trained = {name for name, _ in model.named_parameters()}
    assert "0.weight" in trained
    model.requires_grad_(False).requires_grad_(True)
    for p in model.parameters():
        p.requires_grad_()
    assert not layer.tau_mem.requires_grad
    tau = layer.tau_mem.requires_grad_()
    assert {name for name, _ in model.named_parameters()} == trained | {"0.tau_mem"}
    assert {name for name, _ in layer.named_parameters(recurse=False)} == {"weight", "tau_mem"} | {
        name.removeprefix("0.") for name in trained
    }
    assert next(p for n, p in model.named_parameters() if n == "0.tau_mem") is layer.tau_mem is tau
    assert isinstance(tau, torch.nn.Parameter)
    model.requires_grad_(False).requires_grad_(True)
    assert tau.requires_grad
    assert not layer.tau_syn.requires_grad


def test_what_is_chosen_is_trained_and_kept():
    model = torch.nn.Sequential(active(6, 8), lb.LIReadout(8, 3))
    model[0].tau_mem.requires_grad_()
    model[1].tau_syn.requires_grad = True
    model = model.double()
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model]
    for each in copies:
        before = each.state_dict()["0.tau_mem"].clone()
        optimizer = torch.optim.Adam(each.parameters(), 0.1)
        each(events()).pow(2).sum().backward()
        optimizer.step()
        assert each[0].tau_mem.is_leaf
        assert each[0].tau_mem.dtype is each[0].threshold.dtype is torch.float64
        assert (each[0].tau_mem != before).any()
        assert each[1].tau_syn.grad.any()
        assert not each[0].tau_syn.requires_grad
    fixed = torch.nn.Sequential(active(6, 8), lb.LIReadout(8, 3)).double()
    fixed.load_state_dict(model.state_dict())  # whichever of them are parameters
    assert torch.equal(fixed(events()), model(events()))


def test_a_functional_call_changes_nothing():
    layer = active(6, 5)
    tau = torch.full((5,), 12.0, requires_grad=True)
    torch.func.functional_call(layer, {"tau_mem": tau}, (events(),)).times.sum().backward()
    assert tau.grad.any()
    assert type(tau) is torch.Tensor
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.tau_mem.tolist() == [20.0] * 5


def test_constrain():
    layer = lb.LIF(2, 2, recurrent=True, delay=1.0, recurrent_delay=1.0)
    for value in (layer.tau_mem, layer.threshold):
        value.requires_grad_()
    with torch.no_grad():
        layer.tau_mem.fill_(-3)
        layer.threshold.fill_(-1)
        layer.delay.copy_(torch.tensor([[-1.0, 100.0], [5.0, 3.0]]))
    layer.constrain_()
    assert layer.tau_mem.tolist() == [1.0, 1.0]
    assert (layer.threshold > 0).all()
    assert layer.delay.tolist() == [[0.0, 62.0], [5.0, 3.0]]


def test_constrain_leaves_alone_what_is_not_trained():
    layers = lb.LIF(3, 2, tau_mem=0.5, tau_syn=0.2, threshold=1e-4), lb.LIReadout(3, 2, tau_mem=0.5, tau_syn=0.2)
    for layer in layers:
        before = {name: x.clone() for name, x in layer.state_dict().items()}
        layer.constrain_()
        assert all(torch.equal(x, before[name]) for name, x in layer.state_dict().items())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"reset": "soft"}, "reset"),
        ({"max_delay": -5.0}, "max_delay must not be negative"),
        ({"max_delay": float("nan")}, "max_delay"),
        ({"dt": 0.0}, "dt"),
        ({"dt": float("nan")}, "dt"),
        ({"tau_mem": -1.0}, "tau_mem of unit 0"),
        ({"tau_syn": torch.tensor([1.0, float("nan"), 2.0])}, "tau_syn of unit 1"),
        ({"threshold": torch.ones(2)}, "threshold"),
        ({"delay": torch.ones(3, 2)}, "delay"),
        ({"delay": -1.0}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"recurrent_delay": 1.0}, "recurrent=True"),
        ({"min_slope": 0.0}, "min_slope"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        lb.LIF(2, 3, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"tau_mem": None}, r"tau_mem must be a number or have shape \(3,\), got None"),
        ({"threshold": "1"}, "threshold must be a number"),
        ({"bias": [0.0, None, 1.0], "dt": None}, "bias must be a number"),
        ({"recurrent": 1}, "recurrent must be True or False, got 1"),
        ({"recurrent": lb.connections.Dense(3, 3)}, "lb.Spiking takes connections"),
    ],
)
def test_arguments_of_another_type(kwargs, message):
    with pytest.raises(TypeError, match=message):
        lb.LIF(2, 3, **kwargs)


def test_bad_input():
    layer = lb.LIF(2, 3)
    with pytest.raises(TypeError, match="Events"):
        layer(torch.zeros(3))
    with pytest.raises(ValueError, match="2 inputs"):
        layer(events(units=6))
    with pytest.raises(ValueError, match="the layer is on meta, the events are on cpu"):
        lb.LIF(2, 3).to("meta")(events(units=2))
    layer.tau_mem.data[1] = 0.0
    with pytest.raises(ValueError, match="tau_mem of unit 1"):
        layer(events(units=2))


def test_bias():
    assert lb.LIF(2, 3).bias is lb.LIF(2, 3, bias=False).bias is None
    layer = lb.LIF(2, 3, bias=True)
    assert layer.bias.tolist() == [0.0] * 3
    assert layer.bias.requires_grad
    assert "bias" in repr(layer)


@pytest.mark.parametrize("dt", [0.5, 0.05, None])
def test_a_bias_alone_makes_units_spike(dt):
    """V = bias (1 - exp(-t / tau_mem)) reaches 1 at tau_mem log(bias / (bias - 1)), and again after each reset."""
    layer = lb.LIF(2, 3, bias=torch.tensor([2.0, 0.9, -1.0]), tau_mem=10.0, dt=dt)
    nothing = lb.Events.from_lists([[], []], [[], []], 2, 30.0)
    out = layer(nothing)
    assert out.counts().tolist() == [[4.0, 0.0, 0.0]] * 2
    period = 10.0 * torch.log(torch.tensor(2.0))
    every = period * torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert (out[0].times - every).abs().max() <= 4 * (dt or 1e-6)
    out.counts()[:, 1].sum().backward()
    assert layer.bias.grad[1] > 0  # a silent unit can be revived


def test_the_gradient_of_a_bias_is_that_of_continuous_time():
    """As dt goes to 0; for the bias itself, and for the time constants and weights beside it."""
    g = torch.Generator().manual_seed(4)
    times = [torch.rand(12, generator=g).sort().values * 30]
    x = lb.Events.from_lists(times, [torch.randint(4, (12,), generator=g)], 4, 40.0, dtype=torch.float64)
    weight = torch.rand(4, 5, generator=g, dtype=torch.float64) + 0.5
    found = []
    for dt in (None, 0.02, 0.002):
        layer = lb.LIF(4, 5, recurrent=True, bias=torch.linspace(-0.2, 1.2, 5), dt=dt).double()
        layer.load_state_dict(layer.state_dict() | {"weight": weight, "recurrent_weight": weight[[0, 1, 2, 3, 0]] / 9})
        layer.tau_mem.requires_grad_()
        out = layer(x)
        (out.times.sum() / 40).backward()
        grads = (layer.bias.grad, layer.weight.grad, layer.tau_mem.grad)
        found.append((out.counts(), torch.cat([g.flatten() for g in grads])))
    (counts, exact), *grids = found
    assert counts.sum() > 10
    assert all(torch.equal(c, counts) for c, _ in grids)
    coarse, fine = ((grad - exact).norm() / exact.norm() for _, grad in grids)
    assert fine < 0.02
    assert fine < 0.3 * coarse


def test_dt_and_bias_are_checked():
    with pytest.raises(ValueError, match="bias of unit 1"):
        lb.LIF(2, 3, bias=torch.tensor([0.0, float("nan"), 0.0]), dt=None)
    for dt in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="dt must be"):
            lb.LIF(2, 3, dt=dt)
