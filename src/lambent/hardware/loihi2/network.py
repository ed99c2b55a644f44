"""Loihi 2 networks as plain values: what a NetX file says, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from lambent.events import Events
from lambent.hardware.loihi2 import simulator
from lambent.hardware.loihi2.kernels import LayerConstants
from lambent.hardware.loihi2.readout import Readout
from lambent.hardware.loihi2.simulator import Run

MAX_DELAY = 62
"""Longest synaptic delay in steps."""
THRESHOLD_LIMIT = 1 << 17
"""A threshold mantissa this high is never reached: shifted by 6 it lies above the highest voltage."""
BIAS_LIMIT = (1 << 17) - 1
"""Shifted by 6, a bias must fit the 24 bits of the voltage."""


@dataclass(frozen=True, eq=False)
class Loihi2Layer:
    """One block of CUBA (current-based leaky integrate-and-fire) units and the synapses onto it.

    Attributes:
        name: for error messages; in files "layer/1", "layer/2" and so on.
        kind: "dense", or "dense_rec" with synapses from the block's own units.
        weight: (n_out, n_in) int32, in [-256, 254] if the layer has weights of both signs, else within +-255.
        weight_rec: (n_out, n_out) int32, [to, from]; for "dense_rec" only.
        bias: (n_out,) int32, added to the voltage in every step after a shift by 6.
        delay: steps, 0 to 62, on top of the one step every spike takes: one for all synapses of `weight`,
            (n_out,), (n_in,) or (n_out, n_in). With n_out = n_in a vector is per output unit, as Lava reads
            it. Recurrent synapses have none; Lava itself misreads delays of "dense_rec".
        i_decay, v_decay: per step, in 1/4096, 0 to 4096; one for all or (n_out,).
        v_th_mant: a unit spikes when its voltage exceeds 64 times this; one for all or (n_out,).

    Arrays are copied, made int32 and read-only. A weight means its own value, as it does in Lava, whose
    reader scales both matrices to 8 bits with one shared exponent, drops the bits that are zero everywhere
    and shifts back. Lava misreads three rare cases in which lambent does what the file says: weights that
    are all zero; a matrix without positive weights whose lowest is minus a power of two; and, where a layer
    has negative and non-negative weights and some beyond +-127, a matrix of one sign. The chip itself holds
    weights of both signs to 8 bits, so weights beyond +-127 should then be even.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is out of range or has the wrong shape.
        Messages start with the layer and the dataset, for example "layer/1/weight: ...".
    """

    name: str
    kind: str
    weight: np.ndarray
    weight_rec: np.ndarray | None = None
    bias: np.ndarray | int = 0
    delay: np.ndarray | int = 0
    i_decay: np.ndarray | int = 0
    v_decay: np.ndarray | int = 0
    v_th_mant: np.ndarray | int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("dense", "dense_rec"):
            raise ValueError(f"{self.name}/type: must be dense or dense_rec, got {self.kind!r}")
        if np.ndim(self.weight) != 2 or 0 in np.shape(self.weight):
            raise ValueError(f"{self.name}/weight: must be (n_out, n_in), got shape {np.shape(self.weight)}")
        n_out, n_in = np.shape(self.weight)
        self._set("weight", "weight", -256, 255, (n_out, n_in))
        if (self.weight_rec is not None) != (self.kind == "dense_rec"):
            raise ValueError(f"{self.name}/weight_rec: must be there for dense_rec and for no other type")
        if self.weight_rec is not None:
            self._set("weight_rec", "weight_rec", -256, 255, (n_out, n_out))
        self._check_signs()
        if np.ndim(self.bias) == 0:
            object.__setattr__(self, "bias", np.full(n_out, self.bias))
        self._set("bias", "bias", -BIAS_LIMIT, BIAS_LIMIT, (n_out,))
        self._set("delay", "delay", 0, MAX_DELAY, (), (n_out,), (n_in,), (n_out, n_in))
        self._set("i_decay", "neuron/iDecay", 0, 4096, (), (n_out,))
        self._set("v_decay", "neuron/vDecay", 0, 4096, (), (n_out,))
        self._set("v_th_mant", "neuron/vThMant", -THRESHOLD_LIMIT, THRESHOLD_LIMIT, (), (n_out,))

    @property
    def n_in(self) -> int:
        """Number of units the layer listens to."""
        return int(self.weight.shape[1])

    @property
    def n_out(self) -> int:
        """Number of the layer's own units."""
        return int(self.weight.shape[0])

    @cached_property
    def synapse_delays(self) -> np.ndarray:
        """Delay of each synapse of `weight` in steps, int32 (n_out, n_in)."""
        delay = np.asarray(self.delay)
        column = delay[:, None] if delay.ndim == 1 and len(delay) == self.n_out else delay
        return np.broadcast_to(column, self.weight.shape)

    @cached_property
    def constants(self) -> LayerConstants:
        """The layer in the form the simulator's kernel takes."""
        return simulator.layer_constants(self)

    def _set(self, field: str, dataset: str, low: int, high: int, *shapes: tuple[int, ...]) -> None:
        where = f"{self.name}/{dataset}"
        array = np.asarray(getattr(self, field))
        if array.dtype.kind not in "iu":
            raise TypeError(f"{where}: must be integers, got {array.dtype}")
        if array.shape not in shapes:
            wanted = " or ".join(str(s) if s else "one number" for s in dict.fromkeys(shapes))
            raise ValueError(f"{where}: must be {wanted}, got shape {array.shape}")
        if array.min() < low or array.max() > high:
            worst = array.min() if array.min() < low else array.max()
            raise ValueError(f"{where}: {worst} is outside {low} to {high}")
        array = np.array(array, np.int32, order="C")
        array.flags.writeable = False
        object.__setattr__(self, field, array)

    def _check_signs(self) -> None:
        matrices = {"weight": self.weight, "weight_rec": self.weight_rec}
        found = {name: w for name, w in matrices.items() if w is not None}
        both = min(w.min() for w in found.values()) < 0 < max(w.max() for w in found.values())
        low, high = (-256, 254) if both else (-255, 255)
        for name, w in found.items():
            if w.min() < low or w.max() > high:
                worst = w.min() if w.min() < low else w.max()
                signs = "both signs" if both else "one sign"
                where = f"{self.name}/{name}"
                raise ValueError(f"{where}: {worst} is outside {low} to {high}, as weights have {signs}")


