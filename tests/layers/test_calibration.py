"""`calibrate`: weights scaled to a wanted activity, in any model, of layers and of units."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lambent as lb
from lambent import calibrate


@pytest.fixture
def events() -> lb.Events:
    return lb.data.yin_yang(100, seed=0).batch(range(100))[0]


NOTHING = lb.Events.from_lists([[]], [[]], 5, 60.0)


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(lb.LIF(5, 30, recurrent=True), lb.LIF(30, 30), lb.LIReadout(30, 3))


@pytest.mark.parametrize("per_unit", [False, True])
def test_calibration(events: lb.Events, per_unit: bool) -> None:
    model = chain()
    calibrate(model, events, 3.0, per_unit=per_unit)
    for layer in list(model)[:2]:
        events = layer(events)
        assert events.counts().mean().item() == pytest.approx(3.0, rel=0.25)
        if per_unit:
            assert events.counts().mean(0).min() > 1.5
            assert events.counts().mean(0).max() < 4.5


def test_calibration_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"layer 0 .*initial_spikes"):
        calibrate(chain(), NOTHING, 3.0)
    with pytest.raises(ValueError, match="spikes must be positive, got 0"):
        calibrate(chain(), NOTHING, 0.0)


def test_units_that_are_inhibited_on_balance_get_the_opposite_weights() -> None:
    events = lb.Events.from_dense((torch.rand(32, 100, 4) < 0.1).int(), 1.0)
    layer = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(4, 3, indices=[[0, 1, 2, 3], [0, 0, 1, 1]]))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 0.5, -1.0, -0.5]))
    calibrate(nn.Sequential(layer), events, 4.0)
    counts = layer(events).counts().mean(0)
    assert counts[:2].tolist() == pytest.approx([4.0, 4.0], rel=0.15)
    assert counts[2] == 0  # nothing arrives there
    assert (layer.weight > 0).all()


class Net(nn.Module):
    """The layers of a chain, in other places and defined in another order."""

    def __init__(self, chain):
        super().__init__()
        self.last, self.block = chain[2], nn.ModuleDict({"b": chain[1], "a": nn.Sequential(chain[0])})
        self.head = nn.Linear(3, 2)

    def forward(self, events):
        return self.head(self.last(self.block["b"](events=self.block["a"](events))))


def test_calibration_of_any_module(events: lb.Events) -> None:
    model, inside = chain(), chain()
    calibrate(model, events, 3.0)
    net = Net(inside)
    calibrate(net, events, 3.0)
    for a, b in zip(model, inside, strict=True):
        assert torch.equal(a.weight, b.weight)
    assert not any(module._forward_pre_hooks for module in net.modules())
    with pytest.raises(ValueError, match=r"^layer block\.a\.0 spikes"):
        calibrate(net, NOTHING, 3.0)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_calibration_of_a_layer_that_is_called_twice(events: lb.Events) -> None:
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = lb.LIF(5, 5)

        def forward(self, events):
            return self.layer(self.layer(events))

    net = Twice()
    calibrate(net, events, 2.0)
    assert net.layer(events).counts().mean().item() == pytest.approx(2.0, rel=0.25)


def test_calibration_without_spiking_layers(events: lb.Events) -> None:
    class Counts(nn.Module):
        def forward(self, events):
            return events.counts()

    for net in (nn.Sequential(Counts(), nn.Linear(5, 3)), nn.Sequential(lb.LI(5, 3))):
        before = net[-1].weight.clone()
        with pytest.warns(UserWarning, match="nothing was calibrated: the model called no spiking layers"):
            calibrate(net, events, 2.0)
        assert torch.equal(net[-1].weight, before)


def test_calibration_behind_an_encoder() -> None:
    """The input is then what the encoder takes."""
    torch.manual_seed(0)
    model = nn.Sequential(lb.encode.Encoder(lb.encode.latency, duration=60.0, t_late=50.0), lb.LIF(5, 30))
    values = torch.rand(100, 5)
    calibrate(model, values, 2.0)
    assert model(values).counts().mean().item() == pytest.approx(2.0, rel=0.25)
