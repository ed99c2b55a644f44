"""Grouping units on cores by a graph partitioner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array

from lambent.hardware.loihi2.placement.blocks import Block
from lambent.hardware.loihi2.placement.core import MEMORY, UNITS

_SCALE = 1000  # METIS wants whole numbers
_TRIES = 8
_FULL = 0.5  # share of all pairs of units beyond which there are no groups to find
_IMBALANCE = (30, 200)  # of the cores' loads, in thousandths


def candidates(
    blocks: Sequence[Block], n_in: int, rates: np.ndarray, in_order: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Placements (units,) on at most as many cores as `in_order` takes, and how each came about.

    "METIS" minimises the cut of the graph; layers with most of the synapses that they could have hold no groups
    to find and stay in order. "spread" gives every core an equal part of every layer, which suits such layers.
    Convolutions stay in their tiles. Whether a placement fits is not checked.

    Raises:
        ImportError: pymetis is missing.
    """
    try:
        import pymetis
    except ImportError as error:
        raise ImportError("partitioning needs pymetis: pip install 'lambent[mapping]'") from error
    spreadable = not any(block.kernel.size for block in blocks)
    for n in _numbers(blocks, int(in_order.max()) + 1) if spreadable else ():
        placed = np.concatenate([np.arange(_size(block)) * n // _size(block) for block in blocks])
        yield "spread", np.unique(placed, return_inverse=True)[1]
    grouped = [block for block in blocks if not block.kernel.size and 0 < block.synapses.nnz <= _FULL * _pairs(block)]
    if not grouped:
        return
    own = np.concatenate([np.arange(block.first, block.first + _size(block)) for block in grouped])
    graph, load = _graph(grouped, n_in, rates)
    for n in _numbers(grouped, len(np.unique(in_order[own]))):
        for ufactor in _IMBALANCE if n > 1 else ():
            _, parts = pymetis.part_graph(
                n,
                pymetis.CSRAdjacency(graph.indptr, graph.indices),
                vweights=load,
                eweights=graph.data,
                recursive=False,
                options=pymetis.Options(seed=0, ufactor=ufactor),
            )
            placed = in_order + n
            placed[own] = np.asarray(parts)[n_in + own]
            yield "METIS", np.unique(placed, return_inverse=True)[1]


def _numbers(blocks: Sequence[Block], most: int) -> list[int]:
    """Numbers of cores worth trying."""
    bits = sum(int(block.synapses.nnz) * block.weight_bits for block in blocks)
    fewest = max(-(-bits // (8 * MEMORY)), -(-sum(map(_size, blocks)) // UNITS))
    tried = {most, most - 1, *np.rint(np.geomspace(max(fewest, 1), most, _TRIES)).astype(int).tolist()}
    return sorted((n for n in tried if fewest <= n), reverse=True)


def _size(block: Block) -> int:
    return int(block.synapses.shape[0])


def _pairs(block: Block) -> int:
    """Number of synapses if every source of the block had one to every unit."""
    sources = np.unique(block.synapses.indices)
    return len(sources) * block.synapses.shape[0]


def _graph(blocks: Sequence[Block], n_in: int, rates: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """Sources as a weighted graph, and what each weighs on its core.

    A spike costs one message for every core it goes to, however many units it meets there. An edge graph
    can't say so; a source's rate spread over its edges is the usual stand-in.
    """
    parts = [block.synapses.tocoo() for block in blocks]
    targets = np.concatenate([n_in + block.first + p.coords[0] for block, p in zip(blocks, parts, strict=True)])
    sources = np.concatenate([p.coords[1] for p in parts])
    fan_out = np.bincount(sources, minlength=len(rates))
    weight = (rates / np.maximum(fan_out, 1))[sources]
    keep = sources != targets
    size = (len(rates), len(rates))
    directed = coo_array((weight[keep], (sources[keep], targets[keep])), shape=size).tocsr()
    graph = csr_array(directed + directed.T)
    graph.data = np.maximum(1, np.rint(_SCALE * graph.data / max(graph.data.max(initial=0), 1e-30))).astype(np.int32)
    load = np.zeros(len(rates), np.int64)
    for block in blocks:
        own = slice(n_in + block.first, n_in + block.first + block.synapses.shape[0])
        load[own] = np.diff(block.synapses.indptr) * (block.weight_bits + block.delay_bits)
    load = np.maximum(load * 10_000 // max(int(load.max()), 1), load > 0)
    return graph, load.astype(np.int32)
