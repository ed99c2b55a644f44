"""Spikes with values, and layers that send them: all engines against the reference, or finite differences."""

from __future__ import annotations

import pytest
import torch
from test_every_kind import DOUBLE, ENGINES, assert_same_gradients, device_of, events, layer, leaves, moved

import lambent as lb
from lambent.connections import Dense, Sparse
from lambent.engines import reference
from lambent.engines.exact import cpu as exact
from lambent.engines.grid import cpu as grid_cpu
from lambent.engines.grid import cpu_kernels
from lambent.neurons import LIF, Integrator
from lambent.neurons.payload import Payload

PAYLOAD = Payload(3.0, 0.3)
FINE = Payload(2.0**46, 50.0)  # so that finite differences don't see levels


def values_of(e, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(len(e.times), generator=g, dtype=DOUBLE) + 0.5


def outcome(engine, made, payload, graded=True, e=None):
    (neuron, inputs, own), found = leaves(*made)
    e = events() if e is None else e
    times, values = e.times.clone().requires_grad_(), values_of(e).requires_grad_()
    x = lb.Events(times, e.units, e.offsets, e.n_units, e.duration, values if graded else None)
    device = device_of(engine)
    there = (moved(part, device) for part in (neuron, inputs, own))
    out = engine.spikes(x.to(device), *there, 1.0, payload).to("cpu")
    weigh = torch.cos(torch.arange(out.counts().numel(), dtype=DOUBLE)).view_as(out.counts())
    loss = (out.counts() * weigh).sum() + torch.sin(0.1 * out.times + out.units).sum()
    if payload is not None:
        loss = loss + torch.cos(3 * out.values + out.units).sum()
    loss.backward()
    return out, {"times": times.grad} | ({"values": values.grad} if graded else {}) | {
        n: x.grad for n, x in found.items()
    }


KINDS = [
    ("LIF", "Dense", "Dense"),
    ("LIF, bias", "Dense, delays", "Dense, delays"),
    ("LIF, subtract", "Sparse", None),
    ("LIF", "Sparse, delays", "Sparse"),
    ("LIF", "Conv2d", "Dense"),
    ("LIF", "Conv1d, delays", "Conv1d, delays"),
    ("LIF", "SumPool2d", None),
    ("AdaptiveLIF", "Dense", "Dense"),
    ("RefractoryLIF", "Dense", "Sparse, delays"),
    ("Resonator, phase", "Dense", None),
    ("Equations, nonlinear", "Dense", None),
]
# Triton's interpreter takes seconds for each
ON_GPU = [("LIF, bias", "Dense, delays", "Dense, delays"), ("LIF", "Sparse, delays", "Sparse")]
RUNS = [("cpu", *kinds) for kinds in KINDS] + [("gpu", *kinds) for kinds in ON_GPU if "gpu" in ENGINES]
BOTH = pytest.mark.parametrize("engine", ENGINES)


@pytest.mark.parametrize(("engine", "neuron", "inputs", "recurrent"), RUNS)
def test_values_and_payloads_equal_the_reference(engine, neuron, inputs, recurrent):
    made = layer(neuron, inputs, recurrent)
    payload = PAYLOAD._replace(full=8.0) if "phase" in neuron else PAYLOAD  # which spikes far above its threshold
    (expected, gradients), (out, found) = (outcome(x, made, payload) for x in (reference, ENGINES[engine]))
    assert len(expected.times) > 10
    assert torch.equal(out.units, expected.units)
    assert torch.equal(out.values, expected.values)
    assert len(out.values.unique()) > 1
    assert set((3 * (out.values - 1)).round(decimals=9).tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert_same_gradients(gradients, found)


@BOTH
@pytest.mark.parametrize(("payload", "graded"), [(None, True), (PAYLOAD, False)])
def test_either_alone_equals_the_reference(engine, payload, graded):
    made = layer("LIF", "Dense", "Dense, delays")
    engines = reference, ENGINES[engine]
    (expected, gradients), (out, found) = (outcome(x, made, payload, graded) for x in engines)
    assert torch.equal(out.units, expected.units)
    assert (out.values is None) == (payload is None)
    assert_same_gradients(gradients, found)


def test_values_of_one_change_nothing():
    made, e = layer("LIF", "Dense", "Dense"), events()
    plain, ones = (grid_cpu.spikes(x, *made, 1.0) for x in (e, e.with_values(torch.ones_like(e.times))))
    assert torch.equal(plain.times, ones.times)
    assert torch.equal(plain.units, ones.units)


def test_a_spike_of_value_two_is_two_spikes():
    twice = lb.Events.from_lists([[1.0, 1.0, 7.0]], [[0, 0, 1]], 2, 30.0, DOUBLE)
    once = lb.Events.from_lists([[1.0, 7.0]], [[0, 1]], 2, 30.0, DOUBLE, values=[[2.0, 1.0]])
    g = torch.Generator().manual_seed(0)
    weight = 3 * torch.rand(2, 3, generator=g, dtype=DOUBLE)
    for engine, dt in ((reference, 1.0), (grid_cpu, 1.0), (exact, None)):
        a, b = (engine.spikes(x, LIF(*torch.tensor([[20.0], [5.0], [1.0]], dtype=DOUBLE).expand(3, 3)),
                              Dense(2, 3, weight), None, dt) for x in (twice, once))  # fmt: skip
        assert len(a.times)
        assert torch.allclose(a.times, b.times)


def test_without_values_the_kernels_know_none():
    """Numba is given None for them, for which it compiles what there was before there were values."""
    grid_cpu.spikes(events(), *layer("LIF", "Dense"), 1.0)
    nones = [[str(kind) for kind in kinds].count("none") for kinds in cpu_kernels.spikes_forward.signatures]
    assert 2 in nones  # values and payload


@BOTH
@pytest.mark.parametrize("inputs", ["Dense", "Sparse, delays"])
def test_levels_equal_the_reference(engine, inputs):
    def outcome(engine):
        (neuron, connections), found = leaves(*layer("Integrator", inputs)[:2])
        values = values_of(events()).requires_grad_()
        device = device_of(engine)
        there = (moved(part, device) for part in (neuron, connections))
        v = engine.levels(events().with_values(values).to(device), *there, 1.0).to("cpu")
        (v * torch.sin(torch.arange(v.numel(), dtype=DOUBLE).view_as(v))).sum().backward()
        return v.detach(), {n: x.grad for n, x in found.items()} | {"values": values.grad}

    (expected, gradients), (v, found) = outcome(reference), outcome(ENGINES[engine])
    assert torch.allclose(v, expected, rtol=1e-9, atol=1e-11)
    assert_same_gradients(gradients, found)


@pytest.mark.skipif("gpu" not in ENGINES, reason="needs Triton: pip install 'lambent[gpu]'")
@pytest.mark.parametrize("inputs", ["Dense", "Sparse"])
def test_deterministic_mode_keeps_the_order_of_what_spikes_of_one_unit_and_step_add(inputs, monkeypatch):
    """Their values differ, so that they add different numbers to one weight."""
    gpu = ENGINES["gpu"]
    monkeypatch.setattr(gpu, "_COPIES", 2)
    made, device = layer("LIF", inputs), device_of(gpu)
    x = lb.Events.from_lists(
        [[1.0] * 6 + [5.0]], [[0, 0, 0, 0, 1, 1, 0]], 12, 12.0, DOUBLE, [[1.3, 0.7, 2.9, 0.1, 3, 5, 2]]
    )

    def gradient(engine, device):
        neuron, connections, _ = (moved(part, device) for part in made)
        weight = (3 * connections.weight).requires_grad_()
        out = engine.spikes(x.to(device), neuron, connections.with_values(weight=weight), None, 1.0)
        return torch.autograd.grad(torch.sin(out.times).sum(), weight)[0].to("cpu")

    torch.use_deterministic_algorithms(True)
    try:
        first, again = (gradient(gpu, device) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert first.any()
    assert torch.allclose(first, gradient(reference, "cpu"))
    assert torch.equal(first, again)


@pytest.mark.skipif("gpu" not in ENGINES, reason="needs Triton: pip install 'lambent[gpu]'")
def test_payloads_survive_running_ahead(monkeypatch):
    """Where spikes come with padding."""
    gpu = ENGINES["gpu"]
    made, device = layer("LIF", "Dense", "Dense"), device_of(gpu)
    expected = gpu.spikes(events().to(device), *(moved(x, device) for x in made), 1.0, PAYLOAD)
    monkeypatch.setattr(gpu, "running_ahead", lambda device: True)
    monkeypatch.setattr(gpu, "learn", lambda *_: None)
    out = gpu.spikes(events().to(device), *(moved(x, device) for x in made), 1.0, PAYLOAD)
    assert len(out.padded().values) > len(expected.values)
    assert not out.padded().values[len(expected.values) :].any()
    assert torch.equal(out.values, expected.values)
    assert torch.equal(out.units, expected.units)


# -- readouts --------------------------------------------------------------------------------------------------------


def inputs_of_readout(dtype=DOUBLE):
    e = events()
    return e.times.to(dtype).requires_grad_(), values_of(e).to(dtype).requires_grad_(), e


def test_readouts_are_those_of_the_voltages():
    times, values, e = inputs_of_readout()
    x = lb.Events(times, e.units, e.offsets, e.n_units, e.duration, values)
    every = lb.LIReadout(e.n_units, 3, reduce="none").double()
    v = every(x)
    fading = torch.exp(-torch.arange(v.shape[1]) / v.shape[1])[None, :, None].double()
    expected = {"mean": v.mean(1), "exp_mean": (fading * v).mean(1), "last": v[:, -1], "max": v.amax(1)}
    for reduce, wanted in expected.items():
        readout = lb.LIReadout(e.n_units, 3, reduce=reduce).double()
        readout.weight = every.weight
        found = readout(x)
        assert torch.allclose(found, wanted)
        of = [torch.autograd.grad(y.sin().sum(), values, retain_graph=True)[0] for y in (found, wanted)]
        assert torch.allclose(*of)


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "last", "max"])
def test_readouts_in_continuous_time_are_exact(reduce):
    readout = lb.LIReadout(12, 2, reduce=reduce, dt=None).double()
    times, values, e = inputs_of_readout()
    times = (times.detach() + 0.9 * torch.linspace(0, 1, len(times))).sort().values.clamp(max=39.9)
    chosen = e.offsets[-2]  # the last sample alone
    times, values, units = (x[chosen:].detach() for x in (times, values, e.units))

    def outputs(times, values):
        order = times.detach().argsort()
        offsets = torch.tensor([0, len(times)])
        return readout(lb.Events(times[order], units[order], offsets, 12, 40.0, values[order], check=False))

    assert torch.autograd.gradcheck(outputs, (times.requires_grad_(), values.requires_grad_()), eps=1e-7, atol=1e-5)


# -- continuous time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "recurrent", "payload", "graded"),
    [
        ("dense", False, None, True),
        ("dense", False, FINE, True),
        ("delays", False, FINE, False),
        ("sparse", False, FINE, True),
        ("delays", True, None, True),
        ("delays", True, FINE, True),
        ("sparse", True, FINE, False),
    ],
)
def test_gradients_in_continuous_time_are_exact(inputs, recurrent, payload, graded):
    g = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=g, dtype=DOUBLE)

    n = 14
    units, times = torch.randint(4, (n,), generator=g), (rand(n) * 40).sort().values
    weights, delays = [rand(4, 5) * 4, (rand(5, 5) - 0.5) * 1.5], [rand(4, 5) * 3, rand(5, 5) * 3 + 0.3]
    neuron = [15 + rand(5) * 10, 4 + rand(5) * 3, 0.8 + rand(5) * 0.4, rand(5) * 0.3]
    pairs = torch.tensor([[0, 0, 1, 2, 2, 3, 3, 3], [0, 3, 1, 2, 4, 0, 1, 3]])

    def spikes(times, values, weight, own, delay, own_delay, *neuron):
        x = lb.Events(times, units, torch.tensor([0, n]), 4, 60.0, values if graded else None, check=False)
        if inputs == "sparse":
            into = Sparse(4, 5, indices=pairs, weight=weight.flatten()[:8])
        else:
            into = Dense(4, 5, weight, delay if inputs == "delays" else None)
        among = Dense(5, 5, own, own_delay) if recurrent else None
        out = exact.spikes(x, LIF(*neuron), into, among, None, payload)
        assert len(out.times) > 5
        return out.times if payload is None else (out.times, out.values)

    given = [x.requires_grad_() for x in (times, 0.5 + rand(n), *weights, *delays, *neuron)]
    assert torch.autograd.gradcheck(spikes, given, eps=1e-7, atol=2e-5, rtol=1e-4)


