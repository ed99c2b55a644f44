"""`lambent.run_ahead` on `grid_gpu`: no waiting, the same results, and nothing lost where the room was too small."""

from __future__ import annotations

import pytest
import torch
from grid_cases import random_events

import lambent as lb
from lambent.machine import waiting as waiting
from waits import Waits, no_waits

pytest.importorskip("triton", reason="needs Triton: pip install 'lambent[gpu]'")
from lambent.engines.grid import gpu as grid_gpu


@pytest.fixture
def waits(device, monkeypatch):
    """Counts waits; on the CPU, which poses as a device, whose kernels run in the interpreter."""
    if device == "cuda":
        return None
    waits = Waits(
        spikes_grid_gpu=grid_gpu.spikes_forward,
        spikes_grid_gpu_backward=grid_gpu.spikes_backward,
        levels_grid_gpu=grid_gpu.levels_forward,
        levels_grid_gpu_backward=grid_gpu.levels_backward,
    )
    monkeypatch.setattr(waiting, "makes_wait", lambda device: True)
    monkeypatch.setattr("lambent.layers.spiking.engine_for", lambda device, dt: grid_gpu)
    monkeypatch.setattr("lambent.layers.integrators.engine_for", lambda device, dt: grid_gpu)

    def unseen(owner, name):
        work = getattr(owner, name)

        def quiet(*args, **kwargs):
            with waits.paused_is(True):
                return work(*args, **kwargs)

        monkeypatch.setattr(owner, name, quiet)

    from triton.runtime.interpreter import GridExecutor

    unseen(GridExecutor, "__call__")
    unseen(waiting.Reading, "tolist")
    tolist = torch.Tensor.tolist

    def seen(x):
        if not waits.paused:
            waits.seen.append("tolist")
        return tolist(x)

    monkeypatch.setattr(torch.Tensor, "tolist", seen)
    return waits


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(grid_gpu, "_needed", {})
    monkeypatch.setattr(grid_gpu, "_rows", {})


def network(device, reduce="exp_mean", delay=None, hidden=4):
    torch.manual_seed(0)
    layers = [lb.LIF(5, hidden, recurrent=True, delay=delay, tau_mem=torch.linspace(10, 20, hidden))]
    layers += [lb.LIF(hidden, hidden), lb.LIReadout(hidden, 3, reduce=reduce)]
    for layer in layers[:2]:
        layer.weight.data.abs_().mul_(15)
    layers[0].tau_mem.requires_grad_()
    events = random_events(torch.Generator().manual_seed(0), 2, 8, 5, 0.3, dtype=torch.float32)
    return torch.nn.Sequential(*layers).to(device), events.to(device), torch.tensor([0, 2], device=device)


def step_of(net, events, labels, tries=None):
    def step():
        if tries is not None:
            tries.append(True)
        net.zero_grad()
        scores, hidden = lb.training.forward(net, events)
        penalty = sum(lb.losses.rate_penalty(h, 2.0, 3.0) for h in hidden)
        (lb.losses.readout_cross_entropy(scores, labels, 30.0) + penalty).backward()
        return scores, hidden

    return step


def results(net, step, run):
    scores, hidden = run(step)
    events = [(h.times, h.units, h.offsets, h.counts()) for h in hidden]
    gradients = (p.grad for p in net.parameters() if p.grad is not None)
    return [x.detach() for x in (scores, *(x for e in events for x in e), *gradients)]


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6 * float(b.abs().max()) if b.numel() else 0.0)


@pytest.mark.parametrize(
    ("reduce", "delay", "tile"),
    [("exp_mean", None, 4), ("max", 3.0, 4), ("max", None, 2)],
    ids=["closed form", "voltages, delays", "voltages, tiles"],
)
def test_a_step_of_training_never_waits(device, waits, reduce, delay, tile, monkeypatch):
    monkeypatch.setattr(grid_gpu, "_TILE", tile)
    net, events, labels = network(device, reduce, delay)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
    step = step_of(net, events, labels)
    expected = results(net, step, lambda step: step())
    optimizer.step()  # which fills its state
    with torch.no_grad():
        before = [p.clone() for p in net.parameters()]

    def whole():
        step()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        for layer in net:
            layer.constrain_()

    ran = []

    def watched():  # the optimiser steps once, for the room suffices
        with no_waits(waits):
            whole()
        ran.append(True)

    lb.run_ahead(watched)
    assert len(ran) == 1
    assert all(torch.isfinite(x).all() for x in expected)
    assert any((a != b).any() for a, b in zip(before, net.parameters(), strict=True))


