"""LIReadout: every reduction against autograd through a dense implementation."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.layers.readout import REDUCTIONS
from lambent.neurons.response import grid_constants, membrane_response


def dense(events, weight, tau_mem, tau_syn, dt):
    """Voltages (batch, steps, out) by the recurrence, step by step."""
    x = events.to_dense(dt).double()
    alpha_mem, alpha_syn, gain = grid_constants(tau_mem, tau_syn, dt)
    i = v = torch.zeros(len(x), weight.shape[1], dtype=torch.float64)
    out = []
    for n in range(x.shape[1]):
        i = alpha_syn * i + (x[:, n - 1] @ weight if n else 0)
        v = alpha_mem * v + gain * i
        out.append(v)
    return torch.stack(out, 1)


def reduced(v, how):
    n = v.shape[1]
    if how == "exp_mean":
        return (v * torch.exp(-torch.arange(n, dtype=torch.float64) / n)[:, None]).mean(1)
    return {"mean": lambda: v.mean(1), "max": lambda: v.amax(1), "last": lambda: v[:, -1], "none": lambda: v}[how]()


@pytest.mark.parametrize("how", REDUCTIONS)
@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("tau", ["same", "spread", "trained", "equal"])
def test_equals_dense(how, dt, tau):
    g = torch.Generator().manual_seed(0)
    events = lb.Events.from_dense((torch.rand(4, 60, 5, generator=g) < 0.2).int(), dt, torch.float64)
    tau_mem = torch.full((3,), 20.0) if tau == "same" else torch.tensor([5.0, 12.0, 30.0])
    tau_syn = tau_mem.clone() if tau == "equal" else torch.tensor([5.0, 5.0, 5.0])
    layer = lb.LIReadout(5, 3, tau_mem=tau_mem, tau_syn=tau_syn, reduce=how, dt=dt).double()
    layer.tau_mem.requires_grad_(tau == "trained")
    layer.tau_syn.requires_grad_(tau == "trained")
    parameters = [p for p in layer.parameters() if p.requires_grad]

    out = layer(events)
    expected = reduced(dense(events, layer.weight, layer.tau_mem, layer.tau_syn, dt), how)
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, rtol=1e-9, atol=1e-12)
    weigh = torch.rand(out.shape, generator=g, dtype=torch.float64)
    got = torch.autograd.grad((out * weigh).sum(), parameters)
    wanted = torch.autograd.grad((expected * weigh).sum(), parameters)
    for a, b in zip(got, wanted, strict=True):
        assert torch.allclose(a, b, rtol=1e-8, atol=1e-11)


def test_voltages_whatever_the_reduction():
    events = lb.Events.from_lists([[1.0, 2.0], []], [[0, 2], []], 3, 20.0)
    readout = lb.LIReadout(3, 2, reduce="none")
    mean = lb.LIReadout(3, 2, reduce="mean")
    mean.load_state_dict(readout.state_dict())
    assert torch.equal(mean.voltages(events), readout(events))
    with pytest.raises(TypeError, match=r"takes lambent.Events"):
        mean.voltages(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="no steps"):
        lb.LIReadout(3, 2, dt=None).voltages(events)


@pytest.mark.parametrize("how", ["mean", "exp_mean", "last"])
def test_kernel_and_time_loop_agree_on_times(how):
    """The closed-form kernel's gradient of the spike times is that of the engine's adjoint."""
    g = torch.Generator().manual_seed(1)
    x = lb.Events.from_dense((torch.rand(2, 30, 4, generator=g) < 0.3).int(), 1.0, torch.float64)
    layer = lb.LIReadout(4, 3, tau_mem=torch.tensor([10.0, 20.0, 30.0]), reduce=how).double()
    grads = []
    for kernel in (True, False):
        times = x.times.clone().requires_grad_()
        events = lb.Events(times, x.units, x.offsets, 4, x.duration)
        layer.reduce = how if kernel else "none"
        out = layer(events) if kernel else reduced(layer(events), how)
        (out * torch.tensor([1.0, -2.0, 3.0])).sum().backward()
        grads.append(times.grad)
    assert torch.allclose(*grads, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("how", ["mean", "exp_mean", "last"])
@pytest.mark.parametrize("tau", [20.0, torch.tensor([5.0, 5.0001])])
def test_many_steps(how, tau):
    """Of long samples kernels are worked out for spikes, not for steps."""
    events = lb.Events.from_lists([[0.0, 100.0, 39_000.0], [39_998.0]], [[0, 1, 2], [3]], 4, 40_000.0).to(torch.float64)
    layer = lb.LIReadout(4, 2, tau_mem=tau, reduce=how).double()
    assert torch.allclose(layer(events), reduced(layer.voltages(events), how), rtol=1e-9, atol=1e-15)


def test_no_samples():
    for how in REDUCTIONS:
        assert len(lb.LIReadout(4, 3, reduce=how)(lb.Events.from_lists([], [], 4, 10.0))) == 0


def test_empty_batch_of_spikes():
    for how in REDUCTIONS:
        out = lb.LIReadout(4, 3, reduce=how)(lb.Events.from_lists([[], []], [[], []], 4, 10.0))
        assert not out.any()
        assert out.shape == ((2, 10, 3) if how == "none" else (2, 3))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"reduce": "sum"}, "reduce"), ({"tau_mem": 0.0}, "tau_mem"), ({"dt": -1.0}, "dt")],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        lb.LIReadout(2, 3, **kwargs)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="out_features"):
        lb.LIReadout(2, 0)
    with pytest.raises(TypeError, match="Events"):
        lb.LIReadout(2, 3)(torch.zeros(2))


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "max", "last"])
def test_continuous_time_equals_numerical_integration(reduce):
    g = torch.Generator().manual_seed(3)
    duration = 60.0
    times = [torch.sort(torch.rand(n, generator=g, dtype=torch.float64) * duration).values for n in (9, 0, 4)]
    units = [torch.randint(5, (len(t),), generator=g) for t in times]
    events = lb.Events.from_lists(times, units, 5, duration, dtype=torch.float64)
    tau_mem, tau_syn = torch.tensor([20.0, 5.0, 3.0]), torch.tensor([5.0, 5.0, 9.0])
    readout = lb.LIReadout(5, 3, tau_mem=tau_mem, tau_syn=tau_syn, reduce=reduce, dt=None).double()
    # with the arrivals themselves, at which V may be highest
    t = torch.cat([torch.linspace(0, duration, 600_001, dtype=torch.float64), *times]).sort().values.view(-1, 1)
    for b, (own, unit) in enumerate(zip(times, units, strict=True)):
        v = torch.zeros(len(t), 3, dtype=torch.float64)
        for time, weight in zip(own, readout.weight.detach()[unit], strict=True):
            v += weight * membrane_response((t - time).clamp(min=0), tau_mem.double(), tau_syn.double())
        fading = torch.exp(-t / duration) if reduce == "exp_mean" else 1.0
        expected = {"max": v.amax(0), "last": v[-1]}.get(reduce, torch.trapezoid(fading * v, t, dim=0) / duration)
        assert torch.allclose(readout(events)[b], expected, rtol=1e-6, atol=1e-8)


def test_continuous_time_has_no_steps():
    with pytest.raises(ValueError, match="no steps"):
        lb.LIReadout(2, 3, reduce="none", dt=None)


@pytest.mark.parametrize("dt", [1.0, None])
@pytest.mark.parametrize("how", ["mean", "exp_mean", "last"])
@pytest.mark.parametrize("tau_mem", [20.0, torch.tensor([5.0, 12.0, 30.0])])
def test_count_gradient_is_what_a_spike_less_would_change(how, dt, tau_mem):
    times, units = [[3.0, 5.0, 20.0, 30.0], [8.0]], [[1, 0, 1, 1], [2]]
    counts = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    layer = lb.LIReadout(3, 3, tau_mem=tau_mem, reduce=how, dt=dt, count_gradient=0.5).double()

    def output(sample, spikes):
        at, of = ([values[sample][i] for i in spikes] for values in (times, units))
        return layer(lb.Events.from_lists([at], [of], 3, 40.0, torch.float64))[0].detach()

    n = range(4)
    with_all = output(0, n)
    less = torch.stack([with_all - output(0, [j for j in n if j != i]) for i in n] + [output(1, [0])])
    per_weight = less / layer.weight.detach()[[1, 0, 1, 1, 2]]  # (spikes, outputs)
    weigh = torch.tensor([[0.3, -1.0, 0.7], [1.0, 0.2, -0.4]], dtype=torch.float64)

    def one_more(kernel, unit, sample):
        return 0.5 * (kernel * layer.weight.detach()[unit] * weigh[sample]).sum()

    expected = torch.stack([torch.stack([one_more(per_weight.mean(0), k, b) for k in range(3)]) for b in range(2)])
    expected[0, 0], expected[0, 1] = one_more(per_weight[1], 0, 0), one_more(per_weight[[0, 2, 3]].mean(0), 1, 0)
    expected[1, 2] = one_more(per_weight[4], 2, 1)

    plain = lb.Events.from_lists(times, units, 3, 40.0, torch.float64)
    events = lb.Events(plain.times, plain.units, plain.offsets, 3, 40.0, counts=counts)
    out = layer(events)
    (got,) = torch.autograd.grad((out * weigh).sum(), counts)
    assert torch.allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(out[0].detach(), with_all)


def test_count_gradient_needs_a_linear_reduction():
    with pytest.raises(ValueError, match="count_gradient needs a linear reduction"):
        lb.LIReadout(3, 2, reduce="max", count_gradient=1.0)
    with pytest.raises(ValueError, match="count_gradient must be a number from 0 on, got -1"):
        lb.LIReadout(3, 2, count_gradient=-1.0)
