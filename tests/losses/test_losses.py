"""Losses on voltages, times and counts, and what they do to a layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

import lambent as lb
from lambent import losses


def test_readout_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    assert losses.readout_cross_entropy(logits, labels, 2.0).isclose(F.cross_entropy(2 * logits, labels))
    steps = torch.randn(4, 5, 3)
    each = torch.stack([F.cross_entropy(steps[:, n], labels) for n in range(5)]).mean()
    assert losses.readout_cross_entropy(steps, labels).isclose(each)


def test_labels_of_steps():
    torch.manual_seed(0)
    steps, labels = torch.randn(4, 5, 3, requires_grad=True), torch.randint(3, (4, 5))
    loss = losses.readout_cross_entropy(steps, labels, 2.0)
    assert loss.isclose(F.cross_entropy(2 * steps.flatten(0, 1), labels.flatten()))
    unlabelled = torch.rand(4, 5) < 0.5
    some = labels.masked_fill(unlabelled, -1)
    loss = losses.readout_cross_entropy(steps, some, 2.0, label_smoothing=0.1, ignore_index=-1)
    kept = F.cross_entropy(2 * steps[~unlabelled], labels[~unlabelled], label_smoothing=0.1)
    assert loss.isclose(kept)
    loss.backward()
    assert not steps.grad[unlabelled].any()
    assert steps.grad[~unlabelled].all()
    whole = losses.readout_cross_entropy(steps[:, 0], some[:, 0], ignore_index=-1)
    assert whole.isclose(F.cross_entropy(steps[:, 0], some[:, 0], ignore_index=-1))
    for bad, message in (
        (labels[:, :4], r"labels must have shape \(4, 5\), got \(4, 4\)"),
        (torch.full((4, 5), -1), "labels are all -1"),
        (labels + 1, r"lie in \[0, 3\) or be -1, got 1 to 3"),
        (some - 1, "or be -1, got -2 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            losses.readout_cross_entropy(steps, bad, ignore_index=-1)
    with pytest.raises(ValueError, match="got -1 to 2"):
        losses.readout_cross_entropy(steps, some)


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "max", "last", "none"])
@pytest.mark.parametrize("dt", [1.0, None])
def test_torchs_own_losses_do_on_readouts(reduce, dt):
    """Mean squared error on voltages, whose derivative is exact in weights and time constants."""
    if dt is None and reduce == "none":
        return
    torch.manual_seed(0)
    layer = lb.LIReadout(5, 2, reduce=reduce, dt=dt).double()
    layer.tau_mem.requires_grad_()
    events = lb.Events.from_dense((torch.rand(3, 30, 5) < 0.2).int(), 1.0, dtype=torch.float64)
    targets = torch.rand_like(layer(events))

    def loss(weight, tau_mem):
        found = torch.func.functional_call(layer, {"weight": weight, "tau_mem": tau_mem}, (events,))
        return F.mse_loss(found, targets)

    assert torch.autograd.gradcheck(loss, [layer.weight, layer.tau_mem])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(8, 4), (8, 5, 4)])
def test_smoothed_and_plain_cross_entropy(smoothing, shape):
    """Both losses and the gradient are, bit for bit, what they are when worked out alone."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (8,), generator=generator)
    alone = torch.randn(shape, generator=generator).requires_grad_()
    both = alone.detach().clone().requires_grad_()
    expected = losses.readout_cross_entropy(alone, labels, 30.0, smoothing)
    loss, plain = losses.smoothed_and_plain_cross_entropy(both, labels, 30.0, smoothing)
    assert torch.equal(loss, expected)
    assert torch.equal(plain, losses.readout_cross_entropy(alone, labels, 30.0))
    assert not plain.requires_grad
    expected.backward()
    loss.backward()
    assert torch.equal(both.grad, alone.grad)


def test_first_spike_times():
    times = torch.tensor([3.0, 4.0, 6.0, 2.0], requires_grad=True)
    events = lb.Events(times, torch.tensor([1, 0, 1, 2]), torch.tensor([0, 3, 4]), 3, 10.0)
    first = losses.first_spike_times(events)
    assert first.tolist() == [[4.0, 3.0, 10.0], [10.0, 10.0, 2.0]]
    first[:, :2].sum().backward()
    assert times.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_first_spike_cross_entropy():
    events = lb.Events.from_lists([[2.0, 5.0]], [[0, 1]], 3, 10.0)
    loss = losses.first_spike_cross_entropy(events, torch.tensor([1]), tau=2.0, alpha=0.1, tau_alpha=20.0)
    t = torch.tensor([2.0, 5.0, 10.0])
    wanted = -torch.log_softmax(-t / 2.0, 0)[1] + 0.1 * (math.exp(5.0 / 20.0) - 1)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_silent_right_unit_is_driven_to_spike():
    layer = lb.LIF(2, 2)
    layer.weight.data.fill_(0.5)  # too weak to fire
    events = lb.Events.from_lists([[1.0, 2.0]], [[0, 1]], 2, 30.0)
    optimizer = torch.optim.Adam([layer.weight], lr=0.05)
    for _ in range(200):
        out = layer(events)
        if (out.units == 0).any():
            break
        optimizer.zero_grad()
        losses.first_spike_cross_entropy(out, torch.tensor([0])).backward()
        optimizer.step()
    assert (out.units == 0).any()


def test_count_cross_entropy():
    events = lb.Events.from_lists([[1.0, 2.0, 3.0]], [[0, 0, 1]], 2, 10.0)
    wanted = F.cross_entropy(torch.tensor([[1.0, 0.5]]), torch.tensor([0]))
    assert losses.count_cross_entropy(events, torch.tensor([0]), 0.5).isclose(wanted)