def test_counts_of_silent_units_pull_on_values():
    """In continuous time, by finite differences of the highest voltage, and of the mean where it never rises."""
    neuron = LIF(*(torch.full((2,), x, dtype=DOUBLE) for x in (20.0, 5.0, 1.0)))
    values = torch.tensor([1.5, 0.5], dtype=DOUBLE, requires_grad=True)
    x = lb.Events(torch.tensor([1.0, 3.0]).double(), torch.tensor([0, 0]), torch.tensor([0, 2]), 1, 20.0, values)
    out = exact.spikes(x, neuron, Dense(1, 2, torch.tensor([[1.0, -1.0]], dtype=DOUBLE)), None)
    assert not len(out.times)
    found = torch.autograd.grad(out.counts()[0, 0], values, retain_graph=True)[0]
    voltages = reference.levels(x, Integrator(*(torch.full((1,), v).double() for v in (20.0, 5.0))),
                                Dense(1, 1, torch.ones(1, 1).double()), 0.01)  # fmt: skip
    expected = torch.autograd.grad(voltages[0, :, 0].max(), values, retain_graph=True)[0]
    assert torch.allclose(found, expected, rtol=0.01)
    found = torch.autograd.grad(out.counts()[0, 1], values)[0]
    assert torch.allclose(found, -torch.autograd.grad(voltages.mean(), values)[0], rtol=0.01)


