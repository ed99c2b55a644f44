"""The graph that says in NIR's own terms what a model is; `import_nir` reads it back exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.connections import Conv2d, Dense, Sparse, SumPool2d
from lambent.connections.connections import delay_steps
from lambent.connections.matrix import array, as_matrix, spread_out
from lambent.layers import LIReadout, Spiking
from lambent.layers.integrators import Integrators
from lambent.nir.package import PREFIX, nir_package, recurrent_graph


def generic_graph(layers: Sequence[Spiking | Integrators], dt: float) -> Any:
    """The `nir.NIRGraph` of a chain of layers with a step of `dt` [ms]."""
    nir = nir_package()
    shape = tuple(getattr(layers[0].connections, "shape_in", (layers[0].in_features,)))
    nodes: dict[str, Any] = {"input": nir.Input(np.array(shape))}
    edges: list[tuple[str, str]] = []
    last = "input"
    for i, layer in enumerate(layers):
        name = f"lif_{i}" if isinstance(layer, Spiking) else f"li_{i}"
        connections: Any = layer.connections
        recurrent = layer.recurrent if isinstance(layer, Spiking) else None
        if _has_node(connections, dt) and tuple(connections.shape_in) == shape and recurrent is None:
            kind = "conv" if isinstance(connections, Conv2d) else "pool"
            _connect(nodes, edges, (last, name), (f"{kind}_{i}", f"delay_{i}"), _kernels(connections, dt))
            shape = connections.shape_out
        else:
            if len(shape) > 1:
                flat = f"flatten_{i}"
                nodes[flat] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
                edges.append((last, flat))
                last = flat
            _connect(nodes, edges, (last, name), (f"linear_{i}", f"delay_{i}"), _matrices(as_matrix(connections), dt))
            shape = (layer.out_features,)
        nodes[name] = _unit(layer, dt, shape)
        if recurrent is not None:
            inner: dict[str, Any] = {}
            loop: list[tuple[str, str]] = []
            _connect(inner, loop, ("lif", "lif"), ("w_rec", "delay_rec"), _matrices(as_matrix(recurrent), dt))
            nodes[name] = recurrent_graph(nodes[name], layer.out_features, inner, loop)
        last = name
    nodes["output"] = nir.Output(np.array(shape))
    # where nodes know their shapes: pools say none, and convolutions of groups those of one of these
    check = not any(isinstance(x, SumPool2d) or getattr(x, "groups", 1) > 1 for x in (y.connections for y in layers))
    return nir.NIRGraph(nodes, [*edges, (last, "output")], metadata={f"{PREFIX}dt": dt / 1000}, type_check=check)


def _has_node(connections: Any, dt: float) -> bool:
    """Whether connections are a convolution or a pool as NIR has them, whose delays are of whole inputs."""
    if isinstance(connections, SumPool2d):
        delay: Any = connections.delay
        return delay is None or len(delay_steps(torch.as_tensor(delay), dt).unique()) == 1
    return isinstance(connections, Conv2d)


def _unit(layer: Spiking | Integrators, dt: float, shape: tuple[int, ...]) -> Any:
    """The node of the layer's units, which lie in `shape`; what NIR cannot say is in its metadata."""
    nir = nir_package()
    neuron: Any = layer.neuron
    tau_mem, tau_syn = (array(x).reshape(shape) / 1000 for x in (neuron.tau_mem, neuron.tau_syn))
    one, zero = np.ones_like(tau_mem), np.zeros_like(tau_mem)
    bias: Tensor | None = getattr(neuron, "bias", None)
    leak = zero if bias is None else array(bias).reshape(shape)
    common = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": one, "v_leak": leak, "w_in": tau_syn / (dt / 1000)}
    if isinstance(layer, LIReadout):
        return nir.CubaLI(**common, metadata={f"{PREFIX}reduce": layer.reduce, f"{PREFIX}scale": layer.scale})
    if not isinstance(layer, Spiking):
        return nir.CubaLI(**common, metadata={f"{PREFIX}sends": True})
    kept: dict[str, Any] = {"reset": neuron.reset, "min_slope": neuron.least_slope(dt), "max_delay": layer.max_delay}
    for prefix, side in (("", layer.connections), ("recurrent_", layer.recurrent)):
        delay: Tensor | None = getattr(side, "delay", None)
        if delay is not None:
            kept[f"{prefix}delay"] = delay.detach().cpu().numpy()
        if isinstance(side, Sparse):
            kept[f"{prefix}indices"] = torch.as_tensor(side.indices).cpu().numpy()
    metadata = {PREFIX + key: value for key, value in kept.items()}
    threshold = array(layer.threshold).reshape(shape)
    return nir.CubaLIF(**common, v_threshold=threshold, v_reset=zero.copy(), metadata=metadata)


