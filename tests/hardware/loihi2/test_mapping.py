"""Placing networks on cores: limits, memory formulas, traffic against plain counting, errors."""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.hardware.loihi2 import CUBA, ConvLayer, InputLayer, Loihi2Layer, Loihi2Network, map_to_cores
from lambent.hardware.loihi2.placement import core as core
from lambent.hardware.loihi2.placement.blocks import blocks_of, weight_bits
from lambent.hardware.loihi2.placement.traffic import hops, routers


def layer(name, weight, weight_rec=None, **changes):
    kind = "dense" if weight_rec is None else "dense_rec"
    values = {"i_decay": 700, "v_decay": 300, "v_th_mant": 40}
    return Loihi2Layer(name, kind, weight, weight_rec, **(values | changes))


def dense(n_in, *sizes, recurrent=False, seed=0):
    """A network of full random layers."""
    rng = np.random.default_rng(seed)
    layers = []
    for i, (n, m) in enumerate(zip((n_in, *sizes[:-1]), sizes, strict=True), start=1):
        back = rng.integers(-127, 128, (m, m)) if recurrent and i == 1 else None
        layers.append(layer(f"layer/{i}", rng.integers(-127, 128, (m, n)), back))
    return Loihi2Network(n_in, layers)


def grouped(n_in=100, n=1500, groups=10, seed=0):
    """A recurrent layer whose units, in random order, form groups that keep to themselves, and a readout."""
    rng = np.random.default_rng(seed)
    group, source = rng.permutation(n) % groups, rng.permutation(n_in) % groups

    def weights(a, b):
        there = rng.random((len(b), len(a))) < np.where(b[:, None] == a, 0.8, 0.001)
        return np.where(there, rng.integers(-60, 61, there.shape), 0)

    hidden = layer("layer/1", weights(source, group), weights(group, group))
    return Loihi2Network(n_in, [hidden, layer("layer/2", rng.integers(-60, 61, (10, n)))])


def noise(network, steps=30, batch=2, rate=0.1, seed=1):
    return np.random.default_rng(seed).random((batch, network.n_in, steps)) < rate


# -- memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "bits"),
    [([[-127, 5]], 8), ([[-254, 2]], 8), ([[16, -16]], 2), ([[1, 3]], 2), ([[255, 1]], 8), ([[0, 0]], 1), ([[-8]], 1)],
)
def test_weight_bits(weights, bits):
    """Without the low bits that are zero everywhere; a sign bit only where there are both signs."""
    assert weight_bits(layer("layer/1", np.array(weights))) == bits


def test_words():
    """By hand: groups of 64 with 10 bits each, in words of 64 bits."""
    assert core.words(64, 8) == 9  # 512 + 10
    assert core.words(1, 8) == 1
    assert core.words(6, 9) == 1  # 54 + 10
    assert core.words(7, 9) == 2
    assert core.words(100, 8) == 9 + 5  # 64 and 36: 522 and 298 bits
    assert core.words(0, 8) == 0


def test_encodings():
    """Full matrices are cheapest without indices, sparse ones with; delays take 6 bits each."""
    full = dense(20, 30)
    assert core.store(blocks_of(full)[0], range(30))[:2] == ("dense", 20 * 8 * 4)  # 250 bits an input
    delayed = Loihi2Network(20, [layer("layer/1", full.layers[0].weight, delay=3)])
    assert core.store(blocks_of(delayed)[0], range(30)).memory == 20 * 8 * 7  # 430 bits
    weight = np.zeros((30, 20), int)
    weight[3, :10], weight[7, :10] = 1, -1
    sparse = core.store(blocks_of(Loihi2Network(20, [layer("layer/1", weight)]))[0], range(30))
    assert sparse[:2] == ("sparse", 10 * 8)  # two synapses of 2 + 5 bits
    assert sparse.entries[:20].tolist() == [2] * 10 + [0] * 10


def test_convolutions_share_their_kernel():
    """The kernel once, and a word for every input."""
    conv = ConvLayer("layer/1", "conv", np.arange(-4, 5).reshape(1, 1, 1, 9), in_shape=(1, 1, 38))
    block = blocks_of(Loihi2Network(38, [conv], in_shape=(1, 1, 38)))[0]
    assert block.weight_bits == 4
    stored = core.store(block, range(30))
    assert stored[:2] == ("shared", 8 * (2 + 38))  # 8 weights of 4 + 5 bits
    assert stored.entries.sum() == 30 * 8


