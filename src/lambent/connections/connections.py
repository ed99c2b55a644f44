"""What connections are to everything else: their parameters, a list of their entries, and three functions for kernels.

Connections of one kind are one file: a frozen dataclass (`Connections`) and the named tuple of arrays that the CPU
kernels take (`Arrays`); beside it stands what the GPU's kernels need. CONTRIBUTING.md goes through it step by step;
`lambent.connections.dense` is the example to read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from lambent.machine.showing import Short
from lambent.machine.waiting import Check
from lambent.neurons.neuron import CURE

LARGEST = 1e30  # in size, of weights and delays: sums of larger ones overflow


class Entries(NamedTuple):
    """Every connection by itself, one entry each.

    Attributes:
        source, target: (n,) int64 units.
        weight: (n,) differentiable.
        delay: (n,) [ms] or None.
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    delay: Tensor | None


class Arrays(Protocol):
    """What the CPU kernels take: a NamedTuple of arrays, whose type picks these functions.

    Numba compiles them into the kernels. In all, `window`, `history` and `drift` have one row per step and one column
    per target; a spike of step n arrives in row n + 1, or later by its delay.

    Attributes:
        delayed: whether a spike may arrive later than in the next step.
    """

    delayed: ClassVar[bool]

    @staticmethod
    def deliver(window: Any, row: int, arrays: Any, units: Any, values: Any, first: int, last: int) -> None:
        """Send the spikes units[first:last] on their way: add their weights to `row` of `window`, or to later rows.

        `values` has the value of each spike, which multiplies its weights; None where all are 1
        (`lambent.connections.graded`).
        """

    @staticmethod
    def weigh(drift: Any, row: int, arrays: Any, unit: int) -> Any:
        """dL/dt of a spike of `unit`: what `drift` holds where it arrived, from `row` on, times its weights, summed.

        With dL/d arriving in place of `drift` it is dL/d value.
        """

    @staticmethod
    def collect(
        gradients: Any, d_times: Any, arrays: Any, history: Any, drift: Any, begin: int, steps: Any, units: Any,
        values: Any, first: int, last: int,
    ) -> None:  # fmt: skip
        """Add what spikes first:last give to `gradients`, an array for each of `gradient_shapes`, empty if not wanted.

        If they are `delayed`, also to `d_times`, dL/dt of each spike, unless it is None; without delays that is left
        to `weigh`, as `drift` then holds one step only.

        `history` is dL/d arriving, `drift` dL/dt of what arrives, per weight, from step `begin` on; `steps` and `units`
        are of the spikes, and `values` as in `deliver`.
        """


