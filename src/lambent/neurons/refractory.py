"""The leaky integrate-and-fire neuron that rests after a spike.

    tau_mem dV/dt = -V + I        tau_syn dI/dt = -I        an event on a connection of weight w: I += w
    V reaches threshold: emit a spike, then V := 0, and stays so for t_ref

On a grid of `dt` this is LIF's recurrence, with V[n] = 0 in the t_ref / dt steps, rounded, after a spike. A third
number of the state, R, is what is left of the rest. Where it ends, V begins to follow I: a spike later by x lets it
begin later by x, and so leaves I / tau_mem x less of V, which is all that the adjoint knows of a spike's own past.
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


class RefractoryLIFUnits(NamedTuple):
    """LIF units with a rest on a grid; the state is (I, V, what is left of the rest [ms]).

    Attributes:
        alpha_mem, alpha_syn, gain: of LIF's recurrence.
        threshold: voltage at which a unit spikes.
        period: how long it rests [ms].
        rate_mem, rate_syn: rates [1/ms], without gradients.
        least: the smallest dV/dt just before a spike that the adjoint assumes [1/ms].
        step: the time step [ms].
    """

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    threshold: Tensor
    period: Tensor
    rate_mem: Tensor
    rate_syn: Tensor
    least: Tensor
    step: Tensor

    n_states = 3
    n_marks = 1
    traced = True
    step_gradients = ("alpha_mem", "alpha_syn", "gain")
    spike_gradients = ("threshold", "period")

    @staticmethod
    def advance(x, arriving, p):
        i, v, rest = x
        i = p.alpha_syn * i + arriving
        v = where(rest > 0.5 * p.step, 0.0, p.alpha_mem * v + p.gain * i)
        return i, v, where(rest > 1.5 * p.step, rest - p.step, 0.0)

    @staticmethod
    def marks(x, p):
        return (maximum((x[0] - x[1]) * p.rate_mem, p.least),)

    @staticmethod
    def reset(x, p):
        return x[0], 0.0 * x[1], p.period

    @staticmethod
    def jump(a, pull, push, marks, p):
        # dV/dt after the spike is 0; where the rest is no step long, it is LIF's
        after = where(p.period > 0.5 * p.step, a[2], -a[1] * (marks[0] + p.threshold * p.rate_mem))
        return a[0], push - (after + pull) / marks[0], 0.0 * a[2]

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push, 0.0 * push

    @staticmethod
    def retreat(a, before, arrived, p):
        free = where(before[2] > 0.5 * p.step, 0.0, a[1])
        arriving = p.gain * free + a[0]
        ends = where(before[2] > 0.5 * p.step, -a[1] * before[0] * p.rate_mem, 0.0)
        rest = where(before[2] > 1.5 * p.step, a[2], ends)
        return (p.alpha_syn * arriving, p.alpha_mem * free, rest), arriving

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        free = where(before[2] > 0.5 * p.step, 0.0, a[1])
        return free * before[1], arriving * before[0], free * (p.alpha_syn * before[0] + arrived)

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return -a[1], after[2]

    level = staticmethod(LIFUnits.level)
    above = staticmethod(LIFUnits.above)
    drift = staticmethod(LIFUnits.drift)


@dataclass(frozen=True, eq=False)
class RefractoryLIF(Neuron):
    """Leaky integrate-and-fire units that rest after a spike.

    Args:
        tau_mem, tau_syn: time constants of membrane and synapses [ms].
        threshold: voltage at which a unit spikes.
        t_ref: how long V stays 0 after a spike [ms], 0 or positive; on a grid rounded to whole steps, while its
            gradient is that of continuous time.
        min_slope: least dV/dt just before a spike that the adjoint assumes, in units of threshold / tau_mem; None for
            0.1.

    Raises:
        ValueError: a `min_slope` that is not positive.

    Example:
        >>> layer = lb.Spiking(lb.neurons.RefractoryLIF(t_ref=5.0), lb.connections.Dense(1, 1, [[50.0]]))
        >>> layer(lb.Events.from_lists([[0.0]], [[0]], 1, 20.0)).times.tolist()
        [1.0, 8.0]
    """

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0
    threshold: float | Tensor = 1.0
    t_ref: float | Tensor = 2.0
    min_slope: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "threshold", "t_ref")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")
    from_zero: ClassVar[tuple[str, ...]] = ("t_ref",)
    state_names: ClassVar[tuple[str, ...]] = ("current", "voltage", "rest")

    def __post_init__(self) -> None:
        check_reset("zero", self.min_slope)

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        tau = (smallest_tau(dt), None)
        return {"tau_mem": tau, "tau_syn": tau, "threshold": (1e-3, None), "t_ref": (0.0, None)}

    def on_grid(self, dt: float, dtype: torch.dtype) -> RefractoryLIFUnits:
        tau_mem, tau_syn, threshold, t_ref = (torch.as_tensor(getattr(self, x)) for x in self.parameters)
        rate_mem, rate_syn = 1 / tau_mem.detach().to(dtype), 1 / tau_syn.detach().to(dtype)
        least = (0.1 if self.min_slope is None else self.min_slope) * threshold.detach().to(dtype) * rate_mem
        constants = [x.to(dtype) for x in grid_constants(tau_mem, tau_syn, dt)]
        step = torch.full_like(rate_mem, dt)
        return RefractoryLIFUnits(
            *constants, threshold.to(dtype), t_ref.to(dtype), rate_mem, rate_syn, least=least, step=step
        )