def test_units_that_are_driven_from_outside():
    """Layers without synapses take cores and nothing else."""
    driven = InputLayer("layer/0", "input", shape=(20,))
    after = layer("layer/1", np.ones((3, 20), int))
    blocks = blocks_of(Loihi2Network(20, [driven, after]))
    assert [block.synapses.nnz for block in blocks] == [0, 60]
    assert core.store(blocks[0], range(20)).memory == 0
    assert blocks[1].synapses.indices.min() == 20


# -- placement ------------------------------------------------------------------------------------------------


def check(network, mapping):
    """Everything a mapping says, counted the slow way."""
    n_in, blocks = network.n_in, blocks_of(network)
    cores = np.concatenate(mapping.core)
    assert [len(c) for c in mapping.core] == [x.n_out for x in network.layers]
    assert set(cores) == set(range(mapping.n_cores))
    whole = np.concatenate([block.synapses.toarray() for block in blocks])
    for c, use in enumerate(mapping.usage):
        own = cores == c
        reached = whole[own].any(0)
        assert use.units == own.sum() <= 8192
        assert use.axons_in == reached.sum() <= 4096
        targets = [set(cores[whole[:, n_in + u]]) for u in np.flatnonzero(own)]
        assert use.axons_out == sum(map(len, targets)) <= 4096
        assert use.memory <= 128 * 1024
        assert ((mapping.entries[:, c] > 0) == reached).all()
        assert (mapping.entries[:, c] >= whole[own].sum(0)).all()
        assert set(mapping.encodings[c]) == {b.name for b, k in zip(blocks, mapping.core, strict=True) if c in k}


@st.composite
def networks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.integers(1, 300), min_size=2, max_size=4))
    layers = []
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        density = draw(st.sampled_from([0.02, 0.5, 1.0]))

        def weights(*shape, density=density):
            return np.where(rng.random(shape) < density, rng.integers(-127, 128, shape), 0)

        back = weights(m, m) if draw(st.booleans()) else None
        layers.append(layer(f"layer/{i + 1}", weights(m, n), back, delay=draw(st.sampled_from([0, 5]))))
    return Loihi2Network(sizes[0], layers)


@settings(max_examples=25, deadline=None)
@given(networks())
def test_limits_hold(network):
    check(network, map_to_cores(network))


def test_a_layer_is_split_in_equal_parts():
    """700 + 256 inputs at 8 bits are 239 KiB and more: three cores, and one for the readout."""
    network = dense(700, 256, 20, recurrent=True)
    mapping = map_to_cores(network)
    check(network, mapping)
    assert [use.units for use in mapping.usage] == [86, 85, 85, 20]
    assert mapping.usage[0].memory == 956 * 8 * (9 + 3)  # 64 and 22 weights
    assert mapping.encodings[3] == {"layer/2": "dense"}
    held = mapping.core_map()
    assert [core.units for core in held] == [{"layer/1": 86}, {"layer/1": 85}, {"layer/1": 85}, {"layer/2": 20}]
    assert [(core.row, core.column) for core in held] == [(0, 0)] * 4
    assert held[0].memory == mapping.usage[0].memory / (128 * 1024)
    table = str(mapping)
    assert "4 of 128 cores of 1 chip" in table
    assert "layer/1 dense" in table


def test_traffic_is_counted():
    """Every spike once for each core other than its own that has a synapse of it."""
    network = dense(60, 1200, 30, recurrent=True)
    run = network.run(noise(network), ("spikes",))
    mapping = map_to_cores(network, run)
    check(network, mapping)
    cores = np.concatenate(mapping.core)
    whole = np.concatenate([block.synapses.toarray() for block in blocks_of(network)])
    crossing = entering = hops = 0
    places = mapping.places.tolist()

    def distance(a, b):
        return abs(places[a][0] - places[b][0]) + abs(places[a][1] - places[b][1])

    sent = np.concatenate([s.sum((0, 2)) for s in run.spikes])
    for unit, n in enumerate(sent):
        for c in set(cores[whole[:, network.n_in + unit]]) - {cores[unit]}:
            crossing += n
            hops += n * distance(cores[unit], c)
    for unit, n in enumerate(noise(network).sum((0, 2))):
        for c in set(cores[whole[:, unit]]):
            entering += n
            hops += n * distance(0, c)
    assert crossing > 1000
    assert max(map(max, places)) >= 1
    assert mapping.traffic.crossing == pytest.approx(crossing / 60)
    assert mapping.traffic.entering == pytest.approx(entering / 60)
    assert mapping.traffic.hops == pytest.approx(hops / 60)
    assert "spikes from core to core" in str(mapping)


