"""`CourseNotes`: what a network answers while it hears, noted from an evaluation as it goes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.layers import LIReadout
from lambent.runs.evaluation import Course

_SAMPLES = 300  # at most, drawn once for all; voltages of all steps are much to work out
_TIMES = 50


class CourseNotes:
    """The answers over time of some of the samples that an evaluation runs.

    An answer at t ms is the class that leads by what the readout makes of its voltages up to then.

    Args:
        model: the network; of one that does not end in a readout on a grid nothing is noted.
        n: number of samples there will be.
    """

    def __init__(self, model: nn.Sequential, n: int) -> None:
        readout = model[-1]
        self._readout = readout if isinstance(readout, LIReadout) and readout.dt else None
        layers = list(model)[:-1]
        counted = [i for i, layer in enumerate(layers) if next(layer.parameters(), None) is not None]
        self._after = nn.Sequential(*layers[counted[-1] + 1 if counted else 0 :])  # such as pools
        self._chosen = np.sort(np.random.default_rng(0).permutation(n)[:_SAMPLES])
        self._done = 0
        self._times = np.empty(0)
        self._answers: list[np.ndarray] = []

    @torch.no_grad()
    def take(self, hidden: Sequence[Events], events: Events) -> None:
        """Take note of a batch: what the hidden layers that have parameters emitted of `events`."""
        here = self._chosen - self._done
        rows = here[(here >= 0) & (here < len(events))].tolist()
        self._done += len(events)
        if self._readout is None or self._readout.dt is None or not rows:
            return
        heard = self._after((hidden[-1] if hidden else events)[rows])
        scores = so_far(self._readout.voltages(heard), self._readout.reduce)
        steps = scores.shape[1]
        at = np.unique(np.linspace(0, steps, min(_TIMES, steps) + 1).round().astype(int)[1:]) - 1
        self._times = (at + 1) * self._readout.dt
        self._answers.append(scores[:, at].argmax(2).numpy())

    def course(self) -> Course | None:
        """What was noted."""
        if not self._answers:
            return None
        answers = np.concatenate(self._answers)
        return Course(self._times, self._chosen[: len(answers)], answers.astype(np.int32))


def so_far(voltages: Tensor, reduce: str) -> Tensor:
    """What a readout's reduction makes of voltages (batch, steps, out) up to each step, but for a positive factor.

    Args:
        reduce: "mean", "exp_mean", "max" or "last", as `lambent.LIReadout` says.
    """
    steps = voltages.shape[1]
    if reduce == "last":
        return voltages
    if reduce == "max":
        return voltages.cummax(1).values
    if reduce == "exp_mean":
        voltages = voltages * torch.exp(-torch.arange(steps, device=voltages.device) / steps)[:, None]
    return voltages.cumsum(1)
