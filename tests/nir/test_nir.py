"""NIR files: round trips, what the nir package's own reader sees, and graphs of other frameworks."""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lambent as lb

nir = pytest.importorskip("nir")


def spikes(n_units, seed=0, n=60, duration=40.0):
    rng = np.random.default_rng(seed)
    times = [np.sort(rng.uniform(0, duration, n)) for _ in range(3)]
    return lb.Events.from_lists(times, [rng.integers(0, n_units, n) for _ in times], n_units, duration)


def same(a, b):
    """Whether two outputs, events or tensors, are equal."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return torch.equal(a.times, b.times) and torch.equal(a.units, b.units) and torch.equal(a.offsets, b.offsets)


@st.composite
def models(draw):
    """Models with anything a model may have."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    dt = draw(st.sampled_from([0.5, 1.0, 2.0, 0.3]))
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    layers = []
    for n, m in itertools.pairwise(sizes):
        recurrent = draw(st.booleans())
        layers.append(
            lb.LIF(
                n,
                m,
                recurrent=recurrent,
                tau_mem=2 * dt + 20 * torch.rand(m),
                tau_syn=dt + 5 * torch.rand(m),
                threshold=0.2 + torch.rand(m),
                reset=draw(st.sampled_from(["zero", "subtract"])),
                delay=draw(st.sampled_from([None, 0.0, 7 * dt, 9 * dt * torch.rand(n, m)])),
                recurrent_delay=5 * torch.rand(m, m) if recurrent and draw(st.booleans()) else None,
                min_slope=draw(st.sampled_from([0.1, 0.25])),
                dt=dt,
            )
        )
    if draw(st.booleans()):
        reduce = draw(st.sampled_from(["mean", "exp_mean", "max", "last", "none"]))
        layers.append(lb.LIReadout(sizes[-1], 3, reduce=reduce, tau_mem=dt + 9 * torch.rand(3), dt=dt))
    return torch.nn.Sequential(*layers)


