"""`estimate_cost`: what a run would have cost on the chip, modelled from what happened in it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lambent.hardware.loihi2.network import Loihi2Network, Recording
from lambent.hardware.loihi2.placement.mapping import Mapping, map_to_cores
from lambent.hardware.loihi2.placement.traffic import check_run, hops, spike_matrix
from lambent.machine.showing import html_table


@dataclass(frozen=True)
class Parameters:
    """The parameters of the model; `cost.toml` beside this file has them with a source each.

    Attributes:
        synapse_energy, unit_energy, spike_energy, hop_energy: per event of the first Loihi [pJ].
        event_energy_scale: what these are multiplied with.
        step_energy: per step [nJ].
        synapse_time, unit_time: per event of a core [ns].
        step_time: per step [ns].
        chip_power, core_power: static, of the chip and of each core in use [mW].

    Raises:
        ValueError: a value is negative or not finite.
    """

    synapse_energy: float
    unit_energy: float
    spike_energy: float
    hop_energy: float
    event_energy_scale: float
    step_energy: float
    synapse_time: float
    unit_time: float
    step_time: float
    chip_power: float
    core_power: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, (int, float)) and np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Parameters:
        """Read a file in the form of `cost.toml`: tables `parameters.NAME` with `value`.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no TOML, or a parameter is missing or is no number; names it.
        """
        try:
            return _parameters(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class Counts:
    """What happened in a run, mean over samples.

    Attributes:
        steps: time steps.
        synaptic_operations: synapses that cores read for spikes, zeros of dense matrices included.
        unit_updates: units times steps.
        spikes: spikes sent, inputs included, once for every core that they go to.
        hops: links of the mesh that they pass.
        cores: cores in use.
    """

    steps: int
    synaptic_operations: float
    unit_updates: float
    spikes: float
    hops: float
    cores: int


@dataclass(frozen=True, repr=False)
class Cost:
    """What one sample costs on Loihi 2: modelled, not measured; mean over the samples of a run.

    Attributes:
        energy: static and dynamic energy [mJ].
        latency: time from the first to the last step [ms].
        dynamic_energy, static_energy: their parts [mJ].
        energy_delay_product: energy times latency [uJ s].
        parts: dynamic energy by what it is spent on [mJ].
        counts: the events that it is made of.
    """

    energy: float
    latency: float
    dynamic_energy: float
    static_energy: float
    energy_delay_product: float
    parts: dict[str, float]
    counts: Counts

    def __repr__(self) -> str:
        return f"Cost({self.energy:.3g} mJ and {self.latency:.3g} ms a sample, modelled for Loihi 2)"

    def _repr_html_(self) -> str:
        rows = [
            ("energy", f"{self.energy:.3g} mJ"),
            ("static", f"{self.static_energy:.3g} mJ"),
            ("dynamic", f"{self.dynamic_energy:.3g} mJ"),
            *((f"of that {name}", f"{value:.3g} mJ") for name, value in self.parts.items()),
            ("latency", f"{self.latency:.3g} ms"),
            ("energy-delay product", f"{self.energy_delay_product:.3g} uJ s"),
            *((name.replace("_", " "), f"{value:,.0f}") for name, value in vars(self.counts).items()),
        ]
        return html_table("modelled for Loihi 2, per sample", rows)

    def __str__(self) -> str:
        c = self.counts
        parts = ", ".join(f"{name} {1000 * value:.3g}" for name, value in self.parts.items())
        return "\n".join(
            [
                f"modelled for Loihi 2, per sample: {self.energy:.3g} mJ, {self.latency:.3g} ms, "
                f"energy-delay product {self.energy_delay_product:.3g} uJ s",
                f"static {1000 * self.static_energy:.3g} uJ, dynamic {1000 * self.dynamic_energy:.3g} uJ ({parts})",
                f"{c.steps:,} steps, {c.synaptic_operations:,.0f} synaptic operations, {c.unit_updates:,.0f} unit "
                f"updates, {c.spikes:,.0f} spikes to cores, {c.hops:,.0f} hops, {c.cores} cores",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """All values, with the label that they are modelled."""
        return {"modelled": True, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cost:
        """The cost that `as_dict` gave `values` of.

        Raises:
            KeyError, TypeError, ValueError: it gave none such.
        """
        own = {field.name: values[field.name] for field in fields(cls)}
        parts, counts = dict(own["parts"]), dict(own["counts"])
        for name, value in (own | parts | counts).items():
            if name not in ("parts", "counts") and type(value) not in (int, float):
                raise ValueError(f"{name} is {value!r}, no number")
        return cls(**own | {"parts": parts, "counts": Counts(**counts)})


@cache
def published() -> dict[str, Any]:
    """What `cost.toml` holds: parameters, workload and published figures."""
    return tomllib.loads(resources.files(__package__).joinpath("cost.toml").read_text(encoding="utf-8"))


def default_parameters() -> Parameters:
    """The parameters in `cost.toml`."""
    return _parameters(published())


def estimate_cost(
    network: Loihi2Network, run: Recording, mapping: Mapping | None = None, *, parameters: Parameters | None = None
) -> Cost:
    """Energy and latency of `run` on Loihi 2, modelled from its events, with parameters fitted to published figures.

        time   = sum over steps of (step_time + max over cores of (synapse_time * operations + unit_time * units))
        energy = (chip_power * chips + core_power * cores) * time + step_energy * steps
                 + event_energy_scale * sum over kinds of event of (number * energy of one)

    Fitted to two of the three published networks it meets the third within 5 % in energy, 14 % in dynamic energy
    and 8 % in latency (`benchmarks/cost_model.py`). They were published without their steps, spikes and cores, which
    `cost.toml` assumes: costs per step and per event rest on that, and networks unlike these may be further off.
    Getting data onto the chip and results off it is not in it.

    Args:
        network: the network.
        run: what it did on typical samples, with spikes recorded.
        mapping: where it lies; in order where left out.
        parameters: others than those of `cost.toml`.

    Raises:
        ValueError: the network does not fit on a chip, `run` has no spikes, or run or mapping are of another network.
    """
    check_run(network, run)
    mapping = mapping or map_to_cores(network)
    p = parameters or default_parameters()
    sizes = [len(core) for core in mapping.core]
    if sizes != [layer.n_out for layer in network.layers] or len(mapping.entries) != network.n_in + sum(sizes):
        inputs = len(mapping.entries) - sum(sizes)
        raise ValueError(f"the mapping is of {inputs} inputs and layers of {sizes} units, not of this network")
    cores = np.concatenate(mapping.core)
    reached = mapping.entries > 0
    messages = reached.sum(1)
    links = hops(reached, cores, network.n_in)
    units = np.bincount(cores, minlength=mapping.n_cores)
    samples, _, steps = run.spikes[0].shape
    operations = spikes = passed = busy = 0.0
    for b in range(samples):
        sent = spike_matrix(network, run, b)
        read = sent @ mapping.entries
        total = np.asarray(sent.sum(0)).reshape(-1)
        operations += float(read.sum())
        spikes += float(total @ messages)
        passed += float(total @ links)
        busy += float((p.synapse_time * read + p.unit_time * units).max(1).sum())
    counts = Counts(
        steps, operations / samples, float(len(cores) * steps), spikes / samples, passed / samples, mapping.n_cores
    )
    latency = 1e-6 * (steps * p.step_time + busy / samples)  # ns to ms
    events = {
        "synapses": counts.synaptic_operations * p.synapse_energy,
        "units": counts.unit_updates * p.unit_energy,
        "spikes": counts.spikes * p.spike_energy + counts.hops * p.hop_energy,
    }
    parts = {name: 1e-9 * p.event_energy_scale * value for name, value in events.items()}  # pJ to mJ
    parts["steps"] = 1e-6 * steps * p.step_energy  # nJ to mJ
    dynamic = sum(parts.values())
    static = 1e-3 * (p.chip_power * mapping.chips + p.core_power * mapping.n_cores) * latency  # mW ms to mJ
    energy = static + dynamic
    return Cost(energy, latency, dynamic, static, energy * latency, parts, counts)


def mean_cost(parts: Sequence[tuple[int, Cost]]) -> Cost:
    """The cost of a sample where so many samples each had the costs given; all on the same number of cores.

    Raises:
        ValueError: no parts, or runs of different lengths or on different numbers of cores.
    """
    if not parts:
        raise ValueError("no costs to take the mean of")
    lengths = {(cost.counts.steps, cost.counts.cores) for _, cost in parts}
    if len(lengths) > 1:
        raise ValueError(f"the runs differ in steps or cores: {sorted(lengths)}")
    first, n = parts[0][1], sum(number for number, _ in parts)

    def mean(value: Callable[[Cost], float]) -> float:
        return sum(number * value(cost) for number, cost in parts) / n

    energy, latency = mean(lambda c: c.energy), mean(lambda c: c.latency)
    return Cost(
        energy=energy,
        latency=latency,
        dynamic_energy=mean(lambda c: c.dynamic_energy),
        static_energy=mean(lambda c: c.static_energy),
        energy_delay_product=energy * latency,
        parts={name: mean(lambda c, name=name: c.parts[name]) for name in first.parts},  # type: ignore[misc]
        counts=Counts(
            steps=first.counts.steps,
            synaptic_operations=mean(lambda c: c.counts.synaptic_operations),
            unit_updates=first.counts.unit_updates,
            spikes=mean(lambda c: c.counts.spikes),
            hops=mean(lambda c: c.counts.hops),
            cores=first.counts.cores,
        ),
    )


def _parameters(toml: dict[str, Any]) -> Parameters:
    tables = toml.get("parameters", {})
    names = [field.name for field in fields(Parameters)]
    for name in names:
        if not isinstance(tables, dict) or not isinstance(tables.get(name), dict) or "value" not in tables[name]:
            raise ValueError(f"parameters.{name}.value is missing")
    if unknown := sorted(set(tables) - set(names)):
        raise ValueError(f"parameters.{unknown[0]} is unknown; known: {', '.join(names)}")
    return Parameters(**{name: tables[name]["value"] for name in names})
