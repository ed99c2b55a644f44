"""Running data through the model of a chip, with what it would cost there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.hardware.chip import Chip, Cost, Network, Placement

_BATCH = 50


class Trial:
    """A network on the model of a chip, samples after samples.

    Args:
        partition: place units so that fewer spikes go from core to core; see `Chip.place`.

    Attributes:
        placement: where the network lies, with the traffic of some samples; or why it does not fit on the chip.
        samples, steps, seconds: how many there were, of how many time steps in all, in what time.
    """

    def __init__(self, chip: Chip, network: Network, *, partition: bool = False) -> None:
        self.placement: Placement | str
        try:
            self.placement = chip.place(network)
        except ValueError as error:
            self.placement = str(error)
        self.samples, self.steps, self.seconds = 0, 0, 0.0
        self._chip, self._network, self._partition = chip, network, partition
        self._spikes = np.zeros(len(network.layers))
        self._costs: list[tuple[int, Cost]] = []

    def run(self, events: Events) -> np.ndarray | None:
        """Class scores (batch, classes) of further samples; None for a network without a readout."""
        starts = range(0, len(events), _BATCH)
        scores = [self._run(events[first : first + _BATCH]) for first in starts]
        return None if self._network.readout is None else np.concatenate(scores)

    def _run(self, events: Events) -> np.ndarray:
        chip, network, readout = self._chip, self._network, self._network.readout
        start = time.perf_counter()
        recording = chip.run(network, events, ("spikes", readout.reads) if readout else ("spikes",))
        self.seconds += time.perf_counter() - start
        self._spikes += [np.count_nonzero(s) for s in recording.spikes]
        self.samples += len(events)
        self.steps += len(events) * recording.spikes[0].shape[2]
        if not isinstance(self.placement, str):
            if not self._costs:
                self.placement = chip.place(network, recording, partition=self._partition)
            self._costs.append((len(events), chip.cost(network, recording, self.placement)))
        return readout.scores(recording) if readout else np.zeros((len(events), 0))

    def spikes(self) -> tuple[float, ...]:
        """Spikes a sample of each layer."""
        return tuple((self._spikes / self.samples).tolist())

    def cost(self) -> Cost | str:
        """What a sample costs on the chip, modelled; or why the network does not fit on one."""
        return self.placement if isinstance(self.placement, str) else self._chip.mean_cost(self._costs)


@dataclass(frozen=True)
class Simulation:
    """What a network did on a data set, on the model of a chip.

    Attributes:
        samples, steps, seconds: how many, of how many time steps in all, in what time.
        spikes: spikes a sample of each layer.
        accuracy: share of right answers, None for a network without a readout.
        placement: its cores, with the traffic of some samples; or why it does not fit on a chip.
        cost: what a sample costs on the chip, modelled; or why it does not fit on one.
    """

    samples: int
    steps: int
    seconds: float
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
    for events, labels in samples.batches(_BATCH):
        scores = trial.run(events)
        if scores is not None:
            if labels.max() >= scores.shape[1]:
                raise ValueError(f"the network has {scores.shape[1]} classes, the data a label {int(labels.max())}")
            right += int((scores.argmax(1) == labels.numpy()).sum())
        progress(trial.samples, len(samples))
    return Simulation(
        samples=trial.samples,
        steps=trial.steps,
        seconds=trial.seconds,
        spikes=trial.spikes(),
        accuracy=None if network.readout is None else right / trial.samples,
        placement=trial.placement,
        cost=trial.cost(),
    )
