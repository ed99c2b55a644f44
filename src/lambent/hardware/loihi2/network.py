"""Loihi 2 networks as plain values: what a NetX file says, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lambent.events import Events
from lambent.hardware.loihi2 import simulator
from lambent.hardware.loihi2.layers import BIAS_LIMIT, MAX_DELAY, ConvLayer, InputLayer, Layer, Loihi2Layer
from lambent.hardware.loihi2.neurons import MAX_MESSAGE_BITS, THRESHOLD_LIMIT
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.hardware.loihi2.simulator import Run

__all__ = ["BIAS_LIMIT", "MAX_DELAY", "THRESHOLD_LIMIT", "Layer", "Loihi2Layer", "Loihi2Network", "Run"]


@dataclass(frozen=True, eq=False)
class Loihi2Network:
    """A chain of layers behind `n_in` input units.

    Attributes:
        n_in: number of input units.
        layers: at least one `Loihi2Layer` or `ConvLayer`; the first may be an `InputLayer`.
        dt: length of a step [ms].
        readout: how the last layer's voltages or spikes become class scores, or None.
        in_shape: shape of the input, (n_in,) or (channels, height, width); the first layer's where left out.
        message_bits: 0 where input spikes are just spikes; else they carry values of this many bits and a sign.

    Raises:
        ValueError: no layers, sizes that do not follow from each other, a `dt` that is not positive.
    """

    n_in: int
    layers: Sequence[Layer]
    dt: float = 1.0
    readout: Readout | Average | None = None
    in_shape: tuple[int, ...] = ()
    message_bits: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be positive and finite [ms], got {self.dt}")
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        if self.in_shape and math.prod(self.in_shape) != self.n_in:
            raise ValueError(f"in_shape: {tuple(self.in_shape)} are not {self.n_in} units")
        object.__setattr__(self, "in_shape", tuple(int(n) for n in self.in_shape or self.layers[0].in_shape))
        if not isinstance(self.message_bits, int) or not 0 <= self.message_bits <= MAX_MESSAGE_BITS:
            raise ValueError(f"message_bits must be a whole number from 0 to {MAX_MESSAGE_BITS}")
        if self.message_bits and isinstance(self.layers[0], InputLayer):
            raise ValueError("message_bits: an input layer with units takes numbers, not spikes")
        self._check_sizes()
        if self.readout is not None:
            self.readout.check(self.n_out)

    @property
    def n_out(self) -> int:
        """Number of units of the last layer."""
        return self.layers[-1].n_out

    def run(
        self, spikes: Events | Tensor | np.ndarray, record: Sequence[str] = ("spikes", "current", "voltage")
    ) -> Run:
        """Run every sample from rest, bit for bit as Lava's fixed-point models do.

        Samples are spread over `torch.get_num_threads()` threads; their number does not change the result.

        Args:
            spikes: (batch, n_in, steps) or (batch, *in_shape, steps) integers or bool, or `Events` of `n_in`
                units, which are put on the grid of `dt`. Spikes carry no value: several of one unit in one
                step are one. With `message_bits` entries are the values that spikes carry; where the first
                layer is an `InputLayer` they are its numbers x, which may be floating point. In `Events`,
                each spike then counts 1.
            record: what to return, any of "spikes", "current", "voltage"; nothing else is allocated.

        Raises:
            TypeError: `spikes` are not integers.
            ValueError: they have the wrong shape, are negative or out of range, or `record` names something
                unknown.
        """
        return simulator.run(self, spikes, record)

    def logits(self, spikes: Events | Tensor | np.ndarray, chunk: int = 64) -> np.ndarray:
        """Class scores float64 (batch, n_classes) of `spikes` (as for `run`), `chunk` samples at a time.

        Only the last layer's voltages or spikes of one chunk are held in memory.

        Raises:
            ValueError: the network has no `readout`, or as `run`.
        """
        if self.readout is None:
            raise ValueError("the network has no readout: run() it and read spikes or voltages")
        parts = []
        for first in range(0, max(1, len(spikes)), chunk):
            run = simulator.run(self, spikes[first : first + chunk], (self.readout.reads,), last_only=True)
            parts.append(self.readout.scores(run))
        return np.concatenate(parts)

    def _check_sizes(self) -> None:
        shape = self.in_shape
        if math.prod(shape) != self.n_in:
            raise ValueError(f"{self.layers[0].name}/weight: takes {math.prod(shape)} inputs, but gets {self.n_in}")
        for i, layer in enumerate(self.layers):
            if isinstance(layer, InputLayer) and i > 0:
                raise ValueError(f"{layer.name}/type: only the first layer can be an input")
            if isinstance(layer, (ConvLayer, InputLayer)) and layer.in_shape != shape:
                raise ValueError(f"{layer.name}: takes units of shape {layer.in_shape}, but gets {shape}")
            if layer.n_in != math.prod(shape):
                raise ValueError(f"{layer.name}/weight: takes {layer.n_in} inputs, but gets {math.prod(shape)}")
            shape = layer.shape

    def __repr__(self) -> str:
        shapes = (self.in_shape, *(layer.shape for layer in self.layers))
        sizes = "-".join("x".join(map(str, shape)) for shape in shapes)
        kinds = ", ".join(layer.kind for layer in self.layers)
        return f"Loihi2Network({sizes}: {kinds}; dt={self.dt:g} ms)"
