"""What one spike of weight 1 adds to a reduced voltage of `LIReadout`, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.engines import engine_for
from lambent.events import Events, n_steps
from lambent.machine.remembered import remembered
from lambent.neurons.neuron import Neuron
from lambent.neurons.response import membrane_response, response_integral

_MANY = 30_000  # steps


def on_grid(reduce: str, events: Events, tau_mem: Tensor, tau_syn: Tensor, dt: float, alike: bool) -> Tensor:
    """(spikes, outputs), or (spikes,) if all outputs are `alike`: have the same, untrained time constants."""
    steps, step = n_steps(events.duration, dt), events.steps(dt)
    tabulated = steps <= _MANY  # cheaper than for every spike, unless most steps have none
    if tabulated:

        def table() -> tuple[Tensor, Tensor]:
            return _kernels(reduce, torch.arange(steps, device=step.device), steps, tau_mem, tau_syn, dt, alike)

        value, slope = remembered(table, (tau_mem, tau_syn), "readout", reduce, steps, dt, alike)
        value, slope = value.index_select(0, step), slope.index_select(0, step)
    else:
        value, slope = _kernels(reduce, step, steps, tau_mem, tau_syn, dt, alike)
    zero = events.times - events.times.detach()
    # the kernel's value, with its slope as the derivative with respect to the time
    return value + (zero if slope.ndim == 1 else zero.unsqueeze(1)) * slope


def in_continuous_time(reduce: str, events: Events, neuron: Neuron, connections: Connections) -> Tensor:
    """(spikes, outputs) float64."""
    duration, times = events.duration, events.times.double().unsqueeze(1)
    tau_mem, tau_syn = neuron.tau_mem.double(), neuron.tau_syn.double()  # type: ignore[attr-defined]
    if reduce == "max":
        top, spike = engine_for(events.device, None).peaks(events, neuron, connections)
        if len(times):  # a peak at the arrival of a spike moves with it; elsewhere dV/dt = 0
            top = torch.where(spike < 0, top, times[spike.clamp(min=0), 0])
        return membrane_response((top[events.samples()] - times).clamp(min=0.0), tau_mem, tau_syn)
    left = duration - times
    if reduce == "last":
        return membrane_response(left, tau_mem, tau_syn)
    if reduce == "mean":
        return response_integral(left, tau_mem, tau_syn) / duration
    before = torch.exp(left / duration - 1) / duration  # the factor at the spike's own time
    return before * response_integral(left, tau_mem, tau_syn, fading=1 / duration)


def _kernels(
    reduce: str, step: Tensor, steps: int, tau_mem: Tensor, tau_syn: Tensor, dt: float, alike: bool
) -> tuple[Tensor, Tensor]:
    """What a spike of weight 1 in `step`, of `steps`, adds to the reduced voltage, and d/dt of that [1/ms].

    Both (*step, outputs), or like `step` if the outputs are `alike`.
    """
    dtype = tau_mem.dtype
    tau_mem, tau_syn = tau_mem.double(), tau_syn.double()
    # a spike of step m is felt from step m + 1 on, for the remaining steps - 1 - m
    left = (steps - 1 - step).double()
    if alike:
        tau_mem, tau_syn = tau_mem[0], tau_syn[0]
    else:
        left = left.unsqueeze(1)
    value = membrane_response(left * dt, tau_mem, tau_syn)  # of V in the last step to an event
    # of V itself, from the step of arrival on
    voltage = torch.exp(-(left - 1).clamp(min=0) * dt / tau_mem) * (left > 0)
    if reduce != "last":
        # sums over l = 1..left of f^l V[l] = alpha V[l - 1] + gain I[l] and I[l] = exp(-dt / tau_syn)^(l - 1)
        fading = 1 / steps if reduce == "exp_mean" else 0.0
        f, before = math.exp(-fading), torch.exp(-fading * (steps - 1 - left)) / steps
        mem, syn = fading + dt / tau_mem, fading + dt / tau_syn
        current = f * torch.expm1(-left * syn) / torch.expm1(-syn)
        gain = membrane_response(tau_mem.new_full((), dt), tau_mem, tau_syn)
        value = (torch.exp(-mem - fading * left) * value - gain * current) / torch.expm1(-mem) * before
        voltage = f * torch.expm1(-left * mem) / torch.expm1(-mem) * before
    slope = value / tau_syn - voltage / tau_mem
    return value.to(dtype), slope.detach().to(dtype)