# -- layers ----------------------------------------------------------------------------------------------------------


def test_layers_send_payloads_and_train():
    torch.manual_seed(0)
    data = lb.data.yin_yang(200, seed=0)
    x, labels = data.batch(range(200))
    for dt in (1.0, None):
        model = torch.nn.Sequential(
            lb.LIF(data.n_units, 30, payload_bits=3, dt=dt),
            lb.Channel(erasure=0.1, bit_flip=0.01, bits=3),
            lb.LIReadout(30, 3, dt=dt, scale=30),
        )
        optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
        for _ in range(25):
            optimizer.zero_grad()
            losses.append(torch.nn.functional.cross_entropy(model(x), labels))
            losses[-1].backward()
            optimizer.step()
        assert losses[-1] < 0.9 * losses[0]
        out = model[0](x)
        codes = 7 * (out.values.detach() - 1)
        assert torch.allclose(codes, codes.round(), atol=1e-4)
        assert 0 <= codes.min() < codes.max() <= 7.001


@pytest.mark.parametrize("dt", [1.0, None])
@pytest.mark.parametrize("times", [[], [[]], [[1.0, 1.5]], [[], [2.0]]])
def test_few_or_no_spikes(times, dt):
    layer = lb.LIF(1, 1, recurrent=True, payload_bits=3, dt=dt)
    with torch.no_grad():
        layer.weight.fill_(4.0)
    x = lb.Events.from_lists(times, [[0] * len(t) for t in times], 1, 9.0, values=[[2.0] * len(t) for t in times])
    out = layer(x)
    assert out.values.shape == out.times.shape
    assert (len(out.times) > 0) == any(times)
    (out.values.sum() + out.times.sum()).backward()
    assert torch.isfinite(layer.weight.grad).all()


