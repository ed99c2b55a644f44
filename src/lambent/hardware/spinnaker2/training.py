"""`train_on_chip`: a torch model learns on the model of the chip."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor, nn

from lambent.data import SpikeDataset
from lambent.events import Events, n_steps
from lambent.hardware.spinnaker2.convert import check_model, check_trainable, to_chip, write_weights
from lambent.hardware.spinnaker2.cost import UpdateCost, update_cost
from lambent.hardware.spinnaker2.fast import FastMachine, spikes_of
from lambent.hardware.spinnaker2.machine import Batch, Machine
from lambent.hardware.spinnaker2.network import Spinnaker2Network, check_network
from lambent.hardware.spinnaker2.place import Placement, place
from lambent.hardware.spinnaker2.rules import CrossEntropy, FirstSpike, Loss, Rule
from lambent.hardware.spinnaker2.running import run_network
from lambent.layers import LIReadout
from lambent.machine.denormals import denormals_flushed
from lambent.machine.showing import Short
from lambent.machine.threads import engine_only_threads

MACHINES: dict[str, Any] = {"fast": FastMachine, "packets": Machine}
_RATES = {"lambent": 1e-2, "bena2024": 1.9e-3}


@dataclass(frozen=True, eq=False)
class ChipTraining(Short):
    """What became of training.

    Attributes:
        network: on the chip, with the weights at the end.
        placement: where it lies.
        rule: how it learned.
        history: for each epoch its number, loss, share of right answers while learning, spikes per unit and sample,
            share of units that were silent all through, seconds, and the learning rate.
        machine: what it ran on, with the `traffic` of a packet machine.
    """

    network: Spinnaker2Network
    placement: Placement
    rule: Rule
    history: list[dict[str, float]]
    machine: Machine | FastMachine


def default_rule(model: nn.Module, adjoint: str = "lambent") -> Rule:
    """The rule of that adjoint for a model: its loss by the last layer, and for "lambent" bounds on rates.

    "bena2024" has the loss of Bena et al. "lambent" tells first spikes apart as sharply as steps allow, without their
    push to be early, and pulls up hidden units below 1 spike in 2 samples and outputs below 1 in each: an output that
    is silent where it should be first has no time to learn from. Under "bena2024" most that fall silent are lost.
    """
    modules, dt = check_model(model)
    last, lower = modules[-1], [0.5] * (len(modules) - 1)
    if isinstance(last, LIReadout):
        loss: Loss = CrossEntropy(count_gradient=last.count_gradient)
    else:
        loss = FirstSpike(tau=dt, alpha=0.0) if adjoint == "lambent" else FirstSpike()
        lower.append(1.0)
    if adjoint != "lambent":
        return Rule(adjoint, loss)
    return Rule(adjoint, loss, tuple((x, math.inf) for x in lower), rate_strength=0.1)


class Learner:
    """A model that learns on the chip, a batch at a time; see `lambent.hardware.chip.Learner`.

    Args:
        model: as `to_chip` takes it; it is not changed before `write`.
        rule: how it learns.
        duration: of a sample [ms].
        batch: the most samples of a batch.
        machine: "fast", or "packets".
        groups, spikes: as for `place`.

    Attributes:
        placement, machine: where the network lies, and what computes it.

    Raises:
        TypeError, ValueError: as `train_on_chip`.
    """

    def __init__(
        self, model: nn.Module, rule: Rule, duration: float, batch: int, machine: str = "fast",
        groups: int | None = None, spikes: float | None = None,
    ) -> None:  # fmt: skip
        if machine not in MACHINES:
            raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {machine!r}")
        network = to_chip(model)
        check_trainable(model)
        steps = n_steps(duration, network.dt)
        self.rule = rule
        self.placement = place(network, steps, batch=batch, training=True, spikes=spikes, groups=groups)
        self.machine: Machine | FastMachine = MACHINES[machine](self.placement, rule, duration)

    @property
    def network(self) -> Spinnaker2Network:
        """With the weights that it has now."""
        return self.placement.network.with_matrices(self.machine.matrices())

    def step(self, events: Events, labels: Tensor, rate: float, decay: float = 0.0) -> tuple[dict[str, float], Batch]:
        """Learn from a batch, at a rate and with a weight decay; returns figures, and what the batch did.

        Raises:
            Overrun: a buffer of the chip was full.
        """
        layers = self.placement.network.layers
        if events.n_units != layers[0].n_in:
            raise ValueError(f"the data have {events.n_units} units, the network {layers[0].n_in} inputs")
        y = labels.numpy()
        if y.max(initial=0) >= layers[-1].n_out:
            raise ValueError(f"the network has {layers[-1].n_out} classes, the data a label {y.max()}")
        with denormals_flushed():
            done = self.machine.batch(spikes_of(events, self.placement.network.dt), y)
            self.machine.update(done.gradients, rate, decay)
        counts = done.counts[:, : sum(layer.n_out for layer in layers if layer.spiking)]
        figures = {
            "loss": done.loss,
            "accuracy": float((done.answers == y).mean()),
            "spikes_per_unit": float(counts.mean()) if counts.size else 0.0,
            "silent": float((counts.sum(0) == 0).mean()) if counts.size else 0.0,
        }
        return figures, done

    def state(self) -> dict[str, Any]:
        """See `lambent.hardware.chip.Learner`."""
        return self._fast().state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `lambent.hardware.chip.Learner`."""
        self._fast().load_state(state)

    def _fast(self) -> FastMachine:
        if not isinstance(self.machine, FastMachine):
            raise TypeError("only the fast machine can be stopped and gone on with")
        return self.machine

    def write(self, model: nn.Module) -> None:
        """Put the weights into the model, in its own units.

        Raises:
            FloatingPointError: they are no longer finite.
        """
        if not all(np.isfinite(matrix).all() for matrix in self.machine.matrices()):
            raise FloatingPointError("weights are no longer finite: lower the rate")
        write_weights(self.network, model)

    def cost(self, events: Events, labels: Tensor) -> UpdateCost:
        """What an update costs on the chip, modelled from a batch on the packet machine."""
        now = replace(self.placement, network=self.network)
        return update_cost(now, self.rule, events, labels)


