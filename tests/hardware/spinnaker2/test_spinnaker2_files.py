"""Integer weights, files, and what py-spinnaker2 would make of a network."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch
from spinnaker2_cases import deep, feedforward, readout

import lambent as lb
from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.export import delays_lost
from lambent.hardware.spinnaker2.network import Layer, Readout
from lambent.hardware.spinnaker2.rounding import convert, save


@pytest.mark.parametrize("bits", [8, 4, (8, 4, 2)])
def test_integer_weights(bits):
    model = readout()
    conversion = convert(model, bits)
    assert conversion.weight_bits == [8, 4, 2] if isinstance(bits, tuple) else [bits] * 3
    for layer, own, b in zip(conversion.network.layers, s2.to_chip(model).layers, conversion.weight_bits, strict=True):
        assert layer.matrix.dtype == np.int8
        assert np.abs(layer.matrix).max() <= 2 ** (b - 1) - 1
        if b == 8:
            assert np.abs(layer.matrix * layer.scale - own.matrix).max() < 3 * layer.scale
    events, _ = s2.bena2024_data(50, 1).batch(range(50))
    scores = conversion.network.readout.scores(s2.run_network(conversion.network, events))
    np.testing.assert_allclose(conversion.quantised()(events).detach().numpy(), scores, atol=2e-3)


def test_eight_bits_change_little():
    model = readout()
    events, _ = s2.bena2024_data(200, 1).batch(range(200))
    float_scores = s2.to_chip(model).readout.scores(s2.run_network(s2.to_chip(model), events))
    conversion = convert(model)
    assert all(layer.rms_error < 0.02 for layer in conversion.layers)
    scores = conversion.network.readout.scores(s2.run_network(conversion.network, events))
    assert (scores.argmax(1) == float_scores.argmax(1)).mean() > 0.9


def test_zero_weights():
    model = torch.nn.Sequential(lb.LIF(4, 3))
    with torch.no_grad():
        model[0].weight.zero_()
    conversion = convert(model)
    assert not conversion.network.layers[0].matrix.any()
    assert conversion.layers[0].rms_error == 0


def test_wrong_bits():
    for bits in (1, 9, (8, 8), "8"):
        with pytest.raises(ValueError, match="weight_bits must be"):
            convert(feedforward(), bits if bits != (8, 8) else (8, 8, 8))


@pytest.mark.parametrize("make", [feedforward, deep, readout])
def test_files(tmp_path, make):
    conversion = convert(make(), labels=("a", "b", "c"))
    report = save(conversion, tmp_path / "x.net")
    assert report.file_bytes == (tmp_path / "x.net").stat().st_size
    assert "rms error" in str(report)
    again = s2.load_network(tmp_path / "x.net")
    assert again.readout.labels == ("a", "b", "c")
    for a, b in zip(conversion.network.layers, again.layers, strict=True):
        for name, value in vars(a).items():
            assert np.array_equal(value, getattr(b, name)), name
    events, _ = s2.bena2024_data(20, 1).batch(range(20))
    for network in (conversion.network, again):
        runs = [s2.run_network(x, events) for x in (conversion.network, network)]
        assert all(np.array_equal(a, b) for a, b in zip(runs[0].voltage, runs[1].voltage, strict=True))


def test_damaged_files(tmp_path):
    path = tmp_path / "x.net"
    with pytest.raises(FileNotFoundError):
        s2.load_network(path)
    convert(readout()).network.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for damaged in (b"", b"PK", whole[:-20], whole[: len(whole) // 2], b"hello" * 100):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no network for SpiNNaker2, or damaged"):
            s2.load_network(path)
    for _ in range(40):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            s2.load_network(path)
        except ValueError as error:
            assert "no network for SpiNNaker2, or damaged" in str(error)  # noqa: PT017


def test_layers_are_checked():
    ones = np.ones(3)
    good = {"n_in": 2, "matrix": np.ones((2, 3), np.float32), "tau_mem": ones, "tau_syn": ones, "threshold": ones}
    assert not Layer("x", **good).recurrent
    for change, message in (
        ({"matrix": np.ones((4, 3), np.float32)}, r"weights of shape \(4, 3\) are not those of 2 inputs"),
        ({"matrix": np.ones((2, 3))}, "weights must be float32 or int8, got float64"),
        ({"matrix": np.full((2, 3), np.nan, np.float32)}, "hold NaN or infinity"),
        ({"tau_mem": np.zeros(3)}, "tau_mem must be 3 positive numbers"),
        ({"tau_syn": np.ones(2)}, "tau_syn must be 3 positive numbers"),
        ({"least": 0.0}, "least and scale must be positive"),
        ({"matrix": np.ones((5, 3), np.float32), "spiking": False}, "a readout cannot be recurrent"),
    ):
        with pytest.raises(ValueError, match=f"x: .*{message}"):
            Layer("x", **{**good, **change})
    with pytest.raises(ValueError, match="needs layers"):
        s2.Spinnaker2Network(())
    with pytest.raises(ValueError, match="dt must be positive"):
        s2.Spinnaker2Network((Layer("x", **good),), dt=0.0)
    with pytest.raises(ValueError, match="takes 2 inputs, but gets 3"):
        s2.Spinnaker2Network((Layer("x", **good), Layer("y", **good)))
    with pytest.raises(ValueError, match="cannot be read out by mean"):
        s2.Spinnaker2Network((Layer("x", **good),), readout=Readout(reduce="mean"))
    with pytest.raises(ValueError, match="reduce must be one of mean"):
        Readout(reduce="max")


def test_what_py_spinnaker2_would_lose():
    check = s2.check_export(s2.to_chip(deep()))
    assert not check.lossless
    assert all(0 < x.rms_error < 0.3 for x in check.layers)
    assert "recurrent connections are a projection of their own" in str(check)
    assert "a threshold that is never reached" in str(s2.check_export(s2.to_chip(readout())))
    model = torch.nn.Sequential(lb.LIF(4, 3))
    with torch.no_grad():
        model[0].weight.copy_(torch.randint(-15, 16, (4, 3)) / s2.to_chip(model).layers[0].worth(1.0)[0])
        model[0].weight[0, 0] = 15 / s2.to_chip(model).layers[0].worth(1.0)[0]
    assert s2.check_export(s2.to_chip(model)).layers[0].rms_error < 1e-6


def test_delays_that_it_has_not():
    model = torch.nn.Sequential(lb.LIF(4, 3, delay=7.0), lb.LIF(3, 2, recurrent=True, recurrent_delay=9.0))
    assert delays_lost(model) == ["layer 1: recurrent_delay of up to 9 steps, lif has 7"]
    assert delays_lost(feedforward()) == []


@pytest.mark.parametrize("make", [feedforward, deep, readout])
def test_nir_means_the_same_to_it(tmp_path, make):
    """Its steps, as `s2_nir` reads CubaLIF nodes, spike as the integers do here."""
    network = s2.to_chip(make())
    s2.nir_for_py_spinnaker2(network, tmp_path / "x.nir")
    graph = nir.read(tmp_path / "x.nir")
    events, _ = s2.bena2024_data(30, 1).batch(range(30))
    x = events.to_dense(1.0).double().numpy().transpose(1, 0, 2)  # (steps, batch, units)
    rounded = convert(make(), 5).network  # integers of -15 to 15
    run = s2.run_network(rounded, events)
    for i, layer in enumerate(network.layers):
        node, weight = graph.nodes[f"lif_{i}"], graph.nodes[f"linear_{i}"].weight
        assert np.abs(weight).max() <= 15
        assert np.array_equal(weight, np.rint(weight))
        loop = graph.nodes[f"recurrent_{i}"].weight if layer.recurrent else np.zeros((layer.n_out,) * 2)
        scale = 1 / ((1 - np.exp(-1e-3 / node.tau_mem)) * node.r) / ((1 - np.exp(-1e-3 / node.tau_syn)) * node.w_in)
        threshold = node.v_threshold * scale
        current, voltage = np.zeros((2, 30, layer.n_out))
        before, out = np.zeros((30, layer.n_out)), []
        arriving = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
        for step in arriving:
            current = np.exp(-1e-3 / node.tau_syn) * current + step @ weight.T + before @ loop.T
            voltage = np.exp(-1e-3 / node.tau_mem) * voltage + current
            before = (voltage > threshold).astype(float)
            voltage = voltage * (1 - before)
            out.append(before)
        x = np.stack(out)
        assert np.array_equal(x.transpose(1, 2, 0), run.spikes[i])


@pytest.mark.parametrize("make", [feedforward, deep])
def test_networks_come_and_go_as_nir(tmp_path, make):
    """CubaLIF graphs become networks of the chip by way of `lb.import_nir`, and go back by `lb.export_nir`."""
    model = make()
    lb.export_nir(s2.to_torch(s2.to_chip(model), model), tmp_path / "x.nir")
    again = s2.to_chip(lb.import_nir(tmp_path / "x.nir"))
    for a, b in zip(s2.to_chip(model).layers, again.layers, strict=True):
        np.testing.assert_allclose(a.matrix, b.matrix, rtol=1e-5)