def test_no_bits_are_no_payload():
    x = lb.Events.from_lists([[1.0, 1.0]], [[0, 1]], 3, 20.0)
    for bits in (None, 0):
        assert lb.LIF(3, 2, payload_bits=bits)(x).values is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"payload_bits": 2.5}, TypeError, "payload_bits must be a whole number or None, got 2.5"),
        ({"payload_bits": True}, TypeError, "payload_bits must be a whole number"),
        ({"payload_bits": -1}, ValueError, "payload_bits must lie in 0 to 16"),
        ({"payload_bits": 2, "payload_range": 0.0}, ValueError, "payload_range must be positive"),
    ],
)
def test_wrong_payloads(options, error, message):
    with pytest.raises(error, match=message):
        lb.LIF(3, 2, **options)


def test_payloads_are_kept_with_the_model(tmp_path):
    torch.manual_seed(0)
    x = lb.Events.from_lists([[1.0, 2.0, 3.0]], [[0, 1, 2]], 3, 30.0)
    model = torch.nn.Sequential(lb.LIF(3, 4, payload_bits=4, payload_range=0.5), lb.Channel(0.1), lb.LIReadout(4, 2))
    with torch.no_grad():
        model[0].weight.fill_(3.0)
    lb.save(model.eval(), tmp_path / "m.safetensors")
    again = lb.load(tmp_path / "m.safetensors")
    assert torch.equal(again(x), model(x))
    assert model[0](x).values is not None
    assert "payload_bits=4" in repr(again)
    with pytest.raises(RuntimeError, match="payload_bits=4"):
        lb.LIF(3, 4, payload_bits=2).load_state_dict(model[0].state_dict())


