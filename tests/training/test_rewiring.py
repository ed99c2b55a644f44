"""Deep R: what is moved, what stays, and that it goes on bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch

import lambent as lb
from lambent.training import Config, Trainer
from lambent.training.interrupt import Stop


class Quiet:
    def batch(self, *_):
        pass


def network(density=0.2, delay=None, recurrent=0.1):
    torch.manual_seed(0)
    among = lb.connections.Sparse(16, 16, density=recurrent) if recurrent else None
    layer = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(30, 16, density=density, delay=delay), among)
    return torch.nn.Sequential(layer, lb.LIReadout(16, 3, scale=30))


def places(layer, prefix=""):
    indices = getattr(layer, f"{prefix}indices")
    return indices[0] * 16 + indices[1]


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("delay", [None, 3.0])
def test_what_changes_its_sign_is_moved(density, delay):
    model = network(density, delay)
    layer = model[0]
    optimizer = torch.optim.Adam(model.parameters(), 5.0)  # weights are of about 10
    rewiring = lb.Rewiring(model, optimizer, l1=0.1)
    n = len(layer.weight)
    if delay:
        with torch.no_grad():
            layer.delay.copy_(torch.arange(n))
    began = places(layer)
    for _ in range(5):
        before, where = layer.weight.detach().clone(), places(layer)
        for name, p in model.named_parameters():
            p.grad = torch.randn_like(p) if "weight" in name else None
        moved = rewiring.step()
        now = places(layer)
        assert moved > 0
        assert len(now) == len(now.unique()) == n
        assert (now[1:] > now[:-1]).all()
        assert torch.isin(where, now).any()
        new = ~torch.isin(now, where)
        assert not layer.weight[new].any()
        for name in ("exp_avg", "exp_avg_sq"):
            assert not optimizer.state[layer.weight][name][new].any()
        # what stays has kept its sign, unless it was taken away and made once more
        old = dict(zip(where.tolist(), before.tolist(), strict=True))
        for place, weight in zip(now.tolist(), layer.weight.tolist(), strict=True):
            assert place not in old or weight == 0 or weight * old[place] >= 0
        if delay:
            assert torch.isin(layer.delay, torch.arange(n).float()).all()
        layer(lb.Events.from_dense(torch.rand(2, 20, 30) < 0.2, 1.0, batch_first=True))
    assert torch.equal(places(layer), began) == (density == 1)


def test_pull_and_moments_of_what_stays():
    model = network(recurrent=0)
    layer = model[0]
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    with torch.no_grad():
        layer.weight.copy_(torch.where(layer.weight < 0, -1.0, 1.0))
        layer.weight[3] = 1e-4
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = dict(zip(places(layer).tolist(), layer.weight.tolist(), strict=True))
    assert lb.Rewiring(model, optimizer, l1=0.5).step(torch.Generator().manual_seed(1)) == 1
    for place, weight in zip(places(layer).tolist(), layer.weight.tolist(), strict=True):
        if place in before and weight:
            assert weight == pytest.approx(before[place] * 0.995)
    assert (layer.weight == 0).sum() == 1


def test_without_gradients_and_pull_nothing_moves():
    model = network()
    rewiring = lb.Rewiring(model, torch.optim.Adam(model.parameters(), 0.1), l1=0.0)
    before = copy.deepcopy(model.state_dict())
    assert rewiring.step() == 0
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_models_without_sparse_connections():
    model = torch.nn.Sequential(lb.LIF(4, 5), lb.LIReadout(5, 2))
    with pytest.raises(ValueError, match="no layer of the model has sparse connections"):
        lb.Rewiring(model, torch.optim.Adam(model.parameters()))
    with pytest.raises(ValueError, match="l1 must be a number from 0 on, got -1"):
        lb.Rewiring(network(), torch.optim.Adam(model.parameters()), l1=-1)
    with pytest.raises(ValueError, match="no layer of the model has sparse connections"):
        Trainer(model, Config(rewire=0.1), lb.data.yin_yang(20, seed=0))


def trained(epochs, checkpoint=None):
    torch.manual_seed(0)
    layer = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(5, 20, density=0.3, delay=1.0))
    model = torch.nn.Sequential(layer, lb.LIReadout(20, 3, scale=30))
    config = Config(epochs=4, lr=0.5, rewire=0.05, blend=0.0, shift=0, initial_spikes=1.0, rate_lower=0.2)
    trainer = Trainer(model, config, lb.data.yin_yang(200, seed=0))
    if checkpoint is None:
        trainer.start()
    else:
        trainer.restore(checkpoint)
    while trainer.state.epoch < epochs:
        trainer.end_epoch(trainer.run_epoch(Quiet(), Stop()))
    return trainer


def test_goes_on_bit_for_bit():
    whole = trained(4)
    again = trained(4, copy.deepcopy(trained(2).checkpoint()))
    first = trained(0).model.state_dict()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])
        assert torch.equal(torch.signbit(value), torch.signbit(again.model.state_dict()[name]))
    assert not torch.equal(first["0.indices"], whole.model.state_dict()["0.indices"])
    assert first["0.indices"].shape == whole.model.state_dict()["0.indices"].shape
