"""Processes that look to graph.py as Lava's do: for where Lava is not installed."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

_numbers = count()


class Var:
    """A variable and the value that it starts with."""

    def __init__(self, init: Any) -> None:
        self.init, self.shape = init, np.shape(init)


class Port:
    """A port of a process."""

    def __init__(self, process: Any, shape: tuple[int, ...]) -> None:
        self.process, self.shape = process, tuple(shape)
        self.in_connections: list[Any] = []
        self.out_connections: list[Any] = []

    def connect(self, other: Port) -> None:
        """Lead to another port."""
        self.out_connections.append(other)
        other.in_connections.append(self)

    def reshaped(self, *shape: int) -> Port:
        """The same values in another shape."""
        port = ReshapePort(None, shape)
        self.connect(port)
        return port

    def transposed(self, *axes: int) -> Port:
        """The same values with other axes."""
        port = TransposePort(None, tuple(self.shape[axis] for axis in axes))
        port.axes = axes
        self.connect(port)
        return port


class ReshapePort(Port):
    """Lies between two others."""


class TransposePort(Port):
    """Lies between two others."""

    axes: tuple[int, ...]


class Process:
    """Something with at most one port to take and one to send, of the shapes given."""

    def __init__(
        self, takes: tuple[int, ...] | None, sends: tuple[int, ...] | None, name: str | None = None, **values: Any
    ) -> None:
        self.id = next(_numbers)
        self.name = name or f"Process_{self.id}"
        self.port = Port(self, takes or ())
        self.out = Port(self, sends or ())
        self.in_ports = [] if takes is None else [self.port]
        self.out_ports = [] if sends is None else [self.out]
        self.var_ports: list[Port] = []
        self.procs: list[Process] = []
        self.proc_params = values
        self.a_in = self.s_in = self.port
        self.a_out = self.s_out = self.out
        for key, value in values.items():
            setattr(self, key, Var(value))

    def then(self, other: Any) -> Any:
        """Lead to another process; returns it."""
        self.out.connect(other.port)
        return other


class RingBuffer(Process):
    """A source."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(None, shape)


class Monitor(Process):
    """A sink."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape, None)


class Reset(Process):
    """Sets variables of others."""

    def __init__(self) -> None:
        super().__init__(None, None)

    def watch(self, other: Process) -> None:
        """Get access to a variable."""
        port = Port(other, ())
        self.out.connect(port)
        other.var_ports.append(port)


class Dense(Process):
    """Synapses."""

    def __init__(self, weights: Any, **values: Any) -> None:
        weights = np.asarray(weights)
        n_out, n_in = weights.shape
        super().__init__((n_in,), (n_out,), **{"weights": weights, "num_message_bits": 0, **values})


class Sparse(Dense):
    """Synapses."""


class Conv(Process):
    """Synapses that share a kernel."""

    def __init__(self, weight: np.ndarray, in_shape: tuple[int, int, int]) -> None:
        sides = [n - k + 1 for n, k in zip(in_shape[:2], weight.shape[1:3], strict=True)]
        geometry = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        super().__init__(in_shape, (*sides, len(weight)), weight=weight, weight_exp=0, num_message_bits=0, **geometry)


class LIF(Process):
    """Units."""

    def __init__(self, shape: tuple[int, ...], **values: Any) -> None:
        default = {"u": 0, "v": 0, "du": 0, "dv": 0, "vth": 10, "bias_mant": 0, "bias_exp": 0}
        super().__init__(shape, shape, **{**default, **values})


class Delta(Process):
    """Units that numbers go into."""

    def __init__(self, shape: tuple[int, ...], vth: int) -> None:
        states = dict.fromkeys(("sigma", "act", "residue", "error"), 0)
        super().__init__(shape, shape, vth=vth, spike_exp=6, state_exp=6, cum_error=False, **states)


def Plain(kind: str, shape: tuple[int, ...], **values: Any) -> Process:
    """A process of a class of any name."""
    return type(kind, (Process,), {})(shape, shape, **values)
