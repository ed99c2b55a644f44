"""Connections as matrices, for files and chips that have no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lambent.connections.connections import Connections
from lambent.connections.dense import Dense
from lambent.connections.sparse import Sparse

_LARGEST = 1 << 26  # entries of a matrix, zeros included


def as_matrix(connections: Connections) -> Dense | Sparse:
    """Dense or sparse connections that do the same, differentiably.

    Raises:
        ValueError: the matrix would be too large, or two connections join the same two units.
    """
    if isinstance(connections, Dense):
        return connections
    entries = connections.n_in * connections.n_out
    if entries > _LARGEST:
        raise ValueError(
            f"{connections.n_in:,} to {connections.n_out:,} units are {entries:,} weights, zeros among them, as the "
            f"matrix that is wanted here; {_LARGEST:,} are the most"
        )
    source, target, weight, delay = connections.entries()
    pairs = source * connections.n_out + target
    if len(pairs.unique()) != len(pairs):
        raise ValueError("two connections join the same two units, which have one weight in a matrix: merge them")
    if isinstance(connections, Sparse):
        return connections
    indices = torch.stack([source, target])
    return Sparse(connections.n_in, connections.n_out, indices=indices, weight=weight, delay=delay)


def spread_out(connections: Dense | Sparse, values: Any, dtype: Any = np.float64) -> np.ndarray:
    """Values of the shape of a parameter as a matrix (in, out), 0 where there is no connection."""
    if isinstance(connections, Dense):
        return array(values).astype(dtype)
    matrix = np.zeros((connections.n_in, connections.n_out), dtype)
    matrix[_pairs(connections)] = array(values)
    return matrix


def gathered(connections: Dense | Sparse, matrix: np.ndarray) -> np.ndarray:
    """The reverse of `spread_out`."""
    return matrix if isinstance(connections, Dense) else matrix[_pairs(connections)]


def array(x: Any) -> np.ndarray:
    """A tensor's values, float64."""
    return torch.as_tensor(x).detach().cpu().double().numpy()


def _pairs(connections: Sparse) -> tuple[np.ndarray, np.ndarray]:
    source, target = torch.as_tensor(connections.indices).cpu().numpy()
    return source, target
