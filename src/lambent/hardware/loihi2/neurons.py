"""The chip's units: CUBA, sigma-delta and resonate-and-fire, as the parameters that NetX files hold.

A parameter is one number for all units of a layer or a vector; which lengths fit, the layer knows. Arrays are
copied, made int32 and read-only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lambent.hardware.loihi2.checks import integers
from lambent.machine.showing import Short

THRESHOLD_LIMIT = 1 << 17
"""A threshold mantissa this high is never reached: shifted by 6 it lies above the highest voltage."""
MEANT_NEVER = 1 << 16
"""The mantissa that exporters write for units which should not spike, though voltages can reach that threshold."""
MAX_MESSAGE_BITS = 32
"""Bits of the value that a graded spike can carry."""

_MANTISSA_LIMIT = (1 << 18) - 1  # what slayer writes for "never"
_DECAY_LIMIT = 1 << 12


@dataclass(frozen=True, eq=False)
class Neuron(Short):
    """Parameters of a layer's units.

    Attributes:
        ranges: dataset, lowest and highest value of each parameter, by attribute.
        graded: whether spikes carry a value.
    """

    ranges: ClassVar[dict[str, tuple[str, int, int]]] = {}
    graded: ClassVar[bool] = False

    @property
    def type(self) -> str:
        """Name of the type in NetX files."""
        raise NotImplementedError

    def checked(self, name: str, *shapes: tuple[int, ...]) -> Neuron:
        """The same neuron with parameters of one of `shapes`, for the layer `name`.

        Raises:
            TypeError, ValueError: a parameter is no integer, out of range or of another shape.
        """
        values: dict[str, Any] = dict(vars(self))
        for key, (dataset, low, high) in self.ranges.items():
            values[key] = integers(f"{name}/neuron/{dataset}", values[key], low, high, *shapes)
        return type(self)(**values)


_THRESHOLD = ("vThMant", -_MANTISSA_LIMIT, _MANTISSA_LIMIT)
_DECAY = (-_DECAY_LIMIT, _DECAY_LIMIT)


@dataclass(frozen=True, eq=False)
class CUBA(Neuron):
    """Current-based leaky integrate-and-fire units ("CUBA", "LOIHI").

        u = wrap(decay(u, iDecay) + (a << 6))
        v = clip(decay(v, vDecay) + u + (bias << 6));   spike where v > (vThMant << 6), then v = 0

    Attributes:
        i_decay, v_decay: per step, in 1/4096, 0 to 4096.
        v_th_mant: a unit spikes when its voltage exceeds 64 times this.
    """

    i_decay: np.ndarray | int = 0
    v_decay: np.ndarray | int = 0
    v_th_mant: np.ndarray | int = 0

    ranges: ClassVar[dict[str, tuple[str, int, int]]] = {
        "i_decay": ("iDecay", 0, _DECAY_LIMIT),
        "v_decay": ("vDecay", 0, _DECAY_LIMIT),
        "v_th_mant": _THRESHOLD,
    }

    @property
    def type(self) -> str:
        """Name of the type in NetX files."""
        return "CUBA"


@dataclass(frozen=True, eq=False)
class Graded(Neuron):
    """Units whose spikes carry a value ("SDNN").

    Attributes:
        message_bits: bits of that value, 1 to 32; kept for writing, values are not cut to it.
    """

    message_bits: int = field(default=16, kw_only=True)

    graded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        bits = self.message_bits
        if not isinstance(bits, int) or not 1 <= bits <= MAX_MESSAGE_BITS:
            raise ValueError(f"message_bits must be a whole number from 1 to {MAX_MESSAGE_BITS}, got {bits!r}")

    @property
    def type(self) -> str:
        """Name of the type in NetX files."""
        return "SDNN"


@dataclass(frozen=True, eq=False)
class SigmaDelta(Graded):
    """Sigma-delta units with a rectifier, which send the changes of their activation.

        sigma += a;   act = max(sigma + (bias << 12), 0);   delta = act - act_before + residue
        send delta >> 6 if |delta| >= (vThMant << 12), then residue = 0; else residue = delta

    States have 32 bits and wrap, as in Lava's fixed-point model. In an input layer there is no rectifier and
    act is the input's mantissa << 12 (Lava's Delta process).

    Attributes:
        v_th_mant: 0 to 2^18 - 1.
    """

    v_th_mant: np.ndarray | int = 0

    ranges: ClassVar[dict[str, tuple[str, int, int]]] = {"v_th_mant": ("vThMant", 0, _MANTISSA_LIMIT)}


@dataclass(frozen=True, eq=False)
class Sigma(Graded):
    """Output units of sigma-delta networks (`sigma_output`): sigma += a, sent in every step."""


@dataclass(frozen=True, eq=False)
class ResonateAndFire(Neuron):
    """Units that rotate and shrink a complex state; they need complex weights.

        re' = clip(cos re - sin im + (a_re << 6));   im' = clip(sin re + cos im + (a_im << 6))

    where each product is shifted by 12, rounding toward zero. Izhikevich units ("RF_IZHIKEVICH") spike where
    im' >= (vThMant << 6) and then start from re = 0, im = (vThMant << 6) - 1. Phase units ("RF_PHASE") spike
    where the phase passes zero: re' >= (vThMant << 6), im' >= 0 and im < 0; they are not reset.

    Attributes:
        sin_decay, cos_decay: in 1/4096, -4096 to 4096.
        v_th_mant: the threshold.
        phase: whether these are phase units.
    """

    sin_decay: np.ndarray | int = 0
    cos_decay: np.ndarray | int = 0
    v_th_mant: np.ndarray | int = 0
    phase: bool = False

    ranges: ClassVar[dict[str, tuple[str, int, int]]] = {
        "sin_decay": ("sinDecay", *_DECAY),
        "cos_decay": ("cosDecay", *_DECAY),
        "v_th_mant": _THRESHOLD,
    }

    @property
    def type(self) -> str:
        """Name of the type in NetX files."""
        return "RF_PHASE" if self.phase else "RF_IZHIKEVICH"