def test_cores_fill_routers_in_square_blocks():
    """Four cores at a router, routers to and fro in as square a block as there is, chips below each other."""
    assert routers(4).tolist() == [[0, 0]] * 4
    assert routers(17)[::4].tolist() == [[0, 0], [1, 0], [2, 0], [2, 1], [1, 1]]
    whole = routers(130)
    assert {tuple(x) for x in whole[:128].tolist()} == {(r, c) for r in range(4) for c in range(8)}
    assert np.abs(np.diff(whole[:128:4], axis=0)).sum(1).max() == 1  # neighbours in number are neighbours
    assert whole[128:].tolist() == [[4, 0], [4, 0]]
    reached = np.array([[True, False, False], [False, True, True]])
    assert hops(reached, np.array([2]), 1).tolist() == [0, 0]


def test_partitioning_finds_groups():
    """Groups that keep to themselves end up together, and spikes stay where they are."""
    pytest.importorskip("pymetis")
    network = grouped()
    run = network.run(noise(network), ("spikes",))
    mapping = map_to_cores(network, run, partition=True)
    check(network, mapping)
    assert mapping.method == "METIS"
    assert mapping.traffic_in_order == map_to_cores(network, run).traffic
    assert mapping.traffic.crossing < 0.8 * mapping.traffic_in_order.crossing
    assert "in order: " in str(mapping)
    units = {name: sum(core.units.get(name, 0) for core in mapping.core_map()) for name in mapping.layers}
    assert units == {layer.name: layer.n_out for layer in network.layers}
    again = map_to_cores(network, run, partition=True)
    assert all(np.array_equal(a, b) for a, b in zip(mapping.core, again.core, strict=True))


def test_full_layers_are_spread():
    """Where all are connected to all, fewer cores mean fewer messages."""
    pytest.importorskip("pymetis")
    network = dense(600, 200, 20, recurrent=True)
    assert map_to_cores(network).n_cores == 3
    mapping = map_to_cores(network, partition=True)
    check(network, mapping)
    assert mapping.n_cores == 2
    assert mapping.traffic is None


# -- convolutions ---------------------------------------------------------------------------------------------


def conv(name, in_shape, channels, kernel=3, kind="conv", seed=0, **changes):
    shape = (1, 1, kernel, kernel) if kind == "pool" else (channels, in_shape[0], kernel, kernel)
    weight = np.random.default_rng(seed).integers(-7, 8, shape)
    return ConvLayer(name, kind, weight, in_shape, neuron=CUBA(700, 300, 40), **changes)


def test_convolutions_lie_in_tiles_that_hold_all_channels():
    units = InputLayer("layer/0", "input", (2, 20, 50), neuron=CUBA(4096, 0, 40))
    first = conv("layer/1", (2, 20, 50), 8, padding=1)
    pool = conv("layer/2", first.shape, 8, 2, "pool", stride=2)
    last = layer("layer/3", np.ones((3, pool.n_out), int) * (np.arange(pool.n_out) % 2))
    network = Loihi2Network(2000, [units, first, pool, last])
    mapping = map_to_cores(network)
    check(network, mapping)
    for own, part in zip(network.layers[:3], mapping.core, strict=False):
        image = part.reshape(own.shape)
        assert (image == image[0]).all()
        for c in np.unique(image):
            y, x = (image[0] == c).nonzero()
            assert len(y) == (np.ptp(y) + 1) * (np.ptp(x) + 1)  # a rectangle
    assert [len(np.unique(part)) for part in mapping.core] == [1, 2, 2, 1]


def test_channels_are_split_where_one_place_is_too_much():
    """300 x 100 kernels of 3 x 3 take more than a core's memory."""
    network = Loihi2Network(1600, [conv("layer/1", (100, 4, 4), 300)], in_shape=(100, 4, 4))
    mapping = map_to_cores(network)
    check(network, mapping)
    image = mapping.core[0].reshape(300, 2, 2)
    assert mapping.n_cores == 4  # 252,000 weights of 4 + 9 bits are 400 KiB and more
    assert (image == image[:, :1, :1]).all()
    assert {e for encoding in mapping.encodings for e in encoding.values()} == {"shared"}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_limits_hold_for_convolutions(seed, data):
    rng = np.random.default_rng(seed)
    limits = {"AXONS_IN": 60, "MEMORY": 1500, "UNITS": 100}
    shape = tuple(int(n) for n in rng.integers(1, [4, 14, 14]))
    kernel = int(rng.integers(1, 1 + min(3, *shape[1:])))
    first = conv("layer/1", shape, int(rng.integers(1, 9)), kernel, seed=seed, stride=int(rng.integers(1, 3)))
    last = layer("layer/2", np.tile(np.arange(first.n_out) < 50, (2, 1)).astype(int))
    network = Loihi2Network(first.n_in, [first, last], in_shape=shape)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(f"lambent.hardware.loihi2.placement.parts.{name}", value)
        patch.setattr("lambent.hardware.loihi2.placement.mapping.AXONS_OUT", 80)
        mapping = map_to_cores(network, chips=20)
    check(network, mapping)
    for use in mapping.usage:
        assert (np.array(use) <= (100, 1500, 60, 80)).all()


