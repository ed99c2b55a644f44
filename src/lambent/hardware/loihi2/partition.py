"""Grouping units on cores by a graph partitioner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array

from lambent.hardware.loihi2.connectivity import Block
from lambent.hardware.loihi2.core import MEMORY, UNITS

_SCALE = 1000  # METIS wants whole numbers
_TRIES = 4
_IMBALANCE = (30, 200)  # of the cores' loads, in thousandths


def candidates(blocks: Sequence[Block], n_in: int, rates: np.ndarray, n_cores: int) -> Iterator[tuple[str, np.ndarray]]:
    """Placements (units,) on `n_cores` cores and a few fewer, and how each came about.

    "METIS" minimises the graph's cut; "spread" gives every core an equal part of every layer, the best there is
    where all units are connected to all, in which METIS has nothing to find.

    Raises:
        ImportError: pymetis is missing.
    """
    try:
        import pymetis
    except ImportError as error:
        raise ImportError("partitioning needs pymetis: pip install 'lambent[mapping]'") from error
    graph, load = _graph(blocks, n_in, rates)
    n_units = graph.shape[0] - n_in
    bits = sum(int(block.synapses.nnz) * block.weight_bits for block in blocks)
    fewest = max(2, -(-bits // (8 * MEMORY)), -(-n_units // UNITS))
    for n in range(n_cores, max(fewest, n_cores - _TRIES + 1) - 1, -1):
        shares = [np.arange(block.synapses.shape[0]) * n // block.synapses.shape[0] for block in blocks]
        yield "spread", np.concatenate(shares)
        for ufactor in _IMBALANCE:
            options = pymetis.Options(seed=0, ufactor=ufactor)
            _, parts = pymetis.part_graph(
                n,
                pymetis.CSRAdjacency(graph.indptr, graph.indices),
                vweights=load,
                eweights=graph.data,
                recursive=False,
                options=options,
            )
            yield "METIS", np.unique(np.asarray(parts)[n_in:], return_inverse=True)[1]


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
