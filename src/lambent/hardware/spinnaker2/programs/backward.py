"""`Backward`: the adjoints of a tile's units, one step a tick, from the last to the first."""

from __future__ import annotations

import numpy as np

from lambent.hardware.spinnaker2.packets import Kind, Packet, key, unpack
from lambent.hardware.spinnaker2.programs.tile import Tile


class Backward:
    """Either rule of `lambent.hardware.spinnaker2.rules`, where its equations are.

    Args:
        tile: what the element holds; states become the adjoints of V and I.
        lambent: which rule.
        factors: float32 (steps,), what a readout's voltage counts in each step.
        count_gradient: weight of what one more spike of a source is worth, of a readout.

    Attributes:
        cycles: of the last tick.
    """

    def __init__(self, tile: Tile, lambent: bool, factors: np.ndarray, count_gradient: float) -> None:
        self.tile, self.lambent, self.factors, self.cycles = tile, lambent, factors, 0
        self.count_gradient = np.float32(0 if tile.spiking else count_gradient)
        self._wanted = np.zeros(tile.width, np.float32)  # of a readout
        self._step = 0

    def start(self) -> None:
        """Begin with the last step of the sample that went forward."""
        self._step = self.tile.steps - 2
        self.tile.memory.arrays["states"][:] = 0
        self.tile.memory.arrays["gradients"][:] = 0
        self._wanted[:] = 0

    def tick(self, inbox: list[Packet]) -> list[Packet]:
        """Errors of spikes of step i + 1 come in, those for sources that spiked in step i go out."""
        tile, i = self.tile, self._step
        self._step -= 1
        error, worth = np.zeros(tile.width, np.float32), np.zeros(tile.width, np.float32)
        push = tile.memory.arrays["push"]
        for packet in inbox:
            packed = unpack(packet.key)
            j = packed.unit - tile.first
            if packed.kind == Kind.ERROR:
                error[j] += packet.payload[0]
                if len(packet.payload) > 1:
                    worth[j] += packet.payload[1]
            elif tile.spiking:
                push[j] += packet.payload[0]
            else:
                self._wanted[j] = packet.payload[0]
        own = tile.logged("events", i + 1)
        if self.lambent:
            give, send = self._lambent(i, own, error, worth, push)
        else:
            give, send = self._bena(own, error)
        out = []
        arrivals = tile.logged("arrivals", i)
        for row in arrivals["row"].tolist():
            tile.memory.arrays["gradients"][row] += give
            source = tile.layer - (row < tile.n_in)
            if source:  # nobody asks what became of an input's spike
                payload: tuple[np.float32, ...] = (_sum(tile.weights[row] * send),)
                if self.count_gradient:
                    more = _sum(tile.weights[row] * (self.count_gradient * give))
                    payload = (*payload, more, np.float32(0), np.float32(0))
                unit = row - tile.n_in * (source == tile.layer)
                out.append(Packet(key(Kind.ERROR, tile.element, source, unit), payload))
        c = tile.constants
        products = len(arrivals) + len(out) * (2 if self.count_gradient else 1)
        self.cycles = c.tick_cycles + c.packet_cycles * (len(inbox) + len(out)) + c.unit_cycles * tile.width
        self.cycles += c.synapse_cycles * tile.width * products + c.spike_cycles * len(own)
        return out

    def _lambent(
        self, i: int, own: np.ndarray, error: np.ndarray, worth: np.ndarray, push: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        tile, units, one = self.tile, self.tile.units, np.float32(1)
        arrays = tile.memory.arrays
        a_current, a_voltage = tile.current, tile.voltage
        if tile.spiking:
            silent = (arrays["counts"] == 0) & (push != 0)
            never = arrays["highest"] <= 0
            a_voltage[silent & never] += push[silent & never] / np.float32(tile.steps)
            now = silent & ~never & (arrays["peak"] == i + 1)
            a_voltage[now] += push[now]
        else:
            a_voltage += self.factors[i + 1] * self._wanted
        j, slope = own["unit"], own["slope"]
        ratio = one + one / (units.tau_mem[j] * slope)
        a_voltage[j] = a_voltage[j] * ratio - error[j] / slope + (push[j] + worth[j])
        give = units.gain * a_voltage + a_current
        send = give * units.rate_syn - units.rate_mem * a_voltage
        a_current[:] = units.alpha * give
        a_voltage[:] = units.beta * a_voltage
        return give, send

    def _bena(self, own: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tile, units = self.tile, self.tile.units
        a_current, a_voltage = tile.current, tile.voltage
        j = own["unit"]
        jump = (a_voltage[j] + error[j]) / (own["slope"] + np.float32(1e-10))
        send = a_voltage - a_current
        a_current[:] = units.alpha * a_current + units.fade * a_voltage
        a_voltage[:] = units.beta * a_voltage
        a_voltage[j] += jump
        return -(units.tau_syn * a_current), send


def _sum(products: np.ndarray) -> np.float32:
    """One product after another."""
    return np.add.accumulate(products, dtype=np.float32)[-1]