@settings(max_examples=30, deadline=None)
@given(models())
def test_round_trip_is_exact(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("nir") / "model.nir"
    lb.export_nir(model, path)
    again = lb.import_nir(path)
    assert repr(again) == repr(model)
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    for key in before:
        assert torch.equal(before[key], after[key]), key
    for a, b in zip(model, again, strict=True):
        for key in ("dt", "reset", "min_slope", "max_delay", "reduce"):
            assert getattr(a, key, None) == getattr(b, key, None), key
    events = spikes(model[0].in_features)
    assert same(model(events), again(events))


def test_what_the_package_reads(tmp_path):
    """The graph that other frameworks get: seconds, subgraph with w_rec, unit resistance."""
    model = torch.nn.Sequential(lb.LIF(3, 4, recurrent=True, tau_mem=10.0, dt=0.5), lb.LIReadout(4, 2, dt=0.5))
    lb.export_nir(model, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    assert set(graph.nodes) == {"input", "linear_0", "lif_0", "linear_1", "li_1", "output"}
    assert set(graph.edges) == {
        ("input", "linear_0"),
        ("linear_0", "lif_0"),
        ("lif_0", "linear_1"),
        ("linear_1", "li_1"),
        ("li_1", "output"),
    }
    np.testing.assert_array_equal(graph.nodes["linear_0"].weight, model[0].weight.detach().T)
    inner = graph.nodes["lif_0"]
    assert set(inner.nodes) == {"input", "lif", "w_rec", "output"}
    np.testing.assert_array_equal(inner.nodes["w_rec"].weight, model[0].recurrent_weight.detach().T)
    unit = inner.nodes["lif"]
    assert isinstance(unit, nir.CubaLIF)
    np.testing.assert_allclose(unit.tau_mem, 0.010)
    np.testing.assert_allclose(unit.tau_syn, 0.005)
    np.testing.assert_allclose(unit.w_in * 0.0005 / unit.tau_syn, 1)
    np.testing.assert_array_equal(unit.r, 1)
    np.testing.assert_array_equal(unit.v_threshold, 1)
    assert isinstance(graph.nodes["li_1"], nir.CubaLI)
    assert graph.metadata["lambent_dt"] == 0.0005


def test_delays_are_nodes(tmp_path):
    """Every synapse has the delay of the one path on which its weight is not zero."""
    delay = torch.tensor([[0.0, 3.0], [2.4, 2.4], [1.0, 0.0]])
    model = torch.nn.Sequential(lb.LIF(3, 2, delay=delay))
    lb.export_nir(model, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    found, total = np.zeros((2, 3)), np.zeros((2, 3), np.float32)
    for name in (n for n in graph.nodes if n.startswith("linear")):
        weight = graph.nodes[name].weight
        waiting = graph.nodes[name.replace("linear", "delay")].delay
        found += np.where(weight != 0, waiting, 0)
        total += weight
    np.testing.assert_allclose(found * 1000, np.rint(delay.T.numpy()))
    np.testing.assert_array_equal(total, model[0].weight.detach().T)


def test_edited_weights_win_over_kept_delays(tmp_path):
    """Metadata that no longer fits the graph is not believed."""
    model = torch.nn.Sequential(lb.LIF(2, 2, delay=3.0))
    lb.export_nir(model, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    graph.nodes["delay_0"].delay = np.array([0.001, 0.002])
    nir.write(tmp_path / "b.nir", graph)
    assert lb.import_nir(tmp_path / "b.nir")[0].delay.tolist() == [[1.0, 1.0], [2.0, 2.0]]


# -- graphs of other frameworks ---------------------------------------------------------------------------


def cuba(n, **changes):
    values = {
        "tau_syn": 0.004,
        "tau_mem": 0.01,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 0.5,
        "v_reset": 0.0,
        "w_in": 2.0,
    }
    return nir.CubaLIF(**{key: np.full(n, value) for key, value in (values | changes).items()})


def lif(n, **changes):
    values = {"tau": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 0.5, "v_reset": 0.0}
    return nir.LIF(**{key: np.full(n, value) for key, value in (values | changes).items()})


def write(path, nodes, edges):
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    return path


def chain(path, *nodes, n_in=3, n_out=2):
    """A file of nodes in a row."""
    named = {"input": nir.Input(np.array([n_in])), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["output"] = nir.Output(np.array([n_out]))
    return write(path, named, list(zip(list(named)[:-1], list(named)[1:], strict=True)))


WEIGHT = np.array([[0.5, -0.25, 1.0], [0.75, 0.5, 0.25]], np.float32)


def test_units_and_gains(tmp_path):
    """A spike is an impulse of one step: I jumps by w w_in dt / tau_syn; r scales it; v_leak is rest."""
    unit = cuba(2, r=3.0, v_leak=-0.25, v_reset=-0.25)
    layer = lb.import_nir(chain(tmp_path / "a.nir", nir.Linear(WEIGHT), unit), dt=1.0)[0]
    torch.testing.assert_close(layer.weight.detach(), torch.from_numpy(WEIGHT.T * 3 * 2 * 0.001 / 0.004))
    torch.testing.assert_close(layer.tau_mem.detach(), torch.full((2,), 10.0))
    torch.testing.assert_close(layer.tau_syn.detach(), torch.full((2,), 4.0))
    torch.testing.assert_close(layer.threshold.detach(), torch.full((2,), 0.75))


def test_a_bias_is_where_the_leak_goes(tmp_path):
    unit = cuba(2, v_leak=np.array([0.25, -0.25]), v_reset=-0.5)
    layer = lb.import_nir(chain(tmp_path / "a.nir", nir.Linear(WEIGHT), unit), dt=1.0)[0]
    torch.testing.assert_close(layer.bias.detach(), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(layer.threshold.detach(), torch.full((2,), 1.0))
    lb.export_nir(torch.nn.Sequential(layer), tmp_path / "b.nir")
    again = lb.import_nir(tmp_path / "b.nir")[0]
    assert torch.equal(again.bias, layer.bias)
    assert torch.equal(again(spikes(3, n=120)).times, layer(spikes(3, n=120)).times)


def lif_steps(arriving, keep, add, threshold):
    """Spikes (batch, steps, units) of NIR's LIF in plain steps, each a step after what caused them."""
    v, fired = np.zeros(arriving.shape[::2]), []
    for n in range(arriving.shape[1]):
        v = v * keep + (add * arriving[:, n - 1] if n else 0)
        fired.append(v >= threshold)
        v = np.where(fired[-1], 0, v)
    return np.stack(fired, 1)


@pytest.mark.parametrize(
    ("decay", "keep", "add"), [("exact", np.exp(-1 / 10), 1 - np.exp(-1 / 10)), ("euler", 0.9, 0.1)]
)
def test_lif_without_current(tmp_path, decay, keep, add):
    """NIR's LIF takes events, pulses of a step, into the voltage at once: tau dV/dt = -V + r w."""
    path = chain(tmp_path / "a.nir", nir.Affine(WEIGHT, np.zeros(2)), lif(2, v_threshold=0.47))
    model = lb.import_nir(path, dt=1.0)
    events = spikes(3, n=120)
    expected = lif_steps(events.to_dense(1.0).double().numpy() @ WEIGHT.T, keep, 10.0 * add, 0.47)
    found = model(events).to_dense(1.0)
    assert found.sum() > 10
    np.testing.assert_array_equal(found.detach().numpy(), expected)


def test_the_nir_papers_lif(shared):
    """Spikes in steps 460, 510, 710 and 760, here one later."""
    path = shared / "cases" / "nir"
    if not path.is_dir():
        pytest.skip("needs shared/cases/nir")
    with gzip.open(path / "lif_exact.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    steps = np.flatnonzero(rows[:, 0] > 0.5)
    events = lb.Events.from_lists([(steps + 0.5) * 0.1], [np.zeros(len(steps), int)], 1, 100.0)
    out = lb.import_nir(path / "lif_norse.nir", dt=0.1)(events)
    assert (out.times / 0.1).round().tolist() == [461, 511, 711, 761]


def test_networks_of_the_nir_paper(shared):
    path = shared / "cases" / "nir"
    if not path.is_dir():
        pytest.skip("needs shared/cases/nir")
    biased = lb.import_nir(path / "braille_noDelay_bias_zero.nir", dt=0.1, decay="euler")
    assert [layer.bias is not None for layer in biased] == [True, True]
    subtracting = lb.import_nir(path / "braille_noDelay_noBias_subtract.nir", dt=0.1, reset="subtract")
    assert [layer.reset for layer in subtracting] == ["subtract", "subtract"]
    convolving = lb.import_nir(path / "cnn_sinabs.nir", dt=1.0, reset="subtract")
    kinds = [type(layer.connections).__name__ for layer in convolving]
    assert kinds == ["Conv2d", "Conv2d", "Sparse", "Dense", "Dense"]
    assert [layer.out_features for layer in convolving] == [4096, 4096, 512, 256, 10]


def test_the_bias_of_weights(tmp_path):
    """It is a current as any input: what is always there adds r w_in bias, after the scales behind it."""
    path = chain(
        tmp_path / "a.nir", nir.Affine(WEIGHT, np.array([0.5, -1.0])), nir.Scale(np.array([2.0])), cuba(2, r=3)
    )
    bias = torch.tensor([0.5, -1.0]) * 2 * 3 * 2
    torch.testing.assert_close(lb.import_nir(path, dt=1.0)[0].bias.detach(), bias)
    torch.testing.assert_close(lb.import_nir(path, dt=1.0, decay="euler")[0].bias.detach(), bias)


def test_reset_is_an_argument(tmp_path):
    """For graphs that do not say it; it wins over those that do. Subtracting leaves v_reset without a meaning."""
    path = chain(tmp_path / "a.nir", nir.Linear(WEIGHT), cuba(2, v_reset=-1.0))
    zero, subtract = (lb.import_nir(path, dt=1.0, reset=reset)[0] for reset in (None, "subtract"))
    assert (zero.reset, zero.threshold.tolist()) == ("zero", [1.5, 1.5])
    assert (subtract.reset, subtract.threshold.tolist(), subtract.bias) == ("subtract", [0.5, 0.5], None)
    lb.export_nir(torch.nn.Sequential(subtract), tmp_path / "b.nir")
    assert lb.import_nir(tmp_path / "b.nir")[0].reset == "subtract"
    assert lb.import_nir(tmp_path / "b.nir", reset="zero")[0].reset == "zero"
    for wrong in ({"reset": "half"}, {"decay": "midpoint"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            lb.import_nir(path, dt=1.0, **wrong)


def test_time_constants_too_short_for_euler(tmp_path):
    path = chain(tmp_path / "a.nir", nir.Linear(WEIGHT), cuba(2, tau_syn=0.001))
    assert lb.import_nir(path, dt=1.0, decay="euler")[0].tau_syn.tolist() == pytest.approx([0.02, 0.02])  # nothing left
    with pytest.raises(ValueError, match="'n1': tau_syn of 1 ms is less than a step of 2 ms"):
        lb.import_nir(path, dt=2.0, decay="euler")


@pytest.mark.parametrize("dt", [0.1, 0.3, 0.7, 1.0, 1.7])
def test_delays_on_half_steps(tmp_path, dt):
    """Rounded in the file as the layer rounds them, recurrent ones too."""
    n = torch.arange(64).reshape(8, 8) + 0.5
    layer = lb.LIF(8, 8, recurrent=True, delay=n * dt, recurrent_delay=n * dt, max_delay=64 * dt, dt=dt)
    lb.export_nir(torch.nn.Sequential(layer), tmp_path / "a.nir")
    again = lb.import_nir(tmp_path / "a.nir")[0]
    assert torch.equal(again.delay, layer.delay)
    assert torch.equal(again.recurrent_delay, layer.recurrent_delay)
    graph = nir.read(tmp_path / "a.nir")
    for node in graph.nodes.values():
        node.metadata = {}
    nir.write(tmp_path / "b.nir", graph)
    steps = torch.round(layer.delay.detach().double() / dt)
    bare = lb.import_nir(tmp_path / "b.nir", dt=dt)[0]
    assert torch.equal(torch.round(bare.delay.detach().double() / dt), steps)


def test_flat_recurrence_flatten_scale_and_delay(tmp_path):
    """Recurrence without a subgraph; a shaped input; scales and delays on both sides of the weights."""
    nodes = {
        "input": nir.Input(np.array([1, 1, 3])),
        "flat": nir.Flatten({"input": np.array([1, 1, 3])}, start_dim=0),
        "wait": nir.Delay(np.array([0.0, 0.002, 0.003])),
        "w": nir.Linear(WEIGHT),
        "twice": nir.Scale(np.array([2.0, 4.0])),
        "late": nir.Delay(np.array([0.001, 0.0])),
        "lif": cuba(2, w_in=4.0),
        "back": nir.Linear(np.array([[0.0, 1.0], [2.0, 0.0]])),
        "output": nir.Output(np.array([2])),
    }
    line = ["input", "flat", "wait", "w", "twice", "late", "lif", "output"]
    edges = [*itertools.pairwise(line), ("lif", "back"), ("back", "lif")]
    layer = lb.import_nir(write(tmp_path / "a.nir", nodes, edges), dt=1.0)[0]
    torch.testing.assert_close(layer.weight.detach(), torch.from_numpy(WEIGHT.T) * torch.tensor([2.0, 4.0]))
    assert layer.delay.tolist() == [[1.0, 0.0], [3.0, 2.0], [4.0, 3.0]]
    assert layer.recurrent_weight.tolist() == [[0.0, 2.0], [1.0, 0.0]]


def test_readouts_give_voltages(tmp_path):
    li = nir.LI(tau=np.full(2, 0.02), r=np.ones(2), v_leak=np.zeros(2))
    path = chain(tmp_path / "a.nir", nir.Linear(WEIGHT), cuba(2), nir.Linear(np.eye(2)), li)
    assert lb.import_nir(path, dt=1.0)(spikes(3)).shape == (3, 40, 2)


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_integrators_between_layers(tmp_path, dt):
    """Voltages go on as NIR has it: what a node gives is what the next takes, here in every step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(lb.LI(3, 4, dt=dt), lb.LIF(4, 5, dt=dt), lb.LI(5, 6, dt=dt), lb.LIReadout(6, 2, dt=dt))
    lb.calibrate(model, spikes(3), 3.0)
    for part in (model, model[:3]):
        lb.export_nir(part, tmp_path / "a.nir")
        back = lb.import_nir(tmp_path / "a.nir")
        assert [type(layer) for layer in back] == [type(layer) for layer in part]
        assert same(back(spikes(3)), part(spikes(3)))
    assert torch.equal(back(spikes(3)).values, part(spikes(3)).values)
    with pytest.raises(ValueError, match=r"layer 0 \(LI\): Norse .*target=\"generic\""):
        lb.export_nir(model, tmp_path / "b.nir", "norse")


def test_integrators_of_others_follow_their_equations(tmp_path):
    """tau dV/dt = -V + r x for a spike of one step at 1 ms, and then tau_2 dU/dt = -U + V, stepped finely."""
    dt, tau, second = 0.01, 5.0, 8.0
    li = [nir.LI(tau=np.full(1, t / 1000), r=np.full(1, r), v_leak=np.zeros(1)) for t, r in ((tau, 3.0), (second, 1.0))]
    path = chain(
        tmp_path / "a.nir", nir.Linear(np.ones((1, 1))), li[0], nir.Linear(np.ones((1, 1))), li[1], n_in=1, n_out=1
    )
    found = lb.import_nir(path, dt=dt)(lb.Events.from_lists([[1.0]], [[0]], 1, 40.0))[0, :, 0]
    v = u = 0.0
    wanted = []
    for n in range(len(found)):
        u += dt / second * (v - u)
        v += dt / tau * (3.0 * (n == round(1.0 / dt)) - v)
        wanted.append(u)
    assert (found - torch.tensor(wanted)).abs().max() < 0.02 * max(wanted)


def test_dt_changes_the_step_not_the_strength_of_spikes(tmp_path):
    model = torch.nn.Sequential(lb.LIF(3, 4, dt=1.0))
    lb.export_nir(model, tmp_path / "a.nir")
    finer = lb.import_nir(tmp_path / "a.nir", dt=0.5)[0]
    assert finer.dt == 0.5
    assert torch.equal(finer.weight, model[0].weight)


def graph_file(path, **nodes):
    """Three inputs into two units `lif`, and whatever else is given, with edges from lif to it and to the output."""
    extra = [(a, b) for name in nodes for a, b in (("lif", name), (name, "output"))]
    named = {"input": nir.Input(np.array([3])), "w": nir.Linear(WEIGHT), "lif": cuba(2), **nodes}
    named["output"] = nir.Output(np.array([2]))
    return write(path, named, [("input", "w"), ("w", "lif"), ("lif", "output"), *extra])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: chain(p, nir.Affine(WEIGHT, np.ones(5)), cuba(2)), "'n0': bias must be 2 numbers"),
        (
            lambda p: chain(p, nir.Affine(WEIGHT, np.ones(2)), nir.LI(np.ones(2), np.ones(2), np.zeros(2))),
            "'n1': the bias of what feeds it must be 0",
        ),
        (lambda p: chain(p, nir.Linear(WEIGHT), cuba(2, v_threshold=-1.0)), "'n1': threshold of unit 0"),
        (lambda p: chain(p, nir.Linear(WEIGHT), cuba(2, tau_syn=0.0)), "'n1': tau_syn must be positive"),
        (lambda p: chain(p, nir.Linear(WEIGHT), cuba(2, tau_mem=np.nan)), "'n1': tau_mem must be positive"),
        (lambda p: chain(p, nir.Linear(np.full((2, 3), np.inf)), cuba(2)), "'n1': weight holds NaN or infinity"),
        (lambda p: chain(p, nir.Linear(WEIGHT), cuba(3)), "'n1': tau_mem has 3 values for 2 units"),
        (lambda p: chain(p, nir.Linear(WEIGHT.T), cuba(3)), "'n0': takes 2 inputs, but gets 3"),
        (lambda p: chain(p, nir.Linear(WEIGHT), nir.Linear(np.eye(2)), cuba(2)), "'n1': follows other weights"),
        (lambda p: chain(p, nir.Linear(WEIGHT), nir.Delay(np.zeros(5)), cuba(2)), "'n1': has 5 values for 2 units"),
        (lambda p: chain(p, nir.Linear(WEIGHT), nir.I(np.ones(2))), "'n1': lambent cannot run I: it has no leak"),
        (lambda p: chain(p, nir.Linear(WEIGHT), nir.Threshold(np.ones(2))), "'n1': lambent cannot run Threshold"),
        (lambda p: chain(p, nir.Linear(WEIGHT)), "holds no units"),
        (lambda p: chain(p, nir.Linear(WEIGHT), cuba(2), nir.Linear(np.eye(2))), "'output': must get what node 'n1'"),
        (
            lambda p: graph_file(p, a=nir.Linear(np.ones((2, 2)))),
            "'output': must get what node 'lif'",
        ),
        (lambda p: graph_file(p, other=cuba(2)), "'output': must get what node 'other'"),
        (lambda p: graph_file(p, a=cuba(2), b=cuba(2)), "'lif': feeds 'a', 'b'"),
        (lambda p: chain(p, nir.Linear(WEIGHT), nir.LI(np.ones(2), np.ones(2), np.ones(2))), "'n1': v_leak must be 0"),
    ],
)
def test_what_lambent_cannot_run(tmp_path, build, message):
    path = build(tmp_path / "a.nir")
    with pytest.raises(ValueError, match="a.nir: .*" + message.replace("(", "\\(")):
        lb.import_nir(path, dt=1.0)


def test_step_is_needed(tmp_path):
    path = chain(tmp_path / "a.nir", nir.Linear(WEIGHT), cuba(2))
    with pytest.raises(ValueError, match="does not say its time step; give dt"):
        lb.import_nir(path)
    with pytest.raises(ValueError, match="dt must be a positive"):
        lb.import_nir(path, dt=-1.0)


def test_no_nir_file(tmp_path):
    with pytest.raises(OSError, match=r"no\.nir"):
        lb.import_nir(tmp_path / "no.nir")
    for name, content in (("text.nir", b"no HDF5"), ("empty.nir", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: no HDF5 file"):
            lb.import_nir(tmp_path / name)
    with pytest.raises(ValueError, match="is no file"):
        lb.import_nir(tmp_path)
    nir.write(tmp_path / "one.nir", cuba(2))
    with pytest.raises(ValueError, match="is no NIR file"):
        lb.import_nir(tmp_path / "one.nir", dt=1.0)
    import h5py

    with h5py.File(tmp_path / "other.nir", "w") as h5:
        h5["x"] = 1
    with pytest.raises(ValueError, match="is no NIR file"):
        lb.import_nir(tmp_path / "other.nir")


def test_absurd_graphs(tmp_path):
    """Neither circles nor endless or countless paths hang."""
    linear = {f"s{i}": nir.Scale(np.ones(3)) for i in range(150)}
    start, end = nir.Input(np.array([3])), nir.Output(np.array([3]))
    nodes = {"input": start, **linear, "lif": cuba(3), "output": end}
    line = list(itertools.pairwise(nodes))
    ladder = [(a, b) for i in range(0, 28, 2) for a in (f"s{i}", f"s{i + 1}") for b in (f"s{i + 2}", f"s{i + 3}")]
    ladder += [("input", "s0"), ("input", "s1"), ("s28", "lif"), ("s29", "lif"), ("lif", "output")]
    few = {k: v for k, v in nodes.items() if not k.startswith("s") or int(k[1:]) < 30}
    circle = {"input": start, "s0": nir.Scale(np.ones(3)), "lif": cuba(3), "output": end}
    circling = [("input", "s0"), ("s0", "s0"), ("s0", "lif"), ("lif", "output")]
    for file, message in [
        (write(tmp_path / "a.nir", nodes, line), "more than 100 nodes"),
        (write(tmp_path / "b.nir", few, ladder), "more than 10000 ways"),
        (write(tmp_path / "c.nir", circle, circling), "circle without units"),
    ]:
        with pytest.raises(ValueError, match=message):
            lb.import_nir(file, dt=1.0)
    huge = chain(tmp_path / "d.nir", cuba(2), n_in=10**9)
    with pytest.raises(ValueError, match="1,000,000,000 units without weights"):
        lb.import_nir(huge, dt=1.0)


def test_damaged_files(tmp_path):
    """Damage is an error or, where it hits what does not matter, a model."""
    lb.export_nir(torch.nn.Sequential(lb.LIF(3, 4, recurrent=True, delay=2.0), lb.LIReadout(4, 2)), tmp_path / "a.nir")
    whole = (tmp_path / "a.nir").read_bytes()
    rng = np.random.default_rng(0)
    for i in range(200):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 5):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "b.nir").write_bytes(damaged if i % 4 else whole[: rng.integers(1, len(whole))])
        with contextlib.suppress(ValueError, OSError):
            assert isinstance(lb.import_nir(tmp_path / "b.nir"), torch.nn.Sequential)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lb.LIF(2, 2), TypeError, "must be a torch.nn.Sequential"),
        (torch.nn.Sequential(torch.nn.Linear(2, 2)), TypeError, "layer 0 \\(Linear\\)"),
        (torch.nn.Sequential(lb.LIF(2, 3), lb.LIF(2, 3)), ValueError, "layer 1 \\(LIF\\): takes 2 inputs, but gets 3"),
        (torch.nn.Sequential(lb.LIF(2, 3), lb.LIF(3, 3, dt=2.0)), ValueError, "layer 1 \\(LIF\\): dt"),
    ],
)
def test_export_refuses(tmp_path, model, error, message):
    with pytest.raises(error, match=message):
        lb.export_nir(model, tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_import_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ImportError, match=r"lambent\[nir\]"):
        lb.export_nir(torch.nn.Sequential(lb.LIF(2, 3)), tmp_path / "a.nir")


def test_a_full_disk(tmp_path, monkeypatch):
    """One OSError that names the file, and nothing left; HDF5 alone took the process with it."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device.*a\.nir"):
        lb.export_nir(torch.nn.Sequential(lb.LIF(3, 4)), tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())
