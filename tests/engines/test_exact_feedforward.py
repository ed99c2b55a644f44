"""Units that don't hear each other, run each on its own, against the event loop (which weights of zero call for)."""

from __future__ import annotations

import pytest
import torch
from grid_cases import dense, sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import lambent as lb
from lambent.engines.exact import cpu as exact
from lambent.neurons import LIF

DURATION = 60.0
KINDS = ("dense", "delayed", "sparse", "sparse and delayed")


def network(seed, kind, spread, n_in, size, strength):
    """Events (the second sample is empty, times repeat), parameters and targets of a layer."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    times = [(uniform(n) * 80).round().div(2).sort().values.clamp(max=DURATION - 1) for n in (30, 0, 12)]
    units = [torch.randint(n_in, t.shape, generator=g) for t in times]
    events = lb.Events.from_lists(times, units, n_in, DURATION, dtype=torch.float64)
    fan_out = size if kind in ("dense", "delayed") else 3
    p = {
        "weight": strength * (torch.randn(n_in, fan_out, generator=g, dtype=torch.float64) + 0.4),
        "tau_mem": 12 + 10 * spread * uniform(size),
        "tau_syn": 4 + 6 * spread * uniform(size),
        "threshold": 0.8 + 0.4 * uniform(size),
        "bias": 1.6 * uniform(size) - 0.4,  # some fire without input
    }
    if "delayed" in kind:
        p["delay"] = (uniform(n_in, fan_out) * 40).round()  # some arrive at once, some too late
    target = torch.randint(size, (n_in, fan_out), generator=g) if "sparse" in kind else None  # some twice
    return events, p, target


def results(events, p, target, event_loop):
    """Spikes in order of units, counts, and the gradients of a loss on both."""
    p = {name: x.clone().requires_grad_() for name, x in p.items()}
    times = events.times.clone().requires_grad_()
    size = len(p["threshold"])
    own = torch.zeros(size, size, dtype=torch.float64)
    if target is None:
        inputs, own = dense(p["weight"], p.get("delay")), dense(own)
    else:
        inputs = sparse(p["weight"], target, p.get("delay"), n_out=size)
        own = sparse(own, torch.arange(size).expand(size, size), n_out=size)
    neuron = LIF(p["tau_mem"], p["tau_syn"], p["threshold"], p["bias"], min_slope=1e-3)
    x = lb.Events(times, events.units, events.offsets, events.n_units, events.duration)
    out = exact.spikes(x, neuron, inputs, own if event_loop else None)
    assert all((out.times[a:b].diff() >= 0).all() for a, b in zip(out.offsets, out.offsets[1:], strict=False))
    order = (out.samples() * size + out.units).argsort(stable=True)
    spikes = out.times[order]
    counts = out.counts()
    weights = torch.linspace(-1, 2, counts.numel(), dtype=torch.float64).view(counts.shape)
    loss = (spikes * torch.linspace(1, 2, len(spikes), dtype=torch.float64)).sin().sum() + (counts * weights).sum()
    return spikes, counts, dict(zip(["times", *p], torch.autograd.grad(loss, [times, *p.values()]), strict=True))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(KINDS),
    spread=st.sampled_from([0.0, 1.0]),
    n_in=st.integers(1, 12),
    size=st.integers(1, 12),
    strength=st.sampled_from([0.02, 1.0, 4.0]),
)
def test_equals_the_event_loop(seed, kind, spread, n_in, size, strength):
    events, p, target = network(seed, kind, spread, n_in, size, strength)
    spikes, counts, gradients = results(events, p, target, event_loop=False)
    expected, expected_counts, expected_gradients = results(events, p, target, event_loop=True)
    assert torch.equal(counts, expected_counts)
    assert torch.allclose(spikes, expected, rtol=0, atol=1e-10)
    for name, gradient in gradients.items():
        expected = expected_gradients[name]
        scale = 1 + expected.abs().max()
        assert torch.allclose(gradient / scale, expected / scale, rtol=0, atol=1e-8), name


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_silent_and_active_in_these_networks(kind):
    events, p, target = network(0, kind, 1.0, 12, 12, 1.0)
    _, counts, gradients = results(events, p, target, event_loop=False)
    assert (counts == 0).any()
    assert (counts > 2).any()
    assert all((g != 0).any() for g in gradients.values())


@pytest.mark.parametrize("event_loop", [False, True])
def test_what_wants_no_gradient_gets_none(event_loop):
    layer = lb.LIF(2, 2, recurrent=event_loop, delay=1.0, dt=None)
    layer.delay.requires_grad_(False)
    with torch.no_grad():
        layer.weight.fill_(9.0)
    layer(lb.Events.from_lists([[0.0, 3.0]], [[0, 1]], 2, 50.0)).times.sum().backward()
    assert layer.delay.grad is None
    assert (layer.weight.grad != 0).all()
