"""`record`: the layers' own spikes, and states that follow from them step by step."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.connections.connections import delay_steps
from lambent.quantize import quantization_aware

DT = 0.5


def random_events(batch=3, units=6, steps=80, rate=0.08, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return lb.Events.from_dense((torch.rand(batch, steps, units, generator=g) < rate).int(), DT, dtype)


def stepped(layer, events, own):
    """States (n_states, batch, out, steps) by the book: what arrives, `advance`, and `reset` where it spiked."""
    p = layer.neuron.on_grid(layer.dt, torch.float64)
    kind = type(p)
    came = events.to_dense(layer.dt).double()
    spiked = None if own is None else own.to_dense(layer.dt).double()
    batch, steps, _ = came.shape
    arriving = torch.zeros(steps + 200, batch, layer.out_features, dtype=torch.float64)
    sides = [(came, layer.connections)]
    if own is not None and layer.recurrent is not None:
        sides.append((spiked, layer.recurrent))
    for trains, connections in sides:
        source, target, weight, delay = connections.entries()
        late = [0] * len(source) if delay is None else delay_steps(delay, layer.dt).long().tolist()
        for s, t, w, d in zip(source.tolist(), target.tolist(), weight.tolist(), late, strict=True):
            arriving[1 + d : 1 + d + steps, :, t] += w * trains[:, :, s].T
    x = (torch.zeros(batch, layer.out_features, dtype=torch.float64),) * kind.n_states
    found = []
    for n in range(steps):
        x = kind.advance(x, arriving[n], p)
        if spiked is not None:
            x = tuple(
                torch.where(spiked[:, n] > 0, new, old) for new, old in zip(kind.reset(x, p), x, strict=True)
            )  # fmt: skip
        found.append(torch.stack(x))
    return torch.stack(found, -1).detach().numpy()


def layers():
    torch.manual_seed(1)
    delays = 10 * torch.rand(6, 5)
    yield "plain", lb.LIF(6, 5, dt=DT)
    yield "recurrent", lb.LIF(6, 5, dt=DT, recurrent=True, delay=delays, recurrent_delay=3.0, reset="subtract")
    sparse = lb.connections.Sparse(6, 5, density=0.7, delay=2.0)
    neuron = lb.neurons.LIF(torch.linspace(5, 30, 5), 4.0)
    yield "sparse", lb.Spiking(neuron, sparse, lb.connections.Dense(5, 5), dt=DT)
    yield "double", lb.LIF(6, 5, dt=DT, recurrent=True).double()


LAYERS = dict(layers())


@pytest.mark.parametrize("name", LAYERS)
def test_states_follow_from_the_layers_own_spikes(name):
    layer = LAYERS[name]
    events = random_events(dtype=layer.weight.dtype)
    own = layer(events)
    assert len(own.times) > 10
    run = lb.record(layer, events)
    assert run.layers == ("Spiking" if name == "sparse" else "LIF",)
    assert run.dt == (DT,)
    assert run.spikes[0].dtype == np.int8
    assert torch.equal(torch.from_numpy(run.spikes[0]), own.to_dense(DT).transpose(1, 2).to(torch.int8))
    current, voltage = stepped(layer, events, own)
    exact = 1e-9 if name == "double" else 2e-5
    np.testing.assert_allclose(run.current[0], current, atol=exact * 10, rtol=exact)
    np.testing.assert_allclose(run.voltage[0], voltage, atol=exact * 10, rtol=exact)
    assert run.voltage[0].shape == (3, 5, 80)
    reset = run.voltage[0][run.spikes[0] > 0]
    assert (reset < 1).all() if name == "recurrent" else (reset == 0).all()


def test_a_readouts_voltages_are_those_of_reduce_none():
    torch.manual_seed(0)
    events = random_events()
    readout = lb.LIReadout(6, 4, dt=DT, reduce="none")
    mean = lb.LIReadout(6, 4, dt=DT, reduce="mean")
    mean.load_state_dict(readout.state_dict())
    expected = readout(events).detach().transpose(1, 2).numpy()
    run = lb.record(mean, events, "voltage", "spikes")
    np.testing.assert_allclose(run.voltage[0], expected, rtol=1e-5, atol=1e-6)
    assert run.spikes[0].shape == expected.shape
    assert not run.spikes[0].any()
    assert torch.equal(run.output, mean(events))
    assert not run.output.requires_grad


class Unnamed(lb.neurons.LIF):
    """A neuron of a user's, that does not say what its states are called."""

    state_names = ()


