"""How a membrane with an exponential synapse answers one event, in closed form; any shapes, differentiable.

tau_mem dV/dt = -V + I        tau_syn dI/dt = -I        an event of weight w: I += w
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def peak_response(tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    """The highest V after one event of weight 1: (tau_syn / tau_mem)^(tau_mem / (tau_mem - tau_syn)), or 1 / e."""
    ratio = tau_mem / tau_syn
    alike = (ratio - 1).abs() < 1e-3
    safe = torch.where(alike, torch.full_like(ratio, 2.0), ratio)
    return torch.where(alike, torch.exp(-(ratio + 1) / 2), safe ** (-safe / (safe - 1)))


def response_integral(t: Tensor, tau_mem: Tensor, tau_syn: Tensor, fading: float = 0.0) -> Tensor:
    """Integral of exp(-fading s) `membrane_response`(s) over s from 0 to t [ms]; `fading` in 1 / ms."""
    # multiply tau_mem dV/ds = -V + exp(-s / tau_syn) by exp(-fading s) and integrate by parts
    rate = fading + 1 / tau_syn
    current = t * _one_minus_exp_over(t * rate)
    return (current - tau_mem * torch.exp(-fading * t) * membrane_response(t, tau_mem, tau_syn)) / (
        1 + fading * tau_mem
    )


def grid_constants(tau_mem: Tensor, tau_syn: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor]:
    """`alpha_mem`, `alpha_syn` and `gain` of the recurrence of DESIGN 4.2, each shaped like the time constants.

        I[n] = alpha_syn I[n-1] + (sum of w over events arriving at n)
        V[n] = alpha_mem V[n-1] + gain I[n]

    Computed in float64, since at small `dt` the decays round to 1, and differentiable.
    """
    tm, ts = tau_mem.to(torch.float64), tau_syn.to(torch.float64)
    step = tm.new_full((), dt)  # filled there: a number copied to a device makes the host wait
    return torch.exp(-step / tm), torch.exp(-step / ts), membrane_response(step, tm, ts)
