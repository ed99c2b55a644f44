"""`Stream`: a model that goes on from where it was, block after block, as a chip does that is never reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lambent.engines.checks import check_input
from lambent.engines.grid.cpu import Onward
from lambent.events import Events
from lambent.layers.dropout import EventDropout
from lambent.layers.integrators import Integrators
from lambent.layers.readout import LIReadout
from lambent.layers.spiking import Spiking


class Stream:
    """A trained model on an unbounded stream of events.

    It begins at rest, and every block goes on from where the one before it ended: states, and spikes on their way.
    Blocks of any lengths give, bit for bit, what the whole stream gives at once.

    Args:
        model: a `torch.nn.Sequential` of spiking layers on a grid, on the CPU, perhaps with `EventDropout`, which is
            off, and a final `LIReadout`. Its values are copied as they are now.

    Raises:
        TypeError: another kind of model or layer; names it.
        ValueError: a layer in continuous time, or on another device.

    Example:
        >>> model = torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2))
        >>> stream = lb.layers.Stream(model)
        >>> for block in range(3):
        ...     voltages = stream(lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], 3, 20.0))
        >>> voltages.shape
        torch.Size([1, 20, 2])
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Sequential):
            raise TypeError(f"a stream takes a torch.nn.Sequential, got {type(model).__name__}")
        self._steps = [_step(module, f"layer {i} ({type(module).__name__})") for i, module in enumerate(model)]

    def __call__(self, events: Events) -> Any:
        """What the model's last layer does in the next block.

        Args:
            events: a batch of one, with times from 0 at the block's beginning [ms], whose duration is a whole number
                of steps.

        Returns:
            Its spikes; or, of a readout, its voltages (1, steps, out) with its `scale`, whatever its `reduce`.

        Raises:
            TypeError, ValueError: no such events.
        """
        if isinstance(events, Events) and len(events) != 1:
            raise ValueError(f"a stream's block is a batch of one, got {len(events)} samples")
        x: Any = events
        for step in self._steps:
            x = step(x)
        return x


def _step(module: nn.Module, where: str) -> Callable[[Any], Any]:
    if isinstance(module, nn.Sequential):
        return Stream(module)
    if isinstance(module, EventDropout):
        return lambda events: events
    if not isinstance(module, (Spiking, LIReadout)):
        raise TypeError(f"{where}: only spiking layers, EventDropout and a final LIReadout can go on over blocks")
    if module.dt is None:
        raise ValueError(f"{where}: continuous time (dt=None) has no steps to go on by; give a dt such as 1.0 ms")
    return _OfReadout(module) if isinstance(module, Integrators) else _OfSpiking(module)


class _Goes:
    """A layer, and what it carries."""

    def __init__(self, layer: Any, recurrent: Any = None, payload: Any = None) -> None:
        neuron, connections = layer.neuron, layer.connections
        if connections.weight is not None and connections.weight.device.type != "cpu":
            raise ValueError(f"a stream runs on the cpu, the layer is on {connections.weight.device}")
        self.dt: float = layer.dt
        self._parts = neuron, connections
        self._onward = Onward(neuron, connections, recurrent, layer.dt, payload)

    def _check(self, events: Any) -> None:
        check_input(events, *self._parts)
        steps = events.duration / self.dt
        if abs(steps - round(steps)) > 1e-6 * max(1.0, steps):
            raise ValueError(f"a block must last a whole number of steps of {self.dt:g} ms, got {events.duration:g} ms")


class _OfSpiking(_Goes):
    def __init__(self, layer: Spiking) -> None:
        super().__init__(layer, layer.recurrent, layer._payload())

    def __call__(self, events: Events) -> Events:
        self._check(events)
        return self._onward.spikes(events)


class _OfReadout(_Goes):
    def __init__(self, layer: LIReadout) -> None:
        super().__init__(layer)
        self._scale = layer.scale

    @torch.no_grad()
    def __call__(self, events: Events) -> Tensor:
        self._check(events)
        return self._scale * self._onward.levels(events)
