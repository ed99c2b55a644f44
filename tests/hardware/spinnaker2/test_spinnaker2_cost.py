"""The modelled cost against what the packet machine counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from spinnaker2_cases import CASES, both, deep, feedforward, narrow, readout, run_batch

from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.constants import default_constants, supplies
from lambent.hardware.spinnaker2.cost import _cycles, mean_cost
from lambent.hardware.spinnaker2.rounding import convert


@pytest.mark.parametrize("name", ["bena2024", "bena2024, deep", "readout, times alone"])
def test_cycles_and_packets_are_the_machines(points, name):
    make, rule, _ = CASES[name]
    model = make()
    machine, _ = both(model, rule, batch=1)
    events, labels = points
    for b in range(3):
        machine, _ = both(model, rule, batch=1)
        one = events[b : b + 1]
        run_batch(machine, (one, labels[b : b + 1]), 1)
        recording = s2.run_network(machine.placement.network, one)
        cycles, packets, _ = _cycles(machine.placement.network, recording, machine.placement)
        assert cycles.max(1)[0].tolist() == machine.traffic.forward
        scores = 3 if name.startswith("readout") else 0
        assert packets[0] == machine.traffic.packets["spike"] + scores


def test_a_sample(points):
    network = s2.to_chip(feedforward())
    recording = s2.run_network(network, points[0])
    cost = s2.estimate_cost(network, recording)
    assert cost.elements == 3
    assert cost.packets == pytest.approx(5 + sum(x.sum() for x in recording.spikes) / 22)
    assert cost.budget == 150_000
    assert 0 < cost.worst_tick < cost.budget
    assert cost.energy == pytest.approx(1e-3 * (235 + 3 * 1.25) * cost.latency)
    assert cost.real_time_energy > 1e-3 * 235 * 27
    fast = s2.estimate_cost(network, recording, supply=supplies()[1])
    assert fast.latency == pytest.approx(cost.latency / 2)
    assert fast.budget == 300_000
    assert "fits" in str(cost)
    assert "does not fit: elements fall out of phase" in str(replace(cost, worst_tick=10**6))
    assert repr(cost).endswith("modelled for SpiNNaker2)")
    assert "<table>" in cost._repr_html_()
    assert s2.Cost.from_dict(cost.as_dict()) == cost
    with pytest.raises(ValueError, match="energy is 'low', no number"):
        s2.Cost.from_dict(cost.as_dict() | {"energy": "low"})


def test_the_array_of_macs_takes_what_is_sooner(points):
    busy = points[0]
    converted = convert(feedforward()).network
    slow = narrow(default_constants(), mac_rows=1, mac_columns=1)
    costs = []
    for network, chip in ((s2.to_chip(feedforward()), None), (converted, None), (converted, slow)):
        placement = s2.place(network, 27, constants=chip)
        costs.append(s2.estimate_cost(network, s2.run_network(network, busy), placement))
    assert costs[1].worst_tick < costs[0].worst_tick
    assert costs[1].worst_tick <= costs[2].worst_tick
    assert costs[1].memory < costs[0].memory


def test_means(points):
    network = s2.to_chip(deep())
    costs = [s2.estimate_cost(network, s2.run_network(network, points[0][a : a + 11])) for a in (0, 11)]
    both_halves = mean_cost([(11, cost) for cost in costs])
    whole = s2.estimate_cost(network, s2.run_network(network, points[0]))
    for name, value in vars(whole).items():
        assert getattr(both_halves, name) == pytest.approx(value, rel=1e-9), name
    with pytest.raises(ValueError, match="no costs"):
        mean_cost([])
    with pytest.raises(ValueError, match="not of one network"):
        mean_cost([(1, costs[0]), (1, replace(costs[0], elements=9))])


def test_an_update(points):
    events, labels = points
    network = s2.to_chip(feedforward())
    at_once = s2.place(network, 27, batch=22, training=True)
    in_turn = s2.place(network, 27, batch=22, training=True, groups=1)
    a, b = (s2.update_cost(place, s2.Rule("bena2024"), events, labels) for place in (at_once, in_turn))
    assert (a.elements, b.elements, a.groups, b.groups) == (68, 5, 22, 1)
    assert a.packets == b.packets
    assert a.latency < b.latency
    assert b.ticks == 22 * (28 + 27) + 1
    assert a.energy == pytest.approx(1e-3 * (235 + 68 * 1.25) * a.latency)
    again = s2.update_cost(in_turn, s2.Rule(rates=((0.5, 9.0), (0.5, 9.0))), events, labels)
    assert again.ticks == 22 * (2 * 28 + 27) + 1


def test_recordings_that_do_not_fit(points):
    network = s2.to_chip(readout())
    recording = s2.run_network(network, points[0])
    with pytest.raises(ValueError, match="the placement is of another network"):
        s2.estimate_cost(network, recording, s2.place(s2.to_chip(feedforward()), 27))
    with pytest.raises(ValueError, match="for samples of 10 steps, the recording has 27"):
        s2.estimate_cost(network, recording, s2.place(network, 10))
    with pytest.raises(TypeError, match="recording must be what run_network returns, got NoneType"):
        s2.estimate_cost(network, None)
    with pytest.raises(TypeError, match=r"as to_chip\(model\) makes it"):
        s2.run_network(readout(), points[0])
    with pytest.raises(ValueError, match="has no spikes, or is of another network"):
        s2.estimate_cost(network, s2.run_network(network, points[0], ("voltage",)))
    with pytest.raises(ValueError, match="has no spikes, or is of another network"):
        s2.estimate_cost(s2.to_chip(feedforward()), s2.run_network(network, points[0]))
    with pytest.raises(ValueError, match="holds no samples"):
        s2.estimate_cost(network, s2.run_network(network, points[0][:0]))
    with pytest.raises(ValueError, match="record must be of spikes, voltage, got 'current'"):
        s2.run_network(network, points[0], ("current",))
    with pytest.raises(TypeError, match=r"events must be lambent\.Events, got ndarray"):
        s2.run_network(network, np.zeros(3))
