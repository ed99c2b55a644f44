"""Resonators on the chip: resonate-and-fire units, as the model has them, in files, and in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lambent as lb
from lambent.connections import Conv2d, Dense
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.quantised import with_values_of
from lambent.quantize import quantization_aware, quantized_model

RULES = ["phase", "threshold"]


def build(rule: str, conv: bool = False) -> tuple[torch.nn.Sequential, lb.Events]:
    torch.manual_seed(0)
    connections = Conv2d((1, 4, 5), 6, (2, 5)) if conv else Dense(20, 18)
    n = connections.n_out
    each = n // 6
    period, tau = ((low + high * torch.rand(6)).repeat_interleave(each) for low, high in ((8, 30), (15, 40)))
    layer = lb.Spiking(lb.neurons.Resonator(tau, period, 0.8, rule), connections)
    batch = lb.Events.from_dense(torch.rand(6, 150, 20) < 0.05, 1.0)
    with torch.no_grad():
        for _ in range(8):
            layer.weight.mul_(1.3 if layer(batch).counts().mean() < 5 else 0.9)
    return torch.nn.Sequential(layer, lb.LIReadout(n, 4)), batch


def dense(spikes: lb.Events) -> np.ndarray:
    return spikes.to_dense(1.0).detach().numpy().transpose(0, 2, 1)


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_chip_spikes_as_the_model_does(tmp_path, rule, conv):
    model, batch = build(rule, conv)
    export_netx(model, tmp_path / "a.net", calibration=batch)
    network = load_netx(tmp_path / "a.net")
    assert network.layers[0].neuron.type == {"phase": "RF_PHASE", "threshold": "RF_IZHIKEVICH"}[rule]
    run = network.run(batch)
    wanted, got = model[0](batch).counts().detach().numpy(), run.spikes[0].sum(2)
    assert wanted.mean() > 1
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.97
    assert abs(got.mean() / wanted.mean() - 1) < 0.03


@pytest.mark.parametrize("rule", RULES)
def test_a_file_says_as_much_as_its_conversion(tmp_path, rule):
    model, batch = build(rule)
    conversion = convert(model, 4, batch)
    export_netx(model, tmp_path / "a.net", 4, calibration=batch)
    wanted, got = conversion.quantised(), with_values_of(list(model), load_netx(tmp_path / "a.net"))
    for (key, a), (_, b) in zip(wanted.state_dict().items(), got.state_dict().items(), strict=True):
        assert torch.equal(a, b), key
    assert got[0].neuron.rule == rule
    assert (got[0].period / model[0].period - 1).abs().max() < 0.01
    spikes = conversion.network.run(batch).spikes[0].sum(2)
    assert np.corrcoef(got[0](batch).counts().detach().numpy().ravel(), spikes.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("rule", "conv"), [("phase", False), ("phase", True), ("threshold", False)])
def test_training_computes_what_the_chip_does(tmp_path, rule, conv):
    model, batch = build(rule, conv)
    for value in model[0].state_dict(keep_vars=True).values():
        value.requires_grad_()
    aware = quantization_aware(model, 8, calibration=batch)
    grads = []
    for layers in (aware, quantized_model(aware)):
        F.cross_entropy(30 * layers(batch), torch.arange(6) % 4).backward()
        layer = getattr(layers[0], "layer", layers[0])
        grads.append({name: x.grad for name, x in layer.named_parameters()})
    assert grads[0].keys() >= {"weight", "tau_mem", "period", "threshold"}
    for name, got in grads[0].items():
        assert F.cosine_similarity(got.flatten(), grads[1][name].flatten(), 0) > (0.95 if rule == "phase" else 0.9), (
            name
        )
    optimizer = torch.optim.Adam(aware.parameters(), lr=0.01)
    for _ in range(2):
        export_netx(aware, tmp_path / "a.net")
        run = load_netx(tmp_path / "a.net").run(batch)
        np.testing.assert_array_equal(dense(aware[0](batch)), run.spikes[0])
        optimizer.step()
        for layer in aware:
            layer.constrain_()


def test_silent_resonators_get_gradients():
    model, batch = build("phase")
    with torch.no_grad():
        model[0].weight.mul_(0.01)
    aware = quantization_aware(model, 8, calibration=batch)
    spikes = aware[0](batch)
    assert spikes.counts().sum() == 0
    lb.losses.rate_penalty(spikes, lower=1.0).backward()
    wanted = quantized_model(aware)
    lb.losses.rate_penalty(wanted[0](batch), lower=1.0).backward()
    got, plain = aware[0].layer.weight.grad, wanted[0].weight.grad
    assert F.cosine_similarity(got.flatten(), plain.flatten(), 0) > 0.9


def test_what_is_refused():
    layer = lb.Spiking(lb.neurons.Resonator(rule="phase"), Dense(4, 3), Dense(3, 3))
    with pytest.raises(
        ValueError, match=r"layer 0 .Spiking.: the chip's resonators are not connected among themselves"
    ):
        convert(torch.nn.Sequential(layer))
    slow = lb.Spiking(lb.neurons.Resonator(1e6, rule="phase"), Dense(4, 3))
    with pytest.raises(ValueError, match=r"layer/1: tau_mem of 1e\+06 ms cannot be had"):
        convert(torch.nn.Sequential(slow))
    with pytest.warns(UserWarning, match=r"layer/1: tau_mem is up to .* off on the chip"):
        convert(torch.nn.Sequential(lb.Spiking(lb.neurons.Resonator(900.0, 31.7, rule="phase"), Dense(4, 3))))
