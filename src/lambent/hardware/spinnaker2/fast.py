"""`FastMachine`: the numbers of `Machine`, bit for bit, without its packets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from lambent.events import Events, n_steps
from lambent.hardware.chip import Overrun
from lambent.hardware.spinnaker2 import kernels
from lambent.hardware.spinnaker2.kernels import Spikes, Trace, Wiring
from lambent.hardware.spinnaker2.machine import Batch, check_rule
from lambent.hardware.spinnaker2.network import Spinnaker2Network, Units
from lambent.hardware.spinnaker2.place import MORE_ROOM, Placement
from lambent.hardware.spinnaker2.rates import rate_loss, rate_push
from lambent.hardware.spinnaker2.rules import FirstSpike, Rule
from lambent.machine.denormals import denormals_flushed
from lambent.machine.threads import engine_threads, in_threads

_SMALL = 4  # samples, below which a thread is not worth its start


def spikes_of(events: Events, dt: float) -> Spikes:
    """Input spikes by sample and step, in the order of units.

    Raises:
        ValueError: spikes carry values, which the packets of spikes do not.
    """
    if events.values is not None:
        raise ValueError("the spikes carry values, which the packets of the chip's spikes do not")
    if events.device.type != "cpu":
        events = events.to("cpu")
    steps, batch = n_steps(events.duration, dt), len(events)
    units = events.units.numpy().astype(np.int64)
    at = events.samples().numpy() * steps + events.steps(dt).numpy().astype(np.int64)
    order = np.lexsort((units, at))
    upto = np.zeros(batch * steps + 1, np.int64)
    np.cumsum(np.bincount(at, minlength=batch * steps), out=upto[1:])
    rows = upto[np.arange(batch)[:, None] * steps + np.arange(steps + 1)]
    return Spikes(units[order].astype(np.int32), rows)


def wiring_of(network: Spinnaker2Network, slices: list[list[tuple[int, int]]] | None = None) -> Wiring:
    """Layers as the kernels take them.

    Args:
        network: the layers.
        slices: first and last unit of each slice of each layer; left out, one slice each.
    """
    layers = network.layers
    cut, cuts = [], [0]
    for layer, own in zip(layers, slices or [[(0, layer.n_out)] for layer in layers], strict=True):
        cut += [a for a, _ in own] + [layer.n_out]
        cuts.append(len(cut))
    return Wiring(
        size=np.array([network.n_in, *(layer.n_out for layer in layers)]),
        first=np.cumsum([0, *(layer.n_out for layer in layers)]),
        start=np.cumsum([0, *(layer.matrix.size for layer in layers)]),
        loops=np.array([layer.recurrent for layer in layers]),
        cut=np.array(cut),
        cuts=np.array(cuts),
        scale=np.array([layer.scale for layer in layers], np.float32),
        spiking=layers[-1].spiking,
    )


def units_of(network: Spinnaker2Network) -> Units:
    """The constants of all layers' units."""
    return kernels.flat_units([layer.units(network.dt) for layer in network.layers])


def flat_weights(network: Spinnaker2Network) -> np.ndarray:
    """The weights of all layers, float32, flat."""
    return np.concatenate([layer.matrix.ravel().astype(np.float32) for layer in network.layers])


def new_trace(wiring: Wiring, batch: int, steps: int) -> Trace:
    """Room for what a batch does."""
    n, layers = int(wiring.first[-1]), len(wiring.loops)
    per_spike, per_unit = (batch, n * steps), (batch, n)
    return Trace(
        fired=np.zeros(per_spike, np.int32),
        upto=np.zeros((batch, layers, steps + 1), np.int32),
        slope=np.zeros(per_spike, np.float32),
        error=np.zeros(per_spike, np.float32),
        worth=np.zeros(per_spike, np.float32),
        counts=np.zeros(per_unit, np.int32),
        highest=np.zeros(per_unit, np.float32),
        peak=np.zeros(per_unit, np.int32),
        scores=np.zeros((batch, int(wiring.size[-1])), np.float32),
        push=np.zeros(per_unit, np.float32),
    )


