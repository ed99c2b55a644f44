"""`place`: a network on the elements of a chip, or why it does not fit and what would.

A sample of a batch runs on a *group* of elements: a head, which sends the inputs' spikes and works out the loss, and
for each layer as many as hold its units, in slices. Forward and backward programs of a slice share an element, and with
it weights and log. Beside the groups, elements for the weights' updates hold weights, moments and sums of gradients.

    group g:  head | slices of layer 1 | slices of layer 2 ...        then: parts of the updates, layer by layer
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from lambent.hardware.spinnaker2.constants import Constants, default_constants
from lambent.hardware.spinnaker2.network import Layer, Spinnaker2Network, check_network
from lambent.machine.showing import counted, text_table

PACKET = np.dtype([("key", "u4"), ("payload", "f4", 4)])
"""A packet as it waits in an element's memory."""
ARRIVAL = np.dtype([("step", "u2"), ("row", "u2")])
"""An arrival in the log: the step in which it was sent, and its row of the matrix."""
EVENT = np.dtype([("step", "u2"), ("unit", "u2"), ("slope", "f4")])
"""A spike of a unit in the log."""
_CONSTANTS, _STATES = 10, 3  # float32 a unit: those of `Units`; current, voltage, what arrived (or their adjoints)
_TALLY = {"counts": "i4", "highest": "f4", "peak": "i4", "push": "f4"}


class Slice(NamedTuple):
    """Units of a layer that lie on one element of each group.

    Attributes:
        layer: from 0 on.
        first, last: its units.
    """

    layer: int
    first: int
    last: int


class Part(NamedTuple):
    """Rows of a slice's matrix that one element updates."""

    slice: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a network lies.

    Attributes:
        network: its layers' sizes are what was placed; weights may change.
        steps: of a sample.
        slices: the elements of a group behind its head.
        parts: the elements that update weights; none for inference.
        groups: samples at once.
        waves: rounds in which a batch runs on the groups.
        arrivals, events: entries of the logs of a slice, for each.
        constants: of the chip.
    """

    network: Spinnaker2Network
    steps: int
    slices: tuple[Slice, ...]
    parts: tuple[Part, ...]
    groups: int
    waves: int
    arrivals: tuple[int, ...]
    events: tuple[int, ...]
    constants: Constants

    @property
    def training(self) -> bool:
        """Whether there is room to learn."""
        return bool(self.parts)

    @property
    def group_size(self) -> int:
        """Elements of a group, its head included."""
        return 1 + len(self.slices)

    @property
    def n_cores(self) -> int:
        """Elements in use."""
        return self.groups * self.group_size + len(self.parts)

    @property
    def memory(self) -> int:
        """Bytes of weights on the chip, copies of the groups included."""
        return sum(layer.matrix.nbytes for layer in self.network.layers) * (self.groups + self.training)

    def element(self, group: int, slice: int | None = None) -> int:
        """The number of an element of a group: the head's, or a slice's."""
        return group * self.group_size + (0 if slice is None else 1 + slice)

    def of_layer(self, layer: int) -> list[int]:
        """The slices of a layer."""
        return [p for p, own in enumerate(self.slices) if own.layer == layer]

    def shapes(self, slice: int) -> dict[str, tuple[Any, Any]]:
        """The arrays of a slice's element by name: shape and type."""
        layer, (_, first, last) = self.network.layers[self.slices[slice].layer], self.slices[slice]
        logs = self.arrivals[slice], self.events[slice]
        return _tile(layer, last - first, logs, self.training, self.constants.fifo)

    def bytes_of(self, slice: int) -> int:
        """Bytes of data on a slice's element."""
        return _bytes(self.shapes(slice))

    def part_bytes(self, part: int) -> int:
        """Bytes of data on an element of the updates."""
        p = self.parts[part]
        own = self.slices[p.slice]
        return _UPDATE * (p.last - p.first) * (own.last - own.first)

    def router(self, element: int) -> tuple[int, int]:
        """Column and row of the router of an element."""
        at = element // self.constants.elements_per_router
        return at % self.constants.mesh_columns, at // self.constants.mesh_columns

    def hops(self, start: int, ends: Sequence[int]) -> int:
        """Routers that copies of a packet pass from an element to others, those of the way along a row shared."""
        column, row = self.router(start)
        links = set()
        for end in ends:
            to, down = self.router(end)
            links |= {(x, row, 0) for x in range(min(column, to), max(column, to))}
            links |= {(to, y, 1) for y in range(min(row, down), max(row, down))}
        return len(links)

    def __str__(self) -> str:
        rows = []
        for p, own in enumerate(self.slices):
            units = f"{own.first} to {own.last - 1}"
            rows.append((self.network.layers[own.layer].name, units, f"{self.bytes_of(p):,}"))
        for q, part in enumerate(self.parts):
            name = self.network.layers[self.slices[part.slice].layer].name
            rows.append((f"update of {name}", f"rows {part.first} to {part.last - 1}", f"{self.part_bytes(q):,}"))
        said = (
            f"{counted(self.n_cores, 'element')} of {self.constants.usable}: {counted(self.groups, 'group')} of "
            f"{self.group_size}, {len(self.parts)} for updates; of {self.constants.data:,} bytes for data each takes"
        )
        return f"{said}\n{text_table(('element', 'units', 'bytes'), rows, 2)}"


