"""`Tile`: what the element of a slice holds, for the programs that run on it."""

from __future__ import annotations

import numpy as np

from lambent.hardware.chip import Overrun
from lambent.hardware.spinnaker2.memory import Memory
from lambent.hardware.spinnaker2.network import Units
from lambent.hardware.spinnaker2.place import MORE_ROOM, Placement


class Tile:
    """The arrays of an element, each made in its memory.

    Args:
        placement: where the network lies.
        group, slice: which element this is.

    Attributes:
        memory: the ledger.
        element: its number.
        layer: number of the layer in keys: 0 are the inputs.
        n_in: inputs of the layer; rows of the matrix beyond are its own units.
        first: the first unit.
        units: constants of the slice's units.
        current, voltage, arrived: float32 (units,); backwards the adjoints, and what is sent.
        steps: of a sample.
        entries: of each log in use, by name.
    """

    def __init__(self, placement: Placement, group: int, slice: int) -> None:
        own = placement.slices[slice]
        layer = placement.network.layers[own.layer]
        self.element = placement.element(group, slice)
        name = f"element {self.element} ({layer.name}, units {own.first} to {own.last - 1})"
        self.memory = Memory(name, placement.constants)
        for array, (shape, kind) in placement.shapes(slice).items():
            self.memory.array(array, shape, kind)
        self.layer, self.n_in, self.first = own.layer + 1, layer.n_in, own.first
        self.width, self.rows, self.steps = own.last - own.first, len(layer.matrix), placement.steps
        self.spiking, self.scale, self.constants = layer.spiking, np.float32(layer.scale), placement.constants
        self.integers = layer.matrix.dtype == np.int8
        arrays = self.memory.arrays
        self.weights = arrays["weights"]
        self.weights[:] = layer.matrix[:, own.first : own.last]
        for row, values in zip(arrays["constants"], layer.units(placement.network.dt), strict=True):
            row[:] = values[own.first : own.last]
        self.units = Units(*arrays["constants"])
        self.current, self.voltage, self.arrived = arrays["states"]
        self.training = placement.training
        self.entries = {"arrivals": 0, "events": 0}

    def row(self, layer: int, unit: int) -> int:
        """The row of the matrix of a source."""
        return unit if layer == self.layer - 1 else self.n_in + unit

    def log(self, name: str, entries: list[tuple[object, ...]]) -> None:
        """Write to a log.

        Raises:
            Overrun: there is no room; says how many entries would be lost.
        """
        log, n = self.memory.arrays[name], self.entries[name]
        if n + len(entries) > len(log):
            lost = n + len(entries) - len(log)
            raise Overrun(
                f"{self.memory.name}: the log of {name} has room for {len(log)} a sample, {lost} would be lost; "
                f"{MORE_ROOM}"
            )
        log[n : n + len(entries)] = entries
        self.entries[name] = n + len(entries)

    def logged(self, name: str, step: int) -> np.ndarray:
        """The entries of a step."""
        log = self.memory.arrays[name][: self.entries[name]]
        a, b = np.searchsorted(log["step"], [step, step + 1])
        return log[a:b]
