"""What a neuron is to everything else: its parameters, and on a grid its units and what they do, as plain arithmetic.

A neuron is one file: a frozen dataclass of parameters (`Neuron`) and the named tuple of its units on a grid (`Units`).
CONTRIBUTING.md goes through it step by step; `lambent.neurons.lif` is the example to read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, TypeVar

import torch
from torch import Tensor

from lambent.machine.remembered import remembered
from lambent.machine.showing import Short
from lambent.machine.waiting import Check, all_hold

T = TypeVar("T")
_LONGEST_RISE = 10_000  # steps after which a response is taken to have reached its peak
CURE = " (what is trained stays so if the layer's constrain_() is called after each step of the optimiser)"
Numbers = tuple[Any, ...]
"""A state or its adjoint, one entry for each of a unit's `n_states` numbers."""


class Units(Protocol):
    """Units on a grid, a NamedTuple whose fields are (size,) tensors or arrays, one entry per unit.

    Its functions are plain arithmetic on numbers; `p` is one unit, with numbers for fields. The reference engine calls
    them with torch tensors, the CPU engine compiles them with Numba and the GPU engine with Triton, so they know
    + - * / and comparisons, tuples, and what `lambent.neurons.arithmetic` offers, and have no annotations, which
    Triton would look up. States rest at 0. Units that spike have a field `threshold`.

    Attributes:
        n_states: numbers of a state.
        n_marks: numbers that `marks` returns.
        traced: whether `retreat` looks at the state; then the backward pass works out all states once more, as it does
            where a field of `step_gradients` is trained.
        step_gradients: the fields for which `gradient` returns dL/d field.
        spike_gradients: the fields for which `spike_gradient` does.
    """

    n_states: ClassVar[int]
    n_marks: ClassVar[int]
    traced: ClassVar[bool]
    step_gradients: ClassVar[tuple[str, ...]]
    spike_gradients: ClassVar[tuple[str, ...]]

    @staticmethod
    def advance(x: Numbers, arriving: Any, p: Any) -> Numbers:
        """The state one step after it was x, `arriving` being the sum of the weights of what arrives in that step."""

    @staticmethod
    def level(x: Numbers, p: Any) -> Any:
        """What must reach the field `threshold` for a spike; of units that never spike, what a readout reads.

        A silent unit's count has a gradient with respect to the threshold and the states, not to other fields in here.
        """

    @staticmethod
    def above(before: Numbers, x: Numbers, p: Any) -> Any:
        """Whether the unit spikes in the step that took it from state `before` to x."""

    @staticmethod
    def marks(x: Numbers, p: Any) -> Numbers:
        """What `jump` must know of a spike at state x, after the step and before the reset.

        First d level/dt just before it [1/ms], bounded from below.
        """

    @staticmethod
    def reset(x: Numbers, p: Any) -> Numbers:
        """The state after a spike."""

    @staticmethod
    def jump(a: Numbers, pull: Any, push: Any, marks: Numbers, p: Any) -> Numbers:
        """The adjoint dL/dx before a spike, where it is `a` after it (DESIGN 4.1).

        Args:
            pull: dL/dt of the spike [1/ms].
            push: dL/d level that the spike's count adds.
        """

    @staticmethod
    def lift(push: Any, p: Any) -> Numbers:
        """dL/dx where dL/d level is `push`: what a count's gradient is to a silent unit, a loss to a readout."""

    @staticmethod
    def retreat(a: Numbers, before: Numbers, arrived: Any, p: Any) -> tuple[Numbers, Any]:
        """The transpose of `advance`: the adjoint one step earlier, and dL/d arriving.

        Args:
            a: the adjoint after the step.
            before: the state before it, zeros unless `traced`.
            arrived: what arrived in it, 0 unless `traced`.
        """

    @staticmethod
    def drift(arriving: Any, a: Numbers, p: Any) -> Any:
        """dL/dt of an event of weight 1 that arrives in a step, with dL/d arriving and the adjoint after that step."""

    @staticmethod
    def gradient(a: Numbers, arriving: Any, before: Numbers, arrived: Any, p: Any) -> Numbers:
        """What one step adds to dL/d field for `step_gradients`; arguments as above."""

    @staticmethod
    def spike_gradient(a: Numbers, after: Numbers, marks: Numbers, p: Any) -> Numbers:
        """What a spike adds to dL/d field for `spike_gradients`, `a` being the adjoint before it and `after` after it.

        With e = level - threshold, reset g and f = dx/dt that is g_p^T a(+) + e_p (push - [a(+).(g_x f(-) - f(+)) +
        pull] / (e_x.f(-))), as `jump` is with x for p. Also for the peak of a silent unit, which adds to the adjoint
        what `lift` says: that is `a` then, and `after` and marks are zeros.
        """


