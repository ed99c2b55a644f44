"""`Layer`: what all layers are, units of one neuron behind connections, whose parameters are the module's own."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from lambent.connections.connections import Connections
from lambent.events import Events
from lambent.layers._parameters import check_dt, per_unit
from lambent.machine.warn import warn_caller
from lambent.neurons.neuron import Neuron

MEANING = "lambent"
"""Under this a `state_dict` keeps, in torch's metadata of each layer, what its values are of."""


class Layer(nn.Module):
    """A module that owns the parameters of a neuron and of connections.

    Neurons and connections are plain values; `neuron` and `connections` put them together from the parameters as they
    are now. What they were made with is copied, and not kept.

    What a neuron does not train unless told to, such as time constants, is a buffer at first, which
    ``model.requires_grad_()`` passes over. Once it requires a gradient (``layer.tau_mem.requires_grad_()``) it is a
    parameter as any other.
    """

    warned = False  # of being silent or saturated in training
    _warned_of_dt = False

    def __init__(
        self, neuron: Neuron, connections: Connections, recurrent: Connections | None, dt: float | None
    ) -> None:
        given = [("neuron", neuron, Neuron), ("connections", connections, Connections)]
        for name, part, kind in given if recurrent is None else [*given, ("recurrent", recurrent, Connections)]:
            if not isinstance(part, kind):
                what = f"the class {part.__name__}" if isinstance(part, type) else repr(part)
                raise TypeError(f"{name} must be one of lambent.{kind.__module__.split('.')[1]}, got {what}")
        super().__init__()
        self.dt = check_dt(dt)
        neuron.suits(dt)
        self.in_features, self.out_features = connections.n_in, connections.n_out
        for name in neuron.parameters:
            value: Tensor | None = getattr(neuron, name)
            optional = getattr(type(neuron), name, ...) is None  # by its default
            if value is not None or not optional:
                value = per_unit(name, value, self.out_features, lowest=neuron.lowest(name))
                if name not in neuron.trained:
                    self.register_buffer(name, value)
                    continue
                value = nn.Parameter(value)
            self.register_parameter(name, value)
        tau = getattr(self, "tau_mem", None)
        if dt is not None and tau is not None and tau.max() < 0.5 * dt:
            warn_caller(
                f"tau_mem of {tau.max():g} ms is much shorter than a step of {dt:g} ms, in which a membrane then "
                "forgets all: is it in seconds? lambent takes milliseconds"
            )
        sides = {"": connections} if recurrent is None else {"": connections, "recurrent_": recurrent}
        for name in dict.fromkeys(name for side in sides.values() for name in side.parameters):
            for prefix, side in sides.items():
                if name in side.parameters:
                    value = getattr(side, name)
                    value = None if value is None else nn.Parameter(value.detach().clone())
                    self.register_parameter(prefix + name, value)
        for prefix, side in sides.items():
            for name in side.buffers:
                self.register_buffer(prefix + name, getattr(side, name).detach().clone())
        self._neuron = neuron.with_values(**dict.fromkeys(neuron.parameters))
        self._connections, self._recurrent = _empty(connections), None if recurrent is None else _empty(recurrent)

    def _adopt(self) -> None:
        """Make parameters of the buffers that have come to require a gradient."""
        for name in [name for name, x in self._buffers.items() if x is not None and x.requires_grad and x.is_leaf]:
            chosen: Any = self._buffers.pop(name)
            chosen.__class__ = nn.Parameter  # the same tensor, which others may hold
            self._parameters[name] = chosen

    def named_modules(self, *args: Any, **kwargs: Any) -> Any:
        """As torch's; it is what models look for parameters with."""
        self._adopt()
        return super().named_modules(*args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """As torch's."""
        self._adopt()
        return super().named_parameters(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        self._adopt()
        return super()._apply(*args, **kwargs)

    def _now(self, prefix: str, connections: Connections) -> Connections:
        names = (*connections.parameters, *connections.buffers)
        return connections.with_values(**{name: getattr(self, prefix + name) for name in names})

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

    def _meaning(self) -> dict[str, Any]:
        """What, besides the parameters, a `state_dict` is of: with another the same values compute something else."""
        reset = getattr(self._neuron, "reset", None)
        return {"dt": self.dt} | ({"reset": reset} if isinstance(reset, str) else {})

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]][MEANING] = self._meaning()

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing: Any,
        unexpected: Any,
        errors: Any,
    ) -> None:
        """As torch's; refuses what was kept with another meaning. What says none, as older files, is taken."""
        own = self._meaning()
        for name, theirs in local_metadata.get(MEANING, {}).items():
            if name in own and not _same(name, theirs, own[name]):
                errors.append(
                    f"{prefix[:-1] or type(self).__name__}: the values are of a layer with {name}={theirs!r}, this one "
                    f"has {name}={own[name]!r}: make it the same, or load dict(state), the values alone"
                )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing, unexpected, errors)

    def _watch_dt(self, events: Events) -> None:
        """Warn, once, of events from a layer with another time step: its steps are then moved to those of this one."""
        if events.dt in (0.0, self.dt) or self._warned_of_dt:
            return
        self._warned_of_dt = True
        theirs, own = (f"steps of {dt:g} ms" if dt else "continuous time" for dt in (events.dt, self.dt))
        warn_caller(
            f"{type(self).__name__}({self.extra_repr()}) has {own}, the layer before it {theirs}: give all layers of a "
            "model the same dt"
        )

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put values that are trained (`requires_grad`) back where they mean something, see `Neuron.bounds`."""
        for name, (low, high) in self._neuron.bounds(self.dt).items():
            value = getattr(self, name)
            if value is not None and value.requires_grad:
                value.clamp_(low, high)


def _same(name: str, one: Any, other: Any) -> bool:
    """Whether two layers mean the same; a readout's voltages, "none", are those of any reduction."""
    return one == other or (name == "reduce" and "none" in (one, other))


def _empty(connections: Connections) -> Connections:
    """Connections without their tensors."""
    return connections.with_values(**dict.fromkeys((*connections.parameters, *connections.buffers)))