MORE_ROOM = "let units spike less, or give their spikes more room (in Python spikes=)"
"""What to do where a log was full."""
_UPDATE = 16  # bytes a weight: itself, two moments, the sum of gradients


def place(
    network: Spinnaker2Network,
    steps: int,
    *,
    batch: int = 1,
    training: bool = False,
    spikes: float | None = None,
    groups: int | None = None,
    constants: Constants | None = None,
) -> Placement:
    """Place a network: as few elements a group as hold it, as many groups as there is room for, or a batch needs.

    Args:
        network: what to place.
        steps: of a sample, below 65,536.
        batch: samples of a batch.
        training: make room for gradients, adjoints and updates.
        spikes: mean spikes of a unit in a sample to make room for in the logs; left out, a tenth of the steps, or where
            that does not fit a twentieth, at least 3, and more where memory is free anyway.
        groups: of elements; left out, as many as the batch needs and fit.
        constants: of the chip.

    Raises:
        ValueError: it does not fit; says which limit it meets, and what would fit.

    >>> model = torch.nn.Sequential(lb.LIF(5, 120), lb.LIF(120, 3))
    >>> network = lb.hardware.spinnaker2.to_chip(model)
    >>> lb.hardware.spinnaker2.place(network, steps=27, batch=22, training=True).n_cores
    68
    """
    check_network(network)
    chip = constants or default_constants()
    if not isinstance(training, bool):
        raise TypeError(f"training must be True or False, got {training!r}")
    for name, value in (("steps", steps), ("batch", batch), *((("groups", groups),) if groups is not None else ())):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")
    if steps >= 1 << 16:
        raise ValueError(f"{steps:,} steps: the logs tell 65,535 apart; use a larger dt")
    if groups is not None and groups > batch:
        raise ValueError(f"{groups} groups for a batch of {batch}: a group takes one sample at a time")
    rates = [max(3.0, steps / 10), max(3.0, steps / 20)] if spikes is None else [spikes]
    if isinstance(rates[0], bool) or not isinstance(rates[0], (int, float)) or not 0 < rates[0] < math.inf:
        raise ValueError(f"spikes must be a positive number, got {spikes!r}")
    if training and network.integers:
        raise ValueError("integer weights cannot learn: train float32 ones, and round them for inference")
    for rate in rates:
        wanted = _Wanted(network, steps, batch, training, rate, spikes is None, groups, chip)
        try:
            return wanted.placed()
        except ValueError as error:
            problem = str(error)
    raise ValueError("; ".join([problem, *wanted.advice()]))


