"""What is printed at a prompt or shown in a notebook is short, however large the thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lambent as lb
from lambent.hardware.loihi2.convert import convert

LOIHI2 = lb.hardware.loihi2


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    torch.manual_seed(0)
    events = lb.Events.from_dense((torch.rand(40, 50, 70) < 0.03).int(), 1.0)
    model = torch.nn.Sequential(lb.LIF(70, 64, recurrent=True, delay=5.0), lb.LIReadout(64, 10))
    path: Path = tmp_path_factory.mktemp("reprs") / "model.net"
    report = LOIHI2.export_netx(model, path, calibration=events)
    network = LOIHI2.load_netx(path)
    run = network.run(events)
    layer = model[0]
    return {
        "Events": events,
        "SpikeDataset": lb.data.yin_yang(30, seed=0),
        "Dense": layer.connections,
        "Sparse": lb.connections.Sparse(700, 256, density=0.1),
        "Conv2d": lb.connections.Conv2d((1, 28, 28), 16, 5, stride=2),
        "LIF": layer.neuron,
        "Recording of the model": lb.record(model, events),
        "Recording": run,
        "NetxReport": report,
        "Mapping": LOIHI2.map_to_cores(network, run),
        "Cost": LOIHI2.estimate_cost(network, run),
        "Config": lb.training.Config(hidden=64, reset="subtract"),
        "Loihi2Network": network,
        "Loihi2Layer": network.layers[0],
        "CUBA": network.layers[0].neuron,
        "Readout": network.readout,
        "Conversion": convert(model, 8, events),
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Events", "Events("),
        ("SpikeDataset", "SpikeDataset(30 samples, 3 classes"),
        ("Dense", "Dense(n_in=70, n_out=64, weight=float32 (70, 64), delay=float32 (70, 64))"),
        ("Sparse", "Sparse(n_in=700, n_out=256, indices=int64 (2, 17920), weight=float32 (17920,))"),
        ("Conv2d", "Conv2d(shape_in=(1, 28, 28), out_channels=16, kernel=5, stride=2, weight=float32 (16, 1, 5, 5))"),
        ("LIF", "LIF(tau_mem=float32 (64,), tau_syn=float32 (64,), threshold=float32 (64,))"),
        ("Recording of the model", "Recording(40 samples, 50 steps, layers of 64, 10 units: spikes, current, voltage)"),
        ("Recording", "Recording(40 samples, 50 steps, layers of 64, 10 units: spikes, current, voltage)"),
        ("NetxReport", "NetxReport('"),
        ("Mapping", "Mapping(2 of 128 cores of 1 chip, "),
        ("Cost", "Cost("),
        ("Config", "Config(hidden=64, reset='subtract')"),
        ("Loihi2Network", "Loihi2Network(70-64-10: dense_rec, dense; dt=1 ms)"),
        ("Loihi2Layer", "Loihi2Layer(name='layer/1', kind='dense_rec', neuron=CUBA("),
        ("CUBA", "CUBA(i_decay=int32 (64,), v_decay=int32 (64,), v_th_mant=int32 (64,))"),
        ("Readout", "Readout(reduce='exp_mean', scale=float64 (10,))"),
        ("Conversion", "Conversion(Loihi2Network(70-64-10: dense_rec, dense; dt=1 ms), weights of 8, 8 bits)"),
    ],
)
def test_a_line(things: dict[str, Any], name: str, says: str) -> None:
    text = repr(things[name])
    assert text.startswith(says)
    assert "\n" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Events", "<td>50 ms</td>"),
        ("SpikeDataset", "<td>classes</td><td>3</td>"),
        ("Recording of the model", "<td>0</td><td>40</td><td>64</td><td>50</td>"),
        ("Recording", "<td>1</td><td>40</td><td>10</td><td>50</td>"),
        ("NetxReport", "<td>dense_rec</td>"),
        ("Mapping", "<th>axons in</th>"),
        ("Cost", "<td>latency</td>"),
        ("Config", "<td>reset</td><td>subtract</td><td>what a spike does"),
    ],
)
def test_a_table_in_notebooks(things: dict[str, Any], name: str, says: str) -> None:
    page = things[name]._repr_html_()
    assert page.startswith("<table>")
    assert says in page
    assert page.count("<tr>") <= 21


def test_what_is_nothing() -> None:
    assert repr(LOIHI2.Recording()) == "Recording(nothing)"
    assert "Recording: nothing" in LOIHI2.Recording()._repr_html_()
    assert repr(lb.training.Config()) == "Config()"
    assert "the defaults" in lb.training.Config()._repr_html_()
    empty = lb.Events.from_lists([], [], 3, 10.0)
    assert "0 spikes, batch 0" in repr(empty)
    assert "<td>samples</td><td>0</td>" in empty._repr_html_()


def test_a_config_is_made_again_from_what_it_prints() -> None:
    config = lb.training.Config(hidden=64, qat_bits="4,8", lr=0.1)
    assert eval(repr(config), {"Config": lb.training.Config}) == config
