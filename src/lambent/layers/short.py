"""`AdaptiveLIF` and `Resonator`: the short forms of these units behind dense connections, as `LIF` is of its."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from lambent import neurons
from lambent.layers.lif import dense_sides
from lambent.layers.spiking import Spiking


class _Short(Spiking):
    """Units of `kind` behind dense connections."""

    kind: ClassVar[type[neurons.Neuron]]

    def __init__(
        self, in_features: int, out_features: int, *, recurrent: bool = False, delay: float | Tensor | None = None,
        recurrent_delay: float | Tensor | None = None, max_delay: float | None = None, dt: float = 1.0,
        payload_bits: int | None = None, payload_range: float | None = None, **neuron: Any,
    ) -> None:  # fmt: skip
        sides = dense_sides(in_features, out_features, recurrent, delay, recurrent_delay)
        super().__init__(
            self.kind(**neuron), *sides, dt=dt, max_delay=max_delay, payload_bits=payload_bits,
            payload_range=payload_range,
        )  # fmt: skip
        self.reset_parameters()

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        own = [n for n in ("delay", "recurrent_delay") if getattr(self, n) is not None]
        own += ["recurrent"] if self.recurrent_weight is not None else []
        own += [f"payload_bits={self.payload_bits}"] if self.payload_bits else []
        return ", ".join([f"{self.in_features}, {self.out_features}", *own, f"dt={self.dt}"])


class AdaptiveLIF(_Short):
    """Leaky integrate-and-fire units whose threshold rises with every spike; `Events` in, `Events` out.

    Short for `lambent.Spiking` with `lambent.neurons.AdaptiveLIF` and `lambent.connections.Dense`.

    Args:
        in_features, out_features: number of input and output units.
        recurrent, delay, recurrent_delay, max_delay, dt, payload_bits, payload_range: as in `lambent.LIF`; there is no
            continuous time.
        neuron: the arguments of `lambent.neurons.AdaptiveLIF`: tau_mem, tau_syn, threshold, tau_adapt, beta ...

    Raises:
        TypeError: an argument is of another type, or unknown.
        ValueError: an argument is out of range or has the wrong shape.

    >>> import lambent as lb
    >>> lb.AdaptiveLIF(3, 2, recurrent=True, tau_adapt=200.0).tau_adapt
    tensor([200., 200.])
    """

    kind = neurons.AdaptiveLIF


class Resonator(_Short):
    """Resonate-and-fire units; `Events` in, `Events` out.

    Short for `lambent.Spiking` with `lambent.neurons.Resonator` and `lambent.connections.Dense`.

    Args:
        in_features, out_features: number of input and output units.
        recurrent, delay, recurrent_delay, max_delay, dt, payload_bits, payload_range: as in `lambent.LIF`; there is no
            continuous time.
        neuron: the arguments of `lambent.neurons.Resonator`: tau_mem, period, threshold, rule ...

    Raises:
        TypeError: an argument is of another type, or unknown.
        ValueError: an argument is out of range or has the wrong shape.

    >>> import lambent as lb
    >>> lb.Resonator(3, 2, period=torch.tensor([10.0, 20.0])).period
    tensor([10., 20.])
    """

    kind = neurons.Resonator