@dataclass(frozen=True, eq=False)
class Connections(Short):
    """Connections from `n_in` units to `n_out`, and their parameters; subclasses say which there are."""

    n_in: int
    n_out: int

    parameters: ClassVar[tuple[str, ...]] = ("weight", "delay")
    """Fields that are float tensors or None; a layer makes each an `nn.Parameter` of this name."""
    buffers: ClassVar[tuple[str, ...]] = ()
    """Fields that are other tensors, which a layer keeps as buffers."""

    is_drawn: ClassVar[bool] = False
    """Of an instance: whether it drew its weights itself, as none were given; layers then draw what suits units."""

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out"):
            check_size(name, getattr(self, name))
        self._set("is_drawn", getattr(self, "weight", 0) is None)
        self._settle()
        for name in self.parameters:
            value = getattr(self, name)
            if value is not None and value.shape != self.parameter_shape:
                raise ValueError(f"{name} must have shape {self.parameter_shape}, got {tuple(value.shape)}")

    def _settle(self) -> None:
        """Make of what was given what the fields are to be."""

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """The shape of every parameter that is there."""
        raise NotImplementedError

    @property
    def shape_out(self) -> tuple[int, ...]:
        """How the targets lie: (units,) or (channels, height, width)."""
        return (self.n_out,)

    def with_values(self, **values: Tensor | None) -> Self:
        """The same connections with other parameters."""
        changed = copy.copy(self)
        for name, value in values.items():
            changed._set(name, value)
        return changed

    def in_kernels(self) -> Connections:
        """The same connections in the form that the CPU's kernels are fastest with; gradients flow through."""
        return self

    @property
    def fan_in(self) -> float:
        """Connections to a unit, on average; at least 1."""
        raise NotImplementedError

    def per_weight(self, values: Tensor) -> Tensor:
        """Values (n_out,) of the targets, shaped so that weights may be multiplied by them; see `shared`."""
        raise NotImplementedError

    def shared(self, values: Tensor) -> Tensor:
        """Values (n_out,) of the targets, the mean over them where they share their weights."""
        return values

    def drawn(self, scale: Tensor) -> Tensor:
        """New random weights, of a size that suits units which a weight of `scale` (n_out,) drives to threshold."""
        weight = torch.randn(self.parameter_shape, dtype=scale.dtype, device=scale.device)
        return weight * self.per_weight(scale * self.fan_in**-0.5)

    def checks(self, prefix: str = "") -> Iterator[Check]:
        """What must hold of the parameters; `prefix` is put before their names where they are complained of."""
        raise NotImplementedError

    def entries(self) -> Entries:
        """Every connection by itself, by source."""
        raise NotImplementedError

    def on_grid(self, dt: float, n_steps: int, dtype: torch.dtype, as_places: bool) -> list[Tensor]:
        """What an engine's operation takes; the first are the parameters that are there, in their order.

        Args:
            as_places: whether delays are wanted as `places` in a window, for the CPU, or in steps, for the GPU.
        """
        raise NotImplementedError

    @staticmethod
    def arrays(tensors: Sequence[np.ndarray]) -> Any:
        """What the CPU kernels take (`Arrays`), from the operation's tensors."""
        raise NotImplementedError

    @staticmethod
    def rows(tensors: Sequence[Tensor]) -> int:
        """Steps that a spike may be under way: the longest delay and one more."""
        return 1

    @staticmethod
    def gradient_shapes(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[tuple[int, ...]]:
        """Shapes of what `Arrays.collect` fills, with a 0 where it is not wanted."""
        raise NotImplementedError

    @staticmethod
    def gradients(collected: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        """dL/d of the operation's tensors from what was collected; empty where not wanted."""
        raise NotImplementedError


def check_entries(name: str, x: Tensor, where: Callable[[int], str], lowest: float = -torch.inf) -> Check:
    """That every entry of x (n,) is a number of sensible size and at least `lowest`; complains of the first that isn't.

    Args:
        where: the place of an entry, as the complaint says it.
    """
    good = (x <= LARGEST) & (x >= max(lowest, -LARGEST))

    def complain() -> None:
        bad = int((~good).nonzero()[0])
        wanted = f"at most {LARGEST:g} in size" if lowest == -torch.inf else f"finite and at least {lowest:g}"
        wanted = wanted if torch.isfinite(x[bad]) else "finite"
        cure = CURE if lowest > -torch.inf and torch.isfinite(x[bad]) else ""
        raise ValueError(f"{name} {where(bad)} is {x[bad].item()}; it must be {wanted}{cure}")

    return Check(good.all(), complain)


def between(source: int, target: int) -> str:
    """The place of a connection, for `check_entries`."""
    return f"from unit {source} to unit {target}"


def as_floats(value: Any, shape: tuple[int, ...]) -> Tensor:
    """A float tensor from what was given, of `shape` if that was a number."""
    x = torch.as_tensor(value)
    if not x.is_floating_point():
        x = x.to(torch.get_default_dtype())
    return x if x.ndim else x.expand(shape).clone()


def check_size(name: str, size: Any) -> None:
    """Raise TypeError unless `size` is a whole number, ValueError unless it is at least 1."""
    if not isinstance(size, Integral):
        raise TypeError(f"{name} must be a whole number, got {size!r}")
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")


def delay_steps(delay: Tensor, dt: float) -> Tensor:
    """Delays [ms] as whole steps of `dt`, float64."""
    return torch.round(delay.detach().to(torch.float64) / dt)


def places(steps: Tensor, target: Tensor, n_out: int, n_steps: int) -> Tensor:
    """Where spikes arrive, int64: delay in steps * number of targets + target.

    That is the place of the target relative to the start of the next step's row; it fits in 32 bits without a sign.
    """
    if 4 * (n_steps + 1) * n_out > 2**32:
        longest = int(steps.max()) if steps.numel() else 0
        if 4 * (longest + 1) * n_out > 2**32:
            raise ValueError(f"delays of {longest} steps are too long for {n_out} units; take shorter ones")
    return steps.to(torch.int64) * n_out + target
