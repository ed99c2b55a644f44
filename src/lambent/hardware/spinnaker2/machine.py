"""`Machine`: the chip, tick by tick and packet by packet. It is slow, and what `fast.py` computes is held against it.

A batch runs in waves of as many samples as there are groups. Time passes in ticks that all elements share: what one
sends in a tick lies in the buffers of those that listen when the next begins.

    forward   steps + 1 ticks     inputs, layers; in the last the head works out the loss
    counts    by DMA, where the rule has rates: the spikes of the batch, and what one more would be worth;
              of several waves the samples then run forward once more, each before it runs backward
    backward  steps ticks         the head, from the last step on; layers from the one before
    update    by DMA: gradients of the samples in their order, Adam, weights back to all groups
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lambent.hardware.chip import Overrun
from lambent.hardware.spinnaker2.kernels import Spikes
from lambent.hardware.spinnaker2.packets import Fifo, Kind, Packet, unpack
from lambent.hardware.spinnaker2.place import Placement
from lambent.hardware.spinnaker2.programs import Backward, Forward, Loss, Source, Tile, Update
from lambent.hardware.spinnaker2.rates import rate_loss, rate_push
from lambent.hardware.spinnaker2.rules import CrossEntropy, Rule


@dataclass
class Traffic:
    """What went over the chip since a machine was made.

    Attributes:
        packets: sent, by kind.
        sent, received: copies that routers made of them, and those that buffers took.
        hops: links that they passed.
        bits: of the packets sent.
        moved: bytes by DMA.
        forward, backward: cycles of the busiest element in each tick of the last batch's last wave.
        update: cycles of the busiest element of the last update.
    """

    packets: dict[str, int] = field(default_factory=lambda: {kind.name.lower(): 0 for kind in Kind})
    sent: int = 0
    received: int = 0
    hops: int = 0
    bits: int = 0
    moved: int = 0
    forward: list[int] = field(default_factory=list)
    backward: list[int] = field(default_factory=list)
    update: int = 0


@dataclass(frozen=True)
class Batch:
    """What a batch of samples did.

    Attributes:
        loss: mean over samples, with the penalty on rates.
        answers: (samples,) the classes answered.
        gradients: (samples, weights) float32, one row a sample: all layers' matrices, flat, one after another.
        counts: (samples, units) spikes of all layers' units; of the wave's readout 0.
    """

    loss: float
    answers: np.ndarray
    gradients: np.ndarray
    counts: np.ndarray


class Machine:
    """A network on a chip.

    Args:
        placement: where it lies, with room to learn.
        rule: how it learns.
        duration: of a sample [ms]; what an output without a spike counts as.

    Attributes:
        traffic: what went over the chip.
        tiles: by group and slice.

    Raises:
        ValueError: the placement is for inference, or rule and last layer do not fit each other.
    """

    def __init__(self, placement: Placement, rule: Rule, duration: float) -> None:
        check_rule(placement, rule)
        self.placement, self.rule, self.traffic = placement, rule, Traffic()
        network, steps, chip = placement.network, placement.steps, placement.constants
        lambent, last = rule.adjoint == "lambent", network.layers[-1]
        factors = np.zeros(steps, np.float32) if last.spiking else network.readout.factors(steps)
        count = rule.loss.count_gradient if isinstance(rule.loss, CrossEntropy) else 0.0
        groups, slices = range(placement.groups), range(len(placement.slices))
        self.tiles = [[Tile(placement, g, p) for p in slices] for g in groups]
        self._forward = [[Forward(tile, lambent, factors) for tile in row] for row in self.tiles]
        self._backward = [[Backward(tile, lambent, factors, count) for tile in row] for row in self.tiles]
        heads = [placement.element(g) for g in groups]
        self._sources = [Source(e, chip) for e in heads]
        shape = (last.n_out, len(network.layers), steps, network.dt, duration)
        self._losses = [Loss(e, *shape, rule, chip) for e in heads]
        self.updates = [Update(placement, part) for part in range(len(placement.parts))]
        self.fifos = [Fifo(chip.fifo) for _ in range(placement.n_cores)]

    # -- packets ----------------------------------------------------------------------------------------------

    def _targets(self, packet: Packet) -> list[int]:
        """The elements that a packet goes to, as the routers' tables have it."""
        kind, element, layer, unit = unpack(packet.key)
        place, layers = self.placement, self.placement.network.layers
        group, from_head = divmod(element, place.group_size)
        if kind == Kind.SPIKE:
            to = [place.element(group, p) for p in place.of_layer(layer)] if layer < len(layers) else []
            if layer and layers[layer - 1].recurrent:
                to = [place.element(group, p) for p in place.of_layer(layer - 1)] + to
            return to if layer < len(layers) else [place.element(group), *to]
        if kind == Kind.VALUE and from_head:
            return [place.element(group)]
        owner = (p for p in place.of_layer(layer - 1) if place.slices[p].first <= unit < place.slices[p].last)
        return [place.element(group, next(owner))]

    def _send(self, packets: Sequence[Packet]) -> None:
        traffic = self.traffic
        for packet in packets:
            kind, sender = Kind(packet.key >> 30), packet.key >> 22 & 0xFF
            targets = self._targets(packet)
            traffic.packets[kind.name.lower()] += 1
            traffic.bits += packet.bits
            traffic.sent += len(targets)
            traffic.hops += self.placement.hops(sender, targets)
            for element in targets:
                before = self.fifos[element].received
                self.fifos[element].put(packet)
                traffic.received += self.fifos[element].received - before

    def _check_fifos(self, tick: int, going: str) -> None:
        if lost := {e: fifo.lost for e, fifo in enumerate(self.fifos) if fifo.lost}:
            element, n = max(lost.items(), key=lambda item: item[1])
            raise Overrun(
                f"tick {tick} {going}: {sum(lost.values())} packets were lost, {n} of them at element {element}, whose "
                f"buffer has room for {self.placement.constants.fifo}; spread the input out in time"
            )

    # -- a batch ----------------------------------------------------------------------------------------------

    def batch(self, spikes: Spikes, labels: np.ndarray) -> Batch:
        """Run a batch forward and backward; weights stay as they are until `update`.

        Raises:
            Overrun: a buffer or a log was full.
            ValueError: there are more samples than was made room for.
        """
        n, place, rule = len(labels), self.placement, self.rule
        waves = [range(a, min(a + place.groups, n)) for a in range(0, n, place.groups)]
        if len(waves) > place.waves:
            raise ValueError(f"{n} samples are more than {place.waves} waves of {place.groups}; place with batch={n}")
        sizes = [layer.n_out for layer in place.network.layers]
        counts = np.zeros((n, sum(sizes)), np.int32)
        losses, answers = np.zeros(n, np.float32), np.zeros(n, np.int64)
        gradients = np.zeros((n, sum(layer.matrix.size for layer in place.network.layers)), np.float32)
        push = np.zeros(sum(sizes), np.float32)
        if rule.rates is not None:  # of the whole batch, so that several waves run forward twice
            for wave in waves:
                counts[wave] = self._run_forward(wave, spikes, labels)
            push = rate_push(counts.sum(0), sizes, rule.rates, rule.rate_strength, n)
            self.traffic.moved += 8 * len(push) * min(n, place.groups)  # counts, and what they are worth
        for wave in waves:
            if rule.rates is None or len(waves) > 1:
                counts[wave] = self._run_forward(wave, spikes, labels)
            self._run_backward(len(wave), push)
            for g, b in enumerate(wave):
                losses[b], answers[b] = self._losses[g].loss, self._losses[g].answer
                gradients[b] = np.concatenate([x.ravel() for x in self._gradients(g)])
        loss = float(losses.sum(dtype=np.float64))
        loss += rate_loss(counts.sum(0), sizes, rule.rates, rule.rate_strength, n)
        return Batch(loss, answers, gradients, counts)

    def _run_forward(self, samples: range, spikes: Spikes, labels: np.ndarray) -> np.ndarray:
        """A wave of samples; returns the spikes of their units (samples, units)."""
        steps, place, traffic = self.placement.steps, self.placement, self.traffic
        for g, b in enumerate(samples):
            self._sources[g].start(spikes.unit, spikes.upto[b])
            self._losses[g].start(int(labels[b]), len(labels))
            for program in self._forward[g]:
                program.start()
        traffic.forward = []
        for i in range(steps + 1):
            out, busiest = [], 0
            for g in range(len(samples)):
                source, loss = self._sources[g], self._losses[g]
                out += loss.tick(self.fifos[place.element(g)].take())
                cycles = loss.cycles
                if i < steps:
                    out += source.tick([])
                    cycles += source.cycles
                    for p, program in enumerate(self._forward[g]):
                        out += program.tick(self.fifos[place.element(g, p)].take())
                        busiest = max(busiest, program.cycles)
                busiest = max(busiest, cycles)
            self._send(out)
            self._check_fifos(i, "forward")
            traffic.forward.append(busiest)
        self._drop()  # the spikes of the last step, which nobody but the heads takes
        tiles = self.tiles[: len(samples)]
        return np.stack([np.concatenate([tile.memory.arrays["counts"] for tile in row]) for row in tiles])

    def _drop(self) -> None:
        for fifo in self.fifos:
            fifo.take()

    def _run_backward(self, samples: int, push: np.ndarray) -> None:
        """The wave that ran forward last."""
        steps, place, traffic = self.placement.steps, self.placement, self.traffic
        ends = np.cumsum([0, *(layer.n_out for layer in place.network.layers)])
        for g in range(samples):
            for p, program in enumerate(self._backward[g]):
                program.start()
                own = place.slices[p]
                first = ends[own.layer]
                self.tiles[g][p].memory.arrays["push"][:] = push[first + own.first : first + own.last]
        traffic.backward = []
        for i in range(steps - 1, -1, -1):
            out, busiest = [], 0
            for g in range(samples):
                out += self._losses[g].tick([])
                busiest = max(busiest, self._losses[g].cycles)
                for p, program in enumerate(self._backward[g] if i < steps - 1 else []):
                    out += program.tick(self.fifos[place.element(g, p)].take())
                    busiest = max(busiest, program.cycles)
            self._send(out)
            self._check_fifos(i, "backward")
            traffic.backward.append(busiest)
        self._drop()

    def _gradients(self, group: int) -> Iterator[np.ndarray]:
        """Of each layer, put together from its slices."""
        for layer in range(len(self.placement.network.layers)):
            slices = self.placement.of_layer(layer)
            yield np.concatenate([self.tiles[group][p].memory.arrays["gradients"] for p in slices], axis=1)

    # -- learning ---------------------------------------------------------------------------------------------

    def update(self, gradients: np.ndarray, rate: float, decay: float = 0.0) -> None:
        """One step of Adam with the gradients of a batch; all groups get the new weights."""
        place, blocks = self.placement, self._blocks(gradients)
        self.traffic.update = 0
        for program, own, block in zip(self.updates, place.parts, blocks, strict=True):
            program.start(rate, decay)
            (weights,) = program.tick(block)
            for tiles in self.tiles:
                tiles[own.slice].weights[own.first : own.last] = weights
            self.traffic.moved += weights.nbytes * (len(block) + place.groups)
            self.traffic.update = max(self.traffic.update, program.cycles)

    def _blocks(self, gradients: np.ndarray) -> Iterator[list[np.ndarray]]:
        """For each element of the updates, its rows of each sample's gradient."""
        layers = self.placement.network.layers
        starts = np.cumsum([0, *(layer.matrix.size for layer in layers)])
        for part in self.placement.parts:
            own = self.placement.slices[part.slice]
            shape = (-1, *layers[own.layer].matrix.shape)
            of_layer = gradients[:, starts[own.layer] : starts[own.layer + 1]].reshape(shape)
            yield list(of_layer[:, part.first : part.last, own.first : own.last])

    def matrices(self) -> list[np.ndarray]:
        """The weights of each layer as they are now."""
        found = []
        for layer in range(len(self.placement.network.layers)):
            slices = self.placement.of_layer(layer)
            found.append(np.concatenate([self.tiles[0][p].weights for p in slices], axis=1))
        return found


def check_rule(placement: Placement, rule: Rule) -> None:
    """Raise ValueError if a network, as it is placed, cannot learn by a rule."""
    network = placement.network
    if not placement.training:
        raise ValueError("the placement has no room to learn; place with training=True")
    last = network.layers[-1]
    if last.spiking == isinstance(rule.loss, CrossEntropy):
        kind = "spikes: its loss is a FirstSpike" if last.spiking else "is a readout: its loss is a CrossEntropy"
        raise ValueError(f"{last.name} {kind}, not {type(rule.loss).__name__}")
    spiking = sum(layer.spiking for layer in network.layers)
    if rule.rates is not None and len(rule.rates) != spiking:
        raise ValueError(f"rates must be one pair for each of {spiking} spiking layers, got {len(rule.rates)}")
