"""From torch models to NetX files: what the chip computes is what the model computes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lava_reference import lava_reads

import lambent as lb
from lambent.hardware.loihi2 import export_netx, load_netx
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.quantised import with_values_of
from lambent.hardware.loihi2.rounding import Integers, choose_integers
from lambent.layers import LIF, LIReadout


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def events(rate: float = 0.03, dt: float = 1.0) -> lb.Events:
    return lb.Events.from_dense(torch.rand(6, 200, 40) < rate, dt)


def model(
    recurrent: bool = True,
    mixed: bool = False,
    delay: bool = False,
    reduce: str = "exp_mean",
    dt: float = 1.0,
) -> torch.nn.Sequential:
    def taus(n: int, low: float, high: float) -> float | torch.Tensor:
        return low + (high - low) * torch.rand(n) if mixed else (low + high) / 2

    hidden = LIF(
        40, 30, recurrent=recurrent, tau_mem=taus(30, 8, 30), tau_syn=taus(30, 3, 10),
        threshold=taus(30, 0.5, 1.5), delay=torch.rand(40, 30) * 9 if delay else None, dt=dt,
    )  # fmt: skip
    readout = LIReadout(30, 5, tau_mem=taus(5, 15, 30), tau_syn=taus(5, 3, 8), reduce=reduce, dt=dt)
    with torch.no_grad():  # a few spikes a unit
        hidden.weight.mul_(2 * hidden.neuron.peak(dt))
    return torch.nn.Sequential(hidden, readout)


CASES = [
    {"recurrent": False},
    {"recurrent": True},
    {"recurrent": True, "mixed": True},
    {"recurrent": False, "mixed": True, "delay": True},
    {"recurrent": True, "mixed": True, "delay": True, "dt": 0.5},
]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_chip_spikes_as_the_model_does(tmp_path: Path, case: dict, calibrated: bool) -> None:
    float_model, batch = model(**case), events(dt=case.get("dt", 1.0))
    export_netx(float_model, tmp_path / "a.net", calibration=batch if calibrated else None)
    run = load_netx(tmp_path / "a.net").run(batch)
    wanted = float_model[0](batch).counts().detach().numpy()
    got = run.spikes[0].sum(2)
    assert wanted.mean() > 1, "the model is too quiet for the test to mean anything"
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.98
    assert abs(got.mean() / wanted.mean() - 1) < 0.02
    assert (wanted == got).mean() > 0.8
    assert not run.spikes[1].any()


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "max", "last", "none"])
def test_readout_voltages_and_scores(tmp_path: Path, reduce: str) -> None:
    """A readout behind the input alone: no spiking layer in between whose spikes could differ."""
    readout, batch = LIReadout(40, 5, reduce=reduce, tau_mem=30.0, tau_syn=4.0), events()
    export_netx(torch.nn.Sequential(readout), tmp_path / "a.net", labels=["a", "b", "c", "d", "e"])
    network = load_netx(tmp_path / "a.net")
    wanted = readout(batch).detach().numpy()
    np.testing.assert_allclose(network.logits(batch), wanted, atol=0.02 * np.abs(wanted).max())
    assert network.readout.reduce == reduce
    assert network.readout.labels == ("a", "b", "c", "d", "e")


def test_readout_of_a_recurrent_model(tmp_path: Path) -> None:
    float_model, batch = model(), events()
    export_netx(float_model, tmp_path / "a.net", calibration=batch)
    wanted = float_model(batch).detach().numpy()
    error = load_netx(tmp_path / "a.net").logits(batch) - wanted
    assert np.sqrt((error**2).mean()) < 0.1 * wanted.std()


def test_two_hidden_layers_and_no_readout(tmp_path: Path) -> None:
    first, second = model(recurrent=False)[0], LIF(30, 10, recurrent=True)
    with torch.no_grad():
        second.weight.mul_(4)
    float_model, batch = torch.nn.Sequential(first, second), events(rate=0.1)
    report = export_netx(float_model, tmp_path / "a.net")
    network = load_netx(tmp_path / "a.net")
    assert network.readout is None
    assert [x.kind for x in report.layers] == ["dense", "dense_rec"]
    wanted = float_model(batch).counts().detach().numpy()
    assert np.corrcoef(wanted.ravel(), network.run(batch).spikes[1].sum(2).ravel())[0, 1] > 0.97


@pytest.mark.parametrize("bits", range(2, 9))
def test_weight_bits_are_kept_and_lava_loses_nothing(bits: int) -> None:
    network = convert(model(mixed=True), bits).network
    for layer in network.layers:
        matrices = [layer.weight] if layer.weight_rec is None else [layer.weight, layer.weight_rec]
        together = np.hstack(matrices)
        step = np.gcd.reduce(together, axis=None)
        assert np.abs(together).max() // step <= 2 ** (bits - 1) - 1
        assert np.abs(together).max() <= 127
        for read, stored in zip(lava_reads(matrices), matrices, strict=True):
            np.testing.assert_array_equal(read, stored)


def test_more_bits_lose_less(tmp_path: Path) -> None:
    float_model = model()
    errors = [export_netx(float_model, tmp_path / "a.net", bits).layers[0].rms_error for bits in range(2, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.5
    assert errors[-1] < 0.02


def test_file_is_the_converted_network(tmp_path: Path) -> None:
    float_model, batch = model(mixed=True, delay=True), events()
    export_netx(float_model, tmp_path / "a.net", 6)
    direct, loaded = convert(float_model, 6).network.run(batch), load_netx(tmp_path / "a.net").run(batch)
    np.testing.assert_array_equal(direct.voltage[1], loaded.voltage[1])


def test_report_tells_the_truth(tmp_path: Path) -> None:
    float_model, path = model(), tmp_path / "a.net"
    report = export_netx(float_model, path, 4)
    network, hidden = load_netx(path), float_model[0]
    assert report.path == str(path)
    assert report.file_bytes == path.stat().st_size
    first, last = report.layers
    assert (first.name, first.kind, first.shape, first.weight_bits) == ("layer/1", "dense_rec", (30, 40), 4)
    assert (last.name, last.kind, last.shape) == ("layer/2", "dense", (5, 30))
    assert first.weight_bytes == (30 * 40 + 30 * 30) // 2
    np.testing.assert_allclose(last.scale, (network.readout.scale.min(), network.readout.scale.max()))
    # thresholds follow from the scale, and weights from scale and gain
    threshold = network.layers[0].v_th_mant
    np.testing.assert_allclose(first.scale, (64 * threshold.min() + 0.5, 64 * threshold.max() + 0.5))
    am, ass, k = np.exp(-1 / 19), np.exp(-1 / 6.5), 6.5 * (np.exp(-1 / 19) - np.exp(-1 / 6.5)) / (19 - 6.5)
    i_decay, v_decay = (network.layers[0].i_decay / 4096, network.layers[0].v_decay / 4096)
    drive = torch.cat([hidden.weight, hidden.recurrent_weight]).detach().numpy() * k
    drive = drive * i_decay * v_decay / ((1 - am) * (1 - ass))
    chip = 64 * np.hstack([network.layers[0].weight, network.layers[0].weight_rec]).T / (64 * threshold + 0.5)
    assert first.rms_error == pytest.approx(np.sqrt(((chip - drive) ** 2).sum() / (drive**2).sum()), rel=1e-3)
    assert 0 < first.clipped < 0.1
    text = str(report)
    assert "layer/1" in text
    assert "40 -> 30" in text
    assert f"{report.file_bytes:,} bytes" in text
    json.dumps(dataclasses.asdict(report))


def test_slow_time_constants_keep_the_mean_response(tmp_path: Path) -> None:
    """tau_mem = 700 ms decays by 5.85 / 4096 a step; rounded to 6 its voltage would settle 2.5 % too low."""
    readout = LIReadout(3, 2, tau_mem=700.0, tau_syn=5.0, reduce="last")
    with torch.no_grad():
        readout.weight.fill_(0.1)
    batch = lb.Events.from_dense(torch.rand(1, 6000, 3) < 0.1, 1.0)
    export_netx(torch.nn.Sequential(readout), tmp_path / "a.net", calibration=batch)
    got, wanted = load_netx(tmp_path / "a.net").logits(batch), readout(batch).detach().numpy()
    np.testing.assert_allclose(got, wanted, rtol=0.01)


def test_calibration_makes_room(tmp_path: Path) -> None:
    """Inputs far busier than assumed: guessed ranges clip, measured ones do not."""
    readout = LIReadout(40, 2, reduce="max", tau_syn=20.0)
    with torch.no_grad():
        readout.weight.abs_()
    batch, float_model = events(rate=0.9), torch.nn.Sequential(readout)
    wanted = float_model(batch).detach().numpy()
    export_netx(float_model, tmp_path / "a.net")
    assert (load_netx(tmp_path / "a.net").run(batch).voltage[0] == 2**23 - 1).any()
    export_netx(float_model, tmp_path / "a.net", calibration=batch)
    network = load_netx(tmp_path / "a.net")
    assert np.abs(network.run(batch).voltage[0]).max() < 2**23 - 1
    np.testing.assert_allclose(network.logits(batch), wanted, rtol=0.02)


def test_silent_inputs_matter_less() -> None:
    """With activity known, weights of inputs that never fire may be clipped for the sake of those that do."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20, 4))
    real[0] = 50
    fires = np.ones(20)
    even = choose_integers(real, fires, 4, np.full(4, 1e9), None)
    fires[0] = 1e-6
    known = choose_integers(real, fires, 4, np.full(4, 1e9), None)

    def error(found: Integers) -> float:
        return float(np.abs(found.rounded(real) / found.scale - real)[1:].max())

    assert error(known) < 0.5 * error(even)
    assert known.clipped(real)[0].all()


