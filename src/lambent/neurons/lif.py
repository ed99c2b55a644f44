"""The leaky integrate-and-fire neuron with exponential synapses: what every engine shares.

    tau_mem dV/dt = -V + I + bias        tau_syn dI/dt = -I        an event on synapse w: I += w

On a grid of `dt` this becomes, exactly (DESIGN 4.2),

    I[n] = alpha_syn I[n-1] + (sum of w over events arriving at n)
    V[n] = alpha_mem V[n-1] + gain I[n]
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lambent.machine.waiting import expect


class LIFNeuron(NamedTuple):
    """Parameters of a layer of LIF units: what an engine needs to know of the neuron.

    Attributes:
        tau_mem, tau_syn: (size,) time constants of membrane and synapses [ms].
        threshold: (size,) voltage at which a unit spikes.
        reset: "zero" (V := 0) or "subtract" (V := V - threshold).
        min_slope: least dV/dt just before a spike that the adjoint assumes, in units of threshold / tau_mem.
        bias: (size,) constant current, or None for none.
    """

    tau_mem: Tensor
    tau_syn: Tensor
    threshold: Tensor
    reset: str
    min_slope: float
    bias: Tensor | None = None


class Synapses(NamedTuple):
    """Connections between two layers: `weight` (from, to) and, with the same shape, `delay` [ms] or None."""

    weight: Tensor
    delay: Tensor | None = None


class SparseSynapses(NamedTuple):
    """Connections of each source to few units: `weight`, `target` and `delay` [ms] or None, each (from, fan_out)."""

    weight: Tensor
    target: Tensor
    delay: Tensor | None = None


def check_values(name: str, x: Tensor, positive: bool = True) -> None:
    """Raise ValueError naming the first unit whose value is not finite, or not `positive`; `expect` says when."""
    good = torch.isfinite(x)
    if positive:
        good &= x > 0

    def complain() -> None:
        unit = int((~good).nonzero()[0])
        wanted = "positive and finite" if positive else "finite"
        raise ValueError(f"{name} of unit {unit} is {x[unit].item()}; it must be {wanted}")

    expect(good.all(), complain)


def check_connections(name: str, x: Tensor, lowest: float = -torch.inf) -> None:
    """Raise ValueError naming the first connection of (from, to) whose value is not finite, or below `lowest`."""
    good = torch.isfinite(x) & (x >= lowest)

    def complain() -> None:
        source, target = (~good).nonzero()[0].tolist()
        wanted = "finite" if lowest == -torch.inf else f"finite and at least {lowest:g}"
        raise ValueError(
            f"{name} from unit {source} to unit {target} is {x[source, target].item()}; it must be {wanted}"
        )

    expect(good.all(), complain)


def delay_steps(delay: Tensor, dt: float) -> Tensor:
    """Delays [ms] as whole steps of `dt`, float64."""
    return torch.round(delay.detach().to(torch.float64) / dt)


def _one_minus_exp_over(x: Tensor) -> Tensor:
    """(1 - exp(-x)) / x, smooth through x = 0, where the plain quotient is 0 / 0 in value and gradient."""
    small = x.abs() < 1e-3
    safe = torch.where(small, torch.ones_like(x), x)
    series = 1 - x / 2 * (1 - x / 3 * (1 - x / 4))
    return torch.where(small, series, -torch.expm1(-safe) / safe)


def membrane_response(t: Tensor, tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    """V(t) after one event of weight 1 at time 0 [ms]; any broadcastable shapes, differentiable.

    tau_syn / (tau_mem - tau_syn) (exp(-t / tau_mem) - exp(-t / tau_syn)), written so that
    tau_mem = tau_syn, where it is t / tau_mem exp(-t / tau_mem), is nothing special.
    """
    rate = 1 / tau_syn - 1 / tau_mem
    # with the slower decay in front nothing overflows; which of two equal ones makes no difference
    slower = torch.where(rate < 0, tau_syn, tau_mem)
    return torch.exp(-t / slower) * (t / tau_mem) * _one_minus_exp_over(t * torch.where(rate < 0, -rate, rate))


def response_integral(t: Tensor, tau_mem: Tensor, tau_syn: Tensor, fading: float = 0.0) -> Tensor:
    """Integral of exp(-fading s) `membrane_response`(s) over s from 0 to t [ms]; `fading` in 1 / ms."""
    # multiply tau_mem dV/ds = -V + exp(-s / tau_syn) by exp(-fading s) and integrate by parts
    rate = fading + 1 / tau_syn
    current = t * _one_minus_exp_over(t * rate)
    return (current - tau_mem * torch.exp(-fading * t) * membrane_response(t, tau_mem, tau_syn)) / (
        1 + fading * tau_mem
    )


def grid_constants(tau_mem: Tensor, tau_syn: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor]:
    """`alpha_mem`, `alpha_syn` and `gain` of the recurrence above, each shaped like the time constants.

    Computed in float64, since at small `dt` the decays round to 1, and differentiable.
    """
    tm, ts = tau_mem.to(torch.float64), tau_syn.to(torch.float64)
    step = tm.new_full((), dt)  # filled there: a number copied to a device makes the host wait
    return torch.exp(-step / tm), torch.exp(-step / ts), membrane_response(step, tm, ts)