@dataclass(frozen=True, eq=False)
class Loihi2Network:
    """A chain of layers behind `n_in` input units.

    Attributes:
        n_in: number of input units.
        layers: at least one `Loihi2Layer`.
        dt: length of a step [ms].
        readout: how the last layer's voltages become class scores, or None.

    Raises:
        ValueError: no layers, sizes that do not follow from each other, a `dt` that is not positive.
    """

    n_in: int
    layers: Sequence[Loihi2Layer]
    dt: float = 1.0
    readout: Readout | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be positive and finite [ms], got {self.dt}")
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        n = self.n_in
        for layer in self.layers:
            if layer.n_in != n:
                raise ValueError(f"{layer.name}/weight: takes {layer.n_in} inputs, but gets {n}")
            n = layer.n_out
        if self.readout is not None and len(self.readout.scale) != n:
            raise ValueError(f"readout: scale for {len(self.readout.scale)} units, the last layer has {n}")

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
            spikes: (batch, n_in, steps) integers or bool, or `Events` of `n_in` units, which are put on the
                grid of `dt`. Spikes carry no value: several of one unit in one step are one.
            record: what to return, any of "spikes", "current", "voltage"; nothing else is allocated.

        Raises:
            TypeError: `spikes` are not integers.
            ValueError: they have the wrong shape or negative entries, or `record` names something unknown.
        """
        return simulator.run(self.layers, self.n_in, self.dt, spikes, record)

    def logits(self, spikes: Events | Tensor | np.ndarray, chunk: int = 64) -> np.ndarray:
        """Class scores float64 (batch, n_out) of `spikes` (as for `run`), `chunk` samples at a time.

        Only the last layer's voltages of one chunk are held in memory.

        Raises:
            ValueError: the network has no `readout`, or as `run`.
        """
        if self.readout is None:
            raise ValueError("the network has no readout: run() it and read spikes or voltages")
        parts = []
        for first in range(0, max(1, len(spikes)), chunk):
            run = simulator.run(
                self.layers, self.n_in, self.dt, spikes[first : first + chunk], ("voltage",), last_only=True
            )
            parts.append(self.readout.logits(run.voltage[-1]))
        return np.concatenate(parts)

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in (self.n_in, *(layer.n_out for layer in self.layers)))
        kinds = ", ".join(layer.kind for layer in self.layers)
        return f"Loihi2Network({sizes}: {kinds}; dt={self.dt:g} ms)"
