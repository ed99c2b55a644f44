"""Norse, snnTorch and sinabs run what is written for them; skipped for those that are not installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lambent as lb

nir = pytest.importorskip("nir")
import frameworks  # noqa: E402  (needs nir)


def needs(target: str) -> Any:
    why = frameworks.WHY_NOT.format(target)
    return pytest.param(target, marks=pytest.mark.skipif(not frameworks.is_installed(target), reason=why))


def compare(target: str, folder: Path, model: torch.nn.Sequential, reset: str = "zero") -> tuple[Any, Any]:
    """What the framework and lambent make of the same spikes, without the steps by which lambent is later."""
    dt = model[0].dt
    inputs, events = frameworks.random_inputs(model[0].in_features, dt)
    lb.export_nir(model, folder / "a.nir", target)
    theirs = frameworks.run(target, folder / "a.nir", inputs, dt, reset)
    with torch.no_grad():
        ours = model(events)
    dense = ours.to_dense(dt) if isinstance(ours, lb.Events) else ours
    late = len(model)
    return theirs[:, :-late], dense[:, late:]


@pytest.mark.parametrize("dt", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("target", [needs("norse"), needs("snntorch")])
def test_the_same_spikes_and_voltages(tmp_path, target, recurrent, dt):
    """Two hidden layers, and these with a readout, whose voltages are the output."""
    spikes = frameworks.network((20, 25, 15), dt, recurrent=recurrent, readout=False)
    theirs, ours = compare(target, tmp_path, spikes)
    assert ours.sum() > 500
    assert abs(theirs.sum() - ours.sum()) <= 0.01 * ours.sum()
    assert (theirs != ours).double().mean() < 5e-3  # a spike that float32 moves by a step moves those behind it
    voltages = frameworks.network((20, 25, 15, 4), dt, recurrent=recurrent)
    theirs, ours = compare(target, tmp_path, voltages)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0.01 * ours.abs().max().item())


@pytest.mark.parametrize("target", [needs("norse"), needs("sinabs")])
def test_reset_by_subtraction(tmp_path, target):
    model = frameworks.network((20, 25, 15), 1.0, recurrent=False, reset="subtract", readout=False)
    theirs, ours = compare(target, tmp_path, model, "subtract")
    assert ours.sum() > 500
    assert (theirs != ours).double().mean() < 1e-3
    model = frameworks.network((20, 25, 15, 4), 1.0, recurrent=False, reset="subtract")
    theirs, ours = compare(target, tmp_path, model, "subtract")
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0.02 * ours.abs().max().item())


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("target", [needs("norse"), needs("snntorch"), needs("sinabs")])
def test_bias(tmp_path, target, recurrent):
    """It flows from their first step on, which is the one before that of the first spikes: an empty step before all."""
    if target == "sinabs" and recurrent:
        pytest.skip("sinabs has no recurrence")
    reset = "subtract" if target == "sinabs" else "zero"
    model = frameworks.network((20, 25), 1.0, recurrent=recurrent, reset=reset, readout=False)
    model[0] = with_bias(model[0], torch.linspace(-0.5, 1.5, 25))
    inputs, events = frameworks.random_inputs(20, 1.0)
    lb.export_nir(model, tmp_path / "a.nir", target)
    inputs = torch.cat([torch.zeros(3, 1, 20), inputs[:, :-1]], 1)
    theirs = frameworks.run(target, tmp_path / "a.nir", inputs, 1.0, reset)
    ours = model(events).to_dense(1.0)
    assert ours.sum() > 500
    assert (theirs != ours).double().mean() < 1e-3


def with_bias(layer: lb.LIF, bias: torch.Tensor) -> lb.LIF:
    biased = lb.LIF(20, 25, recurrent=layer.recurrent_weight is not None, reset=layer.reset, bias=True)
    biased.load_state_dict(layer.state_dict() | {"bias": bias})
    return biased


@pytest.mark.skipif(not frameworks.is_installed("norse"), reason=frameworks.WHY_NOT.format("norse"))
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("cuba", [True, False])
def test_graphs_read_as_norse_reads_them(tmp_path, cuba, reset):
    """With Euler's decays a graph of any author gives Norse's spikes."""
    rng = np.random.default_rng(0)
    n, r = 12, 2.0
    tau = rng.uniform(0.002, 0.02, n)
    common = {"r": np.full(n, r), "v_leak": np.zeros(n), "v_threshold": np.full(n, 0.9), "v_reset": np.zeros(n)}
    if cuba:
        unit = nir.CubaLIF(tau_mem=tau, tau_syn=tau[::-1].copy(), w_in=rng.uniform(1, 3, n), **common)
    elif reset == "subtract":
        pytest.skip("Norse resets LIF to zero always")
    else:
        unit = nir.LIF(tau=tau, **(common | {"r": np.ones(n), "v_threshold": np.full(n, 0.1)}))  # r is ignored there
    nodes = {"input": nir.Input(np.array([8])), "w": nir.Linear(rng.normal(1, 4, (n, 8)).astype(np.float32)), "u": unit}
    nodes["output"] = nir.Output(np.array([n]))
    edges = [("input", "w"), ("w", "u"), ("u", "output")]
    if cuba:
        nodes["back"] = nir.Linear(rng.normal(0, 1, (n, n)).astype(np.float32))
        edges[2:2] = [("u", "back"), ("back", "u")]
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, edges))
    model = lb.import_nir(tmp_path / "a.nir", dt=1.0, reset=reset, decay="euler")
    inputs, events = frameworks.random_inputs(8, 1.0, duration=300.0)
    theirs, ours = frameworks.run("norse", tmp_path / "a.nir", inputs, 1.0, reset), model(events).to_dense(1.0)
    assert ours.sum() > 300
    assert torch.equal(theirs[:, :-1], ours[:, 1:])


@pytest.mark.parametrize(
    ("target", "model", "message"),
    [
        (
            "norse",
            [lb.LIF(2, 3), lb.LIF(3, 3, delay=4.0)],
            r"layer 1 \(LIF\): delay is up to 4 steps, and Norse has no",
        ),
        (
            "snntorch",
            [lb.LIF(2, 3, recurrent=True, recurrent_delay=2.0)],
            r"layer 0 \(LIF\): recurrent_delay is up to 2 steps, and snnTorch",
        ),
        ("sinabs", [lb.LIF(2, 3, delay=1.0, reset="subtract")], r"layer 0 \(LIF\): delay .* --delay 0"),
        ("snntorch", [lb.LIF(2, 3, reset="subtract")], r'layer 0 .* reset is "subtract".* train with reset="zero"'),
        ("sinabs", [lb.LIF(2, 3)], r'layer 0 .* reset is "zero".* train with reset="subtract"'),
        ("sinabs", [lb.LIF(2, 3, recurrent=True, reset="subtract")], r'layer 0 .* recurrent.* target="norse"'),
        ("norse", [lb.LIF(2, 3), lb.LIF(3, 3, reset="subtract")], r'layer 1 .* all layers the same.* reset="zero"'),
        ("brian", [lb.LIF(2, 3)], "target must be one of generic, norse, snntorch, sinabs, got 'brian'"),
    ],
)
def test_what_a_target_cannot_run(tmp_path, target, model, message):
    with pytest.raises(ValueError, match=message):
        lb.export_nir(torch.nn.Sequential(*model), tmp_path / "a.nir", target)
    assert not list(tmp_path.iterdir())


def test_delays_of_no_step_are_none(tmp_path):
    lb.export_nir(torch.nn.Sequential(lb.LIF(2, 3, delay=0.3)), tmp_path / "a.nir", "norse")


@pytest.mark.parametrize("target", ["norse", "snntorch", "sinabs"])
def test_what_was_written_for_others_is_not_misread(tmp_path, target):
    reset = "subtract" if target == "sinabs" else "zero"
    lb.export_nir(torch.nn.Sequential(lb.LIF(2, 3, reset=reset), lb.LIReadout(3, 2)), tmp_path / "a.nir", target)
    message = re.escape(f'{tmp_path / "a.nir"}: was written for {target} alone; import_nir reads what target="generic"')
    with pytest.raises(ValueError, match=message):
        lb.import_nir(tmp_path / "a.nir")
    nir.read(tmp_path / "a.nir")  # which checks shapes


def test_edges_out_of_loops_stand_last(tmp_path):
    for target in ("generic", "norse"):
        model = torch.nn.Sequential(lb.LIF(2, 3, recurrent=True), lb.LIReadout(3, 2))
        lb.export_nir(model, tmp_path / "a.nir", target)
        graph = nir.read(tmp_path / "a.nir")
        (inner,) = (node for node in graph.nodes.values() if isinstance(node, nir.NIRGraph))
        assert inner.edges[-1] == ("lif", "output")
