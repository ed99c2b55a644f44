"""`Layer`: what all layers are, units of one neuron behind connections, whose parameters are the module's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lambent.connections.connections import Connections
from lambent.layers._parameters import check_dt, per_unit
from lambent.neurons.neuron import Neuron


class Layer(nn.Module):
    """A module that owns the parameters of a neuron and of connections.

    Neurons and connections are plain values; `neuron` and `connections` put them together from the parameters as they
    are now.
    """

    def __init__(self, neuron: Neuron, connections: Connections, dt: float | None) -> None:
        super().__init__()
        self.dt = check_dt(dt)
        neuron.suits(dt)
        self.in_features, self.out_features = connections.n_in, connections.n_out
        self._neuron, self._connections = neuron, connections
        for name in neuron.parameters:
            value = getattr(neuron, name)
            if value is not None:
                value = per_unit(name, value, self.out_features, positive=name not in neuron.signed)
                value = nn.Parameter(value, requires_grad=name in neuron.trained)
            self.register_parameter(name, value)

    def _own(self, name: str, value: Tensor | None) -> None:
        """Make a tensor of connections a parameter of the module."""
        if value is not None and not isinstance(value, nn.Parameter):
            value = nn.Parameter(value.detach().clone())
        self.register_parameter(name, value)

    def _now(self, prefix: str, connections: Connections) -> Connections:
        return connections.with_values(**{name: getattr(self, prefix + name) for name in connections.parameters})

    @property
    def neuron(self) -> Neuron:
        """The units, with the parameters as they are now."""
        return self._neuron.with_values(**{name: getattr(self, name) for name in self._neuron.parameters})

    @property
    def connections(self) -> Connections:
        """The connections from the inputs, with the parameters as they are now."""
        return self._now("", self._connections)

    @property
    def parameter_roles(self) -> dict[str, str]:
        """What each parameter is to an optimiser: "weight", "tau" (a time constant), "delay"; others are left out."""
        roles = dict.fromkeys(self._neuron.time_constants, "tau")
        for prefix in ("", "recurrent_"):
            roles |= {f"{prefix}weight": "weight", f"{prefix}delay": "delay"}
        return roles

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put values that are trained (`requires_grad`) back where they mean something, see `Neuron.bounds`."""
        for name, (low, high) in self._neuron.bounds(self.dt).items():
            value = getattr(self, name)
            if value is not None and value.requires_grad:
                value.clamp_(low, high)
