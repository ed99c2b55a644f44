"""Layers as they are made: alive, whatever their time constants, thresholds, size and connections."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.neurons.neuron import Neuron


def events(n_units: int, rate: float, batch: int = 16) -> lb.Events:
    g = torch.Generator().manual_seed(0)
    return lb.Events.from_dense((torch.rand(batch, 200, n_units, generator=g) < rate).int(), 1.0)


@pytest.mark.parametrize(("n_units", "rate"), [(8, 0.05), (144, 0.01), (700, 0.01), (3000, 0.004)])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("taus", [(20.0, 5.0), (10.0, 10.0), (50.0, 2.0), (5.0, 20.0)])
@pytest.mark.parametrize("threshold", [0.1, 30.0])
def test_default_layers_are_alive(
    n_units: int, rate: float, recurrent: bool, taus: tuple[float, float], threshold: float
) -> None:
    torch.manual_seed(1)
    layer = lb.LIF(n_units, 64, recurrent=recurrent, tau_mem=taus[0], tau_syn=taus[1], threshold=threshold)
    counts = layer(events(n_units, rate)).counts()
    assert (counts.sum(0) == 0).float().mean() < 0.4
    assert 0.3 < counts.mean() < (20 if taus == (20.0, 5.0) else 100)


def test_other_connections_and_continuous_time() -> None:
    torch.manual_seed(1)
    neuron = lb.neurons.LIF(tau_mem=10.0, threshold=5.0)
    sparse = lb.Spiking(neuron, lb.connections.Sparse(500, 64, density=0.1), lb.connections.Dense(64, 64), dt=1.0)
    exact = lb.LIF(20, 64, dt=None)
    for layer, batch in ((sparse, events(500, 0.02)), (exact, events(20, 0.02, 4))):
        counts = layer(batch).counts()
        assert (counts.sum(0) == 0).float().mean() < 0.4
        assert 0.3 < counts.mean() < 20


def test_deep_stacks_are_alive() -> None:
    torch.manual_seed(1)
    spikes = events(144, 0.02)
    for n_in in (144, 64, 64, 64):
        spikes = lb.LIF(n_in, 64)(spikes)
        assert (spikes.counts().sum(0) == 0).float().mean() < 0.4
        assert spikes.counts().mean() > 0.3


def test_given_weights_are_kept() -> None:
    weight, own = torch.rand(3, 2), torch.rand(2, 2)
    dense = lb.connections.Dense
    layer = lb.Spiking(lb.neurons.LIF(), dense(3, 2, weight), dense(2, 2, own))
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.recurrent_weight, own)
    assert not torch.equal(lb.Spiking(lb.neurons.LIF(), dense(3, 2), dense(2, 2, own)).weight, layer.weight)


def test_weights_follow_the_response() -> None:
    torch.manual_seed(0)
    taus = torch.tensor([20.0, 5.0]), torch.tensor([5.0, 5.0])
    layer = lb.LIF(10_000, 2, tau_mem=taus[0], tau_syn=taus[1], threshold=torch.tensor([1.0, 3.0]))
    peak = torch.tensor([0.25 ** (4 / 3), torch.exp(torch.tensor(-1.0))])
    torch.testing.assert_close(layer.weight.std(0), 2 * layer.threshold.detach() / peak / 100, rtol=0.05, atol=0)


def test_peak_by_stepping_is_the_closed_form() -> None:
    taus = torch.tensor([20.0, 5.0, 10.0, 7.0, 300.0]), torch.tensor([5.0, 20.0, 10.001, 3.0, 2.0])
    neuron = lb.neurons.LIF(*taus, threshold=torch.ones(5))
    torch.testing.assert_close(neuron.peak(1.0), Neuron.peak(neuron, 0.01).float(), rtol=1e-3, atol=0)
