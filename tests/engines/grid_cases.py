"""Random layers and batches, and the comparison of two engines on them: outputs and every gradient."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch

import lambent as lb
from lambent.connections import Dense, Sparse
from lambent.engines.grid.operation import layer_on_grid
from lambent.events import n_steps
from lambent.neurons import LIF, Integrator

CUDA = torch.cuda.is_available()
try:
    OLD_TRITON = version("triton").startswith("3.6")
except PackageNotFoundError:
    OLD_TRITON = False
TOLERANCE = {torch.float64: 1e-8, torch.float32: 3e-5}  # each jump of the adjoint can multiply rounding by 11
NAMES = ("times", "weight", "delay", "recurrent", "recurrent_delay", "tau_mem", "tau_syn", "threshold")


def dense(weight, delay=None):
    """Connections with these weights (from, to)."""
    return Dense(*weight.shape, weight, delay)


def sparse(weight, target, delay=None, *, n_out):
    """Connections of each source to `target`; all (from, fan_out)."""
    n_in, fan_out = weight.shape
    indices = torch.stack([torch.arange(n_in).repeat_interleave(fan_out), target.flatten()])
    delay = None if delay is None else delay.flatten()
    return Sparse(n_in, n_out, indices=indices, weight=weight.flatten(), delay=delay)


def random_events(g, batch, steps, units, rate, dt=1.0, dtype=torch.float64):
    counts = (torch.rand(batch, steps, units, generator=g) < rate).int()
    counts[0, 0] = counts[0, -1] = 1  # spikes in the first and the last step
    counts[0, 0, 0] = 2  # two at once
    if batch > 1:
        counts[1] = 0  # an empty sample
    return lb.Events.from_dense(counts, dt, dtype, batch_first=True)


def random_layer(g, n_in, size, dtype=torch.float64, drive=1.5):
    def rand(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64).to(dtype)

    def randn(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    p = {
        "weight": randn(n_in, size) * drive + 0.3,
        "delay": rand(n_in, size) * 9,
        "recurrent": randn(size, size) * 0.4,
        "recurrent_delay": rand(size, size) * 9,
        "tau_mem": rand(size) * 20 + 5,
        "tau_syn": rand(size) * 5 + 2,
        "threshold": rand(size) * 0.5 + 0.7,
    }
    p["weight"][:, 0] = -1.0  # a unit that never fires
    p["tau_mem"][-1] = p["tau_syn"][-1]
    return p


def run(engine, events, p, reset, delays, recurrent, dt=1.0, device="cpu"):
    """Events of one layer and the gradients of everything for a loss on their times and counts.

    `delays` is True, False, "inputs" or "recurrent": only those synapses have them.
    """
    leaves = {k: v.clone().requires_grad_() for k, v in p.items()}
    times = events.times.clone().requires_grad_()
    p = {k: v.to(device) for k, v in leaves.items()}
    x = lb.Events(times, events.units, events.offsets, events.n_units, events.duration).to(device)
    own = dense(p["recurrent"], p["recurrent_delay"] if delays in (True, "recurrent") else None)
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], reset=reset)
    inputs = dense(p["weight"], p["delay"] if delays in (True, "inputs") else None)
    out = engine.spikes(x, neuron, inputs, own if recurrent else None, dt).to("cpu")
    weigh = torch.cos(torch.arange(out.counts().numel())).view_as(out.counts())
    loss = (out.counts() * weigh).sum() + torch.sin(0.1 * out.times + out.units).sum()
    loss.backward()
    return out, {"times": times.grad} | {k: v.grad for k, v in leaves.items()}


def same(a, b, dtype):
    (ea, ga), (eb, gb) = a, b
    assert torch.equal(ea.units, eb.units)
    assert torch.equal(ea.offsets, eb.offsets)
    assert torch.allclose(ea.times, eb.times)
    assert torch.equal(ea.counts(), eb.counts())
    for name in NAMES:
        if ga[name] is None:  # autograd saw no way there
            assert gb[name] is None or not gb[name].any(), name
        else:
            scale = ga[name].abs().max().clamp(min=1e-12)
            assert (ga[name] - gb[name]).abs().max() <= TOLERANCE[dtype] * scale, name


def run_voltages(engine, events, p, dt, device="cpu"):
    """Voltages of leaky integrators, and the gradients of times, weight and both time constants."""
    leaves = [x.clone().requires_grad_() for x in (events.times, p["weight"], p["tau_mem"], p["tau_syn"])]
    times, *rest = leaves
    x = lb.Events(times, events.units, events.offsets, events.n_units, events.duration).to(device)
    weight, *taus = (r.to(device) for r in rest)
    v = engine.levels(x, Integrator(*taus), dense(weight), dt).to("cpu")
    (v * torch.sin(torch.arange(v.numel()).view_as(v))).sum().backward()
    return v.detach(), *(x.grad for x in leaves)


def operation_arguments(events, neuron, inputs, recurrent=None, as_places=True):
    """What an engine's operations take of a layer at dt = 1, every float a leaf that wants a gradient."""
    steps = n_steps(events.duration, 1.0)
    layer = layer_on_grid(neuron, inputs, recurrent, 1.0, steps, as_places)
    leaves = [
        [x.detach().clone().requires_grad_(x.is_floating_point() and name in ("inputs", "recurrent")) for x in tensors]
        for name, tensors in zip(layer._fields[3:6], layer[3:6], strict=True)
    ]
    known = type(neuron.on_grid(1.0, torch.float32))
    for name, x in zip(known._fields, leaves[0], strict=True):
        x.requires_grad_(name in known.step_gradients + known.spike_gradients)
    times = events.times.clone().requires_grad_()
    values = None if events.values is None else events.values.clone().requires_grad_()
    return layer[:3], (times, events.steps(1.0), events.units, events.offsets, values), leaves, steps
