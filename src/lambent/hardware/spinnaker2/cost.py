"""What inference and training cost on the chip, modelled: cycles of the busiest element, tick by tick, and power.

    a tick takes as long as its busiest element      latency = sum over ticks of (cycles + hops on the way) / clock
    energy = (chip asleep + elements in use * active) * latency

The chip's timer gives every tick the same time, dt in real time, and there is no barrier: an element whose cycles do
not fit into it falls out of phase with the others. So `worst_tick` is to be held against `budget`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from torch import Tensor

from lambent.events import Events
from lambent.hardware.spinnaker2.constants import Supply, supplies
from lambent.hardware.spinnaker2.fast import spikes_of
from lambent.hardware.spinnaker2.machine import Machine
from lambent.hardware.spinnaker2.network import Spinnaker2Network, check_events, check_network
from lambent.hardware.spinnaker2.place import Placement, place
from lambent.hardware.spinnaker2.rules import Rule
from lambent.hardware.spinnaker2.running import Recording
from lambent.machine.denormals import denormals_flushed
from lambent.machine.showing import html_table


@dataclass(frozen=True, repr=False)
class Cost:
    """What one sample costs on SpiNNaker2: modelled, not measured; mean over the samples of a recording.

    Attributes:
        energy: of the chip, static and dynamic [mJ].
        latency: from the first to the last tick, each as long as its busiest element [ms].
        volts: of the elements.
        elements: in use.
        memory: bytes of data on the fullest element.
        steps: of a sample.
        packets: a sample.
        packets_per_tick: of these.
        hops: links that the packets of a sample pass.
        worst_tick: cycles of the busiest element in the longest tick.
        budget: cycles that a tick has in real time.
        real_time_energy: of a sample in real time, elements active while they work [mJ].
    """

    energy: float
    latency: float
    volts: float
    elements: int
    memory: int
    steps: int
    packets: float
    packets_per_tick: float
    hops: float
    worst_tick: int
    budget: int
    real_time_energy: float

    def __repr__(self) -> str:
        return f"Cost({self.energy:.3g} mJ and {self.latency:.3g} ms a sample, modelled for SpiNNaker2)"

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        return html_table("modelled for SpiNNaker2, per sample", self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        fits = "fits" if self.worst_tick <= self.budget else "does not fit: elements fall out of phase"
        return [
            ("modelled for SpiNNaker2, per sample", f"{self.energy:.3g} mJ, {self.latency:.3g} ms at {self.volts} V"),
            ("elements", f"{self.elements}, the fullest with {self.memory:,} bytes of data"),
            ("packets", f"{self.packets:,.1f}, {self.packets_per_tick:,.2f} a tick, over {self.hops:,.1f} links"),
            ("worst tick", f"{self.worst_tick:,} cycles of {self.budget:,} in real time: {fits}"),
            ("in real time", f"{self.real_time_energy:.3g} mJ"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """All values, with the label that they are modelled."""
        return {"modelled": True, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cost:
        """The cost that `as_dict` gave `values` of.

        Raises:
            KeyError, ValueError: it gave none such.
        """
        own = {field.name: values[field.name] for field in fields(cls)}
        for name, value in own.items():
            if type(value) not in (int, float):
                raise ValueError(f"{name} is {value!r}, no number")
        return cls(**own)


def estimate_cost(
    network: Spinnaker2Network,
    recording: Recording,
    placement: Placement | None = None,
    *,
    supply: Supply | None = None,
) -> Cost:
    """Energy and latency of inference, from what a network did.

    Args:
        network: the network.
        recording: what it did on typical samples, with spikes.
        placement: where it lies; one group, for inference, where left out.
        supply: voltage, clock and power; 0.5 V where left out.

    Raises:
        TypeError, ValueError: there are no spikes in the recording, or it or the placement is of another network; or
            the network does not fit.
    """
    check_network(network)
    supply = supply or supplies()[0]
    if not isinstance(recording, Recording):
        raise TypeError(f"recording must be what run_network returns, got {type(recording).__name__}")
    if not recording.spikes or [x.shape[1] for x in recording.spikes] != [x.n_out for x in network.layers]:
        raise ValueError("the recording has no spikes, or is of another network; record spikes")
    batch, _, steps = recording.spikes[0].shape
    if not batch:
        raise ValueError("the recording holds no samples")
    where = placement or place(network, steps)
    if [x.matrix.shape for x in where.network.layers] != [x.matrix.shape for x in network.layers]:
        raise ValueError("the placement is of another network")
    if where.steps != steps:
        raise ValueError(f"the placement is for samples of {where.steps} steps, the recording has {steps}")
    cycles, packets, hops = _cycles(network, recording, where)
    busiest = cycles.max(1)  # (batch, ticks)
    c = where.constants
    way = c.hop_cycles * (c.mesh_columns + -(-c.elements // (c.elements_per_router * c.mesh_columns)))  # the longest
    latency = (busiest.sum(1) + way * busiest.shape[1]) / (1e3 * supply.clock)
    elements = where.group_size
    busy = cycles.sum((1, 2)) / (1e3 * supply.clock)  # ms of all elements together
    duration = steps * network.dt
    return Cost(
        energy=float(1e-3 * supply.power(elements) * latency.mean()),
        latency=float(latency.mean()),
        volts=supply.volts,
        elements=elements,
        memory=max(where.bytes_of(p) for p in range(len(where.slices))),
        steps=steps,
        packets=float(packets.mean()),
        packets_per_tick=float(packets.mean() / steps),
        hops=float(hops.mean()),
        worst_tick=int(busiest.max()),
        budget=int(1e3 * supply.clock * network.dt),
        real_time_energy=float(1e-3 * (supply.asleep * duration + supply.active * busy.mean())),
    )


def _cycles(
    network: Spinnaker2Network, recording: Recording, where: Placement
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cycles (batch, elements of a group, steps + 1), packets and hops (batch,) of samples that run forward.

    What `Forward`, `Source` and `Loss` count, from the spikes of all steps.
    """
    c, layers = where.constants, network.layers
    batch, _, steps = recording.spikes[0].shape
    made = [recording.inputs, *(x.sum(1, dtype=np.int64) for x in recording.spikes)]  # each (batch, steps)
    cycles = np.zeros((batch, where.group_size, steps + 1), np.int64)
    heads = np.zeros((batch, steps + 1), np.int64)
    heads[:, :steps] += 2 * c.tick_cycles + c.packet_cycles * made[0]
    heads[:, 1:] += c.packet_cycles * made[-1]
    packets, hops = np.sum([x.sum(1) for x in made], axis=0), np.zeros(batch)
    hops += made[0].sum(1) * where.hops(where.element(0), [where.element(0, p) for p in where.of_layer(0)])
    if not layers[-1].spiking:
        heads[:, steps] += c.packet_cycles * layers[-1].n_out
        packets = packets + layers[-1].n_out
    heads[:, steps] += c.tick_cycles + c.class_cycles * layers[-1].n_out
    cycles[:, 0] = heads
    for p, own in enumerate(where.slices):
        layer, width = layers[own.layer], own.last - own.first
        arrivals = np.zeros((batch, steps), np.int64)
        arrivals[:, 1:] = (made[own.layer] + layer.recurrent * made[own.layer + 1])[:, :-1]
        out = recording.spikes[own.layer][:, own.first : own.last].sum(1, dtype=np.int64)
        synapses = c.synapse_cycles * arrivals * width
        if layer.matrix.dtype == np.int8:
            dense = -(-len(layer.matrix) // c.mac_rows) * -(-width // c.mac_columns)
            synapses = np.minimum(synapses, dense)
        cycles[:, 1 + p, :steps] = c.tick_cycles + c.packet_cycles * (arrivals + out) + synapses
        cycles[:, 1 + p, :steps] += c.unit_cycles * width + c.spike_cycles * out
        element = where.element(0, p)
        if layer.spiking:
            targets = where.of_layer(own.layer) * layer.recurrent + where.of_layer(own.layer + 1)
            ends = [where.element(0, q) for q in targets]
            ends += [where.element(0)] if own.layer == len(layers) - 1 else []
            hops += out.sum(1) * where.hops(element, ends)
        else:
            cycles[:, 1 + p, steps - 1] += c.packet_cycles * width
            hops += width * where.hops(element, [where.element(0)])
    return cycles, np.asarray(packets, np.float64), hops


def mean_cost(parts: Sequence[tuple[int, Cost]]) -> Cost:
    """The cost of a sample where so many samples each had the costs given; the worst tick is that of all.

    Raises:
        ValueError: no parts, or of networks that lie otherwise.
    """
    if not parts:
        raise ValueError("no costs to take the mean of")
    alike = {(x.elements, x.memory, x.steps, x.budget, x.volts) for _, x in parts}
    if len(alike) > 1:
        raise ValueError(f"the costs are not of one network on one placement: {sorted(alike)}")
    n = sum(number for number, _ in parts)

    def mean(value: Callable[[Cost], float]) -> float:
        return sum(number * value(cost) for number, cost in parts) / n

    names = ("energy", "latency", "packets", "packets_per_tick", "hops", "real_time_energy")
    means = {name: mean(lambda cost, name=name: getattr(cost, name)) for name in names}  # type: ignore[misc]
    worst = max(cost.worst_tick for _, cost in parts)
    return Cost(**{**asdict(parts[0][1]), **means, "worst_tick": worst})


@dataclass(frozen=True)
class UpdateCost:
    """What learning from one batch costs on SpiNNaker2: modelled, from a batch that ran on the packet machine.

    Attributes:
        energy: of an update: forward, backward, reduction, Adam and broadcast [mJ].
        latency: of it [ms].
        volts: of the elements.
        elements, groups: in use, and samples at once.
        memory: bytes of data on the fullest element.
        packets: a sample, of events and errors.
        packets_per_tick: of these.
        moved: bytes by DMA.
        worst_tick, budget: as for `Cost`.
        ticks: of an update.
    """

    energy: float
    latency: float
    volts: float
    elements: int
    groups: int
    memory: int
    packets: float
    packets_per_tick: float
    moved: int
    worst_tick: int
    budget: int
    ticks: int


def update_cost(
    placement: Placement, rule: Rule, events: Events, labels: Tensor, *, supply: Supply | None = None
) -> UpdateCost:
    """What an update costs, from one batch on the packet machine.

    Args:
        placement: where the network lies, with room to learn.
        rule: how it learns.
        events, labels: a batch of samples.
        supply: voltage, clock and power; 0.5 V where left out.

    Raises:
        TypeError, ValueError, Overrun: as `Machine`; or the events are not for this network.
    """
    check_network(placement.network)
    check_events(placement.network, events)
    supply = supply or supplies()[0]
    spikes = spikes_of(events, placement.network.dt)
    machine = Machine(placement, rule, placement.steps * placement.network.dt)
    with denormals_flushed():
        done = machine.batch(spikes, labels.numpy())
        machine.update(done.gradients, 0.0)
    traffic = machine.traffic
    waves = -(-len(labels) // placement.groups)
    ticks = [*traffic.forward, *traffic.backward]
    again = waves if waves > 1 and rule.rates is not None else 0  # see `Machine`
    cycles = (waves + again) * sum(traffic.forward) + waves * sum(traffic.backward) + traffic.update
    latency = cycles / (1e3 * supply.clock)
    slices = [placement.bytes_of(p) for p in range(len(placement.slices))]
    parts = [placement.part_bytes(q) for q in range(len(placement.parts))]
    packets = sum(traffic.packets.values()) / len(labels)
    return UpdateCost(
        energy=1e-3 * supply.power(placement.n_cores) * latency,
        latency=latency,
        volts=supply.volts,
        elements=placement.n_cores,
        groups=placement.groups,
        memory=max(slices + parts),
        packets=packets,
        packets_per_tick=packets / len(ticks),
        moved=traffic.moved,
        worst_tick=max(ticks),
        budget=int(1e3 * supply.clock * placement.network.dt),
        ticks=(waves + again) * len(traffic.forward) + waves * len(traffic.backward) + 1,
    )
