"""`map_to_cores`: which neurocore holds which units, what that takes and what has to travel."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lambent.hardware.chip import Core
from lambent.hardware.loihi2.network import Loihi2Network, Recording
from lambent.hardware.loihi2.placement.blocks import Block, blocks_of
from lambent.hardware.loihi2.placement.core import AXONS_OUT, CORES, MEMORY, Usage, store
from lambent.hardware.loihi2.placement.partition import candidates
from lambent.hardware.loihi2.placement.parts import cores_reached, parts_of
from lambent.hardware.loihi2.placement.traffic import Traffic, mean_rates, routers, traffic
from lambent.machine.showing import counted, html_table, text_table

_HEAD = ("core", "layers", "units", "memory", "of 128 KiB", "axons in", "axons out")


@dataclass(frozen=True, eq=False, repr=False)
class Mapping:
    """Where a network lies on the chip; `print` it for a table.

    Attributes:
        core: for every layer the core of each unit, int64 (n_out,).
        usage: what each core holds: units, bytes of synaptic memory, axons in and out.
        encodings: for every core, how each layer's synapses are stored there: "dense", "sparse", "shared".
        entries: (n_in + all units, cores) int32, synapses that one spike of a source makes a core read.
        chips: number of chips.
        method: how units were placed: "in order", layer by layer, "spread" or "METIS".
        traffic: spikes and hops per step of the run given, or None.
        traffic_in_order: the same with the units in order, where a better place was looked for.
        layers: names of the layers.
    """

    core: tuple[np.ndarray, ...]
    usage: tuple[Usage, ...]
    encodings: tuple[dict[str, str], ...]
    entries: np.ndarray
    chips: int
    method: str
    traffic: Traffic | None = None
    traffic_in_order: Traffic | None = None
    layers: tuple[str, ...] = ()

    @property
    def n_cores(self) -> int:
        """Number of cores used."""
        return len(self.usage)

    @property
    def places(self) -> np.ndarray:
        """(cores, 2) int64, row and column of the router that each core is at."""
        return routers(self.n_cores)

    @property
    def memory(self) -> int:
        """Bytes of synaptic memory used, on all cores."""
        return sum(use.memory for use in self.usage)

    def core_map(self) -> list[Core]:
        """What each core holds, and where it is."""
        units: list[dict[str, int]] = [{} for _ in self.usage]
        for name, cores in zip(self.layers, self.core, strict=True):
            for core, n in enumerate(np.bincount(cores, minlength=self.n_cores).tolist()):
                if n:
                    units[core][name] = n
        return [
            Core(int(row), int(column), held, min(1.0, use.memory / MEMORY))
            for (row, column), held, use in zip(self.places, units, self.usage, strict=True)
        ]

    def __repr__(self) -> str:
        return f"Mapping({self._used()})"

    def __str__(self) -> str:
        lines = [text_table(_HEAD, self._rows(), words_in=2), self._used()]
        if self.traffic is not None:
            lines.append(f"per step: {self.traffic}")
        if self.traffic_in_order not in (None, self.traffic):
            lines.append(f"in order: {self.traffic_in_order}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(self._used(), self._rows(), _HEAD)

    def _used(self) -> str:
        used = f"{self.n_cores} of {self.chips * CORES} cores of {counted(self.chips, 'chip')}"
        return f"{used}, {self.memory / 1024:,.1f} KiB; units placed: {self.method}"

    def _rows(self) -> list[tuple[str, ...]]:
        """Of each core what `_HEAD` says."""
        return [
            (
                str(c),
                ", ".join(f"{name} {encoding}" for name, encoding in encodings.items()),
                f"{use.units:,}",
                f"{use.memory / 1024:.1f} KiB",
                f"{use.memory / MEMORY:.0%}",
                f"{use.axons_in:,}",
                f"{use.axons_out:,}",
            )
            for c, (use, encodings) in enumerate(zip(self.usage, self.encodings, strict=True))
        ]


def map_to_cores(
    network: Loihi2Network, run: Recording | None = None, *, partition: bool = False, chips: int = 1
) -> Mapping:
    """Place the units of `network` on neurocores, each with all synapses onto it.

    In order, every layer gets cores of its own, as few as hold it in equal parts; those of an image are tiles over
    space that hold all channels. Cores fill the routers of a square of the chip. With `partition`, METIS
    (Karypis & Kumar 1998) groups units that exchange spikes on as many cores or fewer, across layers, and the
    placement is kept in which the fewest spikes go to another core. `lambent.hardware.loihi2.placement.core` has limits
    and formulas.

    Args:
        network: the network.
        run: what it did on typical samples, with spikes recorded: adds the traffic, and tells the partitioner
            how often each unit spikes. Without it all units count alike.
        partition: use METIS; needs pymetis (`pip install 'lambent[mapping]'`).
        chips: number of chips there are.

    Raises:
        ImportError: pymetis is missing.
        ValueError: the network breaks a limit, with what would fit; `run` has no spikes or is of another network.
    """
    if not isinstance(chips, int) or chips < 1:
        raise ValueError(f"chips must be a whole number of at least 1, got {chips}")
    blocks = blocks_of(network)
    rates = None if run is None else mean_rates(network, run)
    cores = _in_order(blocks, network.n_in)
    n_cores = int(cores.max()) + 1
    if n_cores > chips * CORES:
        raise ValueError(_too_large(blocks, cores, network.n_in, chips))
    in_order = _mapping(blocks, cores, network.n_in, chips, rates)
    if not partition:
        return in_order
    weight = np.ones(len(in_order.entries)) if rates is None else rates
    best, least = in_order, _crossing(in_order, network.n_in, weight)
    for method, placed in candidates(blocks, network.n_in, weight, cores):
        mapping = _mapping(blocks, placed, network.n_in, chips, rates, method)
        crossing = _crossing(mapping, network.n_in, weight)
        if crossing < least and not any(use.excess() for use in mapping.usage):
            best, least = mapping, crossing
    return replace(best, traffic_in_order=in_order.traffic)


def _crossing(mapping: Mapping, n_in: int, rates: np.ndarray) -> float:
    """Spikes that reach a core from another or from outside, by the sources' rates."""
    crossing, entering, _ = traffic(mapping.entries > 0, np.concatenate(mapping.core), n_in, rates)
    return crossing + entering