@engine_only_threads()
def train_on_chip(
    model: nn.Sequential,
    data: SpikeDataset,
    *,
    rule: str | Rule = "lambent",
    epochs: int = 1,
    batch_size: int = 22,
    lr: float | None = None,
    decay: float = 0.95,
    weight_decay: float = 6.5e-7,
    seed: int = 0,
    machine: str = "fast",
    groups: int | None = None,
    spikes: float | None = None,
    progress: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> ChipTraining:
    """Train `model`, in place, as SpiNNaker2 would: float32, event packets, a batch over groups of elements.

    With ``rule="bena2024"`` the defaults are the setting of Bena et al. (arXiv 2412.15021); "lambent" has an adjoint,
    a loss and bounds on rates of its own (`rules`). Samples come in another order each epoch; those left over that make
    no whole batch have to wait for the next.

    Args:
        model: as `to_chip` takes it; afterwards it has the weights that were learned, in its own units.
        data: samples with class labels.
        rule: "lambent", "bena2024" (see `lambent.hardware.spinnaker2.rules`), or a `Rule` with a loss of its own.
        epochs, batch_size: passes over the data, and samples of an update.
        lr, decay, weight_decay: of Adam, in the chip's units of weights; `decay` is a factor on the rate an epoch.
            `lr` is 1.9e-3 for "bena2024", else 1e-2 where none is given, for some thousands of updates; a hundred
            thousand of them want 6e-4.
        seed: of the order of samples.
        machine: "fast", or "packets" for the same tick by tick.
        groups, spikes: as for `place`.
        progress: called with the metrics of each epoch.

    Raises:
        TypeError, ValueError: the chip has no words for the model, it does not fit, or an argument is out of range.
        Overrun: a buffer or a log of the chip was full; says which, and by how much.
        FloatingPointError: weights are no longer finite.

    After the last two the model has the weights of the last epoch that was finished.

    >>> model = torch.nn.Sequential(lb.LIF(5, 30), lb.LIF(30, 3))
    >>> data = lb.data.yin_yang(66, seed=0)
    >>> done = lb.hardware.spinnaker2.train_on_chip(model, data, epochs=2)
    >>> [sorted(x) for x in done.history][0]
    ['accuracy', 'epoch', 'loss', 'lr', 'seconds', 'silent', 'spikes_per_unit']
    """
    if not isinstance(data, SpikeDataset):
        raise TypeError(f"data must be a lambent.data.SpikeDataset, got {type(data).__name__}")
    for name, value, lowest in (("epochs", epochs, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
            raise ValueError(f"{name} must be a whole number from {lowest} on, got {value!r}")
    chosen = rule if isinstance(rule, Rule) else default_rule(model, rule)
    if lr is None:
        lr = _RATES[chosen.adjoint]
    for name, number, least in (("lr", lr, 0.0), ("decay", decay, 0.0), ("weight_decay", weight_decay, None)):
        if isinstance(number, bool) or not isinstance(number, Real):
            raise TypeError(f"{name} must be a number, got {number!r}")
        if not (number >= 0 if least is None else number > least) or not number < math.inf:
            raise ValueError(f"{name} must be {'0 or more' if least is None else 'positive'}, got {number}")
    if not data.has_classes:
        raise ValueError(f"learning needs a class label for each sample, and {data!r} has none")
    if len(data) < batch_size:
        raise ValueError(f"{len(data)} samples make no batch of {batch_size}; use a smaller batch_size")
    learner = Learner(model, chosen, data.duration, batch_size, machine, groups, spikes)
    order, history = np.random.default_rng(seed), []
    n, spiking = len(data) // batch_size, sum(x.n_out for x in learner.placement.network.layers if x.spiking)
    for epoch in range(epochs):
        start, shuffled, rate = time.perf_counter(), order.permutation(len(data)), lr * decay**epoch
        sums, counts = dict.fromkeys(("loss", "accuracy", "spikes_per_unit"), 0.0), np.zeros(spiking)
        for i in range(n):
            figures, done = learner.step(
                *data.batch(shuffled[i * batch_size : (i + 1) * batch_size]), rate, weight_decay
            )
            sums = {name: value + figures[name] for name, value in sums.items()}
            counts += done.counts[:, :spiking].sum(0)
        learner.write(model)
        history.append({
            "epoch": epoch + 1, **{name: value / n for name, value in sums.items()},
            "silent": float((counts == 0).sum()) / max(1, spiking), "seconds": time.perf_counter() - start, "lr": rate,
        })  # fmt: skip
        progress(history[-1])
    return ChipTraining(learner.network, learner.placement, chosen, history, learner.machine)


def chip_accuracy(network: Spinnaker2Network, data: SpikeDataset, batch_size: int = 500) -> float:
    """Share of samples that the network on the chip answers right.

    Of equally early spikes the first unit's counts, and where no output spikes the first unit's, too.

    Raises:
        TypeError, ValueError: there are no data, they have no classes, or they are not for this network.
    """
    check_network(network)
    if not isinstance(data, SpikeDataset):
        raise TypeError(f"data must be a lambent.data.SpikeDataset, got {type(data).__name__}")
    if not len(data):
        raise ValueError("there are no samples to be right about")
    if not data.has_classes:
        raise ValueError(f"a share of right answers needs a class label for each sample, and {data!r} has none")
    if (most := int(data.labels.max())) >= (n := network.layers[-1].n_out):
        raise ValueError(f"the network has {n} classes, the data a label {most}")
    right = 0
    for events, labels in data.batches(batch_size):
        scores = network.readout.scores(run_network(network, events, (network.readout.reads,)))
        right += int((scores.argmax(1) == labels.numpy()).sum())
    return right / len(data)
