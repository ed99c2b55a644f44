"""How what a network's last layer does becomes class scores: `Readout` of voltages, `Average` of spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lambent.hardware.chip import Recording
from lambent.layers.readout import REDUCTIONS
from lambent.layers.reducing import reduced
from lambent.machine.showing import Short


@dataclass(frozen=True, eq=False)
class Readout(Short):
    """What `lambent.LIReadout` computes, on the voltages of the chip.

    Attributes:
        reduce: with V[n] the voltage after step n of T, "mean" is (1/T) sum V[n], "exp_mean" is
            (1/T) sum exp(-n/T) V[n], "max" the largest V[n], "last" V[T-1], "none" all of them.
        scale: (n_out,) float64, how many units of the chip's voltage make one unit of the float model's output.
        labels: names of the classes, or empty.
        reads: what it takes from a run.

    Raises:
        ValueError: unknown reduction, a scale that is not positive and finite, labels that do not fit it.
    """

    reduce: str
    scale: np.ndarray
    labels: tuple[str, ...] = ()

    reads: ClassVar[str] = "voltage"

    def __post_init__(self) -> None:
        if self.reduce not in REDUCTIONS:
            raise ValueError(f"readout: reduce must be one of {', '.join(REDUCTIONS)}, got {self.reduce!r}")
        scale = np.array(self.scale, np.float64)
        if scale.ndim != 1 or not (np.isfinite(scale) & (scale > 0)).all():
            raise ValueError("readout: scale must be one positive, finite number per output unit")
        scale.flags.writeable = False
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.labels and len(self.labels) != len(scale):
            raise ValueError(f"readout: {len(self.labels)} labels for {len(scale)} output units")

    def check(self, n_out: int) -> None:
        """Raise ValueError if this is no readout of `n_out` units."""
        if len(self.scale) != n_out:
            raise ValueError(f"readout: scale for {len(self.scale)} units, the last layer has {n_out}")

    def scores(self, recording: Recording) -> np.ndarray:
        """`logits` of what was recorded last."""
        return self.logits(recording.voltage[-1])

    def voltages(self, recording: Recording) -> np.ndarray:
        """What was recorded last in the float model's units, float64 (batch, steps, n_out)."""
        return recording.voltage[-1].transpose(0, 2, 1) / self.scale

    def logits(self, voltage: np.ndarray) -> np.ndarray:
        """Scores float64 (batch, n_out) of `voltage` (batch, n_out, steps); (batch, steps, n_out) for "none".

        Raises:
            ValueError: `voltage` has another shape.
        """
        if voltage.ndim != 3 or voltage.shape[1] != len(self.scale) or voltage.shape[2] == 0:
            raise ValueError(f"voltage must be (batch, {len(self.scale)}, steps), got shape {voltage.shape}")
        if self.reduce == "none":
            return voltage.transpose(0, 2, 1) / self.scale
        return reduced(voltage, self.reduce) / self.scale


@dataclass(frozen=True, eq=False)
class Average:
    """The mean over groups of output units, "average" in NetX files.

    Attributes:
        n_classes: number of groups; units are split into so many runs of equal length.
        labels: none; files do not name them.
        reads: what it takes from a run.

    Raises:
        ValueError: `n_classes` is not positive.
    """

    n_classes: int

    labels: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[str] = "spikes"

    def __post_init__(self) -> None:
        if self.n_classes < 1:
            raise ValueError(f"average: must have at least one group, got {self.n_classes}")

    def check(self, n_out: int) -> None:
        """Raise ValueError if this is no readout of `n_out` units."""
        if n_out % self.n_classes:
            raise ValueError(f"average: {n_out} units cannot be split into {self.n_classes} groups")

    def scores(self, recording: Recording) -> np.ndarray:
        """`logits` of what was recorded last."""
        return self.logits(recording.spikes[-1])

    def voltages(self, recording: Recording) -> None:
        """None, as spikes are what counts."""
        return None

    def logits(self, spikes: np.ndarray) -> np.ndarray:
        """Mean spikes per unit and step float64 (batch, n_classes) of `spikes` (batch, n_out, steps).

        Raises:
            ValueError: `spikes` has another shape.
        """
        if spikes.ndim != 3 or spikes.shape[1] % self.n_classes or spikes.shape[2] == 0:
            raise ValueError(f"spikes must be (batch, n_out, steps) for {self.n_classes} groups, got {spikes.shape}")
        return spikes.reshape(len(spikes), self.n_classes, -1).mean(2)
