"""Resonators whose gradients have to come through many spikes."""

from __future__ import annotations

import torch

import lambent as lb
from lambent.connections import Dense
from lambent.neurons import Resonator


def test_gradients_stay_bounded_over_many_spikes_that_graze():
    events, labels = lb.data.keywords()[0].batch(range(16))

    def steepest(**options):
        torch.manual_seed(1)
        layer = lb.Spiking(Resonator(**options), Dense(events.n_units, 100), Dense(100, 100), dt=2.0)
        model = torch.nn.Sequential(layer, lb.LIReadout(100, 12, scale=30, dt=2.0))
        lb.calibrate(model, events, spikes=10)
        torch.nn.functional.cross_entropy(model(events), labels).backward()
        return layer.weight.grad.abs().max().item()

    assert steepest() < 1
    assert steepest(min_slope=0.1) > 1e4  # why the default is more
    by_phase = steepest(rule="phase")
    assert abs(steepest(rule="phase", min_slope=0.1) - by_phase) < 0.01 * by_phase