def test_what_knows_no_values_says_so(tmp_path):
    model = torch.nn.Sequential(lb.LIF(3, 4, payload_bits=4), lb.LIReadout(4, 2))
    for export in (lb.export_nir, lb.hardware.loihi2.export_netx):
        with pytest.raises(TypeError, match="carry 4 bits"):
            export(model, tmp_path / "m")
    x = lb.Events.from_lists([[1.0]], [[0]], 3, 9.0, values=[[2.0]])
    plain = torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2))
    with pytest.raises(NotImplementedError, match="the chip's arithmetic knows no values"):
        lb.quantize.quantization_aware(plain)(x)
    lb.hardware.loihi2.export_netx(plain, tmp_path / "plain.net")
    with pytest.raises(ValueError, match="the input of a chip network carries no values"):
        lb.hardware.loihi2.load_netx(tmp_path / "plain.net").run(x)


def test_states_are_those_with_values():
    layer = lb.LIF(3, 2, recurrent=True, payload_bits=2)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    x = lb.Events.from_lists([[1.0, 1.0, 4.0]], [[0, 1, 2]], 3, 30.0, values=[[1.5, 0.5, 2.0]])
    found = lb.record(torch.nn.Sequential(layer), x)
    assert found.spikes[0].max() == 1  # counts, not values
    assert found.voltage[0].max() < 1.0
    fired = torch.from_numpy(found.spikes[0].astype("int64")).sum()
    assert fired == len(layer(x).times) > 0


def test_values_have_no_forward_mode():
    layer, x = lb.LIF(3, 2), lb.Events.from_lists([[1.0]], [[0]], 3, 9.0)

    def of(values):
        return layer(x.with_values(values)).times.sum()

    with pytest.raises(NotImplementedError, match="go backwards only"):
        torch.func.jvp(of, (torch.ones(1),), (torch.ones(1),))
