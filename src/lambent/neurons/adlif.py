"""The leaky integrate-and-fire neuron that a current of its own holds back.

    tau_mem dV/dt = -V + I - A        tau_syn dI/dt = -I        tau_adapt dA/dt = a V - A
    an event on a connection of weight w: I += w
    V reaches threshold: emit a spike, then V := 0 ("zero") or V - threshold ("subtract"), A += b

(Bittar & Garner 2022; Baronig et al. 2024, SE-adLIF, who show that forward Euler makes of it another neuron, whose
oscillations grow.) On a grid of `dt` I is LIF's, and V and A are the solution itself: with P = exp(M dt) for the
equations dx/dt = M x of x = (I, V, A),

    V[n] = P_VI I[n] + P_VV V[n-1] + P_VA A[n-1]        A[n] = P_AI I[n] + P_AV V[n-1] + P_AA A[n-1]

The jump of DESIGN 4.1 is, for both resets, with s = (I - V - A) / tau_mem before the spike,

    aV(-) = aV(+) - [aV(+) (b - threshold) / tau_mem + aA(+) (a threshold + b) / tau_adapt + G] / s
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.arithmetic import maximum, where
from lambent.neurons.flow import flow, matrix
from lambent.neurons.lif import LIFUnits
from lambent.neurons.neuron import Neuron, check_reset, smallest_tau


class AdLIFUnits(NamedTuple):
    """LIF units with an adaptation current on a grid; the state is (I, V, A).

    Attributes:
        alpha_syn, v_i, v_v, v_a, a_i, a_v, a_a: of the recurrences above.
        threshold, b: the threshold, and what a spike adds to A.
        rate_mem, rate_syn: rates [1/ms], without gradients.
        fall: (b - threshold) / tau_mem, what a spike takes off dV/dt beside what a reset does.
        rise: (a threshold + b) / tau_adapt, what it takes off dA/dt.
        least: the smallest dV/dt just before a spike that the adjoint assumes [1/ms].
        subtract: 1 where a spike takes the threshold off, 0 where it takes V to 0.
    """

    alpha_syn: Tensor
    v_i: Tensor
    v_v: Tensor
    v_a: Tensor
    a_i: Tensor
    a_v: Tensor
    a_a: Tensor
    threshold: Tensor
    b: Tensor
    rate_mem: Tensor
    rate_syn: Tensor
    fall: Tensor
    rise: Tensor
    least: Tensor
    subtract: Tensor

    n_states = 3
    n_marks = 1
    traced = False
    step_gradients = ("alpha_syn", "v_i", "v_v", "v_a", "a_i", "a_v", "a_a")
    spike_gradients = ("threshold", "b")

    @staticmethod
    def advance(x, arriving, p):
        i, v, held = x
        i = p.alpha_syn * i + arriving
        return i, p.v_i * i + p.v_v * v + p.v_a * held, p.a_i * i + p.a_v * v + p.a_a * held

    @staticmethod
    def marks(x, p):
        # I at the start of the step and V after it, as in LIF
        return (maximum((x[0] - x[1] - x[2]) * p.rate_mem, p.least),)

    @staticmethod
    def reset(x, p):
        return x[0], where(p.subtract > 0, x[1] - p.threshold, 0.0), x[2] + p.b

    @staticmethod
    def jump(a, pull, push, marks, p):
        return a[0], a[1] - (a[1] * p.fall + a[2] * p.rise + pull) / marks[0] + push, a[2]

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push, 0.0 * push

    @staticmethod
    def retreat(a, before, arrived, p):
        arriving = a[0] + p.v_i * a[1] + p.a_i * a[2]
        return (p.alpha_syn * arriving, p.v_v * a[1] + p.a_v * a[2], p.v_a * a[1] + p.a_a * a[2]), arriving

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        i, v, held = p.alpha_syn * before[0] + arrived, before[1], before[2]
        return arriving * before[0], a[1] * i, a[1] * v, a[1] * held, a[2] * i, a[2] * v, a[2] * held

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return -a[1], after[2]

    level = staticmethod(LIFUnits.level)
    above = staticmethod(LIFUnits.above)
    drift = staticmethod(LIFUnits.drift)


@dataclass(frozen=True, eq=False)
class AdLIF(Neuron):
    """Leaky integrate-and-fire units with an adaptation current, which follows the voltage and rises with every spike.

    They swing where the current follows fast and strongly, so that units may prefer inputs of one rhythm. See
    `AdaptiveLIF` for units whose threshold adapts.

    Args:
        tau_mem, tau_syn: time constants of membrane and synapses [ms].
        threshold: voltage at which a unit spikes.
        tau_adapt: time constant of the adaptation current [ms].
        a: how strongly the current follows the voltage, 0 or positive.
        b: what every spike adds to the current, 0 or positive.
        reset: "zero" (V := 0) or "subtract" (V := V - threshold).
        min_slope: least dV/dt just before a spike that the adjoint assumes, in units of threshold / tau_mem; None for
            0.1.

    Raises:
        ValueError: an unknown reset, or a `min_slope` that is not positive.

    Example:
        >>> layer = lb.Spiking(lb.neurons.AdLIF(tau_adapt=60.0, a=2.0), lb.connections.Dense(3, 4))
        >>> layer(lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0)).n_units
        4
    """

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0
    threshold: float | Tensor = 1.0
    tau_adapt: float | Tensor = 100.0
    a: float | Tensor = 0.5
    b: float | Tensor = 0.5
    reset: str = "zero"
    min_slope: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "threshold", "tau_adapt", "a", "b")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "tau_adapt")
    from_zero: ClassVar[tuple[str, ...]] = ("a", "b")
    state_names: ClassVar[tuple[str, ...]] = ("current", "voltage", "adaptation")

    def __post_init__(self) -> None:
        check_reset(self.reset, self.min_slope)

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        tau, positive = (smallest_tau(dt), None), (0.0, None)
        found = {"tau_mem": tau, "tau_syn": tau, "tau_adapt": tau, "a": positive, "b": positive}
        return {"threshold": (1e-3, None), **found}

    def on_grid(self, dt: float, dtype: torch.dtype) -> AdLIFUnits:
        tau_mem, tau_syn, threshold, tau_adapt, a, b = (
            torch.as_tensor(getattr(self, x)).to(torch.float64) for x in self.parameters
        )
        synapse, membrane, adaptation = 1 / tau_syn, 1 / tau_mem, 1 / tau_adapt
        of_v, of_a = (membrane, -membrane, -membrane), (0.0, a * adaptation, -adaptation)
        step = flow(matrix(tau_mem, (-synapse, 0.0, 0.0), of_v, of_a), dt)
        (alpha_syn, _, _), to_v, to_a = (row.unbind(-1) for row in step.unbind(-2))
        fixed = (
            membrane, synapse, (b - threshold) * membrane, (a * threshold + b) * adaptation,
            (0.1 if self.min_slope is None else self.min_slope) * threshold * membrane,
            torch.full_like(threshold, float(self.reset == "subtract")),
        )  # fmt: skip
        found = (alpha_syn, *to_v, *to_a, threshold, b, *(x.detach() for x in fixed))
        return AdLIFUnits(*(x.to(dtype) for x in found))
