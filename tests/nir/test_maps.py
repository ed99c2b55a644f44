"""Convolutions, pools and sparse connections in NIR files, both ways; units without a leak."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lambent as lb
from lambent.connections import AvgPool2d, Conv1d, Conv2d, Dense, Sparse, SumPool2d

nir = pytest.importorskip("nir")

MAP = (2, 6, 5)
N_IN = 60


def delayed(connections):
    return connections.with_values(delay=(4 * torch.rand(connections.parameter_shape)).round(decimals=1))


STACKS = {
    "conv": lambda: [Conv2d(MAP, 4, (3, 2), (1, 2), padding=(0, 1), dilation=(2, 1), groups=2)],
    "conv, delays": lambda: [delayed(Conv2d(MAP, 3, 3))],
    "signal": lambda: [Conv1d((2, 30), 4, 5, stride=2, padding=1)],
    "sum": lambda: [SumPool2d(MAP, (2, 1), padding=(1, 0))],
    "scaled sum": lambda: [SumPool2d(MAP, 2, weight=1.7)],
    "mean": lambda: [AvgPool2d(MAP, 2)],
    "sparse": lambda: [Sparse(N_IN, 7, density=0.2)],
    "sparse, delays": lambda: [delayed(Sparse(N_IN, 7, density=0.2))],
    "all": lambda: [Conv2d(MAP, 4, 3), SumPool2d((4, 4, 3), 2), Conv2d((4, 2, 1), 3, 1), Dense(6, 5)],
    "dense before a map": lambda: [Dense(N_IN, 18), Conv2d((2, 3, 3), 3, 2)],
}  # fmt: skip


def build(stack, reset="zero", readout=True, recurrent=None):
    layers = []
    for connections in stack:
        channels = connections.shape_out[0]
        each = connections.n_out // channels
        taus = (low + 9 * torch.rand(channels).repeat_interleave(each) for low in (10, 3))
        threshold = torch.full((connections.n_out,), 0.4)
        layers.append(lb.Spiking(lb.neurons.LIF(*taus, threshold, reset=reset), connections, recurrent))
    if readout:
        layers.append(lb.LIReadout(stack[-1].n_out, 3))
    return torch.nn.Sequential(*layers)


def spikes(n=N_IN, rate=0.2):
    return lb.Events.from_dense(torch.rand(3, 50, n) < rate, 1.0)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("name", STACKS)
def test_round_trips(tmp_path, name, reset):
    model, batch = build(STACKS[name](), reset), spikes()
    lb.export_nir(model, tmp_path / "a.nir")
    nir.read(tmp_path / "a.nir", type_check=False)
    again = lb.import_nir(tmp_path / "a.nir")
    torch.testing.assert_close(again(batch), model(batch), rtol=1e-5, atol=1e-6)
    assert model[0](batch).counts().sum() > 5
    for layer, own in zip(model, again, strict=True):
        if name != "dense before a map":  # which NIR has no node for
            wanted = SumPool2d if isinstance(layer.connections, SumPool2d) else type(layer.connections)
            assert isinstance(own.connections, wanted)
            for key, value in layer.state_dict().items():
                torch.testing.assert_close(own.state_dict()[key], value, rtol=1e-6, atol=1e-7)


def test_sparse_recurrence_comes_back(tmp_path):
    model = build([Sparse(N_IN, 7, density=0.2)], recurrent=delayed(Sparse(7, 7, density=0.3)))
    lb.export_nir(model, tmp_path / "a.nir")
    again = lb.import_nir(tmp_path / "a.nir")
    assert torch.equal(again[0].recurrent.indices, model[0].recurrent.indices)
    assert torch.equal(again[0].recurrent_delay, model[0].recurrent_delay)
    assert torch.equal(again(spikes()), model(spikes())) or torch.allclose(again(batch := spikes()), model(batch))


@pytest.mark.parametrize("target", ["norse", "snntorch", "sinabs"])
def test_for_others_they_are_matrices(tmp_path, target):
    model = build([Conv2d(MAP, 3, 3), Dense(36, 4)], "subtract" if target == "sinabs" else "zero")
    lb.export_nir(model, tmp_path / "a.nir", target)
    shapes = [x.weight.shape for x in nir.read(tmp_path / "a.nir").nodes.values() if hasattr(x, "weight")]
    assert (36, N_IN) in shapes


def write(path, *nodes, shape=MAP, n_out=None):
    """A file of nodes in a row."""
    named = {"input": nir.Input(np.array(shape))} | {str(i): node for i, node in enumerate(nodes)}
    named["output"] = nir.Output(np.array(n_out or [1]))
    names = list(named)
    nir.write(path, nir.NIRGraph(named, list(itertools.pairwise(names)), type_check=False))
    return path


def conv(weight, **changes):
    size = {"input_shape": MAP[1:], "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    return nir.Conv2d(weight=weight, bias=np.zeros(len(weight), np.float32), **(size | changes))


def without_leak(*shape):
    return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


def integrated(drive: torch.Tensor) -> torch.Tensor:
    """Spikes (batch, steps, ...) of units that add up `drive` and subtract 1 at 1, one a step."""
    v, out = torch.zeros_like(drive[:, 0]), []
    for n in range(drive.shape[1]):
        v = v + drive[:, n]
        fires = (v >= 1).to(drive.dtype)
        out.append(fires)
        v = v - fires
    return torch.stack(out, 1)


@pytest.mark.parametrize("padding", [0, 1, "same"])
def test_a_network_without_leak_is_what_it_says(tmp_path, padding):
    """Convolution, pool and weights in torch's terms, spikes a step later from layer to layer."""
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0.1, 0.2, shape).astype(np.float32) for shape in ((4, 2, 3, 3), (3, 4, 3, 3)))
    side = {0: (4, 3), 1: (6, 5), "same": (6, 5)}[padding]
    after = tuple(n // 2 for n in side)
    last = rng.normal(0.1, 0.3, (5, 3 * after[0] * after[1])).astype(np.float32)
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    path = write(
        tmp_path / "a.nir", conv(first, padding=padding), without_leak(4, *side), pool,
        conv(second, padding=1, input_shape=after), without_leak(3, *after),
        nir.Flatten({"input": np.array([3, *after])}, 0, -1), nir.Linear(last), without_leak(5),
    )  # fmt: skip
    model, batch = lb.import_nir(path, dt=1.0, reset="subtract"), spikes(rate=0.1)
    x = batch.to_dense(1.0).double().view(3, 50, *MAP)

    def layer(x, weight):
        x = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)  # a step later
        return integrated(weight(x.flatten(0, 1)).unflatten(0, (3, 50)))

    own = {0: 0, 1: 1, "same": 1}[padding]
    x = layer(x, lambda x: F.conv2d(x, torch.from_numpy(first).double(), padding=own))
    x = layer(x, lambda x: F.conv2d(4 * F.avg_pool2d(x, 2), torch.from_numpy(second).double(), padding=1))
    x = layer(x, lambda x: x.flatten(1) @ torch.from_numpy(last).double().T)
    assert x.sum() > 20
    assert (model(batch).to_dense(1.0) - x).abs().sum() <= 0.02 * x.sum()


