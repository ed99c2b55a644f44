"""The trainer with all sorts of modules: each learns, moves what it should by its role, and resumes bit for bit."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

import lambent as lb
from lambent.training import Config, Trainer, build_model, forward
from lambent.training.interrupt import Stop
from lambent.training.parameters import parameter_groups, role


class Thin(nn.Module):
    """An encoder without parameters: it drops spikes, by torch's own random numbers."""

    def forward(self, events):
        kept = torch.rand(len(events.times)) < (0.9 if self.training else 1.0)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), kept.cumsum(0)])[events.offsets]
        return lb.Events(events.times[kept], events.units[kept], offsets, events.n_units, events.duration)


class Learned(nn.Module):
    """An encoder with parameters: spike times that an ordinary layer finds."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(5, 12)

    def forward(self, events):
        values = torch.sigmoid(self.inside(lb.losses.first_spike_times(events) / events.duration))
        return lb.encode.latency(values, events.duration, 40.0)


class Counts(nn.Module):
    """Spike counts, or first spike times, as an ordinary tensor."""

    def forward(self, events):
        return events.counts() + lb.losses.first_spike_times(events) / events.duration


class Block(nn.Module):
    """Spiking layers inside a module that returns events itself; one of them is used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.again = lb.LIF(5, 20, tau_mem=10.0), lb.LIF(20, 20, tau_mem=10.0)

    def forward(self, events):
        return self.again(self.again(events=self.first(events)))


class Odd(nn.Module):
    """Parameters with names and shapes of its own."""

    parameter_roles = {"pace": "tau"}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.pace, self.gain = nn.Parameter(torch.ones(3)), nn.Parameter(torch.tensor(1.0))
        self.mixed = nn.ParameterDict({"mix": torch.eye(3)})

    def forward(self, x):
        return self.gain * (x @ self.mixed["mix"]) / self.pace


def threshold():
    model = nn.Sequential(lb.LIF(5, 20, recurrent=True, delay=2.0), lb.LIReadout(20, 3))
    for name in ("threshold", "tau_mem", "tau_syn"):
        getattr(model[0], name).requires_grad_()
    return model


def bias():
    return nn.Sequential(lb.LIF(5, 20, bias=0.1, dt=None), lb.LIReadout(20, 3, dt=None))


def head():
    return nn.Sequential(
        Thin(), lb.LIF(5, 20), lb.LIReadout(20, 12), nn.Dropout(0.2), nn.Linear(12, 8), nn.ReLU(), nn.LayerNorm(8),
        nn.Linear(8, 3), Odd(),
    )  # fmt: skip


def learned():
    return nn.Sequential(Learned(), lb.LIF(12, 20), Counts(), nn.Linear(20, 3))


def nested():
    return nn.Sequential(nn.Sequential(Block(), Thin()), nn.Sequential(lb.LIReadout(20, 3)))


def frozen():
    model = nn.Sequential(lb.LIF(5, 20), lb.LIF(20, 20), lb.LIReadout(20, 3))
    model[0].requires_grad_(False)
    return model


def silent():
    return nn.Sequential(Counts(), nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 3))


MODELS = {f.__name__: f for f in (threshold, bias, head, learned, nested, frozen, silent)}
SPIKING = {"threshold": 1, "bias": 1, "head": 1, "learned": 2, "nested": 3, "frozen": 2, "silent": 0}
SETTINGS = Config(
    epochs=5, batch_size=50, shift=0, jitter=0.5, initial_spikes=1.0, rate_lower=0.2, lr=1e-2, lr_tau=0.1, lr_delay=0.2,
    weight_decay=0.01, schedule="constant",
)  # fmt: skip


class Quiet:
    """Asks to stop after so many batches."""

    def __init__(self, after=None):
        self.stop, self.after, self.done = Stop(), after, 0

    def batch(self, *_):
        self.done += 1
        self.stop.asked = self.done == self.after

    def epoch(self, metrics):
        pass


def trainer_of(name, data, config=SETTINGS, start=True):
    torch.manual_seed(3)
    train, valid = data.split(0.2, seed=0)
    trainer = Trainer(MODELS[name](), config, train, valid)
    if start:
        trainer.start()
    return trainer


