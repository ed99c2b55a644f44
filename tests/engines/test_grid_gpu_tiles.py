"""`grid_gpu` with layers that are split into tiles, here of two units, against `reference`."""

from __future__ import annotations

import pytest
import torch
from grid_cases import random_events
from test_every_kind import DOUBLE, INPUTS, SIZE, assert_same_gradients, layer, leaves, moved, outcome_of
from test_graded import PAYLOAD, values_of
from test_graded import outcome as graded_outcome_of

import lambent as lb
from lambent.engines import reference
from lambent.machine import waiting

pytest.importorskip("triton", reason="needs Triton: pip install 'lambent[gpu]'")
from lambent.engines.grid import gpu as grid_gpu


@pytest.fixture(autouse=True)
def small_tiles(device, monkeypatch):
    monkeypatch.setattr(grid_gpu, "_TILE", 2)
    monkeypatch.setattr(grid_gpu, "_needed", {})
    assert grid_gpu._tiles(SIZE) == (2, 3)


def events():
    return random_events(torch.Generator().manual_seed(3), 3, 6, INPUTS, 0.15)


def busy(inputs):
    """A layer of which several units spike at once."""
    neuron, connections, _ = layer("LIF", inputs)
    return neuron.with_values(threshold=neuron.threshold / 2), connections, None


def assert_same_spikes(out, expected):
    tiles = (expected.counts().view(len(out), -1, 2).sum(2) > 0).sum(1)
    assert tiles.max() > 1
    assert torch.equal(out.units, expected.units)
    assert torch.equal(out.offsets, expected.offsets)
    assert torch.allclose(out.times, expected.times)
    assert torch.equal(out.counts(), expected.counts())


@pytest.mark.parametrize(
    "inputs",
    [
        "Dense",
        "Dense, delays",
        "Sparse",
        "Sparse, delays",
        "Conv2d",
        "Conv2d, delays",
        "SumPool2d",
        "SumPool2d, delays",
    ],
)
def test_spikes_and_gradients_equal_the_reference(inputs):
    made = busy(inputs)
    expected, gradients = outcome_of(reference, made, events())
    out, found = outcome_of(grid_gpu, made, events())
    assert_same_spikes(out, expected)
    assert_same_gradients(gradients, found)


@pytest.mark.parametrize("inputs", ["Dense, delays", "Sparse", "Conv2d"])
def test_graded_spikes_and_gradients_equal_the_reference(inputs):
    made = busy(inputs)
    (expected, gradients), (out, found) = (
        graded_outcome_of(x, made, PAYLOAD, e=events()) for x in (reference, grid_gpu)
    )
    assert_same_spikes(out, expected)
    assert len(out.values.unique()) > 1
    assert torch.equal(out.values, expected.values)
    assert_same_gradients(gradients, found)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("inputs", ["Dense", "Sparse, delays", "Conv2d, delays"])
def test_levels_and_gradients_equal_the_reference(device, inputs, graded):
    def outcome(engine, device):
        e = events()
        (neuron, connections), found = leaves(*layer("Integrator", inputs)[:2])
        times = e.times.clone().requires_grad_()
        values = values_of(e).requires_grad_() if graded else None
        x = lb.Events(times, e.units, e.offsets, e.n_units, e.duration, values).to(device)
        v = engine.levels(x, moved(neuron, device), moved(connections, device), 1.0).to("cpu")
        (v * torch.sin(torch.arange(v.numel(), dtype=DOUBLE).view_as(v))).sum().backward()
        found |= {"times": times} | ({"values": values} if graded else {})
        return v.detach(), {n: x.grad for n, x in found.items()}

    (expected, gradients), (v, found) = outcome(reference, "cpu"), outcome(grid_gpu, device)
    assert torch.allclose(v, expected, rtol=1e-9, atol=1e-11)
    assert_same_gradients(gradients, found)


@pytest.mark.parametrize(
    ("inputs", "payload"), [("Dense", None), ("Conv2d", None), ("Sparse", PAYLOAD), ("Conv2d", PAYLOAD)]
)
def test_deterministic_mode_gives_equal_bits(inputs, payload, monkeypatch):
    def outcome(engine):
        return graded_outcome_of(engine, made, payload, graded=payload is not None, e=events())

    monkeypatch.setattr(grid_gpu, "_COPIES", 6)  # two programs of each tile, one of which has two samples
    made = busy(inputs)
    torch.use_deterministic_algorithms(True)
    try:
        (out, found), (_, again) = (outcome(grid_gpu) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    expected, gradients = outcome(reference)
    assert_same_spikes(out, expected)
    assert_same_gradients(gradients, found)
    assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.parametrize("payload", [None, PAYLOAD])
def test_running_ahead_spikes_come_in_order(device, payload, monkeypatch):
    """Also from memory that held anything before; in this mode torch fills it."""
    monkeypatch.setattr(waiting, "makes_wait", lambda device: True)
    monkeypatch.setattr(grid_gpu, "_SPIKES_PER_UNIT", 1)
    made, tries = [moved(value, device) for value in busy("Dense")], []
    expected = reference.spikes(events(), *busy("Dense"), 1.0, payload)

    def step():
        tries.append(True)
        return grid_gpu.spikes(events().to(device), *made, 1.0, payload)

    torch.use_deterministic_algorithms(True)
    try:
        outs = [lb.run_ahead(step) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert len(tries) == 3, "the first time the room was too small"
    for out in outs:
        assert len(out.padded().times) > len(expected.times)
        assert_same_spikes(out.to("cpu"), expected)
        assert payload is None or torch.equal(out.values.to("cpu"), expected.values)


def test_recurrent_layers_are_not_split(device, monkeypatch):
    monkeypatch.setattr(grid_gpu, "_LARGEST", 5)
    neuron, inputs, own = (moved(value, device) for value in layer("LIF", "Dense", "Dense"))
    with pytest.raises(NotImplementedError, match="more than 5 units do not run on a GPU yet, this one has 6"):
        grid_gpu.spikes(events().to(device), neuron, inputs, own, 1.0)
