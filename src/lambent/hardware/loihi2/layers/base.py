"""What all layers have in common: a name, a shape, units, a bias."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lambent.hardware.loihi2.checks import integers
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire, Sigma
from lambent.machine.showing import Short

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_DELAY = 62
"""Longest synaptic delay in steps."""
BIAS_LIMIT = (1 << 17) - 1
"""Shifted by 6, a bias must fit the 24 bits of the voltage."""
MAX_UNITS = 1 << 24
"""Most units of a layer; a description that asks for more is broken."""

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer(Short):
    """One block of units and the synapses onto it.

    Attributes:
        name: for error messages; in files "layer/1", "layer/2" and so on.
        kind: the type in NetX files.
        neuron: what the units are.
        bias: int32; CUBA units add it to the voltage in every step after a shift by 6, sigma-delta units to
            sigma after a shift by 12.
        in_shape: shape of the units the layer listens to, (n,) or (channels, height, width).
        shape: shape of the layer's own units, likewise; they are numbered in C order.
    """

    name: str
    kind: str
    neuron: Neuron = field(kw_only=True, default_factory=CUBA)
    bias: np.ndarray | int = field(kw_only=True, default=0)

    if TYPE_CHECKING:  # a field in some layers, a property in others

        @property
        def in_shape(self) -> Shape: ...

        @property
        def shape(self) -> Shape: ...

    @property
    def n_in(self) -> int:
        """Number of units the layer listens to."""
        return math.prod(self.in_shape)

    @property
    def n_out(self) -> int:
        """Number of the layer's own units."""
        return math.prod(self.shape)

    def synapses(self) -> csr_array:
        """All synapses of the input as a sparse matrix int32 (n_out, n_in), real parts if complex."""
        raise NotImplementedError

    def per_unit(self, value: np.ndarray | int) -> np.ndarray:
        """`value`, one number, one per channel or one per unit, as int32 (n_out,)."""
        value = np.asarray(value, np.int32)
        if value.ndim == 1 and len(value) != self.n_out:
            value = np.repeat(value, self.n_out // len(value))
        return np.array(np.broadcast_to(value, (self.n_out,)), order="C")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_units(self, *shapes: Shape) -> None:
        """Check neuron and bias, whose parameters have one of `shapes`."""
        if self.n_out > MAX_UNITS or self.n_in > MAX_UNITS:
            raise ValueError(f"{self.name}/shape: {max(self.n_in, self.n_out)} units are more than {MAX_UNITS}")
        self._set("neuron", self.neuron.checked(self.name, (), *shapes))
        self._set("bias", integers(f"{self.name}/bias", self.bias, -BIAS_LIMIT, BIAS_LIMIT, (), *shapes))
        if isinstance(self.neuron, (Sigma, ResonateAndFire)) and np.any(self.bias):
            raise ValueError(f"{self.name}/bias: has no meaning for units of type {type(self.neuron).__name__}")

    def _spread_bias(self, n: int) -> None:
        """Make a bias that is one number (n,)."""
        if np.ndim(self.bias) == 0:
            spread = np.full(n, self.bias, np.int32)
            spread.flags.writeable = False
            self._set("bias", spread)