@dataclass(frozen=True, eq=False)
class Neuron(Short):
    """A kind of neuron and its parameters, each a number or one per unit; subclasses name them."""

    parameters: ClassVar[tuple[str, ...]]
    """The fields that are one number per unit, or None; a layer has each as a parameter, or a buffer, of this name."""
    trained: ClassVar[tuple[str, ...]] = ()
    """The parameters that are trained unless told otherwise; layers keep the others as buffers until they are."""
    time_constants: ClassVar[tuple[str, ...]] = ()
    """The parameters that are time constants, which learn at a rate of their own."""
    spiking: ClassVar[bool] = True
    """Whether the units spike; others are read (`lambent.LIReadout`)."""
    signed: ClassVar[tuple[str, ...]] = ()
    """The parameters that may be 0 or negative."""
    from_zero: ClassVar[tuple[str, ...]] = ()
    """The parameters that may be 0, and not negative."""
    state_names: ClassVar[tuple[str, ...]] = ()
    """What the numbers of a unit's state are called (`lambent.record`), in their order; left out, state_0 and so on."""

    def with_values(self, **values: Tensor | None) -> Self:
        """The same neuron with other parameters."""
        changed = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(changed, name, value)
        return changed

    def checks(self) -> Iterator[Check]:
        """What must hold of the parameters: that they are finite and, but for signed ones, positive."""
        for name in self.parameters:
            value = getattr(self, name)
            if value is not None:
                yield check_values(name, value.detach(), self.lowest(name), CURE)

    def sound(self) -> Check:
        """All of `checks` as one."""
        return self._remembered(lambda: all_hold(self.checks()), "sound")

    def grid_units(self, dt: float, dtype: torch.dtype) -> Any:
        """As `on_grid`, which is asked only when something has changed; nobody may change what is returned."""
        return self._remembered(lambda: self.on_grid(dt, dtype), dt, dtype)

    def _remembered(self, make: Callable[[], T], *what: Any) -> T:
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        options |= {name: getattr(self, name) for name in self.parameters}
        tensors = [options.pop(name) for name, value in list(options.items()) if isinstance(value, Tensor)]
        if not tensors or not all(x is None or isinstance(x, str | float | int) for x in options.values()):
            return make()  # an option might change without a sign
        return remembered(make, tensors, type(self), *options.items(), *what)

    def lowest(self, name: str) -> str:
        """What `check_values` is to hold of a parameter."""
        if name in self.from_zero:
            return "not negative"
        return "" if name in self.signed else "positive"

    def suits(self, dt: float | None) -> None:
        """Raise ValueError where such units cannot run with a time step of `dt` [ms], None for continuous time."""
        if dt is None:
            raise ValueError(f"{type(self).__name__} has no solution in continuous time (dt=None); give a step [ms]")

    @classmethod
    def parameters_of(cls, options: dict[str, Any]) -> tuple[str, ...]:
        """The `parameters` of a neuron that was made with these options beside them."""
        return cls.parameters

    def rest_to_threshold(self) -> Tensor:
        """How far (units,) the level of a unit at rest is from where it spikes."""
        return torch.as_tensor(self.threshold)  # type: ignore[attr-defined]

    @torch.no_grad()
    def peak(self, dt: float | None) -> Tensor:
        """How far (units,) one event of weight 1 moves the level, by stepping; a tenth of a ms in continuous time."""
        units = self.on_grid(dt or 0.1, torch.float64)
        start = units.threshold.new_zeros(units.threshold.shape)
        state, arriving, highest = (start,) * units.n_states, torch.ones_like(start), start
        for n in range(_LONGEST_RISE):
            state, arriving = units.advance(state, arriving, units), start
            level = units.level(state, units).abs()
            if n > 0 and not bool(((level > highest) | (highest == 0)).any()):
                break
            highest = torch.maximum(highest, level)
        return highest

    def bounds(self, dt: float | None) -> dict[str, tuple[float | None, float | None]]:
        """Between what a trained parameter is kept; those left out may be anything."""
        return {}

    def on_grid(self, dt: float, dtype: torch.dtype) -> Any:
        """The units (`Units`) on a grid of `dt` [ms], differentiable in the parameters."""
        raise NotImplementedError


def check_values(name: str, x: Tensor, lowest: str = "positive", cure: str = "") -> Check:
    """That every entry of x (units,) is finite and `lowest`; complains of the first that is not, with a `cure`.

    Args:
        lowest: "positive", "not negative" or, where there is no lowest value, "".
    """
    good = torch.isfinite(x)
    if lowest:
        good &= x > 0 if lowest == "positive" else x >= 0

    def complain() -> None:
        unit = int((~good).nonzero()[0])
        wanted = f"{lowest} and finite" if lowest else "finite"
        hint = cure if torch.isfinite(x[unit]) else ""
        raise ValueError(f"{name} of unit {unit} is {x[unit].item()}; it must be {wanted}{hint}")

    return Check(good.all(), complain)


def check_reset(reset: str, min_slope: float | None) -> None:
    """Raise ValueError unless `reset` is known and `min_slope` positive or None."""
    if reset not in ("zero", "subtract"):
        raise ValueError(f'reset must be "zero" or "subtract", got {reset!r}')
    if min_slope is not None and not min_slope > 0:
        raise ValueError(f"min_slope must be positive, got {min_slope}")


def smallest_tau(dt: float | None) -> float:
    """What trained time constants are kept above [ms]: the step, or in continuous time 0.1."""
    return 0.1 if dt is None else dt
