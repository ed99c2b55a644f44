"""Running data through the model of a chip, with what it would cost there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.hardware.chip import Chip, Cost, Network, Placement
from lambent.training.scoring import EVALUATION_BATCH

_BATCH = 50
_MEMORY = 1 << 30  # bytes of recordings at once, unless one sample needs more


class Trial:
    """A network on the model of a chip, samples after samples.

    Args:
        partition: place units so that fewer spikes go from core to core; see `Chip.place`.

    Attributes:
        samples, steps: how many there were, of how many time steps in all.
        speed: steps per second, without the first sample, which also loads what runs them; of it if there is no other.
    """

    def __init__(self, chip: Chip, network: Network, *, partition: bool = False) -> None:
        self.samples, self.steps, self.speed = 0, 0, 0.0
        self._chip, self._network, self._partition = chip, network, partition
        self._batch = 1  # until one sample has shown how large they are
        self._timed, self._seconds = 0, 0.0
        self._spikes = np.zeros(len(network.layers))
        self._placement: Placement | str | None = None
        self._waiting: list[tuple[int, Any]] = []  # numbers of samples and recordings, until there are some to place by
        self._costs: list[tuple[int, Cost]] = []

    def run(self, events: Events) -> np.ndarray | None:
        """Class scores (batch, classes) of further samples; None for a network without a readout."""
        scores, first = [], 0
        while first < len(events):
            chunk = events[first : first + self._batch]
            scores.append(self._run(chunk))
            first += len(chunk)
        return None if self._network.readout is None else np.concatenate(scores)

    def _run(self, events: Events) -> np.ndarray:
        network, readout = self._network, self._network.readout
        start = time.perf_counter()
        recording = self._chip.run(network, events, ("spikes", readout.reads) if readout else ("spikes",))
        self._time(time.perf_counter() - start, len(events) * recording.spikes[0].shape[2])
        self._spikes += [np.count_nonzero(s) for s in recording.spikes]
        self.samples += len(events)
        bytes_each = sum(a.nbytes for a in (*recording.spikes, *recording.voltage)) // len(events)
        self._batch = max(1, min(_BATCH, _MEMORY // bytes_each))
        self._waiting.append((len(events), recording))
        if self.samples > 1:
            self._place()
        return readout.scores(recording) if readout else np.zeros((len(events), 0))

    def _time(self, seconds: float, steps: int) -> None:
        if self.samples == 0:
            self.speed = steps / seconds
        else:
            self._timed, self._seconds = self._timed + steps, self._seconds + seconds
            self.speed = self._timed / self._seconds
        self.steps += steps

    def _place(self) -> None:
        """Place the network by the last samples, if it is not yet, and model what those that wait cost."""
        chip, network = self._chip, self._network
        if self._placement is None:
            try:
                self._placement = chip.place(network, self._waiting[-1][1], partition=self._partition)
            except ValueError as error:
                self._placement = str(error)
        if not isinstance(self._placement, str):
            self._costs += [(n, chip.cost(network, recording, self._placement)) for n, recording in self._waiting]
        self._waiting = []

    @property
    def placement(self) -> Placement | str:
        """Where the network lies, with the traffic of some samples; or why it does not fit on the chip."""
        if self._waiting:
            self._place()
        return "no samples were run" if self._placement is None else self._placement

    def spikes(self) -> tuple[float, ...]:
        """Spikes a sample of each layer."""
        return tuple((self._spikes / self.samples).tolist())

    def cost(self) -> Cost | str:
        """What a sample costs on the chip, modelled; or why the network does not fit on one."""
        placement = self.placement
        return placement if isinstance(placement, str) else self._chip.mean_cost(self._costs)


@dataclass(frozen=True)
class Simulation:
    """What a network did on a data set, on the model of a chip.

    Attributes:
        samples, steps: how many, of how many time steps in all.
        speed: steps per second; see `Trial`.
        spikes: spikes a sample of each layer.
        accuracy: share of right answers, None for a network without a readout.
        placement: its cores, with the traffic of some samples; or why it does not fit on a chip.
        cost: what a sample costs on the chip, modelled; or why it does not fit on one.
    """

    samples: int
    steps: int
    speed: float
    spikes: tuple[float, ...]
    accuracy: float | None
    placement: Placement | str
    cost: Cost | str


def simulate(
    chip: Chip,
    network: Network,
    samples: SpikeDataset,
    *,
    partition: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Simulation:
    """Run a network on the model of its chip, and model what a sample costs there.

    Args:
        partition: place units so that fewer spikes go from core to core; see `Chip.place`.
        progress: called with the number of samples done and in all.

    Raises:
        ValueError: the data have more classes than the network.
    """
    trial, right = Trial(chip, network, partition=partition), 0
    for events, labels in samples.batches(EVALUATION_BATCH):
        scores = trial.run(events)
        if scores is not None:
            if labels.max() >= scores.shape[1]:
                raise ValueError(f"the network has {scores.shape[1]} classes, the data a label {int(labels.max())}")
            right += int((scores.argmax(1) == labels.numpy()).sum())
        progress(trial.samples, len(samples))
    return Simulation(
        samples=trial.samples,
        steps=trial.steps,
        speed=trial.speed,
        spikes=trial.spikes(),
        accuracy=None if network.readout is None else right / trial.samples,
        placement=trial.placement,
        cost=trial.cost(),
    )
