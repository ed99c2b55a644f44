"""The synapses of a Loihi 2 network as sparse matrices, and how many bits each takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, hstack

from lambent.hardware.loihi2.layers.base import Layer, Shape
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network

DELAY_BITS = 6
"""Delays of 0 to 62 steps."""
MAX_SYNAPSES = 1 << 26
"""Most synapses of convolutions that are listed one by one; they take some 60 bytes each meanwhile."""


class Block(NamedTuple):
    """The units of one layer and what they listen to.

    Sources are numbered through the network: its inputs first, then the units layer by layer.

    Attributes:
        name: of the layer.
        first: the number of its first unit among all units of the network.
        synapses: (units, sources) bool, where there is a weight.
        weight_bits: bits of a weight; two numbers for complex weights.
        delay_bits: bits of a synapse's delay, 0 if the layer has none.
        shape: of the units, (n,) or (channels, height, width).
        kernel: number of weights that the units of each channel share (convolutions), int64 (channels,); of the one
            kernel that serves all (pools), (1,); or (0,).
    """

    name: str
    first: int
    synapses: csr_array
    weight_bits: int
    delay_bits: int
    shape: Shape
    kernel: np.ndarray


def blocks_of(network: Loihi2Network) -> list[Block]:
    """Every layer of `network` as a `Block`.

    Raises:
        ValueError: there are more synapses than can be listed.
    """
    counts = {
        x.name: x.weight.size * x.n_out // (1 if x.kind == "pool" else x.shape[0])
        for x in network.layers
        if isinstance(x, ConvLayer)
    }
    if sum(counts.values()) > MAX_SYNAPSES:
        name = max(counts, key=counts.__getitem__)
        raise ValueError(
            f"{name}: up to {counts[name]:,} synapses, all convolutions together {sum(counts.values()):,}, are more "
            f"than the {MAX_SYNAPSES:,} that can be mapped: smaller images or fewer channels are needed"
        )
    n_sources = network.n_in + sum(layer.n_out for layer in network.layers)
    blocks: list[Block] = []
    before, own = 0, network.n_in
    for layer in network.layers:
        matrices = [(before, _feedforward(layer, own - before))]
        recurrent = getattr(layer, "weight_rec", None)
        if recurrent is not None:
            matrices.append((own, csr_array(recurrent != 0)))
        blocks.append(
            Block(
                name=layer.name,
                first=own - network.n_in,
                synapses=_spread(matrices, layer.n_out, n_sources),
                weight_bits=weight_bits(layer),
                delay_bits=DELAY_BITS if any(np.any(getattr(layer, d, 0)) for d in ("delay", "delay_rec")) else 0,
                shape=layer.shape,
                kernel=np.count_nonzero(layer.weight, axis=(1, 2, 3))
                if isinstance(layer, ConvLayer)
                else np.zeros(0, np.int64),
            )
        )
        before, own = own, own + layer.n_out
    return blocks


def weight_bits(layer: Layer) -> int:
    """Bits of the layer's weights without the low bits that are 0 in all of them: 1 to 8, complex ones twice that."""
    parts = [getattr(layer, name, None) for name in ("weight", "weight_rec", "weight_imag")]
    weights = np.concatenate([[0], *(np.ravel(part) for part in parts if part is not None)]).astype(np.int64)
    used = int(np.bitwise_or.reduce(np.abs(weights), initial=0))
    lowest = (used & -used).bit_length() - 1 if used else 0
    signs = bool((weights < 0).any() and (weights > 0).any())
    bits = min(max((int(np.abs(weights).max()) >> lowest).bit_length() + signs, 1), 8)
    return bits * (1 if parts[2] is None else 2)


def _feedforward(layer: Layer, n_in: int) -> csr_array:
    """(n_out, n_in) bool; empty for units that are driven from outside."""
    if isinstance(layer, ConvLayer):
        return layer.synapses() != 0
    if isinstance(layer, Loihi2Layer):
        return csr_array(layer.weight != 0 if layer.weight_imag is None else (layer.weight | layer.weight_imag) != 0)
    return csr_array((layer.n_out, n_in), dtype=bool)


def _spread(matrices: list[tuple[int, csr_array]], n_units: int, n_sources: int) -> csr_array:
    """Matrices side by side, each from its first source on, in a matrix of all sources."""
    parts, at = [], 0
    for first, matrix in matrices:
        parts += [csr_array((n_units, first - at), dtype=bool), matrix]
        at = first + matrix.shape[1]
    return csr_array(hstack([*parts, csr_array((n_units, n_sources - at), dtype=bool)], format="csr"))
