"""`InputLayer`: units that are driven by numbers instead of spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.checks import integers
from lambent.hardware.loihi2.layers.base import BIAS_LIMIT, Layer, Shape
from lambent.hardware.loihi2.neurons import ResonateAndFire, Sigma

DEFAULT_GAIN = 64
"""What the input's value 1 becomes where a file does not say: 1 in the chip's fixed point."""


@dataclass(frozen=True, eq=False)
class InputLayer(Layer):
    """Units that turn a number x per step into spikes: the mantissa m = gain x + bias, truncated toward zero.

    CUBA units take m as their synaptic input a, sigma-delta units as their activation (m << 12). slayer
    writes such layers with the gain and bias of its affine input; x is then what the network was trained on.

    Attributes:
        kind: "input".
        shape: (n,) or (channels, height, width).
        gain, bias: whole numbers.
        neuron: `CUBA` or `SigmaDelta`; each of its parameters is one for all or per channel or unit.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is out of range or has the wrong shape.
    """

    shape: Shape
    gain: np.ndarray | int = DEFAULT_GAIN

    def __post_init__(self) -> None:
        if self.kind != "input":
            raise ValueError(f"{self.name}/type: must be input, got {self.kind!r}")
        if isinstance(self.neuron, (Sigma, ResonateAndFire)):
            raise ValueError(
                f"{self.name}/neuron/type: an input cannot have units of type {type(self.neuron).__name__}"
            )
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"{self.name}/shape: {self.shape} is no shape of a layer")
        self._check_units((self.shape[0],), (self.n_out,))
        for name, dataset in (("gain", "weight"), ("bias", "bias")):
            where = f"{self.name}/{dataset}"
            self._set(name, int(integers(where, getattr(self, name), -BIAS_LIMIT, BIAS_LIMIT, ())))

    @property
    def in_shape(self) -> Shape:
        """That of the units."""
        return self.shape

    def mantissas(self, values: np.ndarray) -> np.ndarray:
        """m of real or whole `values` x of any shape, int32.

        Raises:
            ValueError: a mantissa is not finite or beyond +-131071.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            mantissa = np.trunc(np.multiply(values, float(self.gain)) + float(self.bias))
        if not (np.abs(mantissa) <= BIAS_LIMIT).all():
            raise ValueError(
                f"{self.name}: {self.gain} x {'+' if self.bias >= 0 else '-'} {abs(self.bias)} "
                f"must be finite and within +-{BIAS_LIMIT} for every input x"
            )
        return mantissa.astype(np.int32)

    def synapses(self) -> csr_array:
        """None: (n_out, n_in) without entries."""
        return csr_array((self.n_out, self.n_in), dtype=np.int32)
