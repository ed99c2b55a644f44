"""The resonate-and-fire neuron: a damped oscillator z = Re + i Im that its inputs push.

    dz/dt = (-1 / tau_mem + i w) z,  w = 2 pi / period        an event on a connection of weight w: Re += w

"threshold" (Izhikevich 2001; NetX's RF_IZHIKEVICH): Im reaches threshold: emit a spike, then z := i threshold
"phase" (NetX's RF_PHASE, Lava's RF): Im rises through 0 while Re >= threshold: emit a spike; z goes on as it is

On a grid of `dt` this becomes, exactly, and as on the chip,

    Re[n] = cos Re[n-1] - sin Im[n-1] + (sum of w over events arriving at n)        Im[n] = sin Re[n-1] + cos Im[n-1]

with cos and sin of w dt, both times exp(-dt / tau_mem). The jumps of DESIGN 4.1, with s = dIm/dt before the spike, are

    "threshold"    aRe(-) = 0        aIm(-) = -[threshold (w aRe(+) + aIm(+) / tau_mem) + G] / s
    "phase"        aRe(-) = aRe(+)   aIm(-) = aIm(+) - G / s
"""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.arithmetic import maximum
from lambent.neurons.neuron import Neuron, check_reset, smallest_tau


class ResonatorUnits(NamedTuple):
    """Resonators that spike at a threshold on a grid; the state is (Re, Im).

    Attributes:
        cos, sin: of the recurrence above, with the decay.
        threshold: Im at which a unit spikes.
        rate: 1 / tau_mem [1/ms], without a gradient.
        turn: w [1/ms], without a gradient.
        least: the smallest dIm/dt just before a spike that the adjoint assumes [1/ms].
    """

    cos: Tensor
    sin: Tensor
    threshold: Tensor
    rate: Tensor
    turn: Tensor
    least: Tensor

    n_states = 2
    n_marks = 1
    traced = False
    step_gradients = ("cos", "sin")
    spike_gradients = ("threshold",)

    @staticmethod
    def advance(x, arriving, p):
        return p.cos * x[0] - p.sin * x[1] + arriving, p.sin * x[0] + p.cos * x[1]

    @staticmethod
    def level(x, p):
        return x[1]

    @staticmethod
    def above(before, x, p):
        return x[1] >= p.threshold

    @staticmethod
    def marks(x, p):
        return (maximum(p.turn * x[0] - p.rate * x[1], p.least),)

    @staticmethod
    def reset(x, p):
        return 0.0 * x[0], p.threshold

    @staticmethod
    def jump(a, pull, push, marks, p):
        return 0.0 * a[0], push - (p.threshold * (p.turn * a[0] + p.rate * a[1]) + pull) / marks[0]

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push

    @staticmethod
    def retreat(a, before, arrived, p):
        return (p.cos * a[0] + p.sin * a[1], p.cos * a[1] - p.sin * a[0]), a[0]

    @staticmethod
    def drift(arriving, a, p):
        return p.rate * a[0] - p.turn * a[1]

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        return a[0] * before[0] + a[1] * before[1], a[1] * before[0] - a[0] * before[1]

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return (after[1] - a[1],)


class PhaseResonatorUnits(NamedTuple):
    """Resonators that spike at a phase; fields are those of `ResonatorUnits`, `threshold` being that of Re."""

    cos: Tensor
    sin: Tensor
    threshold: Tensor
    rate: Tensor
    turn: Tensor
    least: Tensor

    n_states = 2
    n_marks = 1
    traced = False
    step_gradients = ResonatorUnits.step_gradients
    spike_gradients = ResonatorUnits.spike_gradients

    @staticmethod
    def level(x, p):
        return x[0]

    @staticmethod
    def above(before, x, p):
        return (before[1] < 0) & (x[1] >= 0) & (x[0] >= p.threshold)

    @staticmethod
    def reset(x, p):
        return x

    @staticmethod
    def jump(a, pull, push, marks, p):
        return a[0] + push, a[1] - pull / marks[0]

    @staticmethod
    def lift(push, p):
        return push, 0.0 * push

    @staticmethod
    def spike_gradient(a, after, marks, p):
        return (after[0] - a[0],)

    advance = staticmethod(ResonatorUnits.advance)
    marks = staticmethod(ResonatorUnits.marks)
    retreat = staticmethod(ResonatorUnits.retreat)
    drift = staticmethod(ResonatorUnits.drift)
    gradient = staticmethod(ResonatorUnits.gradient)


@dataclass(frozen=True, eq=False)
class Resonator(Neuron):
    """Resonate-and-fire units, which swing at a frequency of their own and spike for inputs of that rhythm.

    Args:
        tau_mem: time constant with which the oscillation dies away [ms].
        period: of the oscillation [ms]; longer than four steps.
        threshold: what Im, or in the rule "phase" Re, must reach.
        rule: "threshold" (spikes where Im reaches the threshold, and starts from there) or "phase" (spikes where Im
            rises through 0 while Re is at least the threshold, once a period; no reset).
        min_slope: least dIm/dt just before a spike that the adjoint assumes, in units of 2 pi threshold / period; None
            for 1, which the rule "phase" never falls below. By the rule "threshold" most spikes graze it, at the top
            of a swing, and each passes gradients on to the spike before: with 0.1 these grow a million times and more.

    Raises:
        ValueError: an unknown rule, a `min_slope` that is not positive, or a period that is too short for the step.

    Example:
        >>> layer = lb.Spiking(lb.neurons.Resonator(period=8.3, rule="phase"), lb.connections.Dense(1, 1, [[2.0]]))
        >>> layer(lb.Events.from_lists([[0.0]], [[0]], 1, 30.0)).times.tolist()
        [10.0, 18.0, 26.0]
    """

    tau_mem: float | Tensor = 40.0
    period: float | Tensor = 25.0
    threshold: float | Tensor = 1.0
    rule: str = "threshold"
    min_slope: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "period", "threshold")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "period")
    state_names: ClassVar[tuple[str, ...]] = ("real", "imaginary")

    def __post_init__(self) -> None:
        if self.rule not in ("threshold", "phase"):
            raise ValueError(f'rule must be "threshold" or "phase", got {self.rule!r}')
        check_reset("zero", self.min_slope)

    def suits(self, dt: float | None) -> None:
        super().suits(dt)
        shortest = self.period if isinstance(self.period, (int, float)) else torch.as_tensor(self.period).min().item()
        if dt is not None and 0 < shortest < 4 * dt:
            raise ValueError(f"a period of {shortest:g} ms is too short for steps of {dt:g} ms; it takes four steps")

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        return {"tau_mem": (smallest_tau(dt), None), "period": (4 * (dt or 0.0), None), "threshold": (1e-3, None)}

    def on_grid(self, dt: float, dtype: torch.dtype) -> ResonatorUnits | PhaseResonatorUnits:
        tau_mem, period, threshold = (torch.as_tensor(getattr(self, x)).to(torch.float64) for x in self.parameters)
        turn, decay = 2 * math.pi / period, torch.exp(-dt / tau_mem)
        least = (1.0 if self.min_slope is None else self.min_slope) * threshold * turn
        fixed = (x.detach() for x in (1 / tau_mem, turn, least))
        found = (decay * torch.cos(turn * dt), decay * torch.sin(turn * dt), threshold, *fixed)
        kind: Any = ResonatorUnits if self.rule == "threshold" else PhaseResonatorUnits
        return kind(*(x.to(dtype) for x in found))
