"""The spiking layer: leaky integrate-and-fire units that map events to events."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from lambent.engines import engine_for
from lambent.events import Events
from lambent.layers._parameters import check_dt, check_sizes, per_unit, smallest_tau
from lambent.neurons.lif import LIFNeuron, Synapses, check_connections, check_values


class LIF(nn.Module):
    """Leaky integrate-and-fire units with exponential synapses; `Events` in, `Events` out.

        tau_mem dV/dt = -V + I + bias      tau_syn dI/dt = -I      an event on synapse w: I += w
        V reaches threshold: emit a spike, then V := 0 ("zero") or V - threshold ("subtract")

    Gradients are those of EventProp (Wunderlich & Pehle 2021, extended by delays, time constants and
    thresholds; DESIGN 4): the spike times that come out carry them, and so does ``out.counts()``. A count
    is not differentiable; its gradient g enters the adjoint of V as g / threshold at each spike of the unit
    and, where a unit stayed silent in a sample, at its highest voltage, so that silent units can be revived.

    Args:
        in_features, out_features: number of input and output units.
        recurrent: connect the units among themselves.
        tau_mem, tau_syn: time constants [ms], a number or (out_features,).
        threshold: a number or (out_features,).
        reset: "zero" or "subtract"; in continuous time, where V is the threshold when it spikes, they are the same.
        bias: None, a number or (out_features,): a constant current; in continuous time only.
        delay, recurrent_delay: None, a number or one delay per connection [ms]. On a grid they are rounded
            to whole steps forward; their gradient is that of the continuous delay.
        max_delay: where `constrain_` keeps delays [ms]; the default is Loihi's 62 steps (62 ms if dt is None).
        dt: time step [ms], or None for continuous time: spike times are solved for in float64 and gradients are
            exact, recurrent spikes without delay act at once, and more than a million spikes of a layer in one sample
            (or a thousand a unit, if that is more) are a RuntimeError. Best for few, sparse spikes; a grid suits long
            trains.
        min_slope: a spike that only grazes the threshold has dV/dt near 0, and the adjoint divides by it.
            Slopes below ``min_slope * threshold / tau_mem`` are taken to be that. The default is 0.1 on a grid, and
            in continuous time 1e-6, so that gradients are exact there.

    Attributes:
        weight (in, out), recurrent_weight (out, out) [from, to] or None, tau_mem, tau_syn, threshold (out,),
        bias (out,) or None, delay (in, out) and recurrent_delay (out, out) or None. All are parameters; weights,
        bias and delays are trained, the others after ``requires_grad_()``. Call `constrain_` after an optimiser
        step when time constants, thresholds or delays are trained.

    Raises:
        ValueError: an argument is out of range or has the wrong shape.
    """

    parameter_roles: ClassVar = {"tau_mem": "tau", "tau_syn": "tau", "delay": "delay", "recurrent_delay": "delay"}
    recurrent_weight: nn.Parameter | None
    bias: nn.Parameter | None
    delay: nn.Parameter | None
    recurrent_delay: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        recurrent: bool = False,
        tau_mem: float | Tensor = 20.0,
        tau_syn: float | Tensor = 5.0,
        threshold: float | Tensor = 1.0,
        reset: str = "zero",
        bias: float | Tensor | None = None,
        delay: float | Tensor | None = None,
        recurrent_delay: float | Tensor | None = None,
        max_delay: float | None = None,
        dt: float | None = 1.0,
        min_slope: float | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        if reset not in ("zero", "subtract"):
            raise ValueError(f'reset must be "zero" or "subtract", got {reset!r}')
        if min_slope is None:
            min_slope = 1e-6 if dt is None else 0.1
        if not min_slope > 0:
            raise ValueError(f"min_slope must be positive, got {min_slope}")
        if bias is not None and dt is not None:
            raise ValueError("bias needs continuous time (dt=None); on a grid let an input unit spike in every step")
        if recurrent_delay is not None and not recurrent:
            raise ValueError("recurrent_delay needs recurrent=True")
        self.in_features, self.out_features = in_features, out_features
        self.reset, self.dt, self.min_slope = reset, check_dt(dt), min_slope
        self.max_delay = 62 * (dt or 1.0) if max_delay is None else max_delay
        if not self.max_delay >= 0:
            raise ValueError(f"max_delay must not be negative [ms], got {max_delay}")
        self.tau_mem = _fixed(per_unit("tau_mem", tau_mem, out_features))
        self.tau_syn = _fixed(per_unit("tau_syn", tau_syn, out_features))
        self.threshold = _fixed(per_unit("threshold", threshold, out_features))
        self.bias = None if bias is None else nn.Parameter(per_unit("bias", bias, out_features, positive=False))
        self.weight = nn.Parameter(torch.empty(in_features, out_features))
        self.recurrent_weight = nn.Parameter(torch.empty(out_features, out_features)) if recurrent else None
        self.delay = self._delays("delay", delay, in_features)
        self.recurrent_delay = self._delays("recurrent_delay", recurrent_delay, out_features)
        self.reset_parameters()

    def _delays(self, name: str, value: float | Tensor | None, sources: int) -> nn.Parameter | None:
        if value is None:
            return None
        shape = (sources, self.out_features)
        x = torch.as_tensor(value, dtype=torch.get_default_dtype()).detach().clone()
        if x.ndim and x.shape != shape:
            raise ValueError(f"{name} must be a number or have shape {shape}, got {tuple(x.shape)}")
        if not bool(((x >= 0) & (x <= self.max_delay)).all()):
            raise ValueError(f"{name} must lie in [0, max_delay = {self.max_delay} ms]")
        return nn.Parameter(x.expand(shape).clone())

    def reset_parameters(self) -> None:
        """Draw normal weights with standard deviations threshold / sqrt(in) and threshold / (4 sqrt(out)).

        How active a layer then is depends on its input; `lambent.training.calibrate` scales the weights to
        a wanted activity.
        """
        scale = self.threshold.detach()
        with torch.no_grad():
            self.weight.normal_().mul_(scale * self.in_features**-0.5)
            if self.recurrent_weight is not None:
                self.recurrent_weight.normal_().mul_(scale * 0.25 * self.out_features**-0.5)

    @torch.no_grad()
    def constrain_(self) -> None:
        """Put values that are trained (`requires_grad`) back where they mean something.

        tau >= dt (0.1 ms in continuous time), threshold >= 0.001, 0 <= delay <= max_delay.
        """
        tau, threshold, delay = (smallest_tau(self.dt), None), (1e-3, None), (0.0, self.max_delay)
        for value, bounds in (
            (self.tau_mem, tau), (self.tau_syn, tau), (self.threshold, threshold),
            (self.delay, delay), (self.recurrent_delay, delay),
        ):  # fmt: skip
            if value is not None and value.requires_grad:
                value.clamp_(*bounds)

    def forward(self, events: Events) -> Events:
        """Spikes of the layer.

        Raises:
            TypeError: `events` is no `Events`.
            ValueError: its number of units is not `in_features`, it is on another device, or a parameter is out of
                range.
            ImportError: it is on a CUDA device, and Triton is not installed.
            NotImplementedError: it is on a CUDA device, and dt is None.
            RuntimeError: in continuous time a sample has too many spikes.
        """
        check_input(events, self.weight)
        neuron = LIFNeuron(self.tau_mem, self.tau_syn, self.threshold, self.reset, self.min_slope, self.bias)
        if events.device.type == "cpu":  # elsewhere the engine looks, when it waits for the device anyway
            for name in ("tau_mem", "tau_syn", "threshold"):
                check_values(name, getattr(neuron, name).detach())
            for name, lowest in (("weight", -torch.inf), ("delay", 0.0)):
                for values in (name, f"recurrent_{name}"):
                    if getattr(self, values) is not None:
                        check_connections(values, getattr(self, values).detach(), lowest)
        if self.bias is not None:
            check_values("bias", self.bias.detach(), positive=False)
        recurrent = None
        if self.recurrent_weight is not None:
            recurrent = Synapses(self.recurrent_weight, self.recurrent_delay)
        engine = engine_for(events.device, self.dt)
        return engine.lif(events, neuron, Synapses(self.weight, self.delay), recurrent, self.dt)

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        parts = [f"{self.in_features}, {self.out_features}"]
        parts += ["recurrent"] if self.recurrent_weight is not None else []
        parts += [n for n in ("delay", "recurrent_delay") if getattr(self, n) is not None]
        return ", ".join([*parts, f"reset={self.reset!r}", f"dt={self.dt}"])


def check_input(events: Events, weight: Tensor) -> None:
    """Raise unless `events` is an `Events` of as many units as `weight` (in, out) has inputs, on its device.

    Or if the weights are in a type that no engine computes with.
    """
    if not isinstance(events, Events):
        raise TypeError(f"a layer takes lambent.Events, got {type(events).__name__}")
    if events.n_units != len(weight):
        raise ValueError(f"the layer has {len(weight)} inputs, the events have {events.n_units} units")
    if events.device != weight.device:
        raise ValueError(f"the layer is on {weight.device}, the events are on {events.device}")
    if weight.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"weights must be float32 or float64, got {weight.dtype}; for mixed precision use autocast")


def _fixed(x: Tensor) -> nn.Parameter:
    return nn.Parameter(x, requires_grad=False)