def _mapping(
    blocks: Sequence[Block],
    cores: np.ndarray,
    n_in: int,
    chips: int,
    rates: np.ndarray | None,
    method: str = "in order",
) -> Mapping:
    n_cores = int(cores.max()) + 1
    n_sources = blocks[0].synapses.shape[1]
    entries = np.zeros((n_sources, n_cores), np.int32)
    memory = np.zeros(n_cores, np.int64)
    encodings: list[dict[str, str]] = [{} for _ in range(n_cores)]
    for block in blocks:
        own = cores[block.first : block.first + block.synapses.shape[0]]
        for c in np.unique(own):
            stored = store(block, np.flatnonzero(own == c))
            entries[:, c] += stored.entries
            memory[c] += stored.memory
            encodings[c][block.name] = stored.encoding
    reached = entries > 0
    units = np.bincount(cores, minlength=n_cores)
    axons_out = np.bincount(cores, weights=reached[n_in:].sum(1), minlength=n_cores).astype(int)
    usage = zip(units.tolist(), memory.tolist(), reached.sum(0).tolist(), axons_out.tolist(), strict=True)
    split = [block.first for block in blocks[1:]]
    return Mapping(
        core=tuple(np.split(cores, split)),
        usage=tuple(Usage(*use) for use in usage),
        encodings=tuple(encodings),
        entries=entries,
        chips=chips,
        method=method,
        traffic=None if rates is None else traffic(reached, cores, n_in, rates),
        layers=tuple(block.name for block in blocks),
    )


def _in_order(blocks: Sequence[Block], n_in: int) -> np.ndarray:
    """The core of every unit, layer by layer, each layer on as few cores of its own as hold it in equal parts.

    The last layer is cut first: how many axons a unit sends out on depends on where those that listen to it are.

    Raises:
        ValueError: a layer does not fit, on however many cores; names the limit.
    """
    sent = np.zeros(blocks[0].synapses.shape[1], np.int64)
    parts: list[np.ndarray] = []
    for block in reversed(blocks):
        own = slice(n_in + block.first, n_in + block.first + block.synapses.shape[0])
        parts.append(parts_of(block, n_in, sent[own], AXONS_OUT))
        sent += cores_reached(parts[-1], block.synapses)
    sizes = [int(part.max()) + 1 for part in reversed(parts)]
    first = np.cumsum([0, *sizes[:-1]])
    return np.concatenate([start + part for start, part in zip(first, reversed(parts), strict=True)])


def _too_large(blocks: Sequence[Block], cores: np.ndarray, n_in: int, chips: int) -> str:
    needed = int(cores.max()) + 1
    shares = ", ".join(
        f"{block.name} {len(np.unique(cores[block.first : block.first + block.synapses.shape[0]]))}" for block in blocks
    )
    fits = f"chips={-(-needed // CORES)}"
    bits = max(block.weight_bits for block in blocks)

    def enough(fewer: int) -> bool:
        smaller = [block._replace(weight_bits=min(bits - fewer, block.weight_bits)) for block in blocks]
        return int(_in_order(smaller, n_in).max()) < chips * CORES

    fewer = 1 + bisect_left(range(1, bits), True, key=enough)
    if fewer < bits:
        fits += f", or weights of at most {bits - fewer} bit{'s' * (bits - fewer > 1)}"
    return (
        f"the network needs {needed} cores ({shares}), {'a chip has' if chips == 1 else f'{chips} chips have'} "
        f"{chips * CORES}; what fits is {fits}, or fewer units or synapses"
    )
