"""The readout: leaky integrators whose voltages, or integrals of them, are ordinary tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lambent.engines import engine_for
from lambent.events import Events, n_steps
from lambent.layers._parameters import check_dt, check_sizes, per_unit
from lambent.layers.lif import check_input
from lambent.neurons.lif import check_positive, membrane_response

REDUCTIONS = ("mean", "exp_mean", "max", "last", "none")


class LIReadout(nn.Module):
    """Non-spiking leaky integrators with exponential synapses; `Events` in, a tensor out.

    `reduce` says what becomes of the voltages V[n] of N steps:

    * "mean": 1/N sum V[n];  "exp_mean": 1/N sum exp(-n/N) V[n] (Nowotny, Turner & Knight 2024);
      "last": V[N - 1]. The three are linear in V, so each is a kernel summed over spikes, without a time loop.
    * "max": the largest V[n];  "none": all voltages, (batch, N, out_features).

    Weights (and time constants after ``requires_grad_()``) get the exact derivative of the discrete
    voltages, spike times that of the continuous ones.

    Args:
        in_features, out_features: number of input units and of outputs.
        tau_mem, tau_syn: time constants [ms], a number or (out_features,).
        reduce: as above.
        dt: time step [ms].

    Raises:
        ValueError: an argument is out of range or has the wrong shape.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tau_mem: float | Tensor = 20.0,
        tau_syn: float | Tensor = 5.0,
        reduce: str = "exp_mean",
        dt: float | None = 1.0,
    ) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        if reduce not in REDUCTIONS:
            raise ValueError(f"reduce must be one of {', '.join(REDUCTIONS)}; got {reduce!r}")
        self.in_features, self.out_features = in_features, out_features
        self.reduce, self.dt = reduce, check_dt(dt)
        self.tau_mem = nn.Parameter(per_unit("tau_mem", tau_mem, out_features), requires_grad=False)
        self.tau_syn = nn.Parameter(per_unit("tau_syn", tau_syn, out_features), requires_grad=False)
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw normal weights with standard deviation 1 / sqrt(in_features)."""
        with torch.no_grad():
            self.weight.normal_().mul_(self.in_features**-0.5)

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put trained time constants back to at least dt."""
        self.tau_mem.clamp_(min=self.dt)
        self.tau_syn.clamp_(min=self.dt)

    def forward(self, events: Events) -> Tensor:
        """(batch, out_features), or (batch, steps, out_features) for reduce="none".

        Raises:
            TypeError: `events` is no `Events`.
            ValueError: its number of units is not `in_features`, it is on another device, or a time constant is
                not positive.
        """
        check_input(events, self.weight)
        check_positive(tau_mem=self.tau_mem, tau_syn=self.tau_syn)
        if self.reduce in ("max", "none"):
            engine = engine_for(events.device, self.dt)
            v = engine.voltages(events, self.weight, self.tau_mem, self.tau_syn, self.dt)
            return v.amax(1) if self.reduce == "max" else v
        steps = n_steps(events.duration, self.dt)
        value, slope = _kernels(self.reduce, steps, self.tau_mem, self.tau_syn, self.dt)
        step = events.steps(self.dt).long()
        times = events.times.unsqueeze(1)
        # the kernel's value, with its slope as the derivative with respect to the time
        per_spike = value[step] + (times - times.detach()) * slope[step]
        per_input = per_spike.new_zeros(len(events) * events.n_units, per_spike.shape[1])
        per_input = per_input.index_add(0, events.samples() * events.n_units + events.units, per_spike)
        per_input = per_input.view(len(events), events.n_units, per_spike.shape[1])
        return (per_input * self.weight).sum(1)

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        return f"{self.in_features}, {self.out_features}, reduce={self.reduce!r}, dt={self.dt}"


def _kernels(reduce: str, steps: int, tau_mem: Tensor, tau_syn: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """What a spike of weight 1 in each step adds to the reduced voltage, and d/dt of that [1/ms].

    Both (steps, outputs); one column if all outputs have the same, untrained time constants.
    """
    dtype = tau_mem.dtype
    tau_mem, tau_syn = tau_mem.double(), tau_syn.double()
    same = not (tau_mem.requires_grad or tau_syn.requires_grad)
    if same and bool(((tau_mem == tau_mem[0]) & (tau_syn == tau_syn[0])).all()):
        tau_mem, tau_syn = tau_mem[:1], tau_syn[:1]
    # a spike of step m is felt from step m + 1 on, for the remaining steps - 1 - m
    lag = torch.arange(steps, dtype=torch.float64, device=tau_mem.device).unsqueeze(1)
    response = membrane_response(lag * dt, tau_mem, tau_syn)  # of V to an event
    # of V itself, from the step of arrival on
    decay = torch.exp(-(lag - 1) * dt / tau_mem) * (lag > 0)
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
        x = x + torch.nn.functional.pad(x[:-shift], (0, 0, shift, 0))
        shift *= 2
    return x
