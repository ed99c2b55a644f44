"""`Forward`: LIF units, or a readout, one step a tick."""

from __future__ import annotations

import math

import numpy as np

from lambent.hardware.spinnaker2.packets import Kind, Packet, key, unpack
from lambent.hardware.spinnaker2.programs.tile import Tile


class Forward:
    """The recurrence of `lambent.hardware.spinnaker2.network` on the units of a tile.

        I[i] = alpha I[i-1] + W s_in[i-1]      V[i] = beta V[i-1] + (1 - beta) I[i]      s[i] = V[i] > 1, then V[i] := 0

    What arrives in a step is summed up first, in the order of keys. With integer weights either the processor adds rows
    of the matrix, or the array of multiply-accumulate units takes all rows at once, whichever is sooner; sums of
    integers are the same.

    Args:
        tile: what the element holds.
        lambent: which slope the log gets; see `lambent.hardware.spinnaker2.rules`.
        factors: float32 (steps,), what a readout's voltage counts in each step.

    Attributes:
        cycles: of the last tick.
    """

    def __init__(self, tile: Tile, lambent: bool, factors: np.ndarray) -> None:
        self.tile, self.lambent, self.factors, self.cycles = tile, lambent, factors, 0
        self.scores = np.zeros(tile.width, np.float32)
        self._step = 0

    def start(self) -> None:
        """Begin a sample."""
        tile = self.tile
        self._step = 0
        tile.memory.arrays["states"][:] = 0
        self.scores[:] = 0
        if tile.training:
            tile.entries = dict.fromkeys(tile.entries, 0)
            for name in ("counts", "highest", "peak"):
                tile.memory.arrays[name][:] = 0

    def tick(self, inbox: list[Packet]) -> list[Packet]:
        """Spikes of the step before come in, those of this step go out; at the end of a sample a readout's scores."""
        tile, units, i = self.tile, self.tile.units, self._step
        self._step += 1
        keys = [unpack(packet.key) for packet in inbox]
        rows = [tile.row(k.layer, k.unit) for k in keys]
        if tile.training:
            tile.log("arrivals", [(i - 1, row) for row in rows])
        tile.arrived[:] = 0
        for row in rows:
            tile.arrived += tile.weights[row]
        tile.current[:] = units.alpha * tile.current + tile.scale * tile.arrived
        tile.voltage[:] = units.beta * tile.voltage + units.gain * tile.current
        spiked = np.zeros(0, np.int64)
        if tile.spiking:
            spiked = self._spikes(i)
            out = [Packet(key(Kind.SPIKE, tile.element, tile.layer, tile.first + int(j))) for j in spiked]
        else:
            self.scores += self.factors[i] * tile.voltage
            last = i == tile.steps - 1
            out = [
                Packet(key(Kind.VALUE, tile.element, tile.layer, tile.first + j), (score,))
                for j, score in enumerate(self.scores if last else ())
            ]
        c = tile.constants
        synapses = c.synapse_cycles * len(rows) * tile.width
        if tile.integers:
            synapses = min(synapses, math.ceil(tile.rows / c.mac_rows) * math.ceil(tile.width / c.mac_columns))
        self.cycles = c.tick_cycles + c.packet_cycles * (len(inbox) + len(out)) + synapses
        self.cycles += c.unit_cycles * tile.width + c.spike_cycles * len(spiked)
        return out

    def _spikes(self, i: int) -> np.ndarray:
        """The units that spike in step i, logged and reset."""
        tile, units, v = self.tile, self.tile.units, self.tile.voltage
        spiked = np.flatnonzero(v > 1)
        if tile.training:
            arrays = tile.memory.arrays
            higher = v > arrays["highest"]
            arrays["highest"][higher] = v[higher]
            arrays["peak"][higher] = i
            arrays["counts"][spiked] += 1
            if self.lambent:
                slope = np.maximum((units.kappa * tile.current - v) / units.tau_mem, units.least)
            else:
                slope = tile.current - v
            tile.log("events", [(i, j, slope[j]) for j in spiked])
        v[spiked] = 0
        return spiked
