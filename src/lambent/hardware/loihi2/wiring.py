"""How the connections of a layer lie on the chip: as matrices, or as kernels that the places of a map share.

Weights are rounded in columns, all of one column with one scale: in a matrix, the weights of a unit; in kernels, those
of a channel, and in a pool, whose one weight all channels share, those of the layer. What units have, such as decays
and thresholds, must be equal within a column. Where it is not, or connections are others than the chip's convolution
has, kernels are written as matrices with zeros, and a pool as kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lambent.connections import Conv2d, Dense, Sparse, SumPool2d
from lambent.connections.connections import Connections, delay_steps
from lambent.connections.conv import reach
from lambent.connections.matrix import array, as_matrix, gathered, spread_out
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.neurons import Neuron, ResonateAndFire
from lambent.layers import LIReadout, Spiking

ONE, CHANNELS, UNITS = range(3)  # columns, from few to many


class Wiring(Protocol):
    """How a layer's connections lie.

    Attributes:
        inputs, recurrent: the connections as they are to be on the chip, which may be others than the layer's.
        shape: of the units, (n_out,) or (channels, height, width).
        n_columns, n_weights: how many columns the weights have, and how many weights there are.
        why: why these are not the layer's own connections; empty if they are.
    """

    inputs: Any
    recurrent: Any
    why: str

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def n_columns(self) -> int: ...

    @property
    def n_weights(self) -> int: ...

    def matrix(self) -> np.ndarray:
        """All weights float64 (fan-in, columns), recurrent ones behind the others."""
        ...

    def importance(self, rates: np.ndarray, own: np.ndarray) -> np.ndarray:
        """How much each weight counts, (fan-in,) or (fan-in, columns), by the spikes of inputs and of own units."""
        ...

    def worth(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """A matrix as weights of `inputs` and `recurrent`, in their shapes."""
        ...

    def layer(self, name: str, weight: np.ndarray, neuron: Neuron, bias: np.ndarray | int) -> Loihi2Layer | ConvLayer:
        """The chip's layer with these integers (fan-in, columns); `neuron` and `bias` have a value for each column."""
        ...

    def integers(self, layer: Any) -> np.ndarray | None:
        """The reverse of `layer`, its weights int32 (fan-in, columns); None if it is of other connections."""
        ...

    def delays(self, layer: Any) -> tuple[np.ndarray, np.ndarray | int]:
        """Delays in steps of a layer, in the shapes of the weights of `inputs` and `recurrent`."""
        ...


