"""A neuron that the package does not have, as its user would write it: LIF units that rest after a spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.arithmetic import maximum, where
from lambent.neurons.neuron import Neuron
from lambent.neurons.response import grid_constants


class RefractoryUnits(NamedTuple):
    """State (I, V, what is left of the rest [ms]), during which V stays 0."""

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    threshold: Tensor
    tau_mem: Tensor
    tau_syn: Tensor
    least: Tensor
    period: Tensor
    step: Tensor

    n_states = 3
    n_marks = 1
    traced = True
    step_gradients = ("alpha_mem", "alpha_syn", "gain")
    spike_gradients = ("threshold",)

    @staticmethod
    def advance(x, arriving, p):
        i, v, rest = x
        i = p.alpha_syn * i + arriving
        v = where(rest > 0.5 * p.step, 0.0, p.alpha_mem * v + p.gain * i)
        return i, v, where(rest > 1.5 * p.step, rest - p.step, 0.0)

    @staticmethod
    def level(x, p):
        return x[1]

    @staticmethod
    def above(before, x, p):
        return x[1] >= p.threshold

    @staticmethod
    def marks(x, p):
        return (maximum((x[0] - x[1]) / p.tau_mem, p.least),)

    @staticmethod
    def reset(x, p):
        return x[0], 0.0 * x[1], p.period

    @staticmethod
    def jump(a, pull, push, marks, p):
        return a[0], push - (a[2] + pull) / marks[0], 0.0 * a[2]

    @staticmethod
    def lift(push, p):
        return 0.0 * push, push, 0.0 * push

    @staticmethod
    def retreat(a, before, arrived, p):
        free = where(before[2] > 0.5 * p.step, 0.0, a[1])
        arriving = p.gain * free + a[0]
        # a spike that comes later lets V start later, by I / tau_mem less: the jump where the rest ends
        ends = where(before[2] > 0.5 * p.step, -a[1] * before[0] / p.tau_mem, 0.0)
        rest = where(before[2] > 1.5 * p.step, a[2], ends)
        return (p.alpha_syn * arriving, p.alpha_mem * free, rest), arriving

    @staticmethod
    def drift(arriving, a, p):
        return arriving / p.tau_syn - a[1] / p.tau_mem

    @staticmethod
    def gradient(a, arriving, before, arrived, p):
        free = where(before[2] > 0.5 * p.step, 0.0, a[1])
        return free * before[1], arriving * before[0], free * (p.alpha_syn * before[0] + arrived)

    @staticmethod
    def spike_gradient(a, marks, p):
        return (-a[1],)


@dataclass(frozen=True, eq=False)
class Refractory(Neuron):
    """LIF units that rest for `period` [ms] after a spike."""

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0
    threshold: float | Tensor = 1.0
    period: float = 4.0

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn", "threshold")
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")

    def on_grid(self, dt: float, dtype: torch.dtype) -> RefractoryUnits:
        constants = [x.to(dtype) for x in grid_constants(self.tau_mem, self.tau_syn, dt)]
        tau_mem, tau_syn, threshold = (x.detach().to(dtype) for x in (self.tau_mem, self.tau_syn, self.threshold))
        period, step = torch.full_like(tau_mem, self.period), torch.full_like(tau_mem, dt)
        least = 0.1 * threshold / tau_mem
        return RefractoryUnits(*constants, self.threshold.to(dtype), tau_mem, tau_syn, least, period, step)