def chunks(batch: int) -> list[tuple[int, int]]:
    """Samples for each thread, first and last."""
    n = max(1, min(engine_threads(), batch // _SMALL))
    return list(pairwise(batch * t // n for t in range(n + 1)))


class FastMachine:
    """A network on a chip, computed by `kernels.py`; arguments and methods are those of `Machine`."""

    def __init__(self, placement: Placement, rule: Rule, duration: float) -> None:
        check_rule(placement, rule)
        network = placement.network
        self.placement, self.rule, self.duration = placement, rule, np.float32(duration)
        slices = [[placement.slices[p][1:] for p in placement.of_layer(layer)] for layer in range(len(network.layers))]
        self._wiring, self._units = wiring_of(network, slices), units_of(network)
        self._weights = flat_weights(network)
        self._moments = np.zeros_like(self._weights), np.zeros_like(self._weights)
        self._sum = np.zeros_like(self._weights)
        last, steps = network.layers[-1], placement.steps
        self._factors = np.zeros(steps, np.float32) if last.spiking else network.readout.factors(steps)
        self._updates = 0
        self._room: tuple[Trace, np.ndarray] | None = None

    def _arrays(self, batch: int) -> tuple[Trace, np.ndarray]:
        """Trace and gradients for a batch, kept for the next."""
        if self._room is None or len(self._room[1]) < batch:
            trace = new_trace(self._wiring, batch, self.placement.steps)
            self._room = trace, np.zeros((batch, len(self._weights)), np.float32)
        trace, gradients = self._room
        return Trace(*(array[:batch] for array in trace)), gradients[:batch]

    def batch(self, spikes: Spikes, labels: np.ndarray) -> Batch:
        """See `Machine.batch`. The gradients are overwritten by the next batch."""
        n, rule = len(labels), self.rule
        trace, gradients = self._arrays(n)
        losses, answers = np.zeros(n, np.float32), np.zeros(n, np.int64)
        outputs, lambent = int(self._wiring.size[-1]), rule.adjoint == "lambent"
        error, late = np.zeros((n, outputs), np.float32), np.zeros((n, outputs), np.float32)
        none = np.zeros((0, 0), np.float32)

        def forward(first: int, last: int) -> None:
            for b in range(first, last):
                kernels.forward(
                    b, spikes, self._weights, self._wiring, self._units, lambent, self._factors, trace, none
                )
                losses[b], answers[b] = self._loss(b, int(labels[b]), n, trace, error[b], late[b])

        def backward(first: int, last: int) -> None:
            count = 0.0 if isinstance(rule.loss, FirstSpike) else rule.loss.count_gradient
            gradients[first:last] = 0
            for b in range(first, last):
                kernels.backward(
                    b, spikes, self._weights, self._wiring, self._units, lambent, self._factors, error[b],
                    np.float32(count), trace, gradients[b],
                )  # fmt: skip

        _run(forward, n)
        self._check(trace, spikes)
        sizes = [layer.n_out for layer in self.placement.network.layers]
        total = trace.counts.sum(0)
        trace.push[:] = rate_push(total, sizes, rule.rates, rule.rate_strength, n)
        if isinstance(rule.loss, FirstSpike):
            trace.push[:, -outputs:] += late
        _run(backward, n)
        loss = float(losses.sum(dtype=np.float64)) + rate_loss(total, sizes, rule.rates, rule.rate_strength, n)
        return Batch(loss, answers, gradients, trace.counts)

    def _loss(
        self, b: int, label: int, batch: int, trace: Trace, error: np.ndarray, late: np.ndarray
    ) -> tuple[np.float32, int]:
        """Loss and answer of a sample; its errors go where its first spikes are."""
        rule, place = self.rule, self.placement
        trace.error[b], trace.worth[b] = 0, 0
        if isinstance(rule.loss, FirstSpike):
            first = np.zeros(len(error), np.int32)
            tau, alpha, tau_alpha = (np.float32(x) for x in (rule.loss.tau, rule.loss.alpha, rule.loss.tau_alpha))
            kernels.first_spikes(b, self._wiring, trace, first)
            loss = kernels.first_spike_loss(
                first, label, place.steps, np.float32(place.network.dt), self.duration, tau, alpha, tau_alpha, batch,
                rule.adjoint == "lambent", error, late,
            )  # fmt: skip
            kernels.spread_errors(b, self._wiring, trace, first, error)
            return loss, int(first.argmin())
        loss = kernels.readout_loss(trace.scores[b], label, np.float32(rule.loss.label_smoothing), batch, error)
        return loss, int(trace.scores[b].argmax())

    def _check(self, trace: Trace, spikes: Spikes) -> None:
        """Raise Overrun where the chip's buffers or logs would have been full."""
        place, wiring = self.placement, self._wiring
        sent = np.diff(spikes.upto, axis=1)  # (batch, steps)
        made = np.diff(trace.upto, axis=2)  # (batch, layers, steps)
        for p, own in enumerate(place.slices):
            layer = place.network.layers[own.layer]
            arrivals = (sent if own.layer == 0 else made[:, own.layer - 1]) + layer.recurrent * made[:, own.layer]
            first = int(wiring.first[own.layer])
            events = trace.counts[:, first + own.first : first + own.last].sum(1)
            checks = (
                ("buffer", arrivals, place.constants.fifo, "spread the input out in time"),
                ("log of arrivals", arrivals[:, :-1].sum(1), place.arrivals[p], MORE_ROOM),
                ("log of events", events, place.events[p], MORE_ROOM),
            )
            for name, wanted, room, advice in checks:
                if (lost := int(wanted.max(initial=0)) - room) > 0:
                    raise Overrun(
                        f"element {place.element(0, p)} ({layer.name}, units {own.first} to {own.last - 1}): {name} "
                        f"with room for {room}, {lost} would be lost; {advice}"
                    )

    def update(self, gradients: np.ndarray, rate: float, decay: float = 0.0) -> None:
        """See `Machine.update`."""
        self._updates += 1
        self._sum[:] = 0
        kernels.add(self._sum, gradients)
        corrected = (np.float32(1 - 0.9**self._updates), np.float32(1 - 0.999**self._updates))
        kernels.adam(self._weights, self._sum, *self._moments, np.float32(rate), np.float32(decay), *corrected)

    def state(self) -> dict[str, Any]:
        """What learning goes on from: all weights, their moments, and the number of updates."""
        arrays = zip(("weights", "first", "second"), (self._weights, *self._moments), strict=True)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays} | {"updates": self._updates}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of the same network.

        Raises:
            KeyError, ValueError: it is of another.
        """
        arrays = {"weights": self._weights, "first": self._moments[0], "second": self._moments[1]}
        for name, array in arrays.items():
            if state[name].shape != array.shape:
                raise ValueError(f"{name} of the chip have shape {tuple(state[name].shape)}, not {array.shape}")
            array[:] = state[name].numpy()
        self._updates = state["updates"]

    def matrices(self) -> list[np.ndarray]:
        """See `Machine.matrices`."""
        starts = self._wiring.start
        return [
            self._weights[a:b].reshape(layer.matrix.shape).copy()
            for (a, b), layer in zip(pairwise(starts.tolist()), self.placement.network.layers, strict=True)
        ]


def _run(work, batch: int) -> None:  # type: ignore[no-untyped-def]
    """work(first, last) on threads that flush denormal numbers, as the elements do."""

    def flushed(bounds: tuple[int, int]) -> None:
        with denormals_flushed():
            work(*bounds)

    in_threads(flushed, chunks(batch))