@dataclass(frozen=True, eq=False)
class Matrices:
    """Dense and sparse connections, sparse ones with zeros where there are none."""

    inputs: Dense | Sparse
    recurrent: Dense | Sparse | None
    dt: float
    why: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.inputs.n_out,)

    @property
    def n_columns(self) -> int:
        return self.inputs.n_out

    @property
    def n_weights(self) -> int:
        return sum(torch.as_tensor(part.weight).numel() for part in self._parts)

    @property
    def _parts(self) -> list[Dense | Sparse]:
        return [self.inputs] if self.recurrent is None else [self.inputs, self.recurrent]

    def matrix(self) -> np.ndarray:
        return np.concatenate([spread_out(part, part.weight, np.float64) for part in self._parts])

    def importance(self, rates: np.ndarray, own: np.ndarray) -> np.ndarray:
        return rates if self.recurrent is None else np.concatenate([rates, own])

    def worth(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        n = self.inputs.n_in
        return gathered(self.inputs, matrix[:n]), (
            None if self.recurrent is None else gathered(self.recurrent, matrix[n:])
        )

    def layer(self, name: str, weight: np.ndarray, neuron: Neuron, bias: np.ndarray | int) -> Loihi2Layer:
        n, recurrent = self.inputs.n_in, self.recurrent
        delay, delay_rec = (self._delay(part) for part in (self.inputs, recurrent))
        return Loihi2Layer(
            name=name,
            kind="dense" if recurrent is None else "dense_rec",
            weight=weight[:n].T,
            weight_rec=None if recurrent is None else weight[n:].T,
            weight_imag=np.zeros((self.inputs.n_out, n), np.int32) if isinstance(neuron, ResonateAndFire) else None,
            delay=delay,
            delay_rec=delay_rec,
            bias=bias,
            neuron=neuron,
        )

    def _delay(self, part: Dense | Sparse | None) -> np.ndarray | int:
        """(to, from) steps, or 0 for none."""
        if part is None or part.delay is None:
            return 0
        steps = spread_out(part, delay_steps(torch.as_tensor(part.delay), self.dt), np.int64).T
        return steps if steps.any() else 0

    def integers(self, layer: Any) -> np.ndarray | None:
        if not isinstance(layer, Loihi2Layer) or (layer.weight_rec is None) != (self.recurrent is None):
            return None
        if layer.weight.shape != (self.inputs.n_out, self.inputs.n_in):
            return None
        parts = [layer.weight] if layer.weight_rec is None else [layer.weight, layer.weight_rec]
        return np.hstack(parts).T

    def delays(self, layer: Any) -> tuple[np.ndarray, np.ndarray | int]:
        recurrent = 0 if self.recurrent is None else gathered(self.recurrent, layer.recurrent_delays.T)
        return gathered(self.inputs, layer.synapse_delays.T), recurrent


@dataclass(frozen=True, eq=False)
class Kernels:
    """A convolution, or a pool whose one weight and units all channels share."""

    inputs: Conv2d | SumPool2d
    dt: float
    why: str = ""
    recurrent = None

    @property
    def shape(self) -> tuple[int, ...]:
        return _as_map(self.inputs.shape_out)

    @property
    def n_columns(self) -> int:
        return 1 if self._pools else self.shape[0]

    @property
    def n_weights(self) -> int:
        return math.prod(self._kernel_shape)

    @property
    def _pools(self) -> bool:
        return isinstance(self.inputs, SumPool2d)

    @property
    def _kernel_shape(self) -> tuple[int, ...]:
        """As the chip has it: channels out, channels in of a group, height, width."""
        kernel = self.inputs.geometry.kernel
        return (1, 1, *kernel) if self._pools else (*self.inputs.parameter_shape[:2], *kernel)

    @property
    def _groups(self) -> int:
        return 1 if self._pools else self.inputs.geometry.groups

    def matrix(self) -> np.ndarray:
        weight = array(self.inputs.weight)
        spread = np.broadcast_to(weight, self._kernel_shape) if self._pools else weight
        return spread.reshape(self.n_columns, -1).T

    def importance(self, rates: np.ndarray, own: np.ndarray) -> np.ndarray:
        reached = reach(self.inputs.geometry) >= 0
        by_kernel = rates.reshape(-1, len(reached)) @ reached  # channels in, places of the kernel
        if self._pools:
            return by_kernel.sum(0)[:, None]
        return np.repeat(by_kernel.reshape(self._groups, -1), self.n_columns // self._groups, axis=0).T

    def worth(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return (matrix[0, 0] if self._pools else matrix.T.reshape(self.inputs.parameter_shape)), None

    def layer(self, name: str, weight: np.ndarray, neuron: Neuron, bias: np.ndarray | int) -> ConvLayer:
        channels = self.shape[0]
        each = {key: np.broadcast_to(getattr(neuron, key), channels) for key in neuron.ranges}
        geometry = self.inputs.geometry
        delay = _column_delays(self.inputs, self.dt)
        return ConvLayer(
            name=name,
            kind="pool" if self._pools else "conv",
            weight=weight.T.reshape(self._kernel_shape),
            in_shape=_as_map(self.inputs.shape_in),
            stride=geometry.stride,
            padding=geometry.padding,
            dilation=geometry.dilation,
            groups=self._groups,
            weight_imag=np.zeros(self._kernel_shape, np.int32) if isinstance(neuron, ResonateAndFire) else None,
            delay=0 if delay is None else np.broadcast_to(delay, channels),
            bias=np.broadcast_to(bias, channels),
            neuron=type(neuron)(**{**vars(neuron), **each}),
        )

    def integers(self, layer: Any) -> np.ndarray | None:
        geometry = self.inputs.geometry
        own = ("pool" if self._pools else "conv", self._kernel_shape, _as_map(self.inputs.shape_in), geometry[2:5])
        if not isinstance(layer, ConvLayer) or own != (layer.kind, layer.weight.shape, layer.in_shape, layer.geometry):
            return None
        return None if layer.groups != self._groups else layer.weight.reshape(self.n_columns, -1).T

    def delays(self, layer: Any) -> tuple[np.ndarray, np.ndarray | int]:
        steps = np.broadcast_to(layer.delay, self.shape[0]).reshape(-1, *[1] * (self.inputs.axes + 1))
        if self._pools:
            return np.broadcast_to(steps[0, 0], self.inputs.geometry.kernel), 0
        return np.broadcast_to(steps, self.inputs.parameter_shape), 0


def wiring_of(
    module: Spiking | LIReadout, shape: Sequence[int] | None = None, columns: int = ONE
) -> Matrices | Kernels:
    """How the chip has the connections of a layer behind units of `shape`, or of any if None.

    Args:
        columns: the fewest columns that are enough, one of `ONE`, `CHANNELS` and `UNITS`.

    Raises:
        ValueError: a matrix, with zeros in it, would be too large, or connections join two units twice.
    """
    inputs, dt = module.connections, float(module.dt or 0.0)
    recurrent = module.recurrent if isinstance(module, Spiking) else None
    why = ""
    if isinstance(inputs, (Conv2d, SumPool2d)):
        columns = max(columns, _columns_of(module))
        why = _unfit(inputs, recurrent, shape, columns, dt)
        if not why and isinstance(inputs, SumPool2d) and columns == CHANNELS:
            return Kernels(_as_convolution(inputs), dt, "the chip's pool has no channels that differ")
        if not why:
            return Kernels(inputs, dt)
    return Matrices(as_matrix(inputs), None if recurrent is None else as_matrix(recurrent), dt, why)


def columns_of(module: Spiking | LIReadout, n: int) -> int:
    """Which columns it are, of a layer's, that are `n`."""
    shape = module.connections.shape_out
    channels = shape[0] if isinstance(module.connections, (Conv2d, SumPool2d)) else module.out_features
    return ONE if n == 1 else CHANNELS if n <= channels else UNITS


def _column_delays(inputs: Conv2d | SumPool2d, dt: float) -> np.ndarray | None:
    """Delays of the channels in steps, or of a pool (1,); None if those of one kernel differ."""
    if inputs.delay is None:
        return np.zeros(1, np.int64)
    rows = 1 if isinstance(inputs, SumPool2d) else inputs.out_channels
    steps = array(delay_steps(torch.as_tensor(inputs.delay), dt)).reshape(rows, -1).astype(np.int64)
    return steps[:, 0] if (steps == steps[:, :1]).all() else None


def _columns_of(module: Spiking | LIReadout) -> int:
    """The columns within which units are equal."""
    channels, found = module.connections.shape_out[0], ONE
    for name in module.neuron.parameters:
        value: Tensor | None = getattr(module.neuron, name)
        if value is not None:
            own = array(value).reshape(channels, -1)
            found = max(found, UNITS if (own != own[:, :1]).any() else CHANNELS if (own != own[0, 0]).any() else ONE)
    return found


def _unfit(
    inputs: Conv2d | SumPool2d, recurrent: Connections | None, shape: Sequence[int] | None, columns: int, dt: float
) -> str:
    """Why the chip's convolution does not do; empty if it does."""
    if columns == UNITS:
        return "units of a channel differ"
    if recurrent is not None:
        return "its units are connected among themselves"
    if _column_delays(inputs, dt) is None:
        return "delays within a kernel differ"
    if shape is not None and tuple(shape) != _as_map(inputs.shape_in):
        return "the layer before is no such map on the chip"
    return ""


def _as_map(shape: Sequence[int]) -> tuple[int, ...]:
    """A signal as a map of one row."""
    return tuple(shape) if len(shape) == 3 else (shape[0], 1, shape[1])


def _as_convolution(pool: SumPool2d) -> Conv2d:
    """A convolution of as many groups as there are channels, each with the pool's weight."""
    channels, geometry = pool.shape_in[0], pool.geometry
    return Conv2d(
        pool.shape_in, channels, geometry.kernel, geometry.stride, geometry.padding, groups=channels,
        weight=torch.as_tensor(pool.weight).expand(channels, 1, *geometry.kernel),
        delay=None if pool.delay is None else torch.as_tensor(pool.delay).expand(channels, 1, *geometry.kernel),
    )  # fmt: skip
