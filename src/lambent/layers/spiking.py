"""`Spiking`: units of any kind behind connections of any kind, as a torch module that maps events to events."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lambent.connections.connections import Connections
from lambent.engines import engine_for
from lambent.engines.checks import check_derivative, check_input
from lambent.events import Events
from lambent.layers.activity import watch_activity
from lambent.layers.layer import Layer
from lambent.neurons.neuron import Neuron
from lambent.neurons.payload import Payload, payload


class Spiking(Layer):
    """Spiking units; `Events` in, `Events` out.

    Gradients are those of EventProp (Wunderlich & Pehle 2021, extended by delays, time constants and
    thresholds; DESIGN 4): the spike times that come out carry them, and so does ``out.counts()``. A count
    is not differentiable; its gradient g enters the adjoint of V as g / threshold at each spike of the unit
    and, where a unit stayed silent in a sample, at its highest voltage, so that silent units can be revived. Where
    inhibition kept it from ever rising above rest, it enters through the mean voltage.

    Args:
        neuron: what the units are, such as `lambent.neurons.LIF`; parameters are numbers or one per unit.
        connections: from the inputs to the units, such as `lambent.connections.Dense`; values are copied. Weights that
            they were not given are drawn as `reset_parameters` says.
        recurrent: from the units to themselves, or None.
        dt: time step [ms], or None for continuous time, which not every neuron has.
        max_delay: where `constrain_` keeps delays [ms]; the default is Loihi's 62 steps (62 ms if dt is None).
        payload_bits: bits that each spike carries (`Events.values`), None or 0 for none: 1 + x / payload_range, for x
            within 0 and `payload_range` and rounded to 2 ** payload_bits values from 1 to 2. x is the overshoot, by how
            much the unit is above its threshold in the step in which it spikes; in continuous time, where nothing
            overshoots, I + bias - threshold, what drives it across. The gradient is that without rounding. A spike of
            value p counts as p weights, among the layer's own units, too.
        payload_range: x of the largest value; the default is 1, the usual threshold, and in continuous time 4. Below
            0.5 gradients of recurrent layers soon explode.

    Attributes:
        The parameters of the neuron (tau_mem ...) and of the connections (weight, delay), those of recurrent ones
        named recurrent_weight and recurrent_delay; None for those that are not there. Those of connections are trained,
        those of the neuron, but for a bias, only after ``layer.tau_mem.requires_grad_()`` (and so on); until then they
        are buffers, which ``model.requires_grad_()`` leaves fixed. Call `constrain_` after an optimiser step when
        parameters of the neuron or delays are trained.

    Raises:
        ValueError: an argument is out of range or has the wrong shape.

    >>> import lambent as lb
    >>> layer = lb.Spiking(lb.neurons.LIF(tau_mem=10.0), lb.connections.Dense(3, 2), dt=1.0)
    >>> layer(lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0)).n_units
    2
    """

    weight: nn.Parameter
    recurrent_weight: nn.Parameter | None
    threshold: Tensor
    delay: nn.Parameter | None
    recurrent_delay: nn.Parameter | None
    payload_bits: int | None = None
    payload_range: float = 1.0

    def __init__(
        self,
        neuron: Neuron,
        connections: Connections,
        recurrent: Connections | None = None,
        *,
        dt: float | None = 1.0,
        max_delay: float | None = None,
        payload_bits: int | None = None,
        payload_range: float | None = None,
    ) -> None:
        super().__init__(neuron, connections, recurrent, dt)
        self.payload_bits = payload_bits
        self.payload_range = (4.0 if dt is None else 1.0) if payload_range is None else payload_range
        self._payload()
        if not neuron.spiking:
            raise TypeError(f"{type(neuron).__name__} units never spike; see lambent.LIReadout and lambent.LI")
        size = self.out_features
        if recurrent is not None and (recurrent.n_in, recurrent.n_out) != (size, size):
            raise ValueError(f"recurrent: connects {recurrent.n_in} to {recurrent.n_out} units, the layer has {size}")
        self.max_delay = 62 * (dt or 1.0) if max_delay is None else max_delay
        if not self.max_delay >= 0:
            raise ValueError(f"max_delay must not be negative [ms], got {max_delay}")
        for name in ("weight", "delay", "recurrent_weight", "recurrent_delay"):
            if not hasattr(self, name):
                self.register_parameter(name, None)
            delay = getattr(self, name) if name.endswith("delay") else None
            if delay is not None and not bool(((delay >= 0) & (delay <= self.max_delay)).all()):
                raise ValueError(f"{name} must lie in [0, max_delay = {self.max_delay} ms]")
        self._draw(connections.is_drawn, recurrent is not None and recurrent.is_drawn)

    @property
    def recurrent(self) -> Connections | None:
        """The connections among the units, with the parameters as they are now; None without any."""
        return None if self._recurrent is None else self._now("recurrent_", self._recurrent)

    def _payload(self) -> Payload | None:
        """What spikes carry."""
        return payload(self.payload_bits, self.payload_range)

    def _meaning(self) -> dict[str, Any]:
        carried = {"payload_bits": self.payload_bits, "payload_range": self.payload_range}
        return super()._meaning() | (carried if self.payload_bits else {})

    def reset_parameters(self) -> None:
        """Draw the weights anew: normal, so large that a unit's inputs drive it to its threshold.

        With n connections to a unit and V peaking at p after an event of weight 1, their standard deviation is
        2 threshold / (p sqrt(n)), which suits inputs of many kinds (`benchmarks/first_steps.py`); that of weights among
        the units is threshold / (4 sqrt(n)), so that recurrence begins weak. How active a layer is then depends on its
        input; `lambent.calibrate` scales the weights to a wanted activity.
        """
        self._draw(True, True)

    @torch.no_grad()
    def _draw(self, weight: bool, recurrent_weight: bool) -> None:
        threshold = self.neuron.rest_to_threshold().detach().to(self.weight.dtype)
        if weight:
            scale = 2 * threshold / self.neuron.peak(self.dt)
            self.weight.copy_(self.connections.drawn(scale.to(self.weight.dtype)))
        if recurrent_weight and self.recurrent is not None and self.recurrent_weight is not None:
            self.recurrent_weight.copy_(self.recurrent.drawn(0.25 * threshold))

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put values that are trained (`requires_grad`) back where they mean something.

        Parameters of the neuron as `Neuron.bounds` says (tau >= dt, 0.1 ms in continuous time; threshold >= 0.001), and
        0 <= delay <= max_delay.
        """
        super().constrain_()
        for delay in (self.delay, self.recurrent_delay):
            if delay is not None and delay.requires_grad:
                delay.clamp_(0.0, self.max_delay)

    def forward(self, events: Events) -> Events:
        """Spikes of the layer.

        A layer that is wholly silent in training, with nothing that pulls it up, or whose units spike nearly all the
        time says so in a `UserWarning`, once, when the gradients are worked out.

        Raises:
            TypeError: `events` is no `Events`.
            ValueError: its number of units is not `in_features`, it is on another device, or a parameter is out of
                range.
            ImportError: it is on a CUDA device, and Triton is not installed.
            NotImplementedError: it is on a CUDA device, where dt is None or the connections do not run; or the
                derivative is wanted in forward mode or by `torch.func`.
            RuntimeError: in continuous time a sample has too many spikes.
        """
        neuron, connections = self.neuron, self.connections
        recurrent = self.recurrent
        check_input(events, neuron, connections)
        check_derivative(events, neuron, connections, recurrent)
        self._watch_dt(events)
        out = engine_for(events.device, self.dt).spikes(
            events, neuron, connections, recurrent, self.dt, self._payload()
        )
        watch_activity(self, events, out)
        out.dt = self.dt
        return out

    def extra_repr(self) -> str:
        """What it is made of, for printing."""
        kinds = [type(x).__name__ for x in (self._neuron, self._connections, self._recurrent) if x is not None]
        carried = f", payload_bits={self.payload_bits}" if self.payload_bits else ""
        return f"{self.in_features}, {self.out_features}, {', '.join(kinds)}{carried}, dt={self.dt}"