def epoch(trainer, stop_after=None):
    watcher = Quiet(stop_after)
    return trainer.run_epoch(watcher, watcher.stop)


def values(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_and_moves_what_it_should(data, name):
    trainer = trainer_of(name, data)
    before, losses = values(trainer), []
    for _ in range(SETTINGS.epochs):
        losses.append(epoch(trainer)["loss"])
    assert losses[-1] < losses[0]
    for parameter, value in trainer.model.named_parameters():
        assert torch.equal(value, before[parameter]) != value.requires_grad, parameter


@pytest.mark.parametrize("name", MODELS)
def test_it_resumes_bit_for_bit(data, name):
    whole, first, second = (trainer_of(name, data, start=start) for start in (True, True, False))
    for _ in range(2):
        expected = epoch(whole) | whole.validate()
    assert epoch(first, stop_after=3) is None
    second.restore(copy.deepcopy(first.checkpoint()))
    torch.manual_seed(99)  # what others draw does not matter
    for _ in range(2):
        got = epoch(second) | second.validate()
    a, b = whole.checkpoint(), second.checkpoint()
    assert all(torch.equal(a["model"][k], b["model"][k]) for k in a["model"])
    for key, state in a["optimizer"]["state"].items():
        assert all(torch.equal(state[k], b["optimizer"]["state"][key][k]) for k in state)
    timed = ("seconds", "samples_per_s")
    assert {k: v for k, v in got.items() if k not in timed} == {k: v for k, v in expected.items() if k not in timed}


@pytest.mark.parametrize("name", MODELS)
def test_hidden_spikes_through_the_models_own_forward(data, name):
    model = MODELS[name]().eval()
    events, _ = data.batch(range(10))
    scores, hidden = forward(model, events)
    assert torch.equal(scores, model(events))
    assert len(hidden) == SPIKING[name]
    assert all(isinstance(h, lb.Events) for h in hidden)
    assert not any(m._forward_hooks for m in model.modules())


def test_hidden_spikes_of_a_plain_chain(data):
    model = nn.Sequential(lb.LIF(5, 20), lb.LIF(20, 10))
    model[0].weight.data.mul_(5)
    events, _ = data.batch(range(10))
    out, hidden = forward(model, events)
    a = model[0](events)
    for got, expected in zip(hidden, (a, model[1](a)), strict=True):
        assert torch.equal(got.times, expected.times)
    assert hidden[-1] is out


def test_hooks_are_gone_after_an_error(data):
    model = nn.Sequential(lb.LIF(5, 20), lb.LIReadout(19, 3))
    with pytest.raises(ValueError, match="19 inputs"):
        forward(model, data.batch(range(10))[0])
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's, from its own look at .grad
def test_a_compiled_model(data):
    """Compiled before there were hooks: hidden spikes and steps are the plain model's."""
    plain = trainer_of("frozen", data)
    config = dataclasses.replace(SETTINGS, rate_lower=5.0)
    compiled = Trainer(torch.compile(copy.deepcopy(plain.model), backend="eager"), config, data)
    plain = Trainer(plain.model, config, data)
    compiled.model(data.batch(range(10))[0])
    for i in range(3):
        events, labels = data.batch(range(10 * i, 10 * i + 10))
        (a, hidden_a), (b, hidden_b) = forward(plain.model, events), forward(compiled.model, events)
        assert torch.equal(a, b)
        assert [torch.equal(x.times, y.times) for x, y in zip(hidden_a, hidden_b, strict=True)] == [True, True]
        assert plain.step(events, labels) == compiled.step(events, labels)
    for x, y in zip(plain.model.parameters(), compiled.model.parameters(), strict=True):
        assert torch.equal(x, y)


def test_no_spiking_layer_no_activity(data):
    figures = trainer_of("silent", data).step(*data.batch(range(10)))
    assert figures["spikes_per_unit"] == figures["silent"] == 0
    assert figures["loss"] > 0


def test_roles():
    model = threshold()
    config = dataclasses.replace(SETTINGS, lr=1.0, lr_tau=2.0, lr_delay=3.0)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = [([names[p] for p in g["params"]], g["base"], g["weight_decay"]) for g in parameter_groups(model, config)]
    assert groups == [
        (["0.weight", "0.recurrent_weight", "1.weight"], 1.0, 0.01),
        (["0.tau_mem", "0.tau_syn"], 2.0, 0.0),
        (["0.delay"], 3.0, 0.0),
        (["0.threshold"], 1.0, 0.0),
    ]
    assert [role(nn.Linear(2, 3), n) for n in ("weight", "bias")] == ["weight", "other"]
    assert [role(nn.Conv1d(2, 3, 4), n) for n in ("weight", "bias")] == ["weight", "other"]
    assert [role(nn.LayerNorm(2), n) for n in ("weight", "bias")] == ["other", "other"]
    assert [role(Odd(), n) for n in ("pace", "gain")] == ["tau", "other"]


def test_shared_and_frozen_parameters_are_grouped_once():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    b.bias.requires_grad_(False)
    assert [g["params"] for g in parameter_groups(nn.Sequential(a, b, a), SETTINGS)] == [[a.weight], [a.bias]]


def test_a_rate_of_0_leaves_parameters_alone(data):
    trainer = trainer_of("threshold", data, dataclasses.replace(SETTINGS, lr_tau=0.0, lr_delay=0.0))
    before = values(trainer)
    epoch(trainer)
    moved = {name for name, value in values(trainer).items() if not torch.equal(value, before[name])}
    assert moved == {"0.weight", "0.recurrent_weight", "0.threshold", "1.weight"}


def test_what_gives_no_scores_is_told(data):
    trainer = Trainer(nn.Sequential(lb.LIF(5, 3)), SETTINGS, data)
    with pytest.raises(ValueError, match=r"must give a tensor such as scores \(batch, classes\), got Events"):
        trainer.step(*data.batch(range(10)))


def test_scores_of_every_step(data):
    figures = Trainer(nn.Sequential(lb.LIF(5, 9), lb.LIReadout(9, 3, reduce="none")), SETTINGS, data).step(
        *data.batch(range(10))
    )
    assert 0 < figures["accuracy"] < 10


def test_what_is_no_chain_is_not_quantised(data):
    trainer = trainer_of("head", data)
    with pytest.raises(TypeError, match=r"layer 0 \(Thin\)"):
        trainer.start_aware(data.batch(range(10))[0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_that_is_shown_is_not_smoothed(data, smoothing):
    trainer = trainer_of("frozen", data, dataclasses.replace(SETTINGS, label_smoothing=smoothing))
    events, labels = data.batch(range(10))
    scores = trainer.model(events)
    expected = lb.losses.readout_cross_entropy(scores, labels).item()
    assert trainer.step(events, labels)["loss"] == expected * 10


def test_gradients_are_clipped_and_values_constrained(data):
    config = Config(hidden=20, delay=5.0, lr_delay=1000.0, lr_tau=1000.0, shift=0, batch_size=100)
    trainer = Trainer(build_model(config, 5, 3), config, data)
    trainer.start()
    for events, labels in data.batches(100):
        trainer.step(events, labels)
    layer = trainer.model[0]
    assert layer.delay.min() >= 0
    assert layer.delay.max() <= layer.max_delay
    assert layer.tau_mem.min() >= config.dt


def test_schedule(data):
    model = build_model(Config(hidden=3), 5, 3)
    trainer = Trainer(model, Config(epochs=10, warmup=2.0, batch_size=100), data)
    rates = []
    for epoch in range(10):
        trainer.state.epoch = epoch
        rates.append(trainer.rate())
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > rates[5] > rates[9] > 0
    assert Trainer(model, Config(schedule="constant"), data).rate() == 1.0
    trainer = Trainer(model, Config(epochs=10, qat_bits="4", qat_epochs=4, qat_lr=0.2), data)
    trainer.state.aware_from = trainer.state.epoch = 10
    assert trainer.rate() == pytest.approx(0.2)
    trainer.state.epoch = 12
    assert trainer.rate() == pytest.approx(0.1)
