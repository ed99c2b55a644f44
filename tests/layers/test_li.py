"""`LI`: events that carry the voltages of a readout, and their gradients."""

from __future__ import annotations

import itertools

import pytest
import torch

import lambent as lb

DOUBLE = torch.float64


def inputs(batch=3, n_units=4, duration=15.0, dtype=DOUBLE):
    g = torch.Generator().manual_seed(2)
    times = [(torch.rand(6, generator=g, dtype=DOUBLE) * duration).sort().values.to(dtype) for _ in range(batch - 1)]
    units = [torch.randint(n_units, (6,), generator=g) for _ in times]
    return lb.Events.from_lists([*times, []], [*units, []], n_units, duration, dtype)


def made(dtype=DOUBLE, dt=1.0):
    torch.manual_seed(0)
    layer = lb.LI(4, 5, tau_mem=torch.linspace(8.0, 30.0, 5), tau_syn=3.0, dt=dt).to(dtype)
    readout = lb.LIReadout(4, 5, tau_mem=layer.tau_mem, tau_syn=3.0, reduce="none", dt=dt).to(dtype)
    readout.load_state_dict(dict(layer.state_dict()))
    return layer, readout


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("dt", [1.0, 0.4])
def test_events_are_the_voltages_of_a_readout(dtype, dt):
    (layer, readout), x = made(dtype, dt), inputs(dtype=dtype)
    out, v = layer(x), readout(x)
    lb.Events(out.times, out.units, out.offsets, out.n_units, out.duration, out.values)  # valid
    found = iter(zip(out.times.tolist(), out.units.tolist(), out.values.tolist(), strict=True))
    for b, n, u in itertools.product(*map(range, v.shape)):  # by hand
        if v[b, n, u] != 0:
            time, unit, value = next(found)
            assert (time, unit, value) == (torch.tensor(n * dt, dtype=DOUBLE).to(dtype).item(), u, v[b, n, u].item())
    assert next(found, None) is None
    assert torch.equal(out.to_dense(dt), v)
    assert out.dt == dt
    first = x.steps(dt)[0] + 1  # in the step after its first input, each unit begins to send, and goes on
    assert out[0].steps(dt).unique().tolist() == list(range(int(first), v.shape[1]))
    assert not len(out[2].times)  # silence stays silence


def test_gradients_are_exact():
    """Of weights, time constants and values of the input, by finite differences, through a layer and one behind it."""
    layer, _ = made()
    behind = lb.LIReadout(5, 2, reduce="none").double()
    x = inputs()
    values = (torch.rand(len(x.times), dtype=DOUBLE) + 0.5).requires_grad_()
    layer.tau_mem.requires_grad_()
    layer.tau_syn.requires_grad_()
    names = ["weight", "tau_mem", "tau_syn"]
    given = [p.detach().clone().requires_grad_() for p in (*(getattr(layer, n) for n in names), behind.weight)]

    def f(values, *parameters):
        own = dict(zip(names, parameters, strict=False))
        sent = torch.func.functional_call(layer, own, x.with_values(values))
        return torch.func.functional_call(behind, {"weight": parameters[-1]}, sent)

    assert torch.autograd.gradcheck(f, (values, *given))


def test_gradients_of_spike_times_are_those_of_the_voltages():
    (layer, readout), x = made(), inputs()
    times = [x.times.clone().requires_grad_() for _ in range(2)]
    spikes = [lb.Events(t, x.units, x.offsets, x.n_units, x.duration) for t in times]
    factor = torch.randn(3, 15, 5, dtype=DOUBLE)
    (layer(spikes[0]).to_dense(1.0) * factor).sum().backward()
    (readout(spikes[1]) * factor).sum().backward()
    assert torch.allclose(times[0].grad, times[1].grad)
    assert not layer(spikes[0]).times.requires_grad


def test_it_stands_between_other_layers_and_learns():
    torch.manual_seed(0)
    data = lb.data.yin_yang(200, seed=0)
    model = torch.nn.Sequential(lb.LIF(5, 20), lb.LI(20, 10), lb.LIF(10, 20), lb.LIReadout(20, 3, scale=30))
    lb.calibrate(model, data.batch(range(50))[0], spikes=3.0)
    history = lb.fit(model, data, epochs=3)
    assert history["loss"][-1] < history["loss"][0]
    assert history["spikes_per_unit"][-1] < 15  # events of integrators are no spikes


def test_they_are_recorded():
    (layer, readout), x = made(), inputs()
    run = lb.record(layer, x)
    assert torch.allclose(torch.from_numpy(run.voltage[0]).transpose(1, 2), readout(x))
    assert run.spikes[0].sum() == len(layer(x).times)


def test_no_samples():
    out = made()[0](inputs()[[]])
    assert (len(out), out.n_units, len(out.values)) == (0, 5, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dt": None}, ValueError, "continuous time has none"),
        ({"dt": -1.0}, ValueError, "dt"),
        ({"tau_mem": -1.0}, ValueError, "tau_mem"),
        ({"out_features": 0}, ValueError, "out_features"),
        ({"in_features": 1.5}, TypeError, "in_features"),
    ],
)
def test_bad_arguments(change, error, message):
    with pytest.raises(error, match=message):
        lb.LI(**{"in_features": 4, "out_features": 5} | change)


def test_bad_input():
    layer = lb.LI(4, 5)
    with pytest.raises(TypeError, match=r"a layer takes lambent\.Events, got Tensor"):
        layer(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="the layer has 4 inputs, the events have 3 units"):
        layer(inputs(n_units=3, dtype=torch.float32))


def test_what_has_no_values_refuses_it(tmp_path):
    model = torch.nn.Sequential(lb.LIF(4, 5), lb.LI(5, 3), lb.LIReadout(3, 2))
    with pytest.raises(TypeError, match=r"layer 1 \(LI\): sends voltages as the values of its spikes"):
        lb.hardware.loihi2.export_netx(model, tmp_path / "a.net")
    with pytest.raises(TypeError, match=r"layer 1 \(LI\): sends voltages as the values of its spikes"):
        lb.quantize.quantized_model(model)
    assert not list(tmp_path.iterdir())
