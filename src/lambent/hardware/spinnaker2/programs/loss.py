"""`Loss`: what the last layer did, the loss of it, and its gradient."""

from __future__ import annotations

import numpy as np

from lambent.hardware.spinnaker2.constants import Constants
from lambent.hardware.spinnaker2.kernels import first_spike_loss, readout_loss
from lambent.hardware.spinnaker2.packets import Kind, Packet, key, unpack
from lambent.hardware.spinnaker2.rules import FirstSpike, Rule


class Loss:
    """Of one sample at a time: listens for steps + 1 ticks, then sends, one step a tick, from the last step on.

    An output that spiked first in step i gets its error in the tick of step i, as the units of other layers do. Scores
    and outputs without a spike are answered once, in the first of these ticks.

    Args:
        element: its number.
        outputs: units of the last layer.
        layer: its number in keys.
        steps, dt: of a sample, and their length [ms].
        duration: the time that counts for an output without a spike [ms].
        rule: what is learned.
        constants: of the chip.

    Attributes:
        cycles: of the last tick.
        loss: of the sample, a part of its batch's.
        answer: the output that spiked first, or scored highest.
    """

    def __init__(
        self, element: int, outputs: int, layer: int, steps: int, dt: float, duration: float, rule: Rule,
        constants: Constants,
    ) -> None:  # fmt: skip
        self.element, self.layer, self.steps, self.rule, self.constants = element, layer, steps, rule, constants
        self.dt, self.duration = np.float32(dt), np.float32(duration)
        self.first, self.scores = np.zeros(outputs, np.int32), np.zeros(outputs, np.float32)
        self.error, self.push = np.zeros(outputs, np.float32), np.zeros(outputs, np.float32)
        self.loss, self.answer, self.cycles = np.float32(0), 0, 0
        self._tick = self._label = 0
        self._batch = 1

    def start(self, label: int, batch: int) -> None:
        """Begin a sample of a class, of a batch of so many."""
        self.first[:], self.scores[:] = self.steps, 0
        self._tick, self._label, self._batch = 0, label, batch

    def tick(self, inbox: list[Packet]) -> list[Packet]:
        """Spikes of the last layer or scores come in; errors or answers go out."""
        i, self._tick = self._tick, self._tick + 1
        for packet in inbox:
            packed = unpack(packet.key)
            if packed.kind == Kind.VALUE:
                self.scores[packed.unit] = packet.payload[0]
            elif self.first[packed.unit] == self.steps:
                self.first[packed.unit] = i - 1
        out = self._answers(2 * self.steps - i) if i > self.steps else []
        if i == self.steps:
            self._work_out()
        c = self.constants
        self.cycles = c.tick_cycles + c.packet_cycles * (len(inbox) + len(out))
        self.cycles += c.class_cycles * len(self.first) * (i == self.steps)
        return out

    def _work_out(self) -> None:
        loss, lambent = self.rule.loss, self.rule.adjoint == "lambent"
        if isinstance(loss, FirstSpike):
            tau, alpha, tau_alpha = (np.float32(x) for x in (loss.tau, loss.alpha, loss.tau_alpha))
            self.loss = first_spike_loss(
                self.first, self._label, self.steps, self.dt, self.duration, tau, alpha, tau_alpha,
                self._batch, lambent, self.error, self.push,
            )  # fmt: skip
            self.answer = int(self.first.argmin())
        else:
            smoothing = np.float32(loss.label_smoothing)
            self.loss = readout_loss(self.scores, self._label, smoothing, self._batch, self.error)
            self.answer = int(self.scores.argmax())

    def _answers(self, step: int) -> list[Packet]:
        """What goes out in the tick of a step."""
        if not isinstance(self.rule.loss, FirstSpike):
            return self._packets(Kind.VALUE, self.error, step == self.steps - 1)
        late = self._packets(Kind.VALUE, self.push, (step == self.steps - 1) & (self.push != 0))
        return self._packets(Kind.ERROR, self.error, (self.first == step) & (self.error != 0)) + late

    def _packets(self, kind: Kind, values: np.ndarray, chosen: object) -> list[Packet]:
        units = np.flatnonzero(np.broadcast_to(chosen, values.shape))  # type: ignore[call-overload]
        return [Packet(key(kind, self.element, self.layer, int(u)), (values[u],)) for u in units]
