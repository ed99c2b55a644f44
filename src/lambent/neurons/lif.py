"""The leaky integrate-and-fire neuron with exponential synapses.

    tau_mem dV/dt = -V + I + bias        tau_syn dI/dt = -I        an event on a connection of weight w: I += w
    V reaches threshold: emit a spike, then V := 0 ("zero") or V - threshold ("subtract")

On a grid of `dt` this becomes, exactly (DESIGN 4.2),

    I[n] = alpha_syn I[n-1] + (sum of w over events arriving at n)
    V[n] = alpha_mem V[n-1] + gain I[n] + (1 - alpha_mem) bias
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.arithmetic import maximum, where
from lambent.neurons.neuron import Neuron, check_reset, smallest_tau
from lambent.neurons.response import grid_constants, peak_response


class LIFUnits(NamedTuple):
    """LIF units on a grid; the state is (I, V).

    Attributes:
        alpha_mem, alpha_syn, gain: of the recurrence above.
        threshold: voltage at which a unit spikes.
        tau_mem, rate_mem, rate_syn: time constant [ms] and rates [1/ms], without gradients.
        least: the smallest dV/dt just before a spike that the adjoint assumes [1/ms].
        subtract: 1 where a spike takes the threshold off, 0 where it takes V to 0.
    """

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    threshold: Tensor
    tau_mem: Tensor
    rate_mem: Tensor
    rate_syn: Tensor
    least: Tensor
    subtract: Tensor

    n_states = 2
    n_marks = 1
    traced = False
    step_gradients = ("alpha_mem", "alpha_syn", "gain")
    spike_gradients = ("threshold",)

    @staticmethod
    def advance(x, arriving, p):
        i, v = x
        i = p.alpha_syn * i + arriving
        return i, p.alpha_mem * v + p.gain * i

    @staticmethod
    def level(x, p):
        return x[1]

    @staticmethod
    def above(before, x, p):
        return x[1] >= p.threshold

    @staticmethod
    def marks(x, p):
        # V after and I at the start of the step: of the estimates of dV/dt tried the one nearest to the continuous
        # gradient that a rising V also keeps positive
        return (maximum((x[0] - x[1]) / p.tau_mem, p.least),)

    @staticmethod
    def reset(x, p):
        return x[0], where(p.subtract > 0, x[1] - p.threshold, 0.0)

    @staticmethod
    def jump(a, pull, push, marks, p):
        slope = marks[0]
        ratio = 1 + p.threshold / (p.tau_mem * slope)  # dV/dt after / before the spike
        return a[0], a[1] * ratio - pull / slope + push

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push

    @staticmethod
    def retreat(a, before, arrived, p):
        arriving = p.gain * a[1] + a[0]
        return (p.alpha_syn * arriving, p.alpha_mem * a[1]), arriving

    @staticmethod
    def drift(arriving, a, p):
        return arriving * p.rate_syn - a[1] * p.rate_mem

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        return a[1] * before[1], arriving * before[0], a[1] * (p.alpha_syn * before[0] + arrived)

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return (-a[1],)


class BiasedLIFUnits(NamedTuple):
    """`LIFUnits` with a bias; a kind of its own, so that units without one do not add zeros in every step.

    Attributes:
        push: what the bias adds to V in a step, (1 - alpha_mem) bias.
        bias: without a gradient.
    """

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    push: Tensor
    threshold: Tensor
    tau_mem: Tensor
    rate_mem: Tensor
    rate_syn: Tensor
    least: Tensor
    subtract: Tensor
    bias: Tensor

    n_states = 2
    n_marks = 1
    traced = False
    step_gradients = (*LIFUnits.step_gradients, "push")
    spike_gradients = LIFUnits.spike_gradients

    @staticmethod
    def advance(x, arriving, p):
        i, v = x
        i = p.alpha_syn * i + arriving
        return i, p.alpha_mem * v + p.gain * i + p.push

    @staticmethod
    def marks(x, p):
        return (maximum((x[0] + p.bias - x[1]) / p.tau_mem, p.least),)

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        return a[1] * before[1], arriving * before[0], a[1] * (p.alpha_syn * before[0] + arrived), a[1]

    level = staticmethod(LIFUnits.level)
    above = staticmethod(LIFUnits.above)
    reset = staticmethod(LIFUnits.reset)
    jump = staticmethod(LIFUnits.jump)
    lift = staticmethod(LIFUnits.lift)
    retreat = staticmethod(LIFUnits.retreat)
    drift = staticmethod(LIFUnits.drift)
    spike_gradient = staticmethod(LIFUnits.spike_gradient)


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate-and-fire units.

    Args:
        tau_mem, tau_syn: time constants of membrane and synapses [ms].
        threshold: voltage at which a unit spikes.
        bias: a constant current, trained; None or False for none, True for one that begins as 0.
        reset: "zero" (V := 0) or "subtract" (V := V - threshold).
        min_slope: least dV/dt just before a spike that the adjoint assumes, in units of threshold / tau_mem; None for
            0.1 on a grid, and 1e-6 in continuous time.

    Raises:
        ValueError: an unknown reset, or a `min_slope` that is not positive.
    """

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0
    threshold: float | Tensor = 1.0
    bias: float | Tensor | bool | None = None
    reset: str = "zero"
    min_slope: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "threshold", "bias")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")
    state_names: ClassVar[tuple[str, ...]] = ("current", "voltage")
    trained: ClassVar[tuple[str, ...]] = ("bias",)
    signed: ClassVar[tuple[str, ...]] = ("bias",)

    def __post_init__(self) -> None:
        if isinstance(self.bias, bool):
            object.__setattr__(self, "bias", 0.0 if self.bias else None)
        check_reset(self.reset, self.min_slope)

    @torch.no_grad()
    def peak(self, dt: float | None) -> Tensor:
        """See `Neuron.peak`, in closed form."""
        return peak_response(torch.as_tensor(self.tau_mem), torch.as_tensor(self.tau_syn))

    def least_slope(self, dt: float | None) -> float:
        """`min_slope`, or what it is where left out."""
        return (1e-6 if dt is None else 0.1) if self.min_slope is None else self.min_slope

    def suits(self, dt: float | None) -> None:
        """Either."""

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        tau = (smallest_tau(dt), None)
        return {"tau_mem": tau, "tau_syn": tau, "threshold": (1e-3, None)}

    def on_grid(self, dt: float, dtype: torch.dtype) -> LIFUnits | BiasedLIFUnits:
        tau_mem, tau_syn, threshold = (torch.as_tensor(x) for x in (self.tau_mem, self.tau_syn, self.threshold))
        fixed_mem, fixed_syn = tau_mem.detach().to(dtype), tau_syn.detach().to(dtype)
        least = self.least_slope(dt) * threshold.detach() / tau_mem.detach()
        constants = grid_constants(tau_mem, tau_syn, dt)
        units = LIFUnits(
            *(x.to(dtype) for x in constants),
            threshold=threshold.to(dtype),
            tau_mem=fixed_mem,
            rate_mem=1 / fixed_mem,
            rate_syn=1 / fixed_syn,
            least=least.to(dtype),
            subtract=torch.full_like(fixed_mem, float(self.reset == "subtract")),
        )
        if self.bias is None:
            return units
        bias = torch.as_tensor(self.bias)
        push = (1 - constants[0]) * bias
        return BiasedLIFUnits(**units._asdict(), push=push.to(dtype), bias=bias.detach().to(dtype))