class Voices(torch.nn.Module):
    """Not a chain: two branches, a layer that is called twice, and a plain torch head."""

    def __init__(self):
        super().__init__()
        self.one = lb.LIF(6, 5, dt=DT)
        self.two = lb.Spiking(Unnamed(), lb.connections.Dense(6, 3), dt=1.0)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, events):
        first, second = self.one(events), self.two(events=events)
        self.one(events)
        return self.head(torch.cat([first.counts(), second.counts()], 1))


def test_any_module_neuron_and_step():
    torch.manual_seed(0)
    run = lb.record(Voices(), random_events())
    assert run.layers == ("one", "two", "one")
    assert run.dt == (DT, 1.0, DT)
    assert set(run.arrays) == {"spikes", "current", "voltage", "state_0", "state_1"}
    assert [x.shape for x in run.voltage] == [(3, 5, 80), (3, 0, 40), (3, 5, 80)]
    assert [x.shape for x in run.state_1] == [(3, 0, 80), (3, 3, 40), (3, 0, 80)]
    np.testing.assert_array_equal(run.current[0], run.current[2])
    assert repr(run).startswith("Recording(3 samples, 80 or 40 steps, layers of 5, 3, 5 units: spikes")


def test_only_what_was_asked_for():
    run = lb.record(LAYERS["plain"], random_events(), "voltage")
    assert list(run.arrays) == ["voltage"]
    assert "voltage" in dir(run)
    with pytest.raises(AttributeError, match="current was not recorded; there are voltage"):
        _ = run.current
    for twin in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        np.testing.assert_array_equal(twin.voltage[0], run.voltage[0])


def test_empty_batches_and_samples():
    nobody = random_events()[[]]
    assert lb.record(LAYERS["plain"], nobody).voltage[0].shape == (0, 5, 80)
    silent = lb.Events.from_lists([[], [1.0]], [[], [2]], 6, 40.0)
    run = lb.record(LAYERS["recurrent"], silent)
    assert not run.current[0][0].any()
    assert run.current[0][1].any()
    assert "0 samples" in repr(lb.record(LAYERS["plain"], nobody))


def test_weights_and_modes_stay():
    layer = LAYERS["plain"].train()
    before = {name: x.clone() for name, x in layer.state_dict().items()}
    lb.record(layer, random_events())
    assert layer.training
    assert not layer._forward_hooks
    assert all(torch.equal(x, before[name]) for name, x in layer.state_dict().items())


def test_refusals():
    events, layer = random_events(), LAYERS["plain"]
    with pytest.raises(ValueError, match="'volts': no layer has such a state; there are spikes, current, voltage"):
        lb.record(layer, events, "spikes", "volts")
    with pytest.raises(ValueError, match="layer 0: continuous time"):
        lb.record(torch.nn.Sequential(lb.LIF(6, 5, dt=None)), events)
    with pytest.raises(ValueError, match="no spiking layer and no readout"):
        lb.record(torch.nn.Linear(3, 2), torch.ones(1, 3))
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got list"):
        lb.record([layer], events)
    with pytest.raises(TypeError, match=r"takes lambent.Events"):
        lb.record(layer, torch.ones(3, 6))
    with pytest.raises(ValueError, match="has 6 inputs, the events have 2 units"):
        lb.record(layer, lb.Events.from_lists([[1.0]], [[0]], 2, 40.0))
    assert not layer._forward_hooks
    chain = torch.nn.Sequential(lb.LIF(6, 5, dt=DT), lb.LIReadout(5, 2, dt=DT))
    with pytest.raises(ValueError, match=r"layer 0.layer was not called"):
        lb.record(quantization_aware(chain, 8, calibration=events), events)
