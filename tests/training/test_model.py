"""The network that settings describe, and weights scaled to a wanted activity in any model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lambent as lb
from lambent.training import Config, build_model, calibrate


def test_delays_fit_a_fine_grid():
    assert build_model(Config(dt=0.5), 5, 3)[0].delay.max() <= 31.0


def test_calibration(data):
    config = Config(hidden=30, layers=2, initial_spikes=3.0)
    model = build_model(config, 5, 3)
    events, _ = data.batch(range(100))
    calibrate(model, events, 3.0)
    for layer in list(model)[:2]:
        events = layer(events)
        assert events.counts().mean().item() == pytest.approx(3.0, rel=0.25)
    with pytest.raises(ValueError, match="initial_spikes"):
        calibrate(build_model(config, 5, 3), lb.Events.from_lists([[]], [[]], 5, 60.0), 3.0)


class Net(nn.Module):
    """The layers of a chain, in other places and defined in another order."""

    def __init__(self, chain):
        super().__init__()
        self.last, self.block = chain[2], nn.ModuleDict({"b": chain[1], "a": nn.Sequential(chain[0])})
        self.head = nn.Linear(3, 2)

    def forward(self, events):
        return self.head(self.last(self.block["b"](events=self.block["a"](events))))


def test_calibration_of_any_module(data):
    config = Config(hidden=30, layers=2)
    chain, inside = build_model(config, 5, 3), build_model(config, 5, 3)
    events, _ = data.batch(range(100))
    calibrate(chain, events, 3.0)
    net = Net(inside)
    calibrate(net, events, 3.0)
    for a, b in zip(chain, inside, strict=True):
        assert torch.equal(a.weight, b.weight)
    assert not any(module._forward_pre_hooks for module in net.modules())
    with pytest.raises(ValueError, match=r"^layer block\.a\.0 spikes"):
        calibrate(net, lb.Events.from_lists([[]], [[]], 5, 60.0), 3.0)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_calibration_of_a_layer_that_is_called_twice(data):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = lb.LIF(5, 5)

        def forward(self, events):
            return self.layer(self.layer(events))

    events, _ = data.batch(range(100))
    net = Twice()
    calibrate(net, events, 2.0)
    assert net.layer(events).counts().mean().item() == pytest.approx(2.0, rel=0.25)


def test_calibration_without_spiking_layers(data):
    class Counts(nn.Module):
        def forward(self, events):
            return events.counts()

    net = nn.Sequential(Counts(), nn.Linear(5, 3))
    before = net[1].weight.clone()
    calibrate(net, data.batch(range(10))[0], 2.0)
    assert torch.equal(net[1].weight, before)
