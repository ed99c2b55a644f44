"""`train_on_chip`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spinnaker2_cases import feedforward, readout

import lambent as lb
from lambent.hardware import spinnaker2 as s2


def test_it_learns():
    model, data = feedforward(), s2.bena2024_data(2200, 0)
    before = s2.chip_accuracy(s2.to_chip(model), data)
    seen = []
    done = s2.train_on_chip(model, data, epochs=2, progress=seen.append)
    assert [x["epoch"] for x in seen] == [1, 2]
    assert seen == done.history
    assert seen[1]["loss"] < seen[0]["loss"]
    assert seen[1]["lr"] == pytest.approx(0.95 * seen[0]["lr"])
    after = s2.chip_accuracy(done.network, data)
    assert after > before + 0.1
    with torch.no_grad():  # the model has the weights, and answers alike
        times = lb.losses.first_spike_times(model(data.batch(range(2200))[0]))
    assert (times.argmin(1).numpy() == data.labels).mean() == pytest.approx(after, abs=2e-3)


@pytest.mark.parametrize(("make", "rule"), [(feedforward, "bena2024"), (feedforward, "lambent"), (readout, "lambent")])
def test_packets_and_the_fast_path_end_alike(make, rule):
    data, ends = s2.bena2024_data(66, 0), []
    for machine in ("packets", "fast"):
        model = make()
        done = s2.train_on_chip(model, data, rule=rule, epochs=2, machine=machine, weight_decay=1e-3)
        ends.append((model, done))
    for a, b in zip(ends[0][0].parameters(), ends[1][0].parameters(), strict=True):
        assert torch.equal(a, b)
    strip = [{k: v for k, v in x.items() if k != "seconds"} for x in ends[0][1].history]
    assert strip == [{k: v for k, v in x.items() if k != "seconds"} for x in ends[1][1].history]


def test_silent_outputs_return_under_lambents_rule_only():
    data, left = s2.bena2024_data(1100, 0), {}
    for rule in ("bena2024", "lambent"):
        model = feedforward()
        with torch.no_grad():
            model[1].weight[:, 2] = -0.1  # never spikes
        done = s2.train_on_chip(model, data, rule=rule, epochs=2)
        events, _ = data.batch(range(200))
        left[rule] = s2.run_network(done.network, events).spikes[1][:, 2].sum()
    assert left["bena2024"] == 0
    assert left["lambent"] > 0


def test_threads_change_nothing():
    data, ends = s2.bena2024_data(66, 0), []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        model = feedforward()
        s2.train_on_chip(model, data)
        ends.append([p.clone() for p in model.parameters()])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rule": "stdp"}, ValueError, "rule must be one of lambent, bena2024, got 'stdp'"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number from 1 on, got 0"),
        ({"epochs": 1.5}, ValueError, "epochs must be a whole number"),
        ({"batch_size": True}, ValueError, "batch_size must be a whole number"),
        ({"batch_size": 45}, ValueError, "44 samples make no batch of 45"),
        ({"lr": 0.0}, ValueError, "lr must be positive, got 0.0"),
        ({"lr": float("nan")}, ValueError, "lr must be positive, got nan"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be 0 or more, got -1.0"),
        ({"machine": "gpu"}, ValueError, "machine must be one of fast, packets, got 'gpu'"),
        ({"groups": 100}, ValueError, "100 groups for a batch of 22: a group takes one sample at a time"),
        ({"seed": -1}, ValueError, "seed must be a whole number from 0 on, got -1"),
        ({"lr": True}, TypeError, "lr must be a number, got True"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        s2.train_on_chip(feedforward(), s2.bena2024_data(44, 0), **options)


def test_numbers_of_numpy():
    s2.train_on_chip(feedforward(), s2.bena2024_data(22, 0), epochs=np.int64(1), lr=np.float32(1e-3))


def test_what_the_chip_does_not_do_while_it_learns():
    data = s2.bena2024_data(22, 0)
    frozen, spread = feedforward(), feedforward()
    frozen[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"0\.weight is frozen \(requires_grad=False\)"):
        s2.train_on_chip(frozen, data)
    spread[1].tau_mem.requires_grad_()
    with pytest.raises(ValueError, match=r"1\.tau_mem is to be trained"):
        s2.train_on_chip(spread, data)
    lossy = torch.nn.Sequential(lb.LIF(5, 9), lb.EventDropout(0.5), lb.LIF(9, 3))
    with pytest.raises(ValueError, match=r"layer 1 \(EventDropout\): the chip loses no spikes"):
        s2.train_on_chip(lossy, data)
    assert len(s2.to_chip(lossy).layers) == 2  # which runs


def test_default_rates_learn_from_few_data():
    torch.manual_seed(0)
    model = torch.nn.Sequential(lb.LIF(5, 60), lb.LIF(60, 3))
    done = s2.train_on_chip(model, lb.data.yin_yang(1100, seed=0), epochs=10)
    assert done.history[-1]["accuracy"] > 0.7


def test_accuracy_wants_data_with_classes():
    network = s2.to_chip(feedforward())
    plain = lb.data.SpikeDataset(np.ones(4), np.zeros(4, int), np.arange(5), None, 5, 27.0)
    with pytest.raises(ValueError, match="needs a class label for each sample"):
        s2.chip_accuracy(network, plain)
    wrong = lb.data.SpikeDataset(np.ones(4), np.zeros(4, int), np.arange(5), np.full(4, 7), 5, 27.0)
    with pytest.raises(ValueError, match="the network has 3 classes, the data a label 7"):
        s2.chip_accuracy(network, wrong)
    with pytest.raises(TypeError, match=r"network must be a Spinnaker2Network, as to_chip\(model\) makes it, got Sequ"):
        s2.chip_accuracy(feedforward(), wrong)
    with pytest.raises(TypeError, match=r"data must be a lambent\.data\.SpikeDataset, got list"):
        s2.chip_accuracy(network, [])


def test_wrong_data():
    with pytest.raises(TypeError, match=r"data must be a lambent\.data\.SpikeDataset, got list"):
        s2.train_on_chip(feedforward(), [])
    other = lb.data.SpikeDataset(np.ones(44), np.zeros(44, int), np.arange(45), np.zeros(44, int), 4, 27.0)
    with pytest.raises(ValueError, match="the data have 4 units, the network 5 inputs"):
        s2.train_on_chip(feedforward(), other)
    many = lb.data.SpikeDataset(np.ones(44), np.zeros(44, int), np.arange(45), np.arange(44), 5, 27.0)
    with pytest.raises(ValueError, match=r"the network has 3 classes, the data a label \d+"):
        s2.train_on_chip(feedforward(), many)
    graded = lb.data.SpikeDataset(
        np.ones(44), np.zeros(44, int), np.arange(45), np.zeros(44, int), 5, 27.0, values=np.ones(44)
    )
    with pytest.raises(ValueError, match="the spikes carry values"):
        s2.train_on_chip(feedforward(), graded)


def test_odd_ends():
    data = s2.bena2024_data(44, 0)
    single = s2.train_on_chip(torch.nn.Sequential(lb.LIF(5, 3)), data)
    assert single.placement.group_size == 2
    reads = s2.train_on_chip(torch.nn.Sequential(lb.LIReadout(5, 3)), data)
    assert reads.history[0]["spikes_per_unit"] == reads.history[0]["silent"] == 0
    model = feedforward().double()
    one = s2.train_on_chip(model, data.subset([0]), batch_size=1)
    assert one.placement.groups == 1
    assert model[0].weight.dtype == torch.float64
    with pytest.raises(TypeError, match="lr must be a number, got 'high'"):
        s2.train_on_chip(model, data, lr="high")
    unlabelled = lb.data.SpikeDataset(data.times, data.units, data.offsets, None, 5, 27.0)
    with pytest.raises(ValueError, match="learning needs a class label for each sample"):
        s2.train_on_chip(model, unlabelled)
    with pytest.raises(ValueError, match="no samples to be right about"):
        s2.chip_accuracy(one.network, data.subset([]))


def test_weights_that_run_away():
    with pytest.raises(FloatingPointError, match="weights are no longer finite: lower the rate"):
        s2.train_on_chip(feedforward(), s2.bena2024_data(44, 0), lr=1e38)


def test_the_setting_of_bena():
    model, data = s2.bena2024_model(1), s2.bena2024_data(4000, 0)
    first, second = (layer.matrix for layer in s2.to_chip(model).layers)
    assert first.mean() == pytest.approx(3.2 / 5**0.5, rel=0.1)
    assert first.std() == pytest.approx(3.2 / 5**0.5, rel=0.1)
    assert second.mean() == pytest.approx(5.2 / 120**0.5, rel=0.1)
    assert second.std() == pytest.approx(2.8 / 120**0.5, rel=0.1)
    steps = np.floor(data.times).reshape(4000, 5)
    assert set(steps.min(1)) == {0}
    assert (np.sort(steps, 1)[:, 1:].min(), steps.max()) == (2, 26)
