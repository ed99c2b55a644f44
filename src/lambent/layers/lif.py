"""`LIF`: the short form of leaky integrate-and-fire units behind dense connections."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from lambent.connections.dense import Dense
from lambent.layers._parameters import check_sizes
from lambent.layers.spiking import Spiking
from lambent.neurons import lif


class LIF(Spiking):
    """Leaky integrate-and-fire units with exponential synapses; `Events` in, `Events` out.

        tau_mem dV/dt = -V + I + bias      tau_syn dI/dt = -I      an event on synapse w: I += w
        V reaches threshold: emit a spike, then V := 0 ("zero") or V - threshold ("subtract")

    Short for `lambent.Spiking` with `lambent.neurons.LIF` and `lambent.connections.Dense`, weights drawn by
    `reset_parameters`; see there for what its gradients are.

    Args:
        in_features, out_features: number of input and output units.
        recurrent: connect the units among themselves.
        tau_mem, tau_syn: time constants [ms], a number or (out_features,).
        threshold: a number or (out_features,).
        reset: "zero" or "subtract"; in continuous time, where V is the threshold when it spikes, they are the same.
        bias: a constant current, a number or (out_features,); True for one that begins as 0, None or False for none.
        delay, recurrent_delay: None, a number or one delay per connection [ms]. On a grid they are rounded
            to whole steps forward; their gradient is that of the continuous delay.
        max_delay: where `constrain_` keeps delays [ms]; the default is Loihi's 62 steps (62 ms if dt is None).
        dt: time step [ms], or None for continuous time: spike times are solved for in float64 and gradients are
            exact, recurrent spikes without delay act at once, and more than a million spikes of a layer in one sample
            (or a thousand a unit, if that is more) are a RuntimeError. Best for few, sparse spikes; a grid suits long
            trains.
        min_slope: a spike that only grazes the threshold has dV/dt near 0, and the adjoint divides by it.
            Slopes below ``min_slope * threshold / tau_mem`` are taken to be that. The default is 0.1 on a grid, and
            in continuous time 1e-6, so that gradients are exact there.
        payload_bits, payload_range: what spikes carry besides their time, as in `lambent.Spiking`; None for nothing.

    Attributes:
        weight (in, out), recurrent_weight (out, out) [from, to] or None, tau_mem, tau_syn, threshold (out,),
        bias (out,) or None, delay (in, out) and recurrent_delay (out, out) or None. Weights, bias and delays are
        parameters and trained. The others are buffers, and parameters after ``layer.tau_mem.requires_grad_()``;
        ``model.requires_grad_()`` leaves them fixed. Call `constrain_` after an optimiser step when time constants,
        thresholds or delays are trained.

    Raises:
        TypeError: an argument is of another type.
        ValueError: an argument is out of range or has the wrong shape.

    >>> import lambent as lb
    >>> layer = lb.LIF(3, 2, tau_mem=10.0, recurrent=True)
    >>> layer.weight.shape, layer.recurrent_weight.shape
    (torch.Size([3, 2]), torch.Size([2, 2]))
    """

    tau_mem: Tensor
    tau_syn: Tensor
    bias: nn.Parameter | None
    _neuron: lif.LIF

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        recurrent: bool = False,
        tau_mem: float | Tensor = 20.0,
        tau_syn: float | Tensor = 5.0,
        threshold: float | Tensor = 1.0,
        reset: str = "zero",
        bias: float | Tensor | bool | None = None,
        delay: float | Tensor | None = None,
        recurrent_delay: float | Tensor | None = None,
        max_delay: float | None = None,
        dt: float | None = 1.0,
        min_slope: float | None = None,
        payload_bits: int | None = None,
        payload_range: float | None = None,
    ) -> None:
        sides = dense_sides(in_features, out_features, recurrent, delay, recurrent_delay)
        neuron = lif.LIF(tau_mem, tau_syn, threshold, bias, reset, min_slope)
        super().__init__(
            neuron, *sides, dt=dt, max_delay=max_delay, payload_bits=payload_bits, payload_range=payload_range
        )
        self.reset_parameters()

    @property
    def reset(self) -> str:
        """What a spike does to the voltage."""
        return self._neuron.reset

    @reset.setter
    def reset(self, value: str) -> None:
        self._neuron = replace(self._neuron, reset=value)

    @property
    def min_slope(self) -> float:
        """Least slope before a spike that the adjoint assumes, in units of threshold / tau_mem."""
        return self._neuron.least_slope(self.dt)

    @min_slope.setter
    def min_slope(self, value: float | None) -> None:
        self._neuron = replace(self._neuron, min_slope=value)

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        parts = [f"{self.in_features}, {self.out_features}"]
        parts += ["recurrent"] if self.recurrent_weight is not None else []
        parts += [n for n in ("bias", "delay", "recurrent_delay") if getattr(self, n) is not None]
        parts += [f"payload_bits={self.payload_bits}"] if self.payload_bits else []
        return ", ".join([*parts, f"reset={self.reset!r}", f"dt={self.dt}"])


def dense_sides(
    n_in: int, n_out: int, recurrent: bool, delay: float | Tensor | None, recurrent_delay: float | Tensor | None
) -> tuple[Dense, Dense | None]:
    """The connections of a short form, whose weights are yet to be drawn."""
    check_sizes(in_features=n_in, out_features=n_out)
    if not isinstance(recurrent, bool):
        raise TypeError(f"recurrent must be True or False, got {recurrent!r}; lb.Spiking takes connections")
    if recurrent_delay is not None and not recurrent:
        raise ValueError("recurrent_delay needs recurrent=True")
    inputs = _dense("delay", n_in, n_out, delay)
    return inputs, _dense("recurrent_delay", n_out, n_out, recurrent_delay) if recurrent else None


def _dense(name: str, n_in: int, n_out: int, delay: float | Tensor | None) -> Dense:
    """Connections whose weights are yet to be drawn."""
    if delay is not None:
        delay = torch.as_tensor(delay, dtype=torch.get_default_dtype())
        if delay.ndim and delay.shape != (n_in, n_out):
            raise ValueError(f"{name} must be a number or have shape {(n_in, n_out)}, got {tuple(delay.shape)}")
    return Dense(n_in, n_out, torch.empty(n_in, n_out), delay)