def _connect(
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    ends: tuple[str, str],
    names: tuple[str, str],
    branches: Iterable[tuple[list[Any], np.ndarray]],
) -> None:
    """Add the nodes and edges of the synapses between two nodes; `names` are those of weights and delays.

    A branch is nodes in a row, and the delays of their inputs in ms.
    """
    nir = nir_package()
    source, target = ends
    found = list(branches)
    for k, (row, lag) in enumerate(found):
        first, waiting = (name if len(found) == 1 else f"{name}_{k}" for name in names)
        named = [first, *(f"{first}_{type(node).__name__.lower()}" for node in row[1:])]
        nodes.update(zip(named, row, strict=True))
        edges += [*pairwise(named), (named[-1], target)]
        if lag.any():
            nodes[waiting] = nir.Delay(lag / 1000)
            edges += [(source, waiting), (waiting, first)]
        else:
            edges.append((source, first))


def _matrices(connections: Dense | Sparse, dt: float) -> Iterator[tuple[list[Any], np.ndarray]]:
    """Branches of weights in matrices."""
    nir = nir_package()
    own: Any = connections.weight
    weight = spread_out(connections, own).astype(own.detach().cpu().numpy().dtype)
    delay = None if connections.delay is None else torch.from_numpy(spread_out(connections, connections.delay))
    for matrix, lag in _branches(weight, delay, dt):
        yield [nir.Linear(np.ascontiguousarray(matrix.T))], lag * dt


def _kernels(connections: Conv2d | SumPool2d, dt: float) -> Iterator[tuple[list[Any], np.ndarray]]:
    """Branches of a convolution, one for each of its delays, or of a pool."""
    nir = nir_package()
    geometry, shape = connections.geometry, connections.shape_in
    no_delay = np.zeros(shape)
    if isinstance(connections, SumPool2d):
        weight = float(torch.as_tensor(connections.weight))
        mean = weight == float(torch.tensor(1 / math.prod(geometry.kernel))) and weight != 1
        moves = {"stride": np.array(geometry.stride), "padding": np.array(geometry.padding)}
        pool = (nir.AvgPool2d if mean else nir.SumPool2d)(np.array(geometry.kernel), **moves)
        own: Any = connections.delay
        lag = 0.0 if own is None else float(delay_steps(torch.as_tensor(own), dt).flatten()[0]) * dt
        yield (
            [pool] if mean or weight == 1 else [pool, nir.Scale(np.full(connections.shape_out, weight))],
            no_delay + lag,
        )
        return
    values = torch.as_tensor(connections.weight).detach().cpu().numpy()
    delay = connections.delay
    steps = np.zeros(values.shape) if delay is None else delay_steps(torch.as_tensor(delay), dt).cpu().numpy()
    axes = connections.axes
    where: Any = [x[-axes:] if axes > 1 else x[-1] for x in geometry[:1] + geometry[2:5]]
    size, stride, padding, dilation = where
    kind = nir.Conv2d if axes > 1 else nir.Conv1d
    for lag in np.unique(steps):
        weight_now = np.where(steps == lag, values, 0).astype(values.dtype)
        bias = np.zeros(len(values), values.dtype)
        yield [kind(size, weight_now, stride, padding, dilation, geometry.groups, bias)], no_delay + lag * dt


def _branches(weight: np.ndarray, delay: Tensor | None, dt: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weights (in, out) that together are `weight`, and for each the delays of the inputs (in,) in steps.

    NIR delays whole inputs; branch k holds the synapses that have the k-th of their input's delays.
    """
    if delay is None:
        yield weight, np.zeros(len(weight), np.int64)
        return
    steps = delay_steps(delay, dt).cpu().numpy().astype(np.int64)
    distinct = [np.unique(row) for row in steps]
    for k in range(max(map(len, distinct))):
        lag = np.array([own[min(k, len(own) - 1)] for own in distinct])
        there = np.array([k < len(own) for own in distinct])
        yield np.where((steps == lag[:, None]) & there[:, None], weight, 0), lag
