"""The leaky integrator with exponential synapses: a LIF unit that never spikes, and whose voltage is read."""

# mypy: disable-error-code="misc, call-arg"
# (constants in named tuples)
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from lambent.neurons.lif import LIFUnits
from lambent.neurons.neuron import Neuron, smallest_tau
from lambent.neurons.response import grid_constants


class IntegratorUnits(NamedTuple):
    """Leaky integrators on a grid; fields, state and functions are those of `LIFUnits`."""

    alpha_mem: Tensor
    alpha_syn: Tensor
    gain: Tensor
    rate_mem: Tensor
    rate_syn: Tensor

    n_states = 2
    n_marks = 0
    traced = False
    step_gradients = LIFUnits.step_gradients
    spike_gradients = ()

    advance = staticmethod(LIFUnits.advance)
    level = staticmethod(LIFUnits.level)
    lift = staticmethod(LIFUnits.lift)
    retreat = staticmethod(LIFUnits.retreat)
    drift = staticmethod(LIFUnits.drift)
    gradient = staticmethod(LIFUnits.gradient)


@dataclass(frozen=True, eq=False)
class Integrator(Neuron):
    """Leaky integrators.

    Args:
        tau_mem, tau_syn: time constants of membrane and synapses [ms].
    """

    tau_mem: float | Tensor = 20.0
    tau_syn: float | Tensor = 5.0

    parameters: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")
    spiking: ClassVar[bool] = False
    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_syn")
    state_names: ClassVar[tuple[str, ...]] = ("current", "voltage")

    def suits(self, dt: float | None) -> None:
        """Either."""

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        tau = (smallest_tau(dt), None)
        return {"tau_mem": tau, "tau_syn": tau}

    def on_grid(self, dt: float, dtype: torch.dtype) -> IntegratorUnits:
        tau_mem, tau_syn = (torch.as_tensor(x) for x in (self.tau_mem, self.tau_syn))
        rates = (1 / x.detach().to(dtype) for x in (tau_mem, tau_syn))
        return IntegratorUnits(*(x.to(dtype) for x in grid_constants(tau_mem, tau_syn, dt)), *rates)
