"""Sparse connections, convolutions and pools on the chip: as the model has them, in files, and in training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lambent as lb
from lambent.connections import AvgPool2d, Conv1d, Conv2d, Dense, Sparse, SumPool2d
from lambent.connections.connections import Connections
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.hardware.loihi2.aware import aware_of
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.quantised import with_values_of
from lambent.quantize import quantization_aware, quantized_model

N_IN = 72  # 2 x 6 x 6


def delays(conv: Connections) -> Connections:
    """The same with delays that differ."""
    return conv.with_values(delay=torch.randint(0, 6, conv.parameter_shape).float())


def channel_delays(conv: Conv2d) -> Connections:
    steps = torch.randint(0, 6, (conv.out_channels, 1, 1, 1)).float()
    return conv.with_values(delay=steps.expand(conv.weight.shape))


def mixed(n: int, per_channel: bool, channels: int) -> lb.neurons.LIF:
    def drawn(low: float, high: float) -> torch.Tensor:
        if per_channel:
            return (low + (high - low) * torch.rand(channels)).repeat_interleave(n // channels)
        return low + (high - low) * torch.rand(n)

    return lb.neurons.LIF(drawn(10, 25), drawn(3, 8), drawn(0.5, 1.5), bias=drawn(-0.1, 0.2))


MAP = (2, 6, 6)
STACKS: dict[str, tuple[Callable[[], list[Connections]], list[str]]] = {
    "sparse": (lambda: [Sparse(N_IN, 30, density=0.3)], ["dense"]),
    "sparse, delays": (lambda: [delays(Sparse(N_IN, 30, density=0.3))], ["dense"]),
    "conv": (lambda: [Conv2d(MAP, 3, 3, stride=2, padding=1)], ["conv"]),
    "conv, a delay for each channel": (lambda: [channel_delays(Conv2d(MAP, 3, (3, 2), dilation=(1, 2)))], ["conv"]),
    "conv, delays": (lambda: [delays(Conv2d(MAP, 3, 3, stride=2))], ["dense"]),
    "groups": (lambda: [Conv2d(MAP, 4, 3, groups=2)], ["conv"]),
    "signal": (lambda: [Conv1d((1, N_IN), 4, 9, stride=4)], ["conv"]),
    "sum": (lambda: [SumPool2d(MAP, 2, padding=1, weight=0.9)], ["pool"]),
    "conv, pool, dense": (
        lambda: [Conv2d(MAP, 4, 3), AvgPool2d((4, 4, 4), 2), Dense(16, 10)],
        ["conv", "pool", "dense"],
    ),
    "conv that gets no map": (lambda: [Dense(N_IN, 32), Conv2d((2, 4, 4), 3, 3)], ["dense", "dense"]),
}  # fmt: skip


def build(
    stack: list[Connections], units: str = "mixed", recurrent: Connections | None = None, dt: float = 1.0
) -> tuple[torch.nn.Sequential, lb.Events]:
    layers: list[torch.nn.Module] = []
    batch = lb.Events.from_dense(torch.rand(5, 80, N_IN) < 0.06, dt)
    for connections in stack:
        channels = connections.shape_out[0]
        neuron = lb.neurons.LIF() if units == "equal" else mixed(connections.n_out, units == "mixed", channels)
        layers.append(lb.Spiking(neuron, connections, recurrent, dt=dt))
    with torch.no_grad():
        x = batch
        for layer in layers:  # a few spikes a unit
            if isinstance(layer.connections, SumPool2d):
                layer.weight.fill_(2.0)
            else:
                for _ in range(8):
                    layer.weight.mul_(1.3 if layer(x).counts().mean() < 4 else 0.9)
            x = layer(x)
    return torch.nn.Sequential(*layers, lb.LIReadout(stack[-1].n_out, 4, dt=dt)), batch


def dense(spikes: lb.Events, dt: float = 1.0) -> np.ndarray:
    return spikes.to_dense(dt).detach().numpy().transpose(0, 2, 1)


def chain(model: torch.nn.Sequential, batch: lb.Events) -> list[lb.Events]:
    found = [batch]
    for layer in model[:-1]:
        found.append(layer(found[-1]))
    return found[1:]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", STACKS)
def test_chip_spikes_as_the_model_does(tmp_path, name):
    make, kinds = STACKS[name]
    model, batch = build(make(), "equal" if name == "sum" or "pool" in name else "mixed")
    report = export_netx(
        model,
        tmp_path / "a.net",
        calibration=batch,
        lava_compatible=not any(x in name for x in ("delay", "sum", "pool")),
    )
    assert [x.kind for x in report.layers] == [*kinds, "dense"]
    network = load_netx(tmp_path / "a.net")
    run = network.run(batch)
    for i, (spikes, wanted) in enumerate(zip(run.spikes, chain(model, batch), strict=False)):
        got, counts = spikes.sum(2), wanted.counts().detach().numpy()
        assert counts.mean() > 0.5, "the model is too quiet for the test to mean anything"
        assert np.corrcoef(counts.ravel(), got.ravel())[0, 1] > 0.97 - 0.04 * i
        assert abs(got.mean() / counts.mean() - 1) < 0.03


@pytest.mark.parametrize("units", ["equal", "mixed", "all different"])
@pytest.mark.parametrize("name", STACKS)
def test_a_file_says_as_much_as_its_conversion(tmp_path, name, units):
    model, batch = build(STACKS[name][0](), units)
    conversion = convert(model, 5, batch)
    report = export_netx(model, tmp_path / "a.net", 5, calibration=batch)
    network = load_netx(tmp_path / "a.net")
    convolves = [isinstance(layer, ConvLayer) for layer in network.layers]
    assert any(convolves) == ("conv" in STACKS[name][1] + ["conv"] * (name == "sum") and units != "all different")
    wanted, got = conversion.quantised(), with_values_of(list(model), network)
    assert wanted.state_dict().keys() == got.state_dict().keys()
    for (key, a), (_, b) in zip(wanted.state_dict().items(), got.state_dict().items(), strict=True):
        assert torch.equal(a, b), key
    direct = conversion.network.run(batch)
    for a, b in zip(direct.voltage, network.run(batch).voltage, strict=True):
        np.testing.assert_array_equal(a, b)
    quantised = [x.counts().detach().numpy() for x in chain(got, batch)]
    for spikes, counts in zip(direct.spikes, quantised, strict=False):
        assert abs(spikes.sum() / counts.sum() - 1) < 0.03
    text = str(report)
    assert ("as units of a channel differ" in text) == (units == "all different" and "sparse" not in name)


@pytest.mark.parametrize("bits", [8, 3])
def test_zeros_stay_zero(tmp_path, bits):
    model, batch = build([Sparse(N_IN, 30, density=0.2)], recurrent=Sparse(30, 30, density=0.1))
    export_netx(model, tmp_path / "a.net", bits, calibration=batch)
    layer = load_netx(tmp_path / "a.net").layers[0]
    for weight, connections in ((layer.weight, model[0].connections), (layer.weight_rec, model[0].recurrent)):
        there = np.zeros(weight.shape, bool)
        there[connections.indices[1], connections.indices[0]] = True
        assert not weight[~there].any()
        assert weight[there].any() or bits == 3
    quantised = quantized_model(model, bits, calibration=batch)[0]
    assert torch.equal(quantised.connections.indices, model[0].connections.indices)
    assert quantised.weight.shape == model[0].weight.shape


@pytest.mark.parametrize("units", ["equal", "mixed", "all different"])
@pytest.mark.parametrize("name", STACKS)
def test_training_computes_what_the_chip_does(tmp_path, name, units):
    """Spikes are those of the file, after some training too, and gradients those of the quantised model."""
    model, batch = build(STACKS[name][0](), units)
    for value in model.state_dict(keep_vars=True).values():
        if value.is_floating_point():
            value.requires_grad_()
    aware = quantization_aware(model, 6, calibration=batch)
    optimizer = torch.optim.Adam(aware.parameters(), lr=0.01)
    for _ in range(3):
        export_netx(aware, tmp_path / "a.net")
        network = load_netx(tmp_path / "a.net")
        run, own = network.run(batch), chain(aware, batch)
        for got, wanted in zip(own, run.spikes, strict=False):
            np.testing.assert_array_equal(dense(got), wanted)
        out = aware[-1](own[-1])
        torch.testing.assert_close(out, torch.from_numpy(network.logits(batch)).float(), rtol=1e-6, atol=1e-9)
        optimizer.zero_grad()
        F.cross_entropy(30 * out, torch.arange(5) % 4).backward()
        assert all(x.grad is not None and x.grad.any() for n, x in aware[0].named_parameters() if n == "layer.weight")
        optimizer.step()
        for layer in aware:
            layer.constrain_()
    again = aware_of(model, aware.state_dict())
    assert torch.equal(again(batch), aware(batch))


@pytest.mark.parametrize("name", ["sparse, delays", "conv", "conv, delays", "groups", "sum"])
def test_gradients_are_those_of_the_quantised_model(name):
    """To which those of kernels add up."""
    model, batch = build(STACKS[name][0](), "mixed")
    model[0].weight.requires_grad_()
    aware = quantization_aware(model, 8, calibration=batch)
    labels, grads = torch.arange(5) % 4, []
    for layers in (aware, quantized_model(aware)):
        F.cross_entropy(30 * layers(batch), labels).backward()
        layer = getattr(layers[0], "layer", layers[0])
        grads.append(layer.weight.grad)
    got, wanted = grads
    if wanted.shape != got.shape:  # a weight for each connection or channel, of which shared ones are the sum
        weight = model[0].weight.detach().clone().requires_grad_()
        entries = model[0].connections.with_values(weight=weight).entries()
        order = entries.source.argsort(stable=True)
        each = entries.weight[order] if name == "conv, delays" else weight.expand(wanted.shape)
        each.backward(wanted)
        wanted = weight.grad
    assert F.cosine_similarity(got.flatten(), wanted.flatten(), 0) > 0.97
    assert 0.9 < got.norm() / wanted.norm() < 1.1


def test_a_channel_has_one_scale(tmp_path):
    model, batch = build([Conv2d(MAP, 3, 3)])
    export_netx(model, tmp_path / "a.net", calibration=batch)
    layer = load_netx(tmp_path / "a.net").layers[0]
    assert isinstance(layer, ConvLayer)
    assert layer.weight.shape == (3, 2, 3, 3)
    assert layer.neuron.v_th_mant.shape == (3,)
    assert len(set(layer.neuron.v_th_mant.tolist())) == 3


def test_what_is_refused():
    twice = Sparse(4, 3, indices=torch.tensor([[0, 0], [1, 1]]))
    with pytest.raises(ValueError, match=r"layer/1: two connections join the same two units.*merge"):
        convert(torch.nn.Sequential(lb.Spiking(lb.neurons.LIF(), twice)))
    large = lb.Spiking(lb.neurons.LIF(), Sparse(100_000, 100_000, indices=[[0], [1]]))
    with pytest.raises(ValueError, match=r"layer/1: 100,000 to 100,000 units are 10,000,000,000 weights"):
        convert(torch.nn.Sequential(large))


@pytest.mark.parametrize("neuron", [lb.neurons.AdaptiveLIF(), lb.neurons.AdLIF(), lb.neurons.RefractoryLIF()])
def test_units_that_the_chip_has_not(neuron):
    model = torch.nn.Sequential(lb.LIF(5, 4), lb.Spiking(neuron, Dense(4, 3)))
    with pytest.raises(TypeError, match=rf"layer 1 \(Spiking\): has {type(neuron).__name__} units.*neurons.LIF"):
        convert(model)


def test_no_connections_at_all():
    layer = lb.Spiking(lb.neurons.LIF(), Sparse(4, 3, indices=torch.zeros(2, 0, dtype=torch.long)))
    run = convert(torch.nn.Sequential(layer)).network.run(torch.ones(2, 4, 10, dtype=torch.int8))
    assert not run.spikes[0].any()


def test_pairs_of_stacks_chain():
    """Shapes follow from each other wherever kernels come."""
    maps = [Conv2d(MAP, 4, 3), SumPool2d((4, 4, 4), 2), Conv2d((4, 2, 2), 3, 2)]
    model, batch = build(maps, "equal")
    network = convert(model, calibration=batch).network
    for before, after in pairwise(network.layers[:-1]):
        assert before.shape == after.in_shape
