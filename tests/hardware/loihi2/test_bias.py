"""Layers with a bias on the chip: as the model has it, in files, and in training with the chip's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.quantised import with_values_of
from lambent.quantize import quantization_aware, quantized_model


def build(recurrent: bool = True) -> tuple[torch.nn.Sequential, lb.Events]:
    torch.manual_seed(0)
    hidden = lb.LIF(
        20, 30, recurrent=recurrent, tau_mem=8 + 20 * torch.rand(30), bias=torch.linspace(-0.3, 1.4, 30)
    )  # fmt: skip
    return torch.nn.Sequential(hidden, lb.LIReadout(30, 5)), lb.Events.from_dense(torch.rand(6, 150, 20) < 0.03, 1.0)


def half_a_unit(chip) -> np.ndarray:
    """The most that rounding may change a bias, thresholds being 1."""
    return 0.5 / chip.v_th_mant * 4096 / chip.v_decay


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
def test_chip_spikes_as_the_model_does(tmp_path, recurrent, calibrated):
    model, events = build(recurrent)
    export_netx(model, tmp_path / "a.net", calibration=events if calibrated else None, lava_compatible=True)
    run = load_netx(tmp_path / "a.net").run(events)
    wanted = model[0](events).counts().detach().numpy()
    got = run.spikes[0].sum(2)
    assert wanted.mean() > 1
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.98
    assert abs(got.mean() / wanted.mean() - 1) < 0.02


def test_without_input_the_voltages_are_the_biases(tmp_path):
    layer = lb.LIF(2, 4, bias=torch.tensor([0.5, -0.5, 0.05, 0.0]), tau_mem=torch.tensor([5.0, 10.0, 20.0, 40.0]))
    network = convert(torch.nn.Sequential(layer)).network
    run = network.run(lb.Events.from_lists([[]], [[]], 2, 400.0))
    chip = network.layers[0]
    voltage, unit = run.voltage[0][0, :, -1] / (64 * chip.v_th_mant), half_a_unit(chip)
    assert (np.abs(voltage - layer.bias.detach().numpy()) < 1.1 * unit + 1e-3).all()


def test_what_it_is_worth(tmp_path):
    """The quantised model is the same from the conversion and from the file, with biases near the float ones."""
    model, events = build()
    conversion = convert(model, 8, events)
    export_netx(model, tmp_path / "a.net", calibration=events)
    wanted, got = conversion.quantised(), with_values_of(list(model), load_netx(tmp_path / "a.net"))
    for (name, a), (_, b) in zip(wanted.state_dict().items(), got.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    error = (wanted[0].bias - model[0].bias).detach().abs().numpy()
    assert (error <= 1.01 * half_a_unit(conversion.network.layers[0])).all()
    assert 0 < error.max() < 0.05


def test_training_on_the_chips_arithmetic(tmp_path):
    """Spikes are the chip's, and the gradients those of the quantised model in floating point."""
    model, events = build()
    aware = quantization_aware(model, 8, calibration=events)
    export_netx(aware, tmp_path / "a.net")
    run = load_netx(tmp_path / "a.net").run(events)
    out = aware[0](events)
    assert (out.to_dense(1.0).detach().numpy().transpose(0, 2, 1) == run.spikes[0]).all()
    plain = quantized_model(aware)[0]
    grads = []
    for layer, bias in ((plain, plain.bias), (aware[0], aware[0].layer.bias)):
        spikes = layer(events)
        (spikes.counts().mean() + 0.01 * spikes.times.mean()).backward()
        grads.append(bias.grad)
    assert torch.cosine_similarity(*grads, dim=0) > 0.95
    optimizer = torch.optim.Adam(aware.parameters(), 1e-2)
    before = aware[0].layer.bias.detach().clone()
    optimizer.step()
    aware[0].constrain_()
    assert (aware[0].layer.bias != before).all()
