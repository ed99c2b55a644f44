"""A network that runs on and on gives what it gives at once, wherever the stream is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lava_reference import RECORDINGS, random_layer

from lambent import Events
from lambent.hardware.loihi2 import CUBA, InputLayer, Loihi2Network, load_netx

NAMES = ("spikes", "current", "voltage")


def in_blocks(network: Loihi2Network, spikes: np.ndarray, seed: int) -> dict[str, list[np.ndarray]]:
    """What a stream records of each layer, over blocks of any lengths, some of a single step."""
    rng, stream, parts, at = np.random.default_rng(seed), network.stream(), [], 0
    while at < spikes.shape[-1]:
        length = int(rng.choice([1, 1, 2, 7, 30]))
        parts.append(stream.run(spikes[..., at : at + length]))
        at += length
    assert stream.steps == spikes.shape[-1]
    return {
        name: [np.concatenate(x, 2) for x in zip(*(getattr(p, name) for p in parts), strict=True)] for name in NAMES
    }


def assert_same(network: Loihi2Network, spikes: np.ndarray) -> None:
    whole = network.run(spikes)
    for seed in range(3):
        blocks = in_blocks(network, spikes, seed)
        for name in NAMES:
            for a, b in zip(getattr(whole, name), blocks[name], strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.stem)
def test_blocks_equal_the_whole(path: Path) -> None:
    assert_same(load_netx(path), np.load(path.with_suffix(".npz"))["input"][None])


@pytest.mark.parametrize("delay", ["none", "scalar", "in", "out", "synapse"])
def test_what_is_on_its_way_arrives(delay: str) -> None:
    layers = [random_layer(0, 9, 12, recurrent=True, delay=delay), random_layer(1, 12, 5, delay=delay)]
    spikes = (np.random.default_rng(2).random((1, 9, 300)) < 0.1).astype(np.int8)
    network = Loihi2Network(9, layers)
    assert network.run(spikes).spikes[1].any()
    assert_same(network, spikes)


@pytest.mark.parametrize(("interval", "offset"), [(1, 0), (7, 3), (50, 200)])
def test_resets_go_on_counting(interval: int, offset: int) -> None:
    driven = InputLayer("layer/0", "input", (6,), neuron=CUBA(4096, 100, 60))
    layers = [driven, random_layer(0, 6, 5, recurrent=True, delay="synapse"), random_layer(1, 5, 4)]
    network = Loihi2Network(6, layers, reset_interval=interval, reset_offset=offset)
    assert_same(network, np.random.default_rng(0).integers(0, 60, (1, 6, 200)))


def test_events_in_blocks() -> None:
    network = Loihi2Network(4, [random_layer(0, 4, 5, recurrent=True)])
    times = np.sort(np.random.default_rng(0).uniform(0, 100, 150))
    units = np.random.default_rng(1).integers(0, 4, 150)
    whole = network.run(Events.from_lists([times], [units], 4, 100.0)).voltage[0]
    stream, parts = network.stream(), []
    for at in range(0, 100, 20):
        own = (times >= at) & (times < at + 20)
        block = Events.from_lists([times[own] - at], [units[own]], 4, 20.0, torch.float64)
        parts.append(stream.run(block, ("voltage",)).voltage[0])
    np.testing.assert_array_equal(np.concatenate(parts, 2), whole)


def test_a_block_is_one_sample() -> None:
    stream = Loihi2Network(4, [random_layer(0, 4, 5)]).stream()
    for batch in (0, 2):
        with pytest.raises(ValueError, match=f"batch of one, got {batch} samples"):
            stream.run(np.zeros((batch, 4, 3), np.int8))
    with pytest.raises(ValueError, match="spikes must be"):
        stream.run(np.zeros((1, 5, 3), np.int8))
    assert stream.steps == 0
