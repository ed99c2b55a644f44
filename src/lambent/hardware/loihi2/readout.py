"""`Readout`: how the voltages of a network's last layer become class scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lambent.layers.readout import REDUCTIONS


@dataclass(frozen=True, eq=False)
class Readout:
    """What `lambent.LIReadout` computes, on the voltages of the chip.

    Attributes:
        reduce: with V[n] the voltage after step n of T, "mean" is (1/T) sum V[n], "exp_mean" is
            (1/T) sum exp(-n/T) V[n], "max" the largest V[n], "last" V[T-1], "none" all of them.
        scale: (n_out,) float64, how many units of the chip's voltage make one unit of the float model's.
        labels: names of the classes, or empty.

    Raises:
        ValueError: unknown reduction, a scale that is not positive and finite, labels that do not fit it.
    """

    reduce: str
    scale: np.ndarray
    labels: tuple[str, ...] = ()

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

    def logits(self, voltage: np.ndarray) -> np.ndarray:
        """Scores float64 (batch, n_out) of `voltage` (batch, n_out, steps); (batch, steps, n_out) for "none".

        Raises:
            ValueError: `voltage` has another shape.
        """
        if voltage.ndim != 3 or voltage.shape[1] != len(self.scale) or voltage.shape[2] == 0:
            raise ValueError(f"voltage must be (batch, {len(self.scale)}, steps), got shape {voltage.shape}")
        steps = voltage.shape[2]
        if self.reduce == "none":
            return voltage.transpose(0, 2, 1) / self.scale
        if self.reduce == "mean":
            reduced = voltage.mean(2)
        elif self.reduce == "exp_mean":
            reduced = voltage @ np.exp(-np.arange(steps) / steps) / steps
        elif self.reduce == "max":
            reduced = voltage.max(2)
        else:
            reduced = voltage[:, :, -1]
        return reduced / self.scale