class _Wanted(NamedTuple):
    """What is to be placed."""

    network: Spinnaker2Network
    steps: int
    batch: int
    training: bool
    rate: float
    grows: bool
    groups: int | None
    chip: Constants

    def placed(self) -> Placement:
        """The placement; ValueError where there is none."""
        slices = [p for i in range(len(self.network.layers)) for p in self._slices(i)]
        parts = list(self._parts(slices)) if self.training else []
        room = (self.chip.usable - len(parts)) // (1 + len(slices))
        if room < 1:
            raise ValueError(
                f"the network takes {1 + len(slices) + len(parts)} elements (a head, "
                f"{counted(len(slices), 'slice')} and {len(parts)} for updates), the chip has {self.chip.usable}"
            )
        if self.groups is not None and self.groups > room:
            raise ValueError(
                f"{self.groups} groups of {1 + len(slices)} elements, and {len(parts)} for updates, are more than "
                f"{self.chip.usable}; {room} groups would fit"
            )
        groups = min(self.batch, self.groups or self.batch, room)
        waves = math.ceil(self.batch / groups)
        logs = [self._largest_logs(self.network.layers[p.layer], p.last - p.first) for p in slices]
        arrivals, events = zip(*logs, strict=True)
        return Placement(
            self.network, self.steps, tuple(slices), tuple(parts), groups, waves, arrivals, events, self.chip
        )

    def _logs(self, layer: Layer, width: int, rate: float) -> tuple[int, int]:
        """Entries for arrivals and spikes: none for inference, which forgets them."""
        if not self.training:
            return 0, 0
        return math.ceil(rate * len(layer.matrix)), math.ceil(rate * width) if layer.spiking else 0

    def _largest_logs(self, layer: Layer, width: int) -> tuple[int, int]:
        """The same for an element that is settled: if nobody said how many, up to every unit in every step."""
        rates = [self.steps / 2**k for k in range(16)] if self.grows else []
        for rate in (*(r for r in rates if r > self.rate), self.rate):
            logs = self._logs(layer, width, rate)
            if self._holds(layer, width, logs):
                break
        return logs

    def _holds(self, layer: Layer, width: int, logs: tuple[int, int]) -> bool:
        return _bytes(_tile(layer, width, logs, self.training, self.chip.fifo)) <= self.chip.data

    def _slices(self, index: int) -> list[Slice]:
        """The units of a layer on as few elements as hold them, evenly."""
        layer = self.network.layers[index]

        def fits(width: int) -> bool:
            return self._holds(layer, width, self._logs(layer, width, self.rate))

        if not fits(1):
            need = _bytes(_tile(layer, 1, self._logs(layer, 1, self.rate), self.training, self.chip.fifo))
            raise ValueError(
                f"{layer.name}: a single unit with {len(layer.matrix):,} inputs takes {need:,} bytes of an element, of "
                f"{self.chip.data:,} for data"
            )
        n = next(n for n in range(1, layer.n_out + 1) if fits(math.ceil(layer.n_out / n)))
        bounds = [layer.n_out * p // n for p in range(n + 1)]
        return [Slice(index, a, b) for a, b in pairwise(bounds)]

    def _parts(self, slices: Sequence[Slice]) -> Iterator[Part]:
        for p, own in enumerate(slices):
            rows, width = len(self.network.layers[own.layer].matrix), own.last - own.first
            n = math.ceil(rows / max(1, self.chip.data // (_UPDATE * width)))
            bounds = [rows * q // n for q in range(n + 1)]
            yield from (Part(p, a, b) for a, b in pairwise(bounds))

    def advice(self) -> list[str]:
        """What would fit."""
        found: list[str] = []
        if self._replace(groups=None)._fits():  # in fewer groups
            return found
        layers = self.network.layers
        if len(layers) > 1:
            low, high = 0.0, 1.0
            for _ in range(12):
                share = (low + high) / 2
                low, high = (share, high) if self._fits(self._narrower(share)) else (low, share)
            if low:
                widths = ", ".join(str(x.n_out) for x in self._narrower(low).layers[:-1])
                found.append(f"with hidden layers of {widths} units it would fit")
        if self.training:
            bytes_ = self.network.with_matrices([np.zeros(x.matrix.shape, np.int8) for x in layers])
            if self._replace(network=bytes_, training=False, groups=None)._fits():
                found.append("for inference with weights of 8 bits, as convert makes them, it would fit as it is")
            fits, too_many = 0, math.ceil(self.rate)
            while too_many - fits > 1:
                rate = (fits + too_many) // 2
                fits, too_many = (rate, too_many) if self._replace(rate=float(rate))._fits() else (fits, rate)
            if fits:
                found.append(f"with spikes={fits}, room for fewer events, it would fit")
        return found or ["no narrower one would: it has too many inputs, or too many layers"]

    def _fits(self, network: Spinnaker2Network | None = None) -> bool:
        try:
            self._replace(network=network or self.network).placed()
        except ValueError:
            return False
        return True

    def _narrower(self, share: float) -> Spinnaker2Network:
        """The network with hidden layers of that share of units."""
        layers, n_in = [], self.network.n_in
        for i, layer in enumerate(self.network.layers):
            n = layer.n_out if i == len(self.network.layers) - 1 else max(1, int(share * layer.n_out))
            matrix = np.zeros((n_in + n * layer.recurrent, n), layer.matrix.dtype)
            ones = np.ones(n)
            layers.append(replace(layer, n_in=n_in, matrix=matrix, tau_mem=ones, tau_syn=ones, threshold=ones))
            n_in = n
        return replace(self.network, layers=tuple(layers))


def _tile(layer: Layer, width: int, logs: tuple[int, int], training: bool, fifo: int) -> dict[str, tuple[Any, Any]]:
    """The arrays of an element with so many units of a layer; `logs` are entries for arrivals and events."""
    rows, (arrivals, events) = len(layer.matrix), logs
    shapes: dict[str, tuple[Any, Any]] = {
        "fifo": (fifo, PACKET),
        "weights": ((rows, width), layer.matrix.dtype),
        "constants": ((_CONSTANTS, width), np.float32),
        "states": ((_STATES, width), np.float32),
    }
    if training:
        shapes |= {
            "gradients": ((rows, width), np.float32),
            "arrivals": (arrivals, ARRIVAL),
            "events": (events, EVENT),
            **{name: (width, kind) for name, kind in _TALLY.items()},
        }
    return shapes


def _bytes(shapes: dict[str, tuple[Any, Any]]) -> int:
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes.values())
