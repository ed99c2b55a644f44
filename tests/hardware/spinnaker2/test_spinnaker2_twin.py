"""The chip and its twin in torch: same spikes, same gradients, and models that go from one to the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spinnaker2_cases import deep, feedforward, readout, run_batch

import lambent as lb
from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.fast import FastMachine


def twin_gradient(model, rule, points):
    """Loss and gradient of the torch model on lambent's grid, in the chip's weights."""
    events, labels = points
    x, loss = events, 0.0
    bounds = iter(rule.rates or ())
    for layer in model:
        x = layer(x)
        if isinstance(x, lb.Events) and (bound := next(bounds, None)):
            loss = loss + rule.rate_strength * lb.losses.rate_penalty(x, *bound)
    own = rule.loss
    if isinstance(own, s2.FirstSpike):
        loss = loss + lb.losses.first_spike_cross_entropy(x, labels, own.tau, own.alpha, own.tau_alpha)
    else:
        loss = loss + torch.nn.functional.cross_entropy(x, labels, label_smoothing=own.label_smoothing)
    loss.backward()
    parts = []
    for layer, on_chip in zip(model, s2.to_chip(model).layers, strict=True):
        grads = [layer.weight.grad]
        grads += [layer.recurrent_weight.grad] if getattr(layer, "recurrent_weight", None) is not None else []
        parts.append((torch.cat(grads).double().numpy() / on_chip.worth(1.0)).ravel())
    return loss.item(), parts


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (feedforward(), s2.Rule()),
        (feedforward(), s2.Rule(rates=((0.5, 5.0), (2.0, 9.0)), rate_strength=0.3)),
        (deep(), s2.Rule(rates=((0.5, 1.0), (2.0, 9.0), (1.0, 2.0)))),
        (readout("mean", 0.0), s2.Rule("lambent", s2.CrossEntropy(0.1, 0.0))),
        (readout("exp_mean", 0.0), s2.Rule("lambent", s2.CrossEntropy(0.0, 0.0), ((0.5, 1.0), (2.0, 9.0)))),
        (readout("last", 0.0), s2.Rule("lambent", s2.CrossEntropy(0.0, 0.0))),
    ],
)
def test_the_adjoint_is_lambents(points, model, rule):
    placement = s2.place(s2.to_chip(model), 27, batch=22, training=True)
    done = run_batch(FastMachine(placement, rule, 27.0), points)
    loss, wanted = twin_gradient(model, rule, points)
    assert done.loss == pytest.approx(loss, rel=1e-5)
    found = done.gradients.sum(0, dtype=np.float64)
    starts = np.cumsum([0, *map(len, wanted)])
    for part, a, b in zip(wanted, starts, starts[1:], strict=False):
        np.testing.assert_allclose(found[a:b], part, atol=1e-5 * np.abs(part).max(), rtol=0)


@pytest.mark.parametrize("make", [feedforward, deep, readout])
def test_spikes_and_scores_are_equal(make):
    model = make()
    events, _ = s2.bena2024_data(200, 3).batch(range(200))
    run = s2.run_network(s2.to_chip(model), events)
    x = events
    for i, layer in enumerate(model):
        if isinstance(layer, lb.LIReadout):
            break
        x = layer(x)
        assert np.array_equal(x.to_dense(1.0).detach().numpy().transpose(0, 2, 1), run.spikes[i])
    if isinstance(model[-1], lb.LIReadout):
        scores = s2.to_chip(model).readout.scores(run)
        np.testing.assert_allclose(scores, model[-1](x).detach().numpy(), atol=1e-4)
        voltages = model[-1].voltages(x).detach().numpy()
        np.testing.assert_allclose(run.voltage[-1].transpose(0, 2, 1), voltages, atol=1e-5)
    else:
        first = lb.losses.first_spike_times(x).detach().numpy()
        assert np.array_equal(-s2.to_chip(model).readout.scores(run), first)


@pytest.mark.parametrize("make", [feedforward, deep, readout])
def test_there_and_back(make):
    model = make()
    again = s2.to_torch(s2.to_chip(model), model)
    for (name, a), b in zip(model.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0, msg=name)
    assert again is not model


def test_hybrid_training(points):
    """Trained in torch, then on the chip, then in torch."""
    model, data = readout(), s2.bena2024_data(110, 0)
    lb.fit(model, data, valid=None, epochs=1, lr=1e-3, progress=False)
    before = [p.clone() for p in model.parameters()]
    done = s2.train_on_chip(model, data, epochs=1)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    events, _ = points
    scores = done.network.readout.scores(s2.run_network(done.network, events))
    np.testing.assert_allclose(scores, model(events).detach().numpy(), atol=1e-3)
    lb.fit(model, data, valid=None, epochs=1, lr=1e-3, progress=False)


def test_sparse_connections_keep_their_places():
    torch.manual_seed(0)
    sparse = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(5, 20, density=0.3))
    model = torch.nn.Sequential(sparse, lb.LIF(20, 3))
    again = s2.to_torch(s2.to_chip(model), model)
    torch.testing.assert_close(again[0].weight, sparse.weight)
    assert (s2.to_chip(model).layers[0].matrix != 0).sum() == sparse.weight.numel()


def conv():
    kernels = lb.connections.Conv1d((1, 10), 2, 3)
    return torch.nn.Sequential(lb.Spiking(lb.neurons.LIF(), kernels), lb.LIF(kernels.n_out, 3))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: lb.LIF(5, 3), TypeError, "must be a torch.nn.Sequential"),
        (
            lambda: torch.nn.Sequential(lb.AdaptiveLIF(5, 3)),
            TypeError,
            "layer 0 .*the chip's programs are for LIF units",
        ),
        (lambda: torch.nn.Sequential(lb.LIF(5, 3, reset="subtract")), ValueError, 'layer 0 .*train with reset="zero"'),
        (lambda: torch.nn.Sequential(lb.LIF(5, 3, bias=0.1)), ValueError, "layer 0 .*no bias"),
        (lambda: torch.nn.Sequential(lb.LIF(5, 3, delay=2.0)), ValueError, "layer 0 .*no delays; leave delay out"),
        (lambda: torch.nn.Sequential(lb.LIF(5, 3, dt=None)), ValueError, "layer 0 .*dt=None has no steps"),
        (
            lambda: torch.nn.Sequential(lb.LIF(5, 3), lb.LIReadout(3, 2, reduce="max")),
            ValueError,
            "layer 1 .*reduce='max'.*mean, exp_mean, last",
        ),
    ],
)
def test_what_the_chip_has_no_words_for(model, error, message):
    with pytest.raises(error, match=message):
        s2.to_chip(model())


def test_weights_that_cannot_go_back():
    model = conv()
    network = s2.to_chip(model)  # runs, as a matrix
    with pytest.raises(TypeError, match=r"Conv1d connections became a matrix.*train Dense or Sparse ones"):
        s2.to_torch(network, model)
    for other in (
        deep(),
        torch.nn.Sequential(lb.LIF(5, 120, tau_mem=30.0), lb.LIF(120, 3)),
        torch.nn.Sequential(lb.LIF(5, 120, dt=0.5), lb.LIF(120, 3, dt=0.5)),
        torch.nn.Sequential(lb.LIF(5, 120), lb.LIReadout(120, 3)),
    ):
        with pytest.raises(ValueError, match="the network is of another model"):
            s2.to_torch(s2.to_chip(feedforward()), other)
    with pytest.raises(ValueError, match="1 labels for 3 outputs"):
        s2.to_chip(feedforward(), labels=["a"])


def test_zero_delays_are_none():
    model = torch.nn.Sequential(lb.LIF(5, 4, delay=0.2), lb.LIF(4, 3))  # less than half a step
    assert s2.to_chip(model).layers[0].matrix.shape == (5, 4)
