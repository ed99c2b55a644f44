"""`ConvLayer`: units that share kernels over an image, or pool it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.checks import check_signs, integers
from lambent.hardware.loihi2.layers.base import MAX_DELAY, Layer, Shape
from lambent.hardware.loihi2.neurons import ResonateAndFire

_CONV_LIMIT = 127  # of kernel sizes, strides and so on, and groups, in Lava's Conv
_MAX_SIDE = 1 << 15  # of images, strides and dilations: keeps every product in 64 bits


@dataclass(frozen=True, eq=False)
class ConvLayer(Layer):
    """A convolutional layer, or with kind "pool" a sum-pooling one; as `torch.nn.functional.conv2d`.

    Attributes:
        kind: "conv", or "pool", where one kernel serves every channel by itself.
        weight: (channels_out, channels_in / groups, kernel height, width) int32, or (1, 1, height, width)
            for "pool"; in [-256, 254] if there are weights of both signs, else within +-255.
        in_shape: (channels, height, width) of the units before.
        stride, padding, dilation: (vertical, horizontal); one number for both is spread.
        groups: channels are split into this many groups, each with its own kernels; for "pool" one each.
        weight_imag: the imaginary parts, of the same shape; for resonate-and-fire units only.
        bias: (channels_out,) or (n_out,), see `Layer`; one number is spread.
        delay: steps, 0 to 62, of all synapses onto a unit: one for all, (channels_out,) or (n_out,).
        neuron: the units; each of its parameters is one for all, (channels_out,) or (n_out,).

    Sums over a layer's synapses wrap into 24 bits with sign (`wraps`), as in Lava's fixed-point Conv. With delays, or
    sizes that its 8 bits don't hold, they are sparse synapses in Lava, whose sums don't.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is out of range or has the wrong shape.
    """

    weight: np.ndarray
    in_shape: Shape
    stride: Sequence[int] | int = 1
    padding: Sequence[int] | int = 0
    dilation: Sequence[int] | int = 1
    groups: int = 1
    weight_imag: np.ndarray | None = None
    delay: np.ndarray | int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("conv", "pool"):
            raise ValueError(f"{self.name}/type: must be conv or pool, got {self.kind!r}")
        if len(self.in_shape) != 3 or not all(1 <= n < _MAX_SIDE for n in self.in_shape):
            raise ValueError(f"{self.name}: the layer before must be (channels, height, width), got {self.in_shape}")
        for name, low in (("stride", 1), ("padding", 0), ("dilation", 1)):
            where, value = f"{self.name}/{name}", getattr(self, name)
            pair = np.broadcast_to(integers(where, value, low, _MAX_SIDE - 1, (), (1,), (2,)), 2)
            self._set(name, (int(pair[0]), int(pair[1])))
        self._set_weights()
        if min(self.shape) < 1:
            raise ValueError(f"{self.name}/shape: {self.shape}: the kernel is larger than the padded image")
        channels, n_out = self.shape[0], self.n_out
        self._check_units((channels,), (n_out,))
        self._spread_bias(channels)
        self._set("delay", integers(f"{self.name}/delay", self.delay, 0, MAX_DELAY, (), (channels,), (n_out,)))

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of the layer's units."""
        channels = self.in_shape[0] if self.kind == "pool" else self.weight.shape[0]
        sides = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, padding, dilation in zip(
                self.in_shape[1:], self.weight.shape[2:], *self.geometry, strict=True
            )
        )
        return (int(channels), *map(int, sides))

    @property
    def wraps(self) -> bool:
        """Whether Lava's Conv holds the layer, and so its sums wrap into 24 bits."""
        groups = self.in_shape[0] if self.kind == "pool" else self.groups
        sizes = [groups, *self.weight.shape[2:], *(n for pair in self.geometry for n in pair)]
        return not np.any(self.delay) and max(sizes) <= _CONV_LIMIT

    def kernels(self, weight: np.ndarray) -> np.ndarray:
        """`weight` or `weight_imag` by input channel, int32 (channels_in, height, width, channels_out / groups)."""
        if self.kind == "pool":
            weight = np.broadcast_to(weight, (self.in_shape[0], 1, *weight.shape[2:]))
        n_groups = self.in_shape[0] if self.kind == "pool" else self.groups
        split = weight.reshape(n_groups, -1, *weight.shape[1:])  # group, out, in, y, x
        return np.array(split.transpose(0, 2, 3, 4, 1).reshape(self.in_shape[0], *weight.shape[2:], -1), order="C")

    def synapses(self) -> csr_array:
        """All synapses with a weight, int32 (n_out, n_in); real parts if complex."""
        channels, height, width = self.shape
        c_in, h_in, w_in = self.in_shape
        kernels = self.kernels(self.weight)
        per_group = kernels.shape[3]
        c, ky, kx, k = kernels.nonzero()
        out = k + c // (c_in * per_group // channels) * per_group
        (sy, sx), (py, px), (dy, dx) = self.geometry
        y, x = np.arange(height), np.arange(width)
        at_y = y[None] * sy - py + dy * ky[:, None]
        at_x = x[None] * sx - px + dx * kx[:, None]
        ok = ((at_y >= 0) & (at_y < h_in))[:, :, None] & ((at_x >= 0) & (at_x < w_in))[:, None, :]
        s, yi, xi = ok.nonzero()
        rows = (out[s] * height + yi) * width + xi
        columns = (c[s] * h_in + at_y[s, yi]) * w_in + at_x[s, xi]
        return csr_array((kernels[c, ky, kx, k][s], (rows, columns)), shape=(self.n_out, self.n_in))

    @property
    def geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Stride, padding and dilation, each (vertical, horizontal)."""
        return self.stride, self.padding, self.dilation  # type: ignore[return-value]

    def _set_weights(self) -> None:
        channels, pool = self.in_shape[0], self.kind == "pool"
        groups = int(integers(f"{self.name}/groups", self.groups, 1, _MAX_SIDE, ()))
        if pool and groups != 1:
            raise ValueError(f"{self.name}/groups: has no meaning for pool")
        self._set("groups", groups)
        found = {"weight": self.weight}
        if self.weight_imag is not None:
            found = {"weight/real": self.weight, "weight/imag": self.weight_imag}
        shape = np.shape(self.weight)
        wanted = (1, 1) if pool else (shape[0] if len(shape) == 4 else 0, channels // groups)
        if (
            len(shape) != 4
            or 0 in shape
            or shape[:2] != wanted
            or channels % groups
            or (not pool and shape[0] % groups)
        ):
            what = "(1, 1, height, width)" if pool else "(channels_out, channels_in / groups, height, width)"
            raise ValueError(
                f"{self.name}/weight: must be {what}, got shape {shape} for {channels} channels in {groups} groups"
            )
        if max(shape) > _MAX_SIDE:
            raise ValueError(f"{self.name}/weight: absurd shape {shape}")
        for dataset, value in found.items():
            where = f"{self.name}/{dataset}"
            weight = integers(where, value, -256, 255, shape)
            check_signs({where: weight})
            self._set("weight_imag" if dataset == "weight/imag" else "weight", weight)
        if isinstance(self.neuron, ResonateAndFire) != (self.weight_imag is not None):
            raise ValueError(f"{self.name}/weight/imag: must be there for resonate-and-fire units and for no others")
