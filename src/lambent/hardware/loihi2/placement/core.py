"""What one neurocore holds and how much of it a piece of a network takes.

Sources: 128 cores a chip, 8,192 units and 128 KB of synaptic memory a core: Intel, Loihi 2 technology brief (2021).
Axons and the layout of synapses are published for the first Loihi only and taken over from there (nengo-loihi,
`loihi_block`): 4,096 axons in and 4,096 out; every input axon points to synapses in words of 64 bits, in
groups of up to 64 synapses that begin with 10 bits (format 4, number 6):

    dense     a weight for every unit of the layer on the core, zeros too
    sparse    a weight and the unit's index for every synapse there is
    shared    convolutions: the kernel once, with indices, and one word per axon that points into it

Synapses with delays take 6 bits more each. The smallest of the three is taken, layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lambent.hardware.loihi2.placement.blocks import Block

CORES = 128
UNITS = 8192
MEMORY = 128 * 1024
AXONS_IN = AXONS_OUT = 4096

_WORD, _GROUP, _HEADER = 64, 64, 10


class Stored(NamedTuple):
    """The synapses of some units of one layer on one core.

    Attributes:
        encoding: "dense", "sparse" or "shared".
        memory: bytes.
        entries: (sources,) number of stored synapses of each source, those a spike of it makes the core read.
    """

    encoding: str
    memory: int
    entries: np.ndarray


class Usage(NamedTuple):
    """What a core holds."""

    units: int
    memory: int
    axons_in: int
    axons_out: int

    def excess(self) -> str:
        """Which limit is broken, in words; empty if none is."""
        limits = (
            ("units", self.units, UNITS, "units"),
            ("synaptic memory", self.memory, MEMORY, "bytes of synaptic memory"),
            ("input axons", self.axons_in, AXONS_IN, "input axons"),
            ("output axons", self.axons_out, AXONS_OUT, "output axons"),
        )
        return ", ".join(f"{n:,} {what} of {limit:,}" for _, n, limit, what in limits if n > limit)


def words(n: np.ndarray | int, bits: np.ndarray | int) -> np.ndarray:
    """64-bit words of `n` synapses of one axon at `bits` each."""
    groups, rest = np.divmod(n, _GROUP)
    full, last = (-(-(k * bits + _HEADER) // _WORD) for k in (_GROUP, rest))
    return groups * full + np.where(rest > 0, last, 0)


def shared_memory(block: Block, channels: np.ndarray, units: np.ndarray, axons: np.ndarray) -> np.ndarray:
    """Bytes that so many `units` of `channels` of a convolution with so many `axons` take with shared kernels."""
    weights = block.kernel.sum() if len(block.kernel) == 1 else block.kernel[channels].sum()
    index = np.maximum(1, np.ceil(np.log2(np.maximum(units, 1)))).astype(np.int64)
    return (words(weights, block.weight_bits + block.delay_bits + index) + axons) * _WORD // 8


def store(block: Block, rows: np.ndarray | Sequence[int]) -> Stored:
    """The synapses of the units `rows` of `block` in the encoding that takes the least memory."""
    part = block.synapses[rows]
    n_units = part.shape[0]
    per_source = np.bincount(part.indices, minlength=part.shape[1])
    used = per_source > 0
    bits = block.weight_bits + block.delay_bits
    index = max(1, (n_units - 1).bit_length())
    taken = {
        "dense": int(used.sum() * words(n_units, bits)),
        "sparse": int(words(per_source[used], bits + index).sum()),
    }
    taken = {encoding: n * _WORD // 8 for encoding, n in taken.items()}
    if block.kernel.size:
        channels = np.unique(np.asarray(rows) // math.prod(block.shape[1:]))
        taken["shared"] = int(shared_memory(block, channels, np.array(n_units), np.array(used.sum())))
    encoding = min(taken, key=taken.__getitem__)
    entries = np.where(used, n_units, 0) if encoding == "dense" else per_source
    return Stored(encoding, taken[encoding], entries)
