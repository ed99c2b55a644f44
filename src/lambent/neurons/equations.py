"""A neuron of the user's own, from its equations."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lambent.machine.waiting import Check
from lambent.neurons.flow import flow, matrix
from lambent.neurons.neuron import Neuron, check_reset, smallest_tau

if TYPE_CHECKING:  # SymPy takes its time
    from lambent.neurons.generated import Generated
    from lambent.neurons.system import System

_TAKEN = {"weight", "delay", "recurrent_weight", "recurrent_delay", "in_features", "out_features", "dt", "max_delay"}


@dataclass(frozen=True, eq=False, init=False)
class Equations(Neuron):
    """Units that do what their equations say.

    All states begin at 0. A spike's gradient, and that of every parameter in whichever equation, follows from the
    equations (DESIGN 4.1), and units run on every engine of a grid, as fast as those of the package.

    Args:
        equations: a line "dNAME/dt = ..." for each state, times in ms.
        spike: "... > ...", linear in the states: when a unit spikes.
        reset: "NAME = ..." or "NAME += ..." (-=, *=, /=), several with ; or in lines: the states after a spike, from
            those before it.
        input: the state to which weights of what arrives are added.
        min_slope: least rate at which what spikes rises just before a spike that the adjoint assumes, in thresholds per
            ms; LIF's for tau_mem = 20 ms.
        parameters: a value for each further name in the equations, a number or one per unit. Those called tau... are
            time constants: positive and, where they are trained, kept above the step. The others may be anything.

    Equations are of + - * / **, numbers, and exp, log, sqrt, sin, cos, tanh. A system that is linear but for
    constants is solved exactly on the grid, others take steps of the exponential Euler method.

    Raises:
        ValueError: equations that cannot be read or make no sense, such as a name that has no value, a spike that never
            comes about, or a reset above the threshold.
        TypeError: a parameter is no number.

    Example:
        >>> neuron = lb.neurons.Equations(
        ...     '''
        ...     dv/dt = (i + v ** 2 - v) / tau_mem
        ...     di/dt = -i / tau_syn
        ...     ''',
        ...     spike="v > theta", reset="v = 0", input="i", tau_mem=20.0, tau_syn=5.0, theta=1.0,
        ... )
        >>> layer = lb.Spiking(neuron, lb.connections.Dense(1, 1, [[30.0]]))
        >>> layer(lb.Events.from_lists([[0.0]], [[0]], 1, 20.0)).times.tolist()
        [1.0, 2.0, 4.0, 6.0, 10.0]
    """

    equations: str
    spike: str
    reset: str
    input: str
    min_slope: float = 0.005

    def __init__(
        self, equations: str, *, spike: str, reset: str, input: str, min_slope: float = 0.005,
        **parameters: float | Tensor,
    ) -> None:  # fmt: skip
        texts = {"equations": equations, "spike": spike, "reset": reset, "input": input}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise TypeError(f"{name} must be a text, got {text!r}")
        check_reset("zero", min_slope)
        own = {**texts, "min_slope": min_slope, **parameters}
        for name, value in own.items():
            object.__setattr__(self, name, value)
        self._check_names(parameters)
        known = {name: _number(name, parameters[name]) for name in self.parameters}
        if not all(bool(torch.isfinite(x).all()) for x in known.values()):
            return  # which layers complain of
        *_, threshold, above = map(torch.as_tensor, self._generated.constants(**known)[2:])
        if not bool((threshold > 0).all()):
            raise ValueError(f"spike: {spike!r} holds at rest, where all states are 0")
        if not bool((above < 0).all()):
            raise ValueError(f"reset: {reset!r} leaves a unit at its threshold or above")

    def _check_names(self, given: dict[str, Any]) -> None:
        states = self._system.states
        for name in given:
            if name in states:
                raise ValueError(f"{name} is a state, which begins at 0, and not a parameter")
            if name not in self.parameters:
                raise ValueError(f"{name} is in none of the equations")
        if not self.parameters:
            raise ValueError("equations: they have no parameter; name one, such as the threshold")
        for name in self.parameters:
            if name not in given:
                raise ValueError(f"{name} is neither a state ({', '.join(states)}) nor has it a value: {name}=...")
            if name in _TAKEN or hasattr(nn.Module, name) or hasattr(type(self), name) or keyword.iskeyword(name):
                raise ValueError(f"{name} means something else to a layer: call the parameter otherwise")

    @classmethod
    def parameters_of(cls, options: dict[str, Any]) -> tuple[str, ...]:
        """See `Neuron.parameters_of`."""
        from lambent.neurons.system import read

        return read(*(options[name] for name in ("equations", "spike", "reset", "input"))).parameters

    @property
    def parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names that are no states."""
        return self._system.parameters

    @property
    def time_constants(self) -> tuple[str, ...]:  # type: ignore[override]
        """The parameters whose names begin with tau."""
        return tuple(name for name in self.parameters if name.startswith("tau"))

    @property
    def signed(self) -> tuple[str, ...]:  # type: ignore[override]
        """The others."""
        return tuple(name for name in self.parameters if not name.startswith("tau"))

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The states, in the order of their equations."""
        return self._system.states

    @property
    def _system(self) -> System:
        from lambent.neurons.system import read

        return read(self.equations, self.spike, self.reset, self.input)

    @property
    def _generated(self) -> Generated:
        from lambent.neurons.generated import generate

        return generate(self._system)

    def _values(self) -> dict[str, Tensor]:
        return {name: torch.as_tensor(getattr(self, name)).to(torch.float64) for name in self.parameters}

    def rest_to_threshold(self) -> Tensor:
        """See `Neuron.rest_to_threshold`."""
        values = self._values()
        like = _like(values)
        return like.new_zeros(like.shape) + self._generated.constants(**values)[2]

    def checks(self) -> Iterator[Check]:
        """What must hold of the parameters: also that no unit spikes at rest, or again right after a spike."""
        yield from super().checks()
        values = {name: x.detach() for name, x in self._values().items()}
        none = torch.zeros_like(_like(values))
        threshold, above = (none + x for x in self._generated.constants(**values)[2:])
        for good, what in (
            (threshold > 0, f"spike: {self.spike!r} holds at rest"),
            (above < 0, f"reset: {self.reset!r} leaves it at its threshold or above"),
        ):

            def complain(good: Tensor = good, what: str = what) -> None:
                unit = int((~good).nonzero()[0])
                raise ValueError(f"unit {unit}: {what}")

            yield Check(good.all(), complain)

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        found: dict[str, tuple[float | None, float | None]] = dict.fromkeys(
            self.time_constants, (smallest_tau(dt), None)
        )
        if str(self._system.threshold) in self.signed:
            found[str(self._system.threshold)] = (1e-3, None)
        return found

    def on_grid(self, dt: float, dtype: torch.dtype) -> Any:
        made, values = self._generated, self._values()
        like = _like(values)
        rates, pushes, threshold, _ = made.constants(**values)
        n = len(rates)
        fields: dict[str, Tensor] = {}
        if made.varying or any(not isinstance(x, float) or x for x in pushes):
            zero = like.new_zeros(())
            rows = [(*row, *(float(j == k) for j in range(n))) for k, row in enumerate(rates)]
            both = flow(matrix(like, *rows, *[(0.0,) * (2 * n)] * n), dt)
            step, integral = both[..., :n, :n], both[..., :n, n:]
            for k in range(n):
                fields |= {f"g_{k}_{m}": integral[..., k, m] for m in made.varying}
                fields[f"push_{k}"] = sum((integral[..., k, m] * pushes[m] for m in range(n)), zero)
        else:
            step = flow(matrix(like, *rates), dt)
        fields |= {f"e_{k}_{j}": step[..., k, j] for k in range(n) for j in range(n)}
        fields["threshold"] = like.new_zeros(()) + threshold
        fields["least"] = self.min_slope * fields["threshold"].detach()
        for name, value in values.items():
            fields |= {f"n_{name}": value, f"s_{name}": value, f"f_{name}": value.detach()}
        fields |= {name: like.new_full((), value) for name, value in made.fixed.items()}
        return made.units(*(fields[name].expand(like.shape).to(dtype) for name in made.units._fields))


def _number(name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value).detach().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number, or one per unit, got {value!r}") from None


def _like(values: dict[str, Tensor]) -> Tensor:
    """A tensor of one entry per unit."""
    return torch.broadcast_tensors(*values.values())[0].detach()