def test_otherwise_it_waits(device, waits):
    net, events, _ = network(device)
    with pytest.raises((AssertionError, RuntimeError), match=r"tolist|synchronizing"), no_waits(waits):
        net[0](events)


def test_too_little_room_is_found_and_made(device, waits, monkeypatch):
    """Buffers for one spike a unit and rings for one step of delay, while there are many and longer ones."""
    monkeypatch.setattr(grid_gpu, "_ROWS", 2)
    net, events, labels = network(device, delay=3.0)
    tries = []
    step = step_of(net, events, labels, tries)
    expected = results(net, step, lambda step: step())
    assert min(expected[4].sum(1).max(), expected[8].sum(1).max()) > 4
    grid_gpu._needed.clear()
    grid_gpu._needed[4, 8] = 4
    tries.clear()
    assert_same(results(net, step, lb.run_ahead), expected)
    assert len(tries) > 1
    tries.clear()
    assert_same(results(net, step, lb.run_ahead), expected)
    assert len(tries) == 1, "what it has learned it keeps"


def test_what_comes_out_looks_like_any_events(device, waits):
    net, events, _ = network(device)
    expected = net[0](events)
    out = []
    for read in (lambda e: e.times, lambda e: e.units, lambda e: e.samples(), lambda e: e.steps(1.0)):
        ahead = lb.run_ahead(lambda: net[0](events))
        padded = ahead.padded()
        assert len(padded.times) > len(expected.times)
        assert (padded.samples()[len(expected.times) :] == len(events)).all()
        assert not padded.times[len(expected.times) :].any()
        assert torch.equal(read(ahead), read(expected))
        out.append(ahead)
    lb.Events(out[0].times, out[0].units, out[0].offsets, 4, events.duration)  # valid
    assert torch.equal(lb.Events.cat(out[:2]).times, torch.cat([expected.times] * 2))
    ahead = lb.run_ahead(lambda: net[0](events))
    assert torch.equal(ahead[[1, 0]].units, expected[[1, 0]].units)
    assert torch.equal(ahead.to_dense(1.0), expected.to_dense(1.0))


def test_losses_on_times_see_no_padding(device, waits):
    """And do not wait, but where the times themselves are looked at."""
    net, events, labels = network(device)
    targets = torch.full((2, 4), 3.0, device=device)
    targets[0, 0] = torch.nan

    def step(look=True):
        net.zero_grad()
        out = net[1](net[0](events))
        loss = lb.losses.first_spike_cross_entropy(out, labels, alpha=0.1) + lb.losses.first_spike_mse(out, targets)
        loss = loss + lb.losses.count_cross_entropy(out, labels)
        if look:
            loss = loss + torch.sin(out.times).sum()
        loss.backward()
        return loss, []

    assert_same(results(net, step, lb.run_ahead), results(net, step, lambda step: step()))

    def quiet():
        with no_waits(waits):
            return step(look=False)

    lb.run_ahead(quiet)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("threshold", "threshold of unit 2 is nan"),
        ("weight", "weight from unit 2 to unit 1 is nan"),
        ("recurrent_weight", "recurrent_weight from unit 2 to unit 1 is nan"),
        ("delay", "delay"),
    ],
)
@pytest.mark.parametrize("run", [lb.run_ahead, lambda step: step()], ids=["ahead", "waiting"])
def test_bad_values_are_named(device, waits, run, name, message):
    net, events, labels = network(device, delay=2.0)
    with torch.no_grad():
        getattr(net[0], name)[2 if name == "threshold" else (2, 1)] = torch.nan
    with pytest.raises(ValueError, match=message):
        run(step_of(net, events, labels))
