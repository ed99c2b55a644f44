"""Where a run is: how far it got, its random generators, and its figures so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass
class State:
    """Where a run is. Randomness is a function of (seed, epoch, batch), so this is all it takes to go on.

    `best_epoch` is the one whose model is kept, `best_score` its validation accuracy, or minus its validation loss.
    `top_score` is the highest there was, `better_epoch` the one that reached it first, for patience.
    `aware_from` is the number of epochs before quantisation-aware training began, None if it did not begin; a
    `best_epoch` of that number is the model as quantised, not trained on.
    """

    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_score: float = -math.inf
    top_score: float = -math.inf
    best_epoch: int = 0
    better_epoch: int = 0
    seconds: float = 0.0
    aware_from: int | None = None


def generator(seed: int, *where: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator for one place in a run."""
    word = np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(word >> 1))


def means(sums: dict[str, float]) -> dict[str, float]:
    """An epoch's metrics from its sums."""
    n, seconds = sums["samples"], sums["seconds"]
    figures = {name: value / n for name, value in sums.items() if name not in ("samples", "seconds")}
    return figures | {"samples_per_s": n / seconds, "seconds": seconds}
