"""The leaky integrate-and-fire neuron whose threshold rises with every spike and sinks back.

    tau_mem dV/dt = -V + I        tau_syn dI/dt = -I        tau_adapt dA/dt = -A
    an event on a connection of weight w: I += w
    V reaches threshold + beta A: emit a spike, then V := 0 ("zero") or V - threshold - beta A ("subtract"), A += 1

(Bellec et al. 2018, LSNN). On a grid of `dt` this becomes, exactly (DESIGN 4.2), LIF's recurrence of I and V, and

    A[n] = alpha_adapt A[n-1]

The jump of DESIGN 4.1 is, for both resets, with s = (I - V) / tau_mem + beta A / tau_adapt before the spike,

    aV(-) = aV(+) + [aV(+) (threshold / tau_mem + beta A (1 / tau_mem - 1 / tau_adapt)) - aA(+) / tau_adapt - G] / s
    aA(-) = aA(+) - beta aV(-)        dL/d threshold -= aV(-)        dL/d beta -= A aV(-)
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.arithmetic import maximum, where
from lambent.neurons.lif import LIFUnits
from lambent.neurons.neuron import Neuron, check_reset, smallest_tau
from lambent.neurons.response import grid_constants


class AdaptiveLIFUnits(NamedTuple):
    """Adaptive LIF units on a grid; the state is (I, V, A).

    Attributes:
        alpha_mem, alpha_syn, gain, alpha_adapt: of the recurrences above.
        threshold, beta: the threshold of a unit at rest, and what a spike adds to it.
        rate_mem, rate_syn, rate_adapt: rates [1/ms], without gradients.
        least: the smallest d(V - beta A)/dt just before a spike that the adjoint assumes [1/ms].
        subtract: 1 where a spike takes the threshold it reached off, 0 where it takes V to 0.
    """

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    alpha_adapt: Tensor
    threshold: Tensor
    beta: Tensor
    rate_mem: Tensor
    rate_syn: Tensor
    rate_adapt: Tensor
    least: Tensor
    subtract: Tensor

    n_states = 3
    n_marks = 2
    traced = False
    step_gradients = ("alpha_mem", "alpha_syn", "gain", "alpha_adapt")
    spike_gradients = ("threshold", "beta")

    @staticmethod
    def advance(x, arriving, p):
        i, v, high = x
        i = p.alpha_syn * i + arriving
        return i, p.alpha_mem * v + p.gain * i, p.alpha_adapt * high

    @staticmethod
    def level(x, p):
        return x[1] - p.beta * x[2]

    @staticmethod
    def above(before, x, p):
        return x[1] >= p.threshold + p.beta * x[2]

    @staticmethod
    def marks(x, p):
        # I at the start of the step and V after it, as in LIF; the second is A, which `spike_gradient` needs too
        return maximum((x[0] - x[1]) * p.rate_mem + p.beta * x[2] * p.rate_adapt, p.least), x[2]

    @staticmethod
    def reset(x, p):
        return x[0], where(p.subtract > 0, x[1] - (p.threshold + p.beta * x[2]), 0.0), x[2] + 1

    @staticmethod
    def jump(a, pull, push, marks, p):
        slope, high = marks
        more = p.threshold * p.rate_mem + p.beta * high * (p.rate_mem - p.rate_adapt)  # d level/dt after less before
        v = a[1] + (a[1] * more - a[2] * p.rate_adapt - pull) / slope + push
        return a[0], v, a[2] - p.beta * v

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push, -p.beta * push

    @staticmethod
    def retreat(a, before, arrived, p):
        arriving = p.gain * a[1] + a[0]
        return (p.alpha_syn * arriving, p.alpha_mem * a[1], p.alpha_adapt * a[2]), arriving

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        gain = a[1] * (p.alpha_syn * before[0] + arrived)
        return a[1] * before[1], arriving * before[0], gain, a[2] * before[2]

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return -a[1], -a[1] * marks[1]

    drift = staticmethod(LIFUnits.drift)


@dataclass(frozen=True, eq=False)
class AdaptiveLIF(Neuron):
    """Leaky integrate-and-fire units with an adaptive threshold. See `AdLIF` for the form with a current.

    Args:
        tau_mem, tau_syn: time constants of membrane and synapses [ms].
        threshold: voltage at which a unit spikes that has not spiked for long.
        tau_adapt: time constant with which the threshold sinks back [ms].
        beta: what every spike adds to the threshold, 0 or positive.
        reset: "zero" (V := 0) or "subtract" (V less the threshold that was reached).
        min_slope: least d(V - beta A)/dt just before a spike that the adjoint assumes, in units of threshold / tau_mem;
            None for 0.1.

    Raises:
        ValueError: an unknown reset, or a `min_slope` that is not positive.

    Example:
        >>> layer = lb.Spiking(lb.neurons.AdaptiveLIF(tau_adapt=200.0), lb.connections.Dense(3, 4))
        >>> layer(lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0)).n_units
        4
    """

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0
    threshold: float | Tensor = 1.0
    tau_adapt: float | Tensor = 100.0
    beta: float | Tensor = 0.5
    reset: str = "zero"
    min_slope: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "threshold", "tau_adapt", "beta")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "tau_adapt")
    from_zero: ClassVar[tuple[str, ...]] = ("beta",)
    state_names: ClassVar[tuple[str, ...]] = ("current", "voltage", "adaptation")

    def __post_init__(self) -> None:
        check_reset(self.reset, self.min_slope)

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        tau = (smallest_tau(dt), None)
        return {"tau_mem": tau, "tau_syn": tau, "threshold": (1e-3, None), "tau_adapt": tau, "beta": (0.0, None)}

    def on_grid(self, dt: float, dtype: torch.dtype) -> AdaptiveLIFUnits:
        tau_mem, tau_syn, threshold, tau_adapt, beta = (torch.as_tensor(getattr(self, x)) for x in self.parameters)
        rates = (1 / x.detach().to(dtype) for x in (tau_mem, tau_syn, tau_adapt))
        least = (0.1 if self.min_slope is None else self.min_slope) * threshold.detach() / tau_mem.detach()
        return AdaptiveLIFUnits(
            *(x.to(dtype) for x in grid_constants(tau_mem, tau_syn, dt)),
            torch.exp(-dt / tau_adapt.to(torch.float64)).to(dtype),
            threshold.to(dtype),
            beta.to(dtype),
            *rates,
            least=least.to(dtype),
            subtract=torch.full_like(least, float(self.reset == "subtract"), dtype=dtype),
        )