def test_a_network_of_the_size_of_pilotnet():
    """158,509 units, 10.7 million synapses: Intel's compiler put it on 74 cores."""
    shapes, layers = (3, 66, 200), [InputLayer("layer/0", "input", (3, 66, 200), neuron=CUBA(4096, 0, 40))]
    for i, (n, stride, padding) in enumerate(
        [(24, 2, 0), (36, 2, 0), (48, 2, 0), (64, (2, 1), (1, 0)), (64, 1, 0)], start=1
    ):
        layers.append(conv(f"layer/{i}", shapes, n, stride=stride, padding=padding))
        shapes = layers[-1].shape
    for i, (n, m) in enumerate(itertools.pairwise((layers[-1].n_out, 100, 50, 10, 1)), start=7):
        layers.append(layer(f"layer/{i}", np.random.default_rng(i).integers(-3, 4, (m, n))))
    network = Loihi2Network(39600, layers)
    start = time.process_time()
    mapping = map_to_cores(network)
    assert time.process_time() - start < 30
    assert mapping.n_cores <= 80
    assert not any(use.excess() for use in mapping.usage)


# -- what does not fit ----------------------------------------------------------------------------------------


def test_too_many_synapses_to_list():
    """512 x 256 kernels of 3 x 3 over 40 x 40 places would take 80 GB."""
    large = conv("layer/1", (256, 40, 40), 512, padding=1)
    with pytest.raises(ValueError, match=r"layer/1: up to 1,887,436,800 synapses, .* smaller images or fewer channels"):
        map_to_cores(Loihi2Network(large.n_in, [large], in_shape=(256, 40, 40)))


def test_too_many_inputs():
    network = Loihi2Network(5000, [layer("layer/1", np.ones((3, 5000), int))])
    with pytest.raises(ValueError, match=r"layer/1: unit 0 has 5,000 inputs .*4,096 input axons; what fits is at most"):
        map_to_cores(network)


def test_too_many_cores(monkeypatch):
    monkeypatch.setattr("lambent.hardware.loihi2.placement.mapping.CORES", 3)
    network = dense(700, 256, 20, recurrent=True)
    message = (
        r"needs 4 cores \(layer/1 3, layer/2 1\), a chip has 3; what fits is chips=2, or weights of at most 7 bits"
    )
    with pytest.raises(ValueError, match=message):
        map_to_cores(network)
    assert map_to_cores(network, chips=2).n_cores == 4


def test_output_axons(monkeypatch):
    """A core whose units send to many cores runs out of axons before it runs out of memory."""
    monkeypatch.setattr("lambent.hardware.loihi2.placement.mapping.AXONS_OUT", 200)
    mapping = map_to_cores(dense(10, 250, 20))
    assert [use.units for use in mapping.usage] == [125, 125, 20]
    assert max(use.axons_out for use in mapping.usage) <= 200


def test_hopeless_layers_are_refused_at_once():
    """More parts do not help where each unit sends to all of them."""
    rng = np.random.default_rng(0)
    recurrent = rng.integers(1, 3, (1500, 1500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lambent.hardware.loihi2.placement.mapping.AXONS_OUT", 1000)
        with pytest.raises(ValueError, match=r"layer/1: its units send to so many cores"):
            map_to_cores(Loihi2Network(2, [layer("layer/1", np.ones((1500, 2), int), recurrent)]))


def test_wrong_arguments(monkeypatch):
    network = dense(5, 4)
    for chips in (0, 1.5):
        with pytest.raises(ValueError, match="chips must be"):
            map_to_cores(network, chips=chips)
    with pytest.raises(ValueError, match="the run has no spikes"):
        map_to_cores(network, network.run(noise(network), ("voltage",)))
    with pytest.raises(ValueError, match=r"layers of \[4\] units, the network has \[6\]"):
        map_to_cores(dense(5, 6), network.run(noise(network), ("spikes",)))
    with pytest.raises(ValueError, match="no samples"):
        map_to_cores(network, network.run(noise(network, batch=0), ("spikes",)))
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(ImportError, match=r"lambent\[mapping\]"):
        map_to_cores(network, partition=True)
