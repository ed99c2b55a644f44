"""The quantised float model stands between the float model and the chip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.hardware.loihi2.convert import convert
from lambent.quantize import quantized_model


def build() -> tuple[torch.nn.Sequential, lb.Events]:
    torch.manual_seed(1)
    hidden = lb.LIF(
        40, 30, recurrent=True, tau_mem=8 + 20 * torch.rand(30), tau_syn=3 + 5 * torch.rand(30),
        delay=torch.rand(40, 30) * 5,
    )  # fmt: skip
    with torch.no_grad():
        hidden.weight.mul_(0.4)  # a few spikes a unit
    model = torch.nn.Sequential(hidden, lb.LIReadout(30, 5))
    return model, lb.Events.from_dense(torch.rand(8, 200, 40) < 0.03, 1.0)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_is_what_the_chip_computes_but_for_integer_states(bits: int) -> None:
    model, events = build()
    quantized = quantized_model(model, bits, calibration=events)
    network = convert(model, bits, events).network
    wanted = quantized[0](events).counts().detach().numpy()
    got = network.run(events).spikes[0].sum(2)
    assert wanted.mean() > 1
    assert (wanted == got).mean() > 0.95
    scores = quantized(events).detach().numpy()
    assert np.sqrt(((network.logits(events) - scores) ** 2).mean()) < 0.05 * scores.std()


def test_leaves_the_model_alone() -> None:
    model, events = build()
    before = {name: p.clone() for name, p in model.named_parameters()}
    quantized = quantized_model(model, 3)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), name
    assert not torch.equal(quantized[0].weight, model[0].weight)
    assert torch.equal(quantized[0].threshold, model[0].threshold)
    assert torch.equal(quantized[0].delay, model[0].delay.round())
    assert quantized(events).shape == (8, 5)


def test_weights_take_few_values() -> None:
    quantized = quantized_model(build()[0], 2)
    for unit in range(30):
        both = torch.cat([quantized[0].weight[:, unit], quantized[0].recurrent_weight[:, unit]])
        assert len(both.unique()) <= 3


def test_eight_bits_are_close_to_the_model() -> None:
    model, events = build()
    quantized = quantized_model(model, 8, calibration=events)
    wanted, got = model[0](events).counts(), quantized[0](events).counts()
    assert (wanted == got).float().mean() > 0.9


def test_refuses_as_export_does() -> None:
    with pytest.raises(TypeError, match="Sequential, got LIF"):
        quantized_model(lb.LIF(3, 2))