def test_scales_and_delays_around_maps(tmp_path):
    weight = np.random.default_rng(0).normal(0.3, 0.3, (3, 2, 2, 2)).astype(np.float32)
    per_unit = np.random.default_rng(1).uniform(0.5, 1.5, MAP)
    lag = np.full(MAP, 0.003)
    same = write(
        tmp_path / "a.nir", nir.Delay(lag), conv(weight), nir.Scale(np.full((3, 5, 4), 2.0)), without_leak(3, 5, 4)
    )
    layer = lb.import_nir(same, dt=1.0)[0]
    assert isinstance(layer.connections, Conv2d)
    assert (layer.delay == 3).all()
    other = lb.import_nir(write(tmp_path / "b.nir", nir.Scale(per_unit), conv(weight), without_leak(3, 5, 4)), dt=1.0)[
        0
    ]
    assert isinstance(other.connections, Sparse)
    source, _, weights, _ = other.connections.entries()
    plain = Conv2d(MAP, 3, 2, weight=torch.from_numpy(weight)).entries()
    ratio = (weights / weights.abs().max()).abs().sort().values
    wanted = plain.weight * torch.from_numpy(per_unit).float().flatten()[plain.source]
    torch.testing.assert_close(ratio, (wanted / wanted.abs().max()).abs().sort().values, rtol=1e-4, atol=1e-5)
    assert len(source) == len(wanted)


W = np.ones((3, 2, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ([conv(W), without_leak(3, 5, 4)], (3, 6, 5), "node '0': takes 2 channels"),
        ([conv(W, padding="same"), without_leak(3, 6, 5)], MAP, "node '0': padding 'same' .* not the same on both"),
        ([conv(W[:, :, 0]), without_leak(3, 5, 4)], MAP, "node '0': weight must be numbers in 4 dimensions"),
        ([conv(np.ones((3, 2, 9, 9))), without_leak(3, 1, 1)], MAP, "node '0': kernel .* larger than"),
        ([conv(W), conv(np.ones((1, 3, 2, 2)), input_shape=(5, 4)), without_leak(1, 4, 3)], MAP, "'1': follows other"),
        ([nir.SumPool2d(*np.array([[2, 2], [2, 2], [0, 0]])), without_leak(2, 3, 2)], (60,), "node '0': pools a map"),
        ([nir.Affine(np.ones((4, 60)), np.ones(4)), without_leak(4)], (60,), "node '1': the bias .* without a leak"),
    ],
)
def test_says_what_is_wrong(tmp_path, nodes, shape, message):
    with pytest.raises(ValueError, match=message):
        lb.import_nir(write(tmp_path / "a.nir", *nodes, shape=shape), dt=1.0)


def test_units_that_nir_has_not(tmp_path):
    layer = lb.Spiking(lb.neurons.Resonator(rule="phase"), Dense(4, 3))
    with pytest.raises(TypeError, match=r"layer 0 \(Spiking\): has Resonator units.*NIR has no node.*neurons.LIF"):
        lb.export_nir(torch.nn.Sequential(layer), tmp_path / "a.nir")