def test_population_codes():
    """Units of a class count together, by their means; one unit a class is what it was."""
    times = torch.tensor([2.0, 5.0, 6.0, 7.0], requires_grad=True)
    events = lb.Events(times, torch.tensor([0, 1, 3, 3]), torch.tensor([0, 4]), 6, 10.0)
    label = torch.tensor([1])
    assert losses.population_mean(events.counts(), 2).tolist() == [[1.0, 1.0, 0.0]]
    wanted = F.cross_entropy(torch.tensor([[0.5, 0.5, 0.0]]), label)
    assert losses.count_cross_entropy(events, label, 0.5, population=2).isclose(wanted)
    loss = losses.first_spike_cross_entropy(events, label, tau=2.0, alpha=0.1, population=2)
    t = torch.tensor([[3.5, 8.0, 10.0]])  # silent units count as the duration
    assert loss.isclose(F.cross_entropy(-t / 2, label) + 0.1 * torch.expm1(t[0, 1] / 50.0))
    loss.backward()
    assert (times.grad[:3] != 0).all()
    assert times.grad[3] == 0
    for loss in (losses.count_cross_entropy, losses.first_spike_cross_entropy):
        with pytest.raises(ValueError, match="6 units are no multiple of a population of 4"):
            loss(events, label, population=4)
        with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\)"):
            loss(events, torch.tensor([2]), population=3)
        with pytest.raises(TypeError, match="population must be a whole number"):
            loss(events, label, population=1.5)


def test_rate_penalty():
    counts = torch.tensor([[0.0, 10.0, 3.0], [2.0, 20.0, 3.0]], requires_grad=True)
    events = lb.Events(torch.empty(0), torch.empty(0, dtype=torch.int32), torch.zeros(3, dtype=torch.int64), 3, 9.0,
                       counts=counts)  # fmt: skip
    penalty = losses.rate_penalty(events, 2.0, 12.0)
    assert penalty.item() == pytest.approx((1.0 + 9.0 + 0.0) / 3)
    penalty.backward()
    assert (counts.grad[:, 0] < 0).all()
    assert (counts.grad[:, 1] > 0).all()
    assert (counts.grad[:, 2] == 0).all()


@pytest.mark.parametrize("start", [0.008, 0.64])
def test_rate_penalty_brings_units_into_the_band(start):
    torch.manual_seed(0)
    layer = lb.LIF(20, 10)
    layer.weight.data.abs_().mul_(start)
    g = torch.Generator().manual_seed(0)
    events = lb.Events.from_dense((torch.rand(8, 100, 20, generator=g) < 0.05).int(), 1.0)
    if start < 0.1:
        assert not layer(events).counts().any()  # all silent: to be revived
    optimizer = torch.optim.Adam([layer.weight], lr=0.01)
    for _ in range(600):
        penalty = losses.rate_penalty(layer(events), 3.0, 6.0)
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    mean = layer(events).counts().mean(0)
    assert (mean > 2.0).all()
    assert (mean < 7.5).all()


def test_bad_arguments():
    events = lb.Events.from_lists([[1.0]], [[0]], 2, 10.0)
    with pytest.raises(ValueError, match="labels"):
        losses.readout_cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="shape"):
        losses.count_cross_entropy(events, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="tau"):
        losses.first_spike_cross_entropy(events, torch.tensor([0]), tau=0.0)
    with pytest.raises(ValueError, match="lower"):
        losses.rate_penalty(events, 3.0, 2.0)
    for labels, kind in (([0], "list"), (torch.tensor([0.0]), "torch.float32")):
        with pytest.raises(TypeError, match=f"labels must be a tensor of whole numbers, got {kind}"):
            losses.count_cross_entropy(events, labels)
    with pytest.raises(TypeError, match="targets must be a tensor, got list"):
        losses.first_spike_mse(events, [[1.0, 2.0]])
    assert losses.count_cross_entropy(events, torch.tensor([1], dtype=torch.int32)) > 0


def test_nothing_has_no_mean():
    nothing, labels = lb.Events.from_lists([], [], 2, 10.0), torch.zeros(0, dtype=torch.int64)
    for loss in (
        lambda: losses.readout_cross_entropy(torch.zeros(0, 3), labels),
        lambda: losses.first_spike_cross_entropy(nothing, labels),
        lambda: losses.count_cross_entropy(nothing, labels),
        lambda: losses.first_spike_mse(nothing, torch.zeros(0, 2)),
        lambda: losses.rate_penalty(nothing),
    ):
        with pytest.raises(ValueError, match="the batch is empty"):
            loss()


def test_first_spike_mse():
    times = torch.tensor([5.0, 9.0, 12.0], requires_grad=True)
    events = lb.Events(times, torch.tensor([0, 1, 0]), torch.tensor([0, 3]), 3, 50.0)
    targets = torch.tensor([[4.0, float("nan"), 40.0]])
    loss = lb.losses.first_spike_mse(events, targets)
    assert loss.item() == pytest.approx((0.02**2 + 0.2**2) / 2)  # unit 2 is silent: 50 ms
    loss.backward()
    assert times.grad.tolist() == pytest.approx([0.02 / 50, 0.0, 0.0])
    assert lb.losses.first_spike_mse(events, targets, scale=10.0).item() == pytest.approx((0.1**2 + 1) / 2)
    for bad, message in ((targets[:, :2], "shape"), (targets * float("nan"), "all NaN")):
        with pytest.raises(ValueError, match=message):
            lb.losses.first_spike_mse(events, bad)
    with pytest.raises(ValueError, match="scale"):
        lb.losses.first_spike_mse(events, targets, scale=0.0)
