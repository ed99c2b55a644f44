"""Quantisation-aware models compute as the chip, bit for bit, and their gradients are EventProp's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import lambent as lb
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.hardware.loihi2.aware import AwareLIF, AwareLIReadout, aware_of
from lambent.hardware.loihi2.convert import convert
from lambent.quantize import quantization_aware, quantized_model


def build(
    reduce: str = "exp_mean", hidden: int = 1, dt: float = 1.0, seed: int = 1, count_gradient: float = 0.0
) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for n_in in (40, 30)[:hidden]:
        layer = lb.LIF(
            n_in, 30, recurrent=n_in == 40, tau_mem=8 + 20 * torch.rand(30), tau_syn=3 + 5 * torch.rand(30),
            threshold=0.5 + torch.rand(30), delay=torch.rand(n_in, 30) * 5,
            recurrent_delay=torch.rand(30, 30) * 5 if n_in == 40 else None, dt=dt,
        )  # fmt: skip
        with torch.no_grad():  # a few spikes a unit
            layer.weight.mul_((2 if n_in == 40 else 4) * layer.neuron.peak(dt))
        layers.append(layer)
    readout = lb.LIReadout(
        30, 5, tau_mem=15 + 10 * torch.rand(5), reduce=reduce, dt=dt, count_gradient=count_gradient
    )  # fmt: skip
    return torch.nn.Sequential(*layers, readout)


def events(dt: float = 1.0, batch: int = 6, seed: int = 2, twice: float = 0.003) -> lb.Events:
    """Some units spike twice in a step."""
    random = torch.Generator().manual_seed(seed)
    dense = [torch.rand(batch, 150, 40, generator=random) < rate for rate in (0.03, twice)]
    return lb.Events.from_dense(dense[0].int() + dense[1].int(), dt)


def dense(spikes: lb.Events, dt: float) -> np.ndarray:
    return spikes.to_dense(dt).detach().numpy().transpose(0, 2, 1)


def gradients(model: torch.nn.Sequential, batch: lb.Events) -> dict[str, torch.Tensor]:
    hidden = model[0](batch)
    labels = torch.arange(len(batch)) % 5
    loss = F.cross_entropy(30 * model[1](hidden), labels) + 0.1 * lb.losses.rate_penalty(hidden, 8.0, 12.0)
    named = {n.replace("layer.", ""): p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()))
    return {name: grad.double() for name, grad in zip(named, found, strict=True)}  # products of small ones vanish


@pytest.mark.parametrize(
    ("bits", "hidden", "reduce", "dt"),
    [
        (8, 1, "exp_mean", 1.0),
        (6, 1, "max", 1.0),
        (4, 2, "last", 0.5),
        (3, 1, "mean", 2.0),
        ((2, 5, 8), 2, "none", 1.0),
    ],
)
def test_computes_what_the_chip_does(tmp_path, bits, hidden, reduce, dt):
    """Spikes and voltages equal those of the file, after some training too."""
    batch = events(dt)
    aware = quantization_aware(build(reduce, hidden, dt), bits, calibration=batch)
    optimizer = torch.optim.Adam(aware.parameters(), lr=0.01)
    for _ in range(3):
        report = export_netx(aware, tmp_path / "a.net")
        assert [x.weight_bits for x in report.layers] == list(bits if isinstance(bits, tuple) else (bits,) * len(aware))
        network = load_netx(tmp_path / "a.net")
        run = network.run(batch)
        x = batch
        for layer, spikes in zip(aware[:-1], run.spikes, strict=False):
            x = layer(x)
            np.testing.assert_array_equal(dense(x, dt), spikes)
        assert 0.5 < x.counts().mean() < 75
        out = aware[-1](x)
        torch.testing.assert_close(out, torch.from_numpy(network.logits(batch)).float(), rtol=1e-6, atol=0)
        if reduce == "none":
            voltage = np.rint(out.detach().double().numpy() * network.readout.scale)
            np.testing.assert_array_equal(voltage.transpose(0, 2, 1), run.voltage[-1])
        optimizer.zero_grad()
        out.square().mean().backward()
        optimizer.step()
        for layer in aware:
            layer.constrain_()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8), st.floats(-3, 5))
def test_computes_what_the_chip_does_at_any_activity(seed, bits, gain):
    """From silence to states that are clipped and wrap, without calibration."""
    model, batch = build(seed=seed), events(batch=2, seed=seed)
    with torch.no_grad():
        model[0].weight.mul_(10**gain)
    aware = quantization_aware(model, bits)
    network = convert(aware).network
    np.testing.assert_array_equal(dense(aware[0](batch), 1.0), network.run(batch).spikes[0])
    torch.testing.assert_close(aware(batch), torch.from_numpy(network.logits(batch)).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("bits", "count_gradient"), [(8, 0.0), (8, 1.0), (3, 0.0)])
def test_gradients_are_those_of_the_quantised_model(bits, count_gradient):
    """Whose spikes are nearly the same; where they differ, it is for the integer states."""
    batch = events(twice=0.0)
    aware = quantization_aware(build(count_gradient=count_gradient), bits, calibration=batch)
    got, wanted = gradients(aware, batch), gradients(quantized_model(aware), batch)
    assert got.keys() == wanted.keys()
    for name in wanted:
        if bits == 3 and name == "0.recurrent_delay":  # of weights that are all rounded to 0
            assert not got[name].any()
            assert not wanted[name].any()
            continue
        assert F.cosine_similarity(got[name].flatten(), wanted[name].flatten(), 0, eps=1e-30) > 0.98, name
        assert 0.9 < got[name].norm() / wanted[name].norm() < 1.1, name


def test_gradients_of_everything_else():
    batch, model = events(twice=0.0), build()
    for value in model.state_dict(keep_vars=True).values():
        value.requires_grad_()
    aware = quantization_aware(model, 8, calibration=batch)
    got, wanted = gradients(aware, batch), gradients(quantized_model(aware), batch)
    assert {"0.tau_mem", "0.tau_syn", "0.threshold", "0.delay", "0.recurrent_delay", "1.tau_mem"} <= got.keys()
    for name in wanted:
        assert F.cosine_similarity(got[name].flatten(), wanted[name].flatten(), 0, eps=1e-30) > 0.97, name


def test_gradients_reach_the_input():
    """Of several spikes of a unit in a step only the first counts."""
    aware = quantization_aware(torch.nn.Sequential(lb.LIReadout(2, 3)), 8)
    batch = lb.Events.from_lists([[1.0, 1.2, 3.0]], [[0, 0, 1]], 2, 20.0)
    batch.times.requires_grad_()
    aware(batch).sum().backward()
    grad = batch.times.grad
    assert grad[0] != 0
    assert grad[1] == 0
    assert grad[2] != 0
    alone = lb.Events.from_lists([[1.0, 3.0]], [[0, 1]], 2, 20.0)
    assert torch.equal(aware(batch), aware(alone))


def test_silent_units_get_gradients():
    model, batch = build(), events(twice=0.0)
    with torch.no_grad():
        model[0].weight.mul_(0.1)
    aware = quantization_aware(model, 8, calibration=batch)
    spikes = aware[0](batch)
    assert spikes.counts().sum() == 0
    lb.losses.rate_penalty(spikes, lower=1.0).backward()
    wanted = quantized_model(aware)
    lb.losses.rate_penalty(wanted[0](batch), lower=1.0).backward()
    got, wanted = aware[0].layer.weight.grad, wanted[0].weight.grad
    near = [torch.allclose(got[:, j], wanted[:, j], rtol=0.05, atol=1e-3) for j in range(30)]
    assert sum(near) >= 27  # of two peaks nearly as high each may take another
    assert F.cosine_similarity(got.flatten(), wanted.flatten(), 0) > 0.95


@pytest.mark.parametrize("bits", [8, 2])
def test_training_it_lowers_the_loss(bits):
    batch, labels = events(), torch.arange(6) % 5
    aware = quantization_aware(build(), bits, calibration=batch)
    optimizer = torch.optim.Adam(aware.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(30 * aware(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for layer in aware:
            layer.constrain_()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.5 * losses[0]


def test_weights_stay_within_the_integers():
    batch = events()
    aware = quantization_aware(build(), 3, calibration=batch)
    before = [layer.integers for layer in aware]
    with torch.no_grad():
        for layer in aware:
            layer.layer.weight.mul_(1000)
    largest = [np.abs(x.weight).max(0) for x in convert(aware).layers]
    for layer in aware:
        layer.constrain_()
    for layer, old, top in zip(aware, before, largest, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(layer.integers, old, strict=True))
        assert np.all(np.abs(layer.layer.weight.detach().numpy()) < 1.5 * top)
    assert [np.abs(x.weight).max(0).tolist() for x in convert(aware).layers] == [x.tolist() for x in largest]


def test_the_state_is_all_there_is():
    batch = events()
    aware = quantization_aware(build(), (4, 6), calibration=batch)
    again = aware_of(build(seed=5), aware.state_dict())
    assert [layer.integers.bits for layer in again] == [4, 6]
    assert torch.equal(again(batch), aware(batch))
    assert aware_of(build(), build().state_dict()) is None
    assert isinstance(aware[0], AwareLIF)
    assert isinstance(aware[1], AwareLIReadout)
    assert "weight_bits=4" in repr(aware)


def test_other_bits_quantise_the_float_weights(tmp_path):
    batch, model = events(), build()
    aware = quantization_aware(model, 2, calibration=batch)
    for bits in (8, (2, 3)):
        wanted, got = (convert(m, bits, batch) for m in (model, aware))
        for a, b in itertools.product(wanted.layers, got.layers):
            assert (a.layer.name != b.layer.name) or np.array_equal(a.layer.weight, b.layer.weight)
    assert np.array_equal(convert(aware, 2).layers[0].layer.weight, convert(aware).layers[0].layer.weight)


def test_leaves_the_model_alone():
    model = build()
    before = {name: p.clone() for name, p in model.named_parameters()}
    aware = quantization_aware(model, 3)
    with torch.no_grad():
        aware[0].layer.weight.zero_()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_says_what_is_wrong():
    aware = quantization_aware(build())
    with pytest.raises(TypeError, match="Sequential, got LIF"):
        quantization_aware(lb.LIF(3, 2))
    with pytest.raises(ValueError, match="one for each of 2 layers"):
        quantization_aware(build(), (4, 4, 4))
    with pytest.raises(ValueError, match=r'train with reset="zero"'):
        quantization_aware(torch.nn.Sequential(lb.LIF(3, 2, reset="subtract")))
    with pytest.raises(ValueError, match="40 inputs"):
        aware(lb.Events.from_lists([[]], [[]], 3, 10.0))
    with torch.no_grad():
        aware[0].layer.weight[3, 4] = torch.nan
    with pytest.raises(ValueError, match="weight from unit 3 to unit 4 is nan"):
        aware(events())
    with pytest.raises(NotImplementedError, match="on the CPU"):
        aware.to("meta")(events().to("meta"))


def test_empty_batches():
    aware = quantization_aware(build())
    nothing = lb.Events.from_lists([], [], 40, 50.0)
    assert aware(nothing).shape == (0, 5)
    silence = lb.Events.from_lists([[], []], [[], []], 40, 50.0)
    assert aware[0](silence).counts().sum() == 0
    assert not aware(silence).any()
