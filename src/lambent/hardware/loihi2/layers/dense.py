"""`Loihi2Layer`: units with synapses from every unit before them, and, if recurrent, from each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.checks import check_signs, integers
from lambent.hardware.loihi2.layers.base import MAX_DELAY, Layer, Shape
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire


@dataclass(frozen=True, eq=False, init=False)
class Loihi2Layer(Layer):
    """A dense layer, recurrent or not.

    Attributes:
        name: for error messages; in files "layer/1", "layer/2" and so on.
        kind: "dense", or "dense_rec" with synapses from the block's own units.
        weight: (n_out, n_in) int32, in [-256, 254] if the layer has weights of both signs, else within +-255.
        weight_rec: (n_out, n_out) int32, [to, from]; for "dense_rec" only.
        weight_imag: (n_out, n_in) int32, the imaginary parts; for resonate-and-fire units only.
        bias: (n_out,) int32, see `Layer`; one number is spread.
        delay: steps, 0 to 62, on top of the one step every spike takes: one for all synapses of `weight`,
            (n_out,), (n_in,) or (n_out, n_in). With n_out = n_in a vector is per output unit, as Lava reads
            it.
        delay_rec: likewise for `weight_rec`: one for all synapses, (n_out,) per target or (n_out, n_out) [to, from].
        neuron: the units; its parameters are one for all or (n_out,).
        i_decay, v_decay, v_th_mant: those of `neuron` if it is `CUBA`, else 0. As arguments they are short
            for `neuron=CUBA(i_decay, v_decay, v_th_mant)`.

    Arrays are copied, made int32 and read-only. A weight means its own value, as it does in Lava, whose
    reader scales both matrices to 8 bits with one shared exponent, drops the bits that are zero everywhere
    and shifts back. `lambent.hardware.loihi2.netx.lava` lists the files that Lava misreads. The chip itself holds
    weights of both signs to 8 bits, so weights beyond +-127 should then be even.

    Raises:
        TypeError: a value is no integer.
        ValueError: a value is out of range or has the wrong shape.
        Messages start with the layer and the dataset, for example "layer/1/weight: ...".
    """

    weight: np.ndarray
    weight_rec: np.ndarray | None
    weight_imag: np.ndarray | None
    delay: np.ndarray | int
    delay_rec: np.ndarray | int
    i_decay: np.ndarray | int
    v_decay: np.ndarray | int
    v_th_mant: np.ndarray | int

    def __init__(
        self,
        name: str,
        kind: str,
        weight: Any,
        weight_rec: Any = None,
        bias: Any = 0,
        delay: Any = 0,
        i_decay: Any = 0,
        v_decay: Any = 0,
        v_th_mant: Any = 0,
        *,
        weight_imag: Any = None,
        delay_rec: Any = 0,
        neuron: Neuron | None = None,
    ) -> None:
        self._set("name", name)
        self._set("kind", kind)
        self._set("bias", bias)
        if kind not in ("dense", "dense_rec"):
            raise ValueError(f"{name}/type: must be dense or dense_rec, got {kind!r}")
        if np.ndim(weight) != 2 or 0 in np.shape(weight):
            raise ValueError(f"{name}/weight: must be (n_out, n_in), got shape {np.shape(weight)}")
        if (weight_rec is not None) != (kind == "dense_rec"):
            raise ValueError(f"{name}/weight_rec: must be there for dense_rec and for no other type")
        n_out, n_in = np.shape(weight)
        self._set("weight", integers(f"{name}/weight", weight, -256, 255, (n_out, n_in)))
        self._set("weight_rec", None)
        if weight_rec is not None:
            self._set("weight_rec", integers(f"{name}/weight_rec", weight_rec, -256, 255, (n_out, n_out)))
        self._set("weight_imag", None)
        if weight_imag is not None:
            self._set("weight_imag", integers(f"{name}/weight/imag", weight_imag, -256, 255, (n_out, n_in)))
        self._set("delay", integers(f"{name}/delay", delay, 0, MAX_DELAY, (), (n_out,), (n_in,), (n_out, n_in)))
        self._set("delay_rec", integers(f"{name}/delay_rec", delay_rec, 0, MAX_DELAY, (), (n_out,), (n_out, n_out)))
        if weight_rec is None and np.any(self.delay_rec):
            raise ValueError(f"{name}/delay_rec: has no meaning without weight_rec")
        self._set("neuron", _neuron(neuron, name, i_decay, v_decay, v_th_mant))
        self._check_units((n_out,))
        self._spread_bias(n_out)
        for field in ("i_decay", "v_decay", "v_th_mant"):
            self._set(field, getattr(self.neuron, field) if isinstance(self.neuron, CUBA) else 0)
        self._check_weights()

    @property
    def in_shape(self) -> Shape:
        """(n_in,)."""
        return (int(self.weight.shape[1]),)

    @property
    def shape(self) -> Shape:
        """(n_out,)."""
        return (int(self.weight.shape[0]),)

    @cached_property
    def synapse_delays(self) -> np.ndarray:
        """Delay of each synapse of `weight` in steps, int32 (n_out, n_in)."""
        return _of_synapses(self.delay, self.weight)

    @cached_property
    def recurrent_delays(self) -> np.ndarray:
        """Delay of each synapse of `weight_rec` in steps, int32 (n_out, n_out); (0, 0) if there are none."""
        return np.zeros((0, 0), np.int32) if self.weight_rec is None else _of_synapses(self.delay_rec, self.weight_rec)

    def synapses(self) -> csr_array:
        """`weight` without its zeros, int32 (n_out, n_in)."""
        return csr_array(self.weight)

    def _check_weights(self) -> None:
        complex_units = isinstance(self.neuron, ResonateAndFire)
        if complex_units != (self.weight_imag is not None):
            raise ValueError(f"{self.name}/weight/imag: must be there for resonate-and-fire units and for no others")
        if complex_units and self.weight_rec is not None:
            raise ValueError(f"{self.name}/weight_rec: has no meaning for resonate-and-fire units")
        if self.weight_imag is not None:
            check_signs({f"{self.name}/weight/imag": self.weight_imag})
        together = {"weight": self.weight, "weight_rec": self.weight_rec}
        check_signs({f"{self.name}/{field}": w for field, w in together.items() if w is not None})


def _of_synapses(delay: np.ndarray | int, weight: np.ndarray) -> np.ndarray:
    delay = np.asarray(delay)
    column = delay[:, None] if delay.ndim == 1 and len(delay) == len(weight) else delay
    return np.broadcast_to(column, weight.shape)


def _neuron(neuron: Neuron | None, name: str, i_decay: Any, v_decay: Any, v_th_mant: Any) -> Neuron:
    """`neuron`, or CUBA with the parameters given; both only if they agree, as they do in a copy of a layer."""
    if neuron is None:
        return CUBA(i_decay, v_decay, v_th_mant)
    for field, value in (("i_decay", i_decay), ("v_decay", v_decay), ("v_th_mant", v_th_mant)):
        known = getattr(neuron, field, 0) if isinstance(neuron, CUBA) else 0
        if np.any(value) and not np.array_equal(value, known):
            raise ValueError(f"{name}/neuron: give either neuron or {field}, not both")
    return neuron
