"""A NIR graph as a chain of units and the connections between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lambent.nir.ways import PASSED, POOLS, WEIGHTS, Synapses, together, way

UNITS = ("CubaLIF", "LIF", "IF", "CubaLI", "LI")
_BETWEEN = (*WEIGHTS, *POOLS, "Scale", "Delay")
_MAX_PATHS, _MAX_BETWEEN = 10_000, 100  # between two nodes of units; more is nonsense
_ADVICE = {
    "I": "it has no leak and no threshold; lambent's units have one or the other",
    "Threshold": "lambent's units hold their threshold themselves: use CubaLIF or LIF",
}


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
            if kind not in UNITS + PASSED + _BETWEEN:
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
        shape = tuple(int(n) for n in np.asarray(self.nodes[last].input_type["input"]).reshape(-1))
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
            inputs = self._synapses(name, sources[name][last], shape)
            shape = inputs.shape
            back = sources[name].get(name)
            yield name, inputs, None if back is None else self._synapses(name, back, shape)
            last = name
            left.remove(name)
        if last == ends[0]:
            raise ValueError(f"holds no units; lambent runs {', '.join(UNITS)}")
        for source, path in self._paths(outputs[0], ()):
            if source != last or any(type(self.nodes[name]).__name__ not in PASSED for name in path):
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
                    yield start, path if kind in PASSED and kind != "Flatten" else [*path, source]

    def _synapses(self, target: str, paths: list[list[str]], shape: tuple[int, ...]) -> Synapses:
        """What parallel paths do together."""
        return together(target, [way([(name, self.nodes[name]) for name in path], shape) for path in paths])
