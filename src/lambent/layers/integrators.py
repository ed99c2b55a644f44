"""Leaky integrators as layers: `Integrators`, what those that send and those that are read share, and `LI`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lambent.connections.connections import Connections
from lambent.connections.dense import Dense
from lambent.engines import engine_for
from lambent.engines.checks import check_derivative, check_input
from lambent.events import Events
from lambent.layers._parameters import check_sizes
from lambent.layers.layer import Layer
from lambent.machine.waiting import expect
from lambent.neurons.integrator import Integrator
from lambent.neurons.neuron import Neuron


class Integrators(Layer):
    """Leaky integrators with exponential synapses behind dense connections."""

    weight: nn.Parameter
    delay: None
    tau_mem: Tensor
    tau_syn: Tensor

    def __init__(
        self, in_features: int, out_features: int, tau_mem: float | Tensor, tau_syn: float | Tensor, dt: float | None
    ) -> None:
        check_sizes(in_features=in_features, out_features=out_features)
        weight = torch.empty(in_features, out_features)
        super().__init__(Integrator(tau_mem, tau_syn), Dense(in_features, out_features, weight), None, dt)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw normal weights with standard deviation 1 / sqrt(in_features)."""
        with torch.no_grad():
            self.weight.normal_().mul_(self.in_features**-0.5)

    def voltages(self, events: Events) -> Tensor:
        """Voltages of all steps (batch, steps, out_features); of a readout without `scale`, whatever `reduce` is.

        Raises as `forward`.

        Raises:
            ValueError: in continuous time (dt=None), which has no steps.
        """
        if self.dt is None:
            raise ValueError("continuous time (dt=None) has no steps to give voltages of; give a dt [ms]")
        neuron, connections = self._checked(events, backward_only=True)
        return engine_for(events.device, self.dt).levels(events, neuron, connections, self.dt)

    def _checked(self, events: Events, backward_only: bool) -> tuple[Neuron, Connections]:
        """What the layer is now, if `events` and that are as they must be."""
        neuron, connections = self.neuron, self.connections
        check_input(events, neuron, connections)
        if backward_only:
            check_derivative(events, neuron, connections)
        expect(*neuron.sound())
        self._watch_dt(events)
        return neuron, connections


class LI(Integrators):
    """Leaky integrators that send their voltages on, as the values of graded spikes; `Events` in, `Events` out.

    The units are those of `LIReadout`, with its voltages V[n] of `reduce="none"`, but stand between other layers. In
    every step n in which V[n] is not 0, which is from the step in which its first input arrives on, a unit sends an
    event at ``n * dt`` [ms] whose value (`Events.values`) is V[n]. As any spike it arrives in the next layer one step
    later, and a connection of weight w adds w V[n] there. Nothing resets the units. What follows has as much to do as
    for units that spike in every step.

    Values have the exact gradient of the voltages, and times none: they are those of the grid.

    Args:
        in_features, out_features: number of input and output units.
        tau_mem, tau_syn: time constants [ms], a number or (out_features,).
        dt: time step [ms].

    Raises:
        TypeError: an argument is of another type.
        ValueError: an argument is out of range or has the wrong shape, or dt is None: continuous time has no steps in
            which to send.

    >>> import lambent as lb
    >>> events = lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0)
    >>> smooth = lb.LI(3, 4)
    >>> smooth(events).to_dense(1.0).shape, smooth(events).values.shape
    (torch.Size([1, 20, 4]), torch.Size([72]))
    >>> torch.nn.Sequential(smooth, lb.LIF(4, 8), lb.LIReadout(8, 2))(events).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tau_mem: float | Tensor = 20.0,
        tau_syn: float | Tensor = 5.0,
        dt: float = 1.0,
    ) -> None:
        if dt is None:
            raise ValueError("dt must be a step [ms]: the units send in every step, and continuous time has none")
        super().__init__(in_features, out_features, tau_mem, tau_syn, dt)

    def forward(self, events: Events) -> Events:
        """An event for every unit and step, with the voltage as its value; zeros are not sent.

        Raises:
            TypeError: `events` is no `Events`.
            ValueError: its number of units is not `in_features`, it is on another device, or a time constant is
                not positive.
            NotImplementedError: the derivative is wanted in forward mode or by `torch.func`.
        """
        v = self.voltages(events)
        sample, step, unit = v.detach().nonzero(as_tuple=True)
        sizes = torch.bincount(sample, minlength=len(v))
        out = Events(
            (step.to(torch.float64) * float(self.dt or 0.0)).to(events.dtype),
            unit,
            torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
            self.out_features,
            events.duration,
            v[sample, step, unit],
            check=False,
        )
        out.dt = self.dt
        return out

    def extra_repr(self) -> str:
        """Sizes and step, for printing."""
        return f"{self.in_features}, {self.out_features}, dt={self.dt}"