def test_units_without_weights(tmp_path: Path) -> None:
    float_model = model()
    with torch.no_grad():
        float_model[0].weight[:, 3] = 0
        float_model[0].recurrent_weight[:, 3] = 0
        float_model[1].weight[:, 2] = 0
    export_netx(float_model, tmp_path / "a.net", 5)
    network = load_netx(tmp_path / "a.net")
    assert not network.run(events()).spikes[0][:, 3].any()
    assert (network.logits(events())[:, 2] == 0).all()


def refused(change: str, value: object, index: int = 0) -> torch.nn.Module:
    result = model(delay=True)
    setattr(result[index], change, value)
    return result


def with_values(name: str, value: float) -> torch.nn.Module:
    result = model(delay=True)
    with torch.no_grad():
        getattr(result[0], name).view(-1)[0] = value
    return result


def with_recurrent_delay(delay: float | torch.Tensor, **options: float) -> torch.nn.Module:
    return torch.nn.Sequential(LIF(40, 30, recurrent=True, recurrent_delay=delay, **options), LIReadout(30, 5))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: model()[0], TypeError, "must be a torch.nn.Sequential, got LIF"),
        (lambda: torch.nn.Sequential(), ValueError, "no layers"),
        (lambda: torch.nn.Sequential(torch.nn.Linear(3, 2)), TypeError, r"layer 0 \(Linear\): only LIF"),
        (lambda: torch.nn.Sequential(*reversed(model())), ValueError, r"layer 0 \(LIReadout\): .* last"),
        (lambda: refused("reset", "subtract"), ValueError, r'layer 0 \(LIF\): .* train with reset="zero"'),
        (lambda: refused("dt", None), ValueError, r"layer 0 \(LIF\): dt=None has no steps; give"),
        (lambda: refused("dt", 2.0, 1), ValueError, r"layer 1 .LIReadout.: dt is 2.0 ms, .* layer 0 is 1.0"),
        (lambda: with_recurrent_delay(63.0, max_delay=99.0), ValueError, r"layer 0 .LIF.: recurrent_delay must be 0 "),
        (lambda: with_values("delay", 63.0), ValueError, r"layer 0 .LIF.: delay must be 0 .* max_delay=62"),
        (lambda: with_values("weight", float("nan")), ValueError, r"layer 0 \(LIF\): weight holds NaN"),
        (lambda: with_values("threshold", -1.0), ValueError, r"layer 0 \(LIF\): threshold must be positive"),
    ],
)  # fmt: skip
def test_refuses_what_the_chip_cannot_do(tmp_path: Path, build: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        export_netx(build(), tmp_path / "a.net")
    assert not (tmp_path / "a.net").exists()


def test_bits_for_each_layer(tmp_path: Path) -> None:
    float_model, batch = model(), events()
    report = export_netx(float_model, tmp_path / "a.net", (3, 8), calibration=batch)
    assert [x.weight_bits for x in report.layers] == [3, 8]
    for i, (layer, bits) in enumerate(zip(load_netx(tmp_path / "a.net").layers, (3, 8), strict=True)):
        np.testing.assert_array_equal(layer.weight, convert(float_model, bits, batch).network.layers[i].weight)


@pytest.mark.parametrize("bits", [1, 9, 4.0, (4, 9), "48", (4,), (4, 4, 4)])
def test_refuses_other_weight_bits(bits: float) -> None:
    with pytest.raises(ValueError, match="weight_bits must be"):
        convert(model(), bits)


def test_refuses_labels_without_a_readout() -> None:
    with pytest.raises(ValueError, match="labels need"):
        convert(torch.nn.Sequential(LIF(4, 3)), labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 labels for 5"):
        convert(model(), labels=["a", "b"])


def test_recurrent_delays(tmp_path: Path) -> None:
    delay, batch = torch.randint(0, 63, (30, 30)).float(), events(0.1)
    float_model = with_recurrent_delay(delay)
    with torch.no_grad():
        float_model[0].weight += 0.05
    conversion = convert(float_model, calibration=batch)
    export_netx(float_model, tmp_path / "a.net", calibration=batch)
    network = load_netx(tmp_path / "a.net")
    np.testing.assert_array_equal(network.layers[0].delay_rec, delay.T)  # type: ignore[attr-defined]
    for quantised in (conversion.quantised(), with_values_of(list(float_model), network)):  # type: ignore[call-overload]
        torch.testing.assert_close(quantised[0].recurrent_delay, delay)
        spikes = network.run(batch, ("spikes",)).spikes[0]
        hidden = quantised[0](batch)
        assert hidden.counts().sum() > 50
        assert abs(spikes.sum() - hidden.counts().sum().item()) < 0.02 * spikes.sum()


def test_files_of_sparse_connections_are_small(tmp_path: Path) -> None:
    """Though dense on the chip, with zeros."""
    sizes = {}
    for density in (1.0, 0.05):
        connections = lb.connections.Sparse(400, 200, density=density)
        sparse = torch.nn.Sequential(lb.Spiking(lb.neurons.LIF(), connections), lb.LIReadout(200, 3))
        sizes[density] = export_netx(sparse, tmp_path / "a.net").file_bytes
    assert 3 * sizes[0.05] < sizes[1.0] < 400 * 200 * 2
