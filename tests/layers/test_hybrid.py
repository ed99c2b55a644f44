"""Layers among ordinary modules of torch, before them through an encoder, behind them, and beside them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lambent as lb

DOUBLE = torch.float64


def grown_events(units=5, dtype=DOUBLE, batch=2, spikes=14):
    g = torch.Generator().manual_seed(5)
    times = [torch.rand(spikes, generator=g, dtype=DOUBLE).sort().values * 40 for _ in range(batch)]
    who = [torch.randint(units, (spikes,), generator=g) for _ in times]
    return lb.Events.from_lists(times, who, units, 60.0, dtype=dtype)


@pytest.mark.parametrize("dt", [None, 1.0])
def test_modules_before_and_behind_train(dt):
    """Four classes of images by where a bar lies: the convolution, the spiking layer and the head all learn."""
    torch.manual_seed(0)
    images, labels = 0.2 * torch.rand(40, 1, 8, 8), torch.arange(40) % 4
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 2 * label : 2 * label + 2] += 0.8
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.Flatten(), nn.Sigmoid(),
        lb.encode.Encoder(lb.encode.latency, duration=40.0, t_late=30.0),
        lb.LIF(27, 20, dt=dt), lb.LIReadout(20, 10, dt=dt, reduce="mean"), nn.Linear(10, 4),
    )  # fmt: skip
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.02), []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(model(images), labels))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert all((p != before[name]).any() for name, p in model.named_parameters())


def test_gradients_through_an_encoder_are_exact():
    torch.manual_seed(1)
    encode = lb.encode.Encoder(lb.encode.latency, duration=40.0, t_late=30.0)
    hidden, out, head = lb.LIF(6, 4, dt=None).double(), lb.LIReadout(4, 3, dt=None).double(), nn.Linear(3, 2).double()
    with torch.no_grad():
        hidden.weight.abs_().mul_(2)
    values = torch.rand(3, 5, dtype=DOUBLE)

    def f(weight, own, last):
        events = encode(torch.sigmoid(values @ weight))
        spikes = torch.func.functional_call(hidden, {"weight": own}, (events,))
        assert len(spikes.times) > 5
        return torch.func.functional_call(head, {"weight": last}, (out(spikes),))

    first = torch.randn(5, 6, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(f, (first, hidden.weight, head.weight))


@pytest.mark.parametrize("recurrent", [False, True])
def test_skip_connections_are_exact(recurrent):
    """Spikes that two layers hear: the second one, and a readout of the sum; times, weights and counts."""
    torch.manual_seed(2)
    events = grown_events()
    first, second = lb.LIF(5, 4, recurrent=recurrent, dt=None).double(), lb.LIF(4, 4, dt=None).double()
    outs = [lb.LIReadout(4, 3, dt=None, reduce=reduce).double() for reduce in ("exp_mean", "last")]
    with torch.no_grad():
        first.weight.abs_().mul_(1.5)
        second.weight.abs_().mul_(1.5)

    def f(times, weight, second_weight):
        x = lb.Events(times, events.units, events.offsets, 5, 60.0, check=False)
        one = torch.func.functional_call(first, {"weight": weight}, (x,))
        two = torch.func.functional_call(second, {"weight": second_weight}, (one,))
        assert len(two.times) > 3
        return outs[0](one) + outs[1](two) + 0.1 * (one.counts() + two.counts()).detach()[:, :3]

    leaves = [events.times.clone().requires_grad_(), first.weight, second.weight]
    assert torch.autograd.gradcheck(f, leaves)


def test_a_skip_connection_adds_gradients_on_a_grid():
    """What two readers ask of a layer's times and counts is the sum of what each asks."""
    torch.manual_seed(3)
    events, first, second = grown_events(dtype=torch.float32), lb.LIF(5, 6, recurrent=True), lb.LIF(6, 4)
    out = lb.LIReadout(6, 2, count_gradient=1.0)
    with torch.no_grad():
        first.weight.abs_()
        second.weight.abs_().mul_(2)

    def losses():
        one = first(events)
        return out(one).sum(), second(one).times.sum() + second(one).counts().sum()

    alone = [torch.autograd.grad(losses()[k], first.weight)[0] for k in range(2)]
    (both,) = torch.autograd.grad(sum(losses()), first.weight)
    assert all(grad.any() for grad in alone)
    assert torch.allclose(both, alone[0] + alone[1], rtol=1e-4, atol=1e-5 * both.abs().max())


def test_an_encoder_without_a_gradient_says_so():
    encode = lb.encode.Encoder(lb.encode.rate, duration=40.0, max_rate=200.0, regular=True)
    model = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), encode, lb.LIF(5, 2))
    with pytest.raises(ValueError, match=r"rate has no gradient.*requires_grad_\(False\)"):
        model(torch.rand(2, 3))
    with torch.no_grad():
        assert model(torch.rand(2, 3)).n_units == 2
    model[0].requires_grad_(False)
    assert model(torch.rand(2, 3)).n_units == 2
    assert repr(encode) == "Encoder(rate, duration=40.0, max_rate=200.0, regular=True)"
    with pytest.raises(TypeError, match=r"function must be one of lambent.encode, got 3"):
        lb.encode.Encoder(3)
    with pytest.raises(ValueError, match="outside"):
        lb.encode.Encoder(lb.encode.latency, duration=9.0, t_late=5.0)(torch.ones(1, 2) * 2)
