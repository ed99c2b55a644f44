"""A model that goes on over blocks does what it does on the whole stream at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.layers import Stream

STEPS = 200


def stream_of(n_units: int, n: int, dt: float, seed: int = 0) -> lb.Events:
    rng = np.random.default_rng(seed)
    return lb.Events.from_lists(
        [np.sort(rng.uniform(0, STEPS * dt, n))], [rng.integers(0, n_units, n)], n_units, STEPS * dt, torch.float64
    )


def blocks(events: lb.Events, dt: float, seed: int) -> list[lb.Events]:
    """The stream in blocks of any lengths, some of a single step."""
    rng, found, at = np.random.default_rng(seed), [], 0
    while at < STEPS:
        end = min(STEPS, at + int(rng.choice([1, 1, 5, 16, 40])))
        own = (events.steps(dt) >= at) & (events.steps(dt) < end)
        times = (events.times[own] - at * dt).clamp(0, (end - at) * dt - 1e-9)
        found.append(lb.Events.from_lists([times], [events.units[own]], events.n_units, (end - at) * dt, torch.float64))
        at = end
    return found


def models() -> dict[str, torch.nn.Sequential]:
    torch.manual_seed(0)
    return {
        "recurrent, delays": torch.nn.Sequential(
            lb.LIF(20, 30, recurrent=True, delay=60 * torch.rand(20, 30), dt=1.0),
            lb.EventDropout(0.5),
            lb.LIF(30, 12, tau_mem=10.0, dt=1.0),
            lb.LIReadout(12, 3, dt=1.0, scale=30.0),
        ),
        "2 ms, nested": torch.nn.Sequential(
            torch.nn.Sequential(lb.LIF(20, 30, dt=2.0)), lb.LIReadout(30, 3, dt=2.0, reduce="mean")
        ),
        "adaptive": torch.nn.Sequential(lb.AdaptiveLIF(20, 30, recurrent=True), lb.LIReadout(30, 3)),
        "resonators": torch.nn.Sequential(lb.Resonator(20, 30), lb.LIReadout(30, 3)),
        "graded": torch.nn.Sequential(
            lb.LIF(20, 30, payload_bits=4),
            lb.Spiking(lb.neurons.LIF(), lb.connections.Dense(30, 30)),
            lb.LIReadout(30, 3),
        ),
    }


@pytest.mark.parametrize("name", models())
@torch.no_grad()
def test_blocks_equal_the_whole(name: str) -> None:
    model = models()[name].eval()
    dt = next(layer.dt for layer in model.modules() if isinstance(layer, lb.LIReadout))
    events = stream_of(20, 900, dt)
    readout = model[-1]
    wanted = readout.scale * readout.voltages(model[:-1](events))
    assert wanted.abs().max() > 0.01
    for seed in range(2):
        stream = Stream(model)
        found = torch.cat([stream(block) for block in blocks(events, dt, seed)], 1)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@torch.no_grad()
def test_spikes_come_out_without_a_readout() -> None:
    model = models()["recurrent, delays"].eval()[:3]
    events, stream, found = stream_of(20, 900, 1.0), Stream(models()["recurrent, delays"][:3]), []
    at = 0.0
    for block in blocks(events, 1.0, 0):
        out = stream(block)
        found += list(zip((out.times + at).tolist(), out.units.tolist(), strict=True))
        at += block.duration
    wanted = model(events)
    assert found == list(zip(wanted.times.tolist(), wanted.units.tolist(), strict=True))
    assert len(found) > 50


def test_empty_blocks_and_float32() -> None:
    stream = Stream(torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2)))
    nothing = lb.Events.from_lists([[]], [[]], 3, 10.0)
    assert not stream(nothing).any()
    assert stream(nothing).shape == (1, 10, 2)


def test_what_cannot_go_on() -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Sequential, got LIF"):
        Stream(lb.LIF(3, 4))
    with pytest.raises(TypeError, match=r"layer 1 \(Linear\): only spiking layers"):
        Stream(torch.nn.Sequential(lb.LIReadout(4, 2), torch.nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"layer 0 \(LIF\): continuous time"):
        Stream(torch.nn.Sequential(lb.LIF(3, 4, dt=None)))
    stream = Stream(torch.nn.Sequential(lb.LIF(3, 4, dt=2.0), lb.LIReadout(4, 2, dt=2.0)))
    with pytest.raises(ValueError, match="whole number of steps of 2 ms, got 5 ms"):
        stream(lb.Events.from_lists([[]], [[]], 3, 5.0))
    with pytest.raises(ValueError, match="batch of one, got 2 samples"):
        stream(lb.Events.from_lists([[], []], [[], []], 3, 6.0))
    with pytest.raises(ValueError, match="has 3 inputs, the events have 4"):
        stream(lb.Events.from_lists([[]], [[]], 4, 6.0))
    with pytest.raises(TypeError, match=r"takes lambent\.Events, got Tensor"):
        stream(torch.zeros(1, 3, 3))
