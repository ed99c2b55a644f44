"""What fits on the chip, and what is said of what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spinnaker2_cases import deep, feedforward, narrow

import lambent as lb
from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.constants import Constants, default_constants, sources, supplies
from lambent.hardware.spinnaker2.memory import Memory
from lambent.hardware.spinnaker2.packets import Fifo, Kind, Packet, key, unpack
from lambent.hardware.spinnaker2.rounding import convert


def wide(n_in, hidden, recurrent=False):
    return s2.to_chip(torch.nn.Sequential(lb.LIF(n_in, hidden, recurrent=recurrent), lb.LIReadout(hidden, 10)))


def test_the_setting_of_bena():
    placement = s2.place(s2.to_chip(feedforward()), 27, batch=22, training=True)
    assert (placement.groups, placement.group_size, len(placement.parts), placement.waves) == (22, 3, 2, 1)
    assert placement.n_cores == 68
    assert str(placement).startswith("68 elements of 148: 22 groups of 3, 2 for updates; of 98,304 bytes for data each")
    assert placement.element(21, 1) == 65
    inference = s2.place(s2.to_chip(feedforward()), 27)
    assert (inference.n_cores, inference.training) == (3, False)


def test_slices_cover_their_layer():
    placement = s2.place(wide(140, 384, recurrent=True), 500, batch=4, training=True)
    for layer, on_chip in enumerate(placement.network.layers):
        own = [placement.slices[p] for p in placement.of_layer(layer)]
        assert [x.first for x in own] + [on_chip.n_out] == [0, *(x.last for x in own)]
        rows = len(on_chip.matrix)
        for p in placement.of_layer(layer):
            parts = [x for x in placement.parts if x.slice == p]
            assert [x.first for x in parts] + [rows] == [0, *(x.last for x in parts)]
    limit = default_constants().data
    assert all(placement.bytes_of(p) <= limit for p in range(len(placement.slices)))
    assert all(placement.part_bytes(q) <= limit for q in range(len(placement.parts)))
    assert len(placement.of_layer(0)) > 10
    assert placement.n_cores <= 148


def test_advice_keeps_the_groups():
    with pytest.raises(ValueError, match=r"with hidden layers of (\d+) units it would fit") as said:
        s2.place(wide(140, 900, recurrent=True), 500, batch=5, training=True, groups=5)
    units = int(str(said.value).split("layers of ")[1].split()[0])
    placement = s2.place(wide(140, units, recurrent=True), 500, batch=5, training=True, groups=5, spikes=25.0)
    assert placement.groups == 5


def test_advice_says_how_many_spikes_have_room():
    with pytest.raises(ValueError, match=r"with spikes=\d+, room for fewer events, it would fit") as said:
        s2.place(wide(140, 400, recurrent=True), 500, training=True, spikes=200.0)
    spikes = float(str(said.value).split("spikes=")[1].split(",")[0])
    assert s2.place(wide(140, 400, recurrent=True), 500, training=True, spikes=spikes).training
    with pytest.raises(ValueError, match=rf"with spikes={spikes:g}, room"):
        s2.place(wide(140, 400, recurrent=True), 500, training=True, spikes=spikes + 1)
    with pytest.raises(ValueError, match=rf"with spikes={spikes:g}, room"):
        s2.place(wide(140, 400, recurrent=True), 500, training=True, spikes=1e9)


def test_who_forgets_to_chip_is_told():
    with pytest.raises(TypeError, match=r"as to_chip\(model\) makes it, got Sequential"):
        s2.place(feedforward(), 27)
    with pytest.raises(TypeError, match=r"training must be True or False, got 'no'"):
        s2.place(s2.to_chip(feedforward()), 27, training="no")
    with pytest.raises(ValueError, match=r"49 groups of 3 elements.* 48 groups would fit"):
        s2.place(s2.to_chip(feedforward()), 27, batch=60, training=True, groups=49)


def test_fewer_groups_than_samples_run_in_waves():
    placement = s2.place(s2.to_chip(deep()), 27, batch=22, training=True, groups=5)
    assert (placement.groups, placement.waves) == (5, 5)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            wide(140, 600, True),
            {"training": True},
            r"the network takes \d+ elements .*, the chip has 148; with hidden layers of \d+ units it would fit",
        ),
        (
            wide(140, 900, True),
            {"training": True},
            "for inference with weights of 8 bits, as convert makes them, it would fit as it is",
        ),
        (wide(30_000, 10), {"training": True}, "a single unit with 30,000 inputs takes"),
        (wide(5, 10), {"groups": 60}, "60 groups of 3 elements.* 49 groups would fit$"),
    ],
)
def test_what_does_not_fit(network, options, message):
    with pytest.raises(ValueError, match=message):
        s2.place(network, 500, batch=100, **options)


def test_what_is_advised_fits():
    network = wide(140, 2000, True)
    with pytest.raises(ValueError, match="would fit") as error:
        s2.place(network, 500, training=True)
    units = int(str(error.value).split("hidden layers of ")[1].split()[0].rstrip(","))
    assert s2.place(wide(140, units, True), 500, training=True).n_cores <= 148
    with pytest.raises(ValueError, match="would fit"):
        s2.place(wide(140, int(1.1 * units), True), 500, training=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1 on, got 0"),
        ({"steps": 27.5}, "steps must be a whole number from 1 on, got 27.5"),
        ({"steps": 70_000}, "70,000 steps: the logs tell 65,535 apart"),
        ({"batch": 0}, "batch must be a whole number"),
        ({"groups": -1}, "groups must be a whole number"),
        ({"spikes": 0.0}, "spikes must be a positive number, got 0.0"),
        ({"spikes": "many"}, "spikes must be a positive number, got 'many'"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        s2.place(s2.to_chip(feedforward()), **{"steps": 27, "training": True, **options})


def test_integers_cannot_learn():
    with pytest.raises(ValueError, match="integer weights cannot learn"):
        s2.place(convert(feedforward()).network, 27, training=True)


def test_hops():
    placement = s2.place(s2.to_chip(feedforward()), 27, batch=22, training=True)
    assert placement.router(3) == (0, 0)
    assert placement.router(4) == (1, 0)
    assert placement.router(32) == (0, 1)
    assert placement.hops(0, [3]) == 0
    assert placement.hops(0, [4, 8]) == 2  # of the same way
    assert placement.hops(0, [4, 32]) == 2
    assert placement.hops(36, [0]) == 2


def test_memory_refuses_and_says_why():
    memory = Memory("element 7")
    memory.array("weights", (100, 200), np.float32)
    with pytest.raises(ValueError, match=r"element 7: gradients .* takes 80,000 bytes, .* 18,304 are free"):
        memory.array("gradients", (100, 200), np.float32)
    with pytest.raises(ValueError, match="weights is there already"):
        memory.array("weights", 1, np.float32)
    assert memory.table() == {"weights": 80_000, "code": 32_768}


def test_keys():
    for parts in ((Kind.SPIKE, 0, 0, 0), (Kind.VALUE, 255, 63, 65_535)):
        packed = key(*parts)
        assert 0 <= packed < 1 << 32
        assert unpack(packed) == parts
    assert key(Kind.SPIKE, 1, 0, 5) < key(Kind.SPIKE, 2, 0, 0) < key(Kind.ERROR, 0, 0, 0)
    for name, parts in (("element 256", (256, 0, 0)), ("layer 64", (0, 64, 0)), ("unit 65536", (0, 0, 65_536))):
        with pytest.raises(ValueError, match=f"{name} does not fit into a key"):
            key(Kind.SPIKE, *parts)


def test_buffers():
    fifo = Fifo(2)
    for k in (5, 3, 4):
        fifo.put(Packet(k))
    assert (fifo.received, fifo.lost, fifo.highest) == (2, 1, 2)
    assert [packet.key for packet in fifo.take()] == [3, 5]
    assert fifo.take() == []
    assert Packet(0).bits == 32
    assert Packet(0, (np.float32(1),) * 4).bits == 160


def test_constants_have_sources():
    for name, entry in sources().items():
        assert set(entry) == {"value", "unit", "what", "source"}, name
        assert entry["source"], name
    assert set(sources()) == set(vars(default_constants()))
    assert [supply.clock for supply in supplies()] == [150, 300]
    assert supplies()[0].power(10) == pytest.approx(247.5)
    with pytest.raises(ValueError, match="fifo must be a positive number, got 0"):
        narrow(default_constants(), fifo=0)
    with pytest.raises(ValueError, match="clock must be a positive number, got 'fast'"):
        Constants(**{**vars(default_constants()), "slow_clock": "fast"})
