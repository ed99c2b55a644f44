"""What one spike of weight 1 adds to a reduced voltage of `LIReadout`, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.engines import engine_for
from lambent.events import Events, n_steps
from lambent.neurons.neuron import Neuron
from lambent.neurons.response import membrane_response, response_integral


def on_grid(reduce: str, events: Events, tau_mem: Tensor, tau_syn: Tensor, dt: float, alike: bool) -> Tensor:
    """(spikes, outputs), or (spikes,) if all outputs are `alike`: have the same, untrained time constants."""
    value, slope = _kernels(reduce, n_steps(events.duration, dt), tau_mem, tau_syn, dt, alike)
    step = events.steps(dt)
    zero = events.times - events.times.detach()
    # the kernel's value, with its slope as the derivative with respect to the time
    slope = slope.index_select(0, step)
    return value.index_select(0, step) + (zero if slope.ndim == 1 else zero.unsqueeze(1)) * slope


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
    reduce: str, steps: int, tau_mem: Tensor, tau_syn: Tensor, dt: float, alike: bool
) -> tuple[Tensor, Tensor]:
    """What a spike of weight 1 in each step adds to the reduced voltage, and d/dt of that [1/ms].

    Both (steps, outputs), or (steps,) if the outputs are `alike`.
    """
    dtype = tau_mem.dtype
    tau_mem, tau_syn = tau_mem.double(), tau_syn.double()
    # a spike of step m is felt from step m + 1 on, for the remaining steps - 1 - m
    lag = torch.arange(steps, dtype=torch.float64, device=tau_mem.device)
    if alike:
        tau_mem, tau_syn = tau_mem[0], tau_syn[0]
    else:
        lag = lag.unsqueeze(1)
    response = membrane_response(lag * dt, tau_mem, tau_syn)  # of V to an event
    # of V itself, from the step of arrival on
    decay = torch.exp(-(lag - 1).clamp(min=0) * dt / tau_mem) * (lag > 0)
    if reduce == "last":
        value, voltage = response, decay
    else:
        fading = torch.exp(-lag / steps) if reduce == "exp_mean" else torch.ones_like(lag)
        before = fading.flip(0) / steps  # the factor of the spike's own step
        value = _cumsum(fading * response) * before
        voltage = _cumsum(fading * decay) * before
    value, voltage = value.flip(0), voltage.flip(0)
    slope = value / tau_syn - voltage / tau_mem
    return value.to(dtype), slope.detach().to(dtype)


def _cumsum(x: Tensor) -> Tensor:
    """Cumulative sum over rows; in deterministic mode by doubling, for torch then refuses its own on CUDA."""
    if not torch.are_deterministic_algorithms_enabled():
        return x.cumsum(0)
    shift = 1
    while shift < len(x):
        x = x + torch.cat([torch.zeros_like(x[:shift]), x[:-shift]])
        shift *= 2
    return x
