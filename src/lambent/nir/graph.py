"""A NIR graph as a chain of units and the connections between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from lambent.connections.dense import Dense

UNITS = ("CubaLIF", "LIF", "CubaLI", "LI")
_PASSED = ("Input", "Output", "Flatten", "Identity")  # what changes no spike
_SYNAPTIC = ("Linear", "Affine", "Scale", "Delay")
_MAX_PATHS, _MAX_BETWEEN = 10_000, 100  # between two nodes of units; more is nonsense
_MAX_DIRECT = 20_000  # units that pass spikes on without weights, which takes a square matrix
_ADVICE = {
    "IF": "it has no leak; lambent's units have a finite tau",
    "I": "it has no leak; lambent's units have a finite tau",
    "Threshold": "lambent's units hold their threshold themselves: use CubaLIF or LIF",
    "Conv1d": "lambent has no convolutions in NIR yet",
    "Conv2d": "lambent has no convolutions in NIR yet",
    "SumPool2d": "lambent has no pooling in NIR yet",
    "AvgPool2d": "lambent has no pooling in NIR yet",
}


class Synapses(NamedTuple):
    """What reaches units from one source.

    Attributes:
        dense: weights, and delays [ms].
        bias: (n_out,) float64, what is always there as input: the biases of `Affine` nodes.
    """

    dense: Dense
    bias: np.ndarray


class Graph:
    """The nodes of a NIR graph without subgraphs, in the order in which spikes pass.

    Args:
        root: a `nir.NIRGraph`.

    Raises:
        ValueError: it holds a node that lambent cannot run.
    """

    def __init__(self, root: Any) -> None:
        self.nodes: dict[str, Any] = {}
        self._into: dict[str, list[str]] = {}
        self._add(root, "")
        for name, node in self.nodes.items():
            kind = type(node).__name__
            if kind not in UNITS + _PASSED + _SYNAPTIC:
                raise ValueError(f"node {name!r}: lambent cannot run {kind}: {_ADVICE.get(kind, 'unknown type')}")

    def _add(self, graph: Any, prefix: str) -> None:
        """Put in the nodes of `graph`; edges to and from a subgraph go to its inputs and from its outputs."""
        inner = {name: node for name, node in graph.nodes.items() if type(node).__name__ == "NIRGraph"}
        for name, node in graph.nodes.items():
            if name in inner:
                self._add(node, f"{prefix}{name}.")
            else:
                self.nodes[prefix + name] = node
                self._into.setdefault(prefix + name, [])

        def ends(name: str, kind: str) -> list[str]:
            if name not in graph.nodes:
                raise ValueError(f"an edge names the node {prefix + name!r}, which is not there")
            if name not in inner:
                return [prefix + name]
            return [f"{prefix}{name}.{n}" for n, node in inner[name].nodes.items() if type(node).__name__ == kind]

        for source, target in graph.edges:
            for a in ends(source, "Output"):
                for b in ends(target, "Input"):
                    self._into[b].append(a)

    def chain(self) -> Iterator[tuple[str, Synapses, Synapses | None]]:
        """Every node of units with the synapses from the one before and those from itself.

        Raises:
            ValueError: the graph is no chain from one input to one output; the message names the node.
        """
        ends = [name for name, into in self._into.items() if type(self.nodes[name]).__name__ == "Input" and not into]
        used = {name for into in self._into.values() for name in into}
        outputs = [name for name in self.nodes if name not in used]
        for kind, names in (("input", ends), ("output", outputs)):
            if len(names) != 1:
                raise ValueError(f"needs one {kind}, has {len(names)}: {', '.join(names) or 'none'}")
        units = [name for name, node in self.nodes.items() if type(node).__name__ in UNITS]
        sources: dict[str, dict[str, list[list[str]]]] = {}
        for name in units:
            for n, (source, path) in enumerate(self._paths(name, ())):
                if n == _MAX_PATHS:
                    raise ValueError(f"node {name!r}: is reached on more than {_MAX_PATHS} ways")
                sources.setdefault(name, {}).setdefault(source, []).append(path)
        last, left = ends[0], list(units)
        size = int(np.prod(np.asarray(self.nodes[last].input_type["input"])))
        while left:
            found = [name for name in left if last in sources.get(name, {})]
            if len(found) != 1:
                what = f"feeds {', '.join(map(repr, found))}" if found else f"feeds none of {left}"
                raise ValueError(f"node {last!r}: {what}; lambent runs chains of layers")
            name = found[0]
            others = set(sources[name]) - {name, last}
            if others:
                raise ValueError(
                    f"node {name!r}: also gets spikes from {sorted(others)}; lambent runs chains of layers"
                )
            inputs = self._synapses(name, sources[name][last], size)
            size = inputs.dense.n_out
            back = sources[name].get(name)
            yield name, inputs, None if back is None else self._synapses(name, back, size)
            last = name
            left.remove(name)
        if last == ends[0]:
            raise ValueError(f"holds no units; lambent runs {', '.join(UNITS)}")
        for source, path in self._paths(outputs[0], ()):
            if source != last or path:
                raise ValueError(f"node {outputs[0]!r}: must get what node {last!r} gives, and nothing else")

    def _paths(self, name: str, behind: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
        """Every way on which spikes reach `name`: the node they come from and the nodes between that act on them."""
        for source in self._into[name]:
            kind = type(self.nodes[source]).__name__
            if kind in UNITS or (kind == "Input" and not self._into[source]):
                yield source, []
            elif source in behind:
                raise ValueError(f"node {source!r}: lies on a circle without units")
            elif len(behind) == _MAX_BETWEEN:
                raise ValueError(f"node {source!r}: lies more than {_MAX_BETWEEN} nodes before units")
            else:
                for start, path in self._paths(source, (*behind, source)):
                    yield start, path if kind in _PASSED else [*path, source]

    def _synapses(self, target: str, paths: list[list[str]], n_from: int) -> Synapses:
        """What parallel paths do together; each pair of units may have one delay."""
        parts = [self._path(path, n_from) for path in paths]
        shape = parts[0][0].shape
        total, delay, bias = np.zeros(shape), np.zeros(shape), np.zeros(shape[1])
        for weight, lag, constant in parts:
            if weight.shape != shape:
                raise ValueError(f"node {target!r}: gets {weight.shape[1]} and {shape[1]} inputs from one node")
            used, there = total != 0, weight != 0
            if (there & used & (delay != lag)).any():
                raise ValueError(f"node {target!r}: two synapses with different delays between the same two units")
            total, delay, bias = total + weight, np.where(there, lag, delay), bias + constant
        return Synapses(Dense(shape[0], shape[1], torch.from_numpy(total), torch.from_numpy(delay)), bias)

    def _path(self, path: list[str], n_from: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight and delay [ms], each (from, to), and bias (to,) of a path of nodes."""
        weights = [i for i, name in enumerate(path) if type(self.nodes[name]).__name__ in ("Linear", "Affine")]
        if len(weights) > 1:
            raise ValueError(f"node {path[weights[1]]!r}: follows other weights without units between")
        if not weights and n_from > _MAX_DIRECT:
            raise ValueError(f"{n_from:,} units without weights after them; at most {_MAX_DIRECT:,} can be")
        at = weights[0] if weights else len(path)
        weight = _matrix(path[at], self.nodes[path[at]], n_from) if weights else np.eye(n_from)
        bias = _bias(path[at], self.nodes[path[at]], weight.shape[1]) if weights else np.zeros(n_from)
        lag = np.zeros_like(weight)
        for i, name in enumerate(path):
            node, kind = self.nodes[name], type(self.nodes[name]).__name__
            if i == at:
                continue
            value = np.asarray(node.scale if kind == "Scale" else node.delay, np.float64).reshape(-1)
            n = weight.shape[0] if i < at else weight.shape[1]
            if len(value) not in (1, n):
                raise ValueError(f"node {name!r}: has {len(value)} values for {n} units")
            per_weight = value[:, None] if i < at else value
            if kind == "Delay":
                lag = lag + 1000 * per_weight
            else:
                weight, bias = weight * per_weight, bias if i < at else bias * value
        return weight, lag, bias


def _matrix(name: str, node: Any, n_from: int) -> np.ndarray:
    """The weights (from, to) of the Linear or Affine node `name`."""
    matrix = np.asarray(node.weight)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise ValueError(f"node {name!r}: weight must be a matrix of numbers, got shape {matrix.shape}")
    if matrix.shape[1] != n_from:
        raise ValueError(f"node {name!r}: takes {matrix.shape[1]} inputs, but gets {n_from}")
    return matrix.T.astype(np.float64)


def _bias(name: str, node: Any, n_to: int) -> np.ndarray:
    """The bias (to,) of the Linear or Affine node `name`."""
    if type(node).__name__ == "Linear":
        return np.zeros(n_to)
    bias = np.asarray(node.bias)
    if bias.shape not in ((), (n_to,)) or bias.dtype.kind not in "fiu":
        raise ValueError(f"node {name!r}: bias must be {n_to} numbers, got shape {bias.shape}")
    return np.broadcast_to(bias.astype(np.float64), n_to)
