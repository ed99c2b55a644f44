"""The readout: leaky integrators whose voltages, or integrals of them, are ordinary tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lambent.events import Events
from lambent.layers._readout_kernels import in_continuous_time, on_grid
from lambent.layers.integrators import Integrators
from lambent.machine.remembered import transformed
from lambent.machine.waiting import Guess

REDUCTIONS = ("mean", "exp_mean", "max", "last", "none")


class LIReadout(Integrators):
    """Non-spiking leaky integrators with exponential synapses; `Events` in, a tensor out.

    `reduce` says what becomes of the voltages V[n] of N steps:

    * "mean": 1/N sum V[n];  "exp_mean": 1/N sum exp(-n/N) V[n] (Nowotny, Turner & Knight 2024);
      "last": V[N - 1]. The three are linear in V, so each is a kernel summed over spikes, without a time loop.
    * "max": the largest V[n];  "none": all voltages, (batch, N, out_features).

    Weights (and time constants after ``requires_grad_()``) get the exact derivative of the discrete
    voltages, spike times that of the continuous ones (the first; there are no second ones on a grid). With
    ``dt=None`` the sums are integrals over the duration T: 1/T int V(t) dt, 1/T int exp(-t/T) V(t) dt, V(T) and
    the largest V(t), all exact; there are no steps then, and so no "none".

    Reduced voltages are small numbers, tenths of a threshold, while a softmax decides with numbers of several; so
    classifiers have ``scale=30`` or thereabouts, and `torch.nn.functional.cross_entropy` takes what they give.

    EventProp's gradient says what moving a spike would do, and is blind to spikes that would come or go. With
    `count_gradient` c > 0 the counts of the input get one, too: c times what one more spike of a unit would add to the
    outputs, as the mean over its spikes in the sample (of a unit without any, over all spikes of the batch). The layer
    before takes it up as `lambent.LIF` says. Outputs don't change. Networks learn faster and better with 1 than with 0
    (`benchmarks/spoken_digits.py`).

    Args:
        in_features, out_features: number of input units and of outputs.
        tau_mem, tau_syn: time constants [ms], a number or (out_features,).
        reduce: as above.
        dt: time step [ms], or None for continuous time.
        scale: factor on the outputs.
        count_gradient: as above; for the three linear reductions. The default is 1 for them on a grid; in continuous
            time, where gradients are exact, 0.

    Raises:
        TypeError: an argument is of another type.
        ValueError: an argument is out of range or has the wrong shape.

    >>> import lambent as lb
    >>> events = lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0)
    >>> lb.LIReadout(3, 2)(events).shape, lb.LIReadout(3, 2, reduce="none")(events).shape
    (torch.Size([1, 2]), torch.Size([1, 20, 2]))
    """

    shared = False  # whether a batch in training is one with those of the other processes (`torch.distributed`)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tau_mem: float | Tensor = 20.0,
        tau_syn: float | Tensor = 5.0,
        reduce: str = "exp_mean",
        dt: float | None = 1.0,
        scale: float = 1.0,
        count_gradient: float | None = None,
    ) -> None:
        if reduce not in REDUCTIONS:
            raise ValueError(f"reduce must be one of {', '.join(REDUCTIONS)}; got {reduce!r}")
        if dt is None and reduce == "none":
            raise ValueError('reduce="none" gives one voltage per step; continuous time (dt=None) has no steps')
        linear = reduce not in ("max", "none")
        if count_gradient is None:
            count_gradient = 1.0 if linear and dt is not None else 0.0
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be positive and finite, got {scale}")
        if not 0 <= count_gradient < float("inf"):
            raise ValueError(f"count_gradient must be a number from 0 on, got {count_gradient}")
        if count_gradient and not linear:
            raise ValueError(f'count_gradient needs a linear reduction (mean, exp_mean or last), got "{reduce}"')
        super().__init__(in_features, out_features, tau_mem, tau_syn, dt)
        self.reduce, self.scale, self.count_gradient = reduce, scale, count_gradient
        self._alike = Guess(True)

    def _meaning(self) -> dict[str, Any]:
        return super()._meaning() | {"reduce": self.reduce}

    def forward(self, events: Events) -> Tensor:
        """(batch, out_features), or (batch, steps, out_features) for reduce="none".

        Raises:
            TypeError: `events` is no `Events`.
            ValueError: its number of units is not `in_features`, it is on another device, or a time constant is
                not positive.
            NotImplementedError: the derivative of "max" or "none" is wanted in forward mode or by `torch.func`, which
                the other reductions, plain operations of torch, can do.
        """
        if self.dt is not None and self.reduce in ("max", "none"):
            v = self.scale * self.voltages(events)
            return v.amax(1) if self.reduce == "max" else v
        neuron, connections = self._checked(events, backward_only=self.reduce == "max")
        if self.dt is None:
            per_spike = in_continuous_time(self.reduce, events, neuron, connections)
        else:
            events = events.padded()
            per_spike = on_grid(self.reduce, events, self.tau_mem, self.tau_syn, self.dt, self._are_alike())
        if events.values is not None:
            per_spike = per_spike * (events.values if per_spike.ndim == 1 else events.values.unsqueeze(1))
        per_input = per_spike.new_zeros((len(events) + 1) * events.n_units, *per_spike.shape[1:])
        per_input = per_input.index_add(0, events.samples() * events.n_units + events.units, per_spike)
        per_input = per_input.view(-1, events.n_units, *(per_spike.shape[1:] or (1,)))[:-1]  # without the padding's
        if self.count_gradient:
            counts = events.counts().unsqueeze(2)
            n = counts.detach()
            total, spikes = per_input.detach().sum((0, 1)), n.sum().reshape(1)
            if self.shared and torch.is_grad_enabled():
                for x in (total, spikes):
                    torch.distributed.all_reduce(x)
            typical = total / spikes.clamp(min=1)
            one_more = torch.where(n > 0, per_input / n.clamp(min=1), typical).detach()
            per_input = per_input + self.count_gradient * (counts - n) * one_more
        return self.scale * (per_input * self.weight).sum(1).to(self.weight.dtype)

    def _are_alike(self) -> bool:
        """Whether all outputs have the same, untrained time constants."""
        mem, syn = self.tau_mem, self.tau_syn
        trained = torch.is_grad_enabled() and (mem.requires_grad or syn.requires_grad)
        if trained or transformed(mem) or transformed(syn):
            return False
        return self._alike.of(((mem == mem[0]) & (syn == syn[0])).all())

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        scale = "" if self.scale == 1 else f", scale={self.scale:g}"
        return f"{self.in_features}, {self.out_features}, reduce={self.reduce!r}{scale}, dt={self.dt}"
