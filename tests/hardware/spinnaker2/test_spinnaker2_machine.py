"""The packet machine against a transcription of the equations, and the fast path against it, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from spinnaker2_cases import CASES, both, deep, feedforward, narrow, readout, run_batch

from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.constants import default_constants
from lambent.hardware.spinnaker2.fast import FastMachine, spikes_of
from lambent.hardware.spinnaker2.machine import Machine


def transcribed(network, events, labels, loss):
    """The gradient of Bena et al., float64, dense, as the equations stand; feed-forward layers."""
    dense = events.to_dense(1.0).double().numpy()  # (batch, steps, inputs)
    batch, steps, _ = dense.shape
    weights = [layer.matrix.astype(np.float64).T for layer in network.layers]  # (to, from)
    gradients = [np.zeros(w.shape) for w in weights]
    alpha, beta = np.exp(-1 / 5), np.exp(-1 / 20)
    for b in range(batch):
        spikes, states = [dense[b]], []
        for w in weights:
            n = len(w)
            current, before, s = (np.zeros((steps, n)) for _ in range(3))
            voltage = np.zeros(n)
            for i in range(1, steps):
                current[i] = alpha * current[i - 1] + w @ spikes[-1][i - 1]
                before[i] = beta * voltage + (1 - beta) * current[i]
                s[i] = before[i] > 1
                voltage = before[i] * (1 - s[i])
            states.append((current, before))
            spikes.append(s)
        out = spikes[-1]
        first = np.array([np.flatnonzero(x)[0] if x.any() else steps for x in out.T])
        p = np.exp(-first / loss.tau)
        p /= p.sum()
        dt = (np.eye(3)[labels[b]] - p) / loss.tau
        dt[labels[b]] += loss.alpha * np.exp(first[labels[b]] / loss.tau_alpha) / loss.tau_alpha
        g = np.zeros(out.shape)
        for c in range(3):
            if first[c] < steps - 1:
                g[first[c], c] = dt[c] / batch
        for k in reversed(range(len(weights))):
            (current, before), s, w = states[k], spikes[k + 1], weights[k]
            l_v, l_i = np.zeros(s.shape), np.zeros(s.shape)
            error = np.zeros(spikes[k].shape)
            for i in range(steps - 2, -1, -1):
                error[i] = w.T @ (l_v[i + 1] - l_i[i + 1])
                l_i[i] = alpha * l_i[i + 1] + (1 - alpha) * l_v[i + 1]
                jump = (l_v[i + 1] + g[i + 1]) / (current[i + 1] - before[i + 1] + 1e-10)
                l_v[i] = beta * l_v[i + 1] + s[i + 1] * jump
                gradients[k] -= 5e-3 * np.outer(l_i[i], spikes[k][i])
            g = error * spikes[k]
    return np.concatenate([x.T.ravel() for x in gradients])


def test_the_equations(points):
    machine, _ = both(feedforward(), s2.Rule("bena2024"))
    found = run_batch(machine, points).gradients.sum(0, dtype=np.float64)
    events, labels = points
    wanted = transcribed(machine.placement.network, events, labels.numpy(), s2.FirstSpike())
    assert np.abs(wanted).max() > 1e-5
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_the_fast_path_bit_for_bit(points, name):
    make, rule, options = CASES[name]
    machine, fast = both(make(), rule, **options)
    for _ in range(2):
        slow, quick = run_batch(machine, points), run_batch(fast, points)
        for a, b in zip(vars(slow).values(), vars(quick).values(), strict=True):
            assert np.array_equal(a, b)
        assert np.abs(slow.gradients).max() > 0
        for chip in (machine, fast):
            chip.update(slow.gradients, 1e-2, 1e-6)
        for a, b in zip(machine.matrices(), fast.matrices(), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["bena2024", "lambent", "readout"])
def test_groups_at_once_equal_one_group_in_turn(points, name):
    make, rule, _ = CASES[name]
    model = make()
    results = []
    for groups in (None, 1, 3) if name == "readout" else (22, 1):
        machine, _ = both(model, rule, groups=groups)
        results.append((run_batch(machine, points), machine))
        machine.update(results[-1][0].gradients, 1e-3)
    for other, machine in results[1:]:
        assert np.array_equal(results[0][0].gradients, other.gradients)
        for a, b in zip(results[0][1].matrices(), machine.matrices(), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", CASES)
def test_packets_sent_are_received_and_counted(points, name):
    make, rule, options = CASES[name]
    machine, _ = both(make(), rule, **options)
    done = run_batch(machine, points)
    traffic, network = machine.traffic, machine.placement.network
    assert traffic.sent == traffic.received == sum(fifo.received for fifo in machine.fifos)
    assert not any(fifo.lost for fifo in machine.fifos)
    forward = 2 if rule.rates and machine.placement.waves > 1 else 1  # the counts of the batch come first
    assert traffic.packets["spike"] == forward * (len(points[0].times) + done.counts.sum())
    assert traffic.bits >= 32 * sum(traffic.packets.values())
    if not network.layers[-1].spiking:
        assert traffic.packets["value"] == (forward + 1) * 3 * 22  # scores, and what is wanted of them


def test_errors_go_to_units_that_spiked(points):
    machine, _ = both(feedforward(), s2.Rule("bena2024"))
    done = run_batch(machine, points)
    hidden = done.counts[:, :120].sum()
    first = (done.counts[:, 120:] > 0).sum()  # from the loss, but for those of the last step
    assert hidden <= machine.traffic.packets["error"] <= hidden + first


@pytest.mark.parametrize("name", CASES)
def test_the_ledger_is_the_sum_of_the_arrays(name):
    make, rule, options = CASES[name]
    machine, _ = both(make(), rule, **options)
    for tiles in machine.tiles:
        for p, tile in enumerate(tiles):
            held = [tile.weights, tile.current, tile.voltage, tile.arrived, *tile.units]
            assert all(any(np.shares_memory(x, own) for own in tile.memory.arrays.values()) for x in held)
            assert tile.memory.used == sum(a.nbytes for a in tile.memory.arrays.values())
            assert tile.memory.used == machine.placement.bytes_of(p) <= default_constants().data
    for q, update in enumerate(machine.updates):
        assert update.memory.used == machine.placement.part_bytes(q) <= default_constants().data


def test_a_full_buffer_is_said(points):
    chip = narrow(default_constants(), fifo=3)
    placement = s2.place(s2.to_chip(feedforward()), 27, batch=22, training=True, constants=chip)
    machine = Machine(placement, s2.Rule("bena2024"), 27.0)
    with pytest.raises(s2.Overrun, match=r"tick \d+ forward: \d+ packets were lost, \d+ of them at element \d+"):
        run_batch(machine, points)
    lost = sum(fifo.lost for fifo in machine.fifos)
    assert lost > 0
    assert machine.traffic.sent == machine.traffic.received + lost
    with pytest.raises(s2.Overrun, match=r"buffer with room for 3, \d+ would be lost"):
        run_batch(FastMachine(placement, s2.Rule("bena2024"), 27.0), points)


def test_a_full_log_is_said(points):
    machine, fast = both(feedforward(), s2.Rule("bena2024"), spikes=0.1)
    for chip in (machine, fast):
        with pytest.raises(s2.Overrun, match=r"log of (arrivals|events).* would be lost; let units spike less"):
            run_batch(chip, points)


def test_layers_split_over_elements(points):
    chip = narrow(default_constants(), sram=32768 + 14_500)
    for model, rule in ((deep(), s2.Rule(rates=((1.0, 5.0),) * 3)), (readout(), s2.Rule("lambent", s2.CrossEntropy()))):
        machine, fast = both(model, rule, batch=4, spikes=6, constants=chip)
        assert len(machine.placement.of_layer(0)) > 1
        assert len(machine.placement.of_layer(1)) > 1
        slow, quick = run_batch(machine, points, 4), run_batch(fast, points, 4)
        assert np.array_equal(slow.gradients, quick.gradients)
        assert machine.traffic.sent == machine.traffic.received
        machine.update(slow.gradients, 1e-2)
        fast.update(quick.gradients, 1e-2)
        assert all(np.array_equal(a, b) for a, b in zip(machine.matrices(), fast.matrices(), strict=True))


def test_spikes_by_step(points):
    events, _ = points
    spikes = spikes_of(events, 1.0)
    dense = events.to_dense(1.0).numpy()
    for b in range(len(events)):
        for i in range(27):
            units = spikes.unit[spikes.upto[b, i] : spikes.upto[b, i + 1]]
            assert units.tolist() == np.flatnonzero(dense[b, i]).tolist()


def test_odd_batches(points):
    events, labels = points
    for chip in both(feedforward(), s2.Rule(), batch=22):
        alone = chip.batch(spikes_of(events[:1], 1.0), labels[:1].numpy())
        assert alone.gradients.shape == (1, 960)
    machine, _ = both(feedforward(), s2.Rule(), batch=2, groups=1)
    with pytest.raises(ValueError, match="3 samples are more than 2 waves of 1; place with batch=3"):
        run_batch(machine, points, 3)


@pytest.mark.parametrize(
    ("model", "rule", "message"),
    [
        (feedforward, s2.Rule("lambent", s2.CrossEntropy()), "layer 1 spikes: its loss is a FirstSpike"),
        (readout, s2.Rule(), "layer 2 is a readout: its loss is a CrossEntropy"),
        (feedforward, s2.Rule(rates=((1.0, 2.0),)), "rates must be one pair for each of 2 spiking layers, got 1"),
    ],
)
def test_rules_that_do_not_fit(model, rule, message):
    with pytest.raises(ValueError, match=message):
        both(model(), rule)


def test_rules_out_of_range():
    for arguments, message in (
        (("stdp",), "rule must be one of lambent, bena2024"),
        (("bena2024", s2.FirstSpike(), ((1.0, 2.0),)), "bena2024 knows no rates"),
        (("bena2024", s2.CrossEntropy()), "bena2024 has a loss on first spikes only"),
        (("lambent", s2.FirstSpike(), ((2.0, 1.0),)), "0 <= lower <= upper"),
    ):
        with pytest.raises(ValueError, match=message):
            s2.Rule(*arguments)
    with pytest.raises(ValueError, match="tau must be positive, got 0"):
        s2.FirstSpike(tau=0)
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        s2.CrossEntropy(label_smoothing=1.0)
    with pytest.raises(TypeError, match="loss must be a FirstSpike or a CrossEntropy, got str"):
        s2.Rule("lambent", "ttfs")


def test_no_room_to_learn():
    placement = s2.place(s2.to_chip(feedforward()), 27)
    with pytest.raises(ValueError, match="no room to learn; place with training=True"):
        Machine(placement, s2.Rule(), 27.0)
