"""The graph that says in NIR's own terms what a model is; `import_nir` reads it back exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lambent.connections.connections import delay_steps
from lambent.layers import LIReadout, Spiking
from lambent.nir.package import PREFIX, nir_package, recurrent_graph


def generic_graph(layers: Sequence[Spiking | LIReadout], dt: float) -> Any:
    """The `nir.NIRGraph` of a chain of layers with a step of `dt` [ms]."""
    nir = nir_package()
    nodes: dict[str, Any] = {"input": nir.Input(np.array([layers[0].in_features]))}
    edges: list[tuple[str, str]] = []
    last = "input"
    for i, layer in enumerate(layers):
        name = f"lif_{i}" if isinstance(layer, Spiking) else f"li_{i}"
        _connect(nodes, edges, (last, name), (f"linear_{i}", f"delay_{i}"), layer.weight, layer.delay, dt)
        nodes[name] = _unit(layer, dt)
        if isinstance(layer, Spiking) and layer.recurrent_weight is not None:
            inner: dict[str, Any] = {}
            loop: list[tuple[str, str]] = []
            names = "w_rec", "delay_rec"
            _connect(inner, loop, ("lif", "lif"), names, layer.recurrent_weight, layer.recurrent_delay, dt)
            nodes[name] = recurrent_graph(nodes[name], layer.out_features, inner, loop)
        last = name
    nodes["output"] = nir.Output(np.array([layers[-1].out_features]))
    return nir.NIRGraph(nodes, [*edges, (last, "output")], metadata={f"{PREFIX}dt": dt / 1000})


def _unit(layer: Spiking | LIReadout, dt: float) -> Any:
    """The node of the layer's units; what NIR cannot say is in its metadata."""
    nir = nir_package()
    neuron: Any = layer.neuron
    tau_mem, tau_syn = _array(neuron.tau_mem) / 1000, _array(neuron.tau_syn) / 1000
    one, zero = np.ones_like(tau_mem), np.zeros_like(tau_mem)
    bias: Tensor | None = getattr(neuron, "bias", None)
    leak = zero if bias is None else _array(bias)
    common = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": one, "v_leak": leak, "w_in": tau_syn / (dt / 1000)}
    if isinstance(layer, LIReadout):
        return nir.CubaLI(**common, metadata={f"{PREFIX}reduce": layer.reduce, f"{PREFIX}scale": layer.scale})
    kept: dict[str, Any] = {"reset": neuron.reset, "min_slope": neuron.least_slope(dt), "max_delay": layer.max_delay}
    for key in ("delay", "recurrent_delay"):
        delay: Tensor | None = getattr(layer, key)
        if delay is not None:
            kept[key] = delay.detach().cpu().numpy()
    metadata = {PREFIX + key: value for key, value in kept.items()}
    return nir.CubaLIF(**common, v_threshold=_array(layer.threshold), v_reset=zero.copy(), metadata=metadata)


def _connect(
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    ends: tuple[str, str],
    names: tuple[str, str],
    weight: Tensor,
    delay: Tensor | None,
    dt: float,
) -> None:
    """Add the nodes and edges of the synapses between two nodes; `names` are those of weights and delays."""
    nir = nir_package()
    source, target = ends
    branches = list(_branches(weight.detach().cpu().numpy(), delay, dt))
    for k, (matrix, lag) in enumerate(branches):
        linear, waiting = (name if len(branches) == 1 else f"{name}_{k}" for name in names)
        nodes[linear] = nir.Linear(np.ascontiguousarray(matrix.T))
        edges.append((linear, target))
        if lag.any():
            nodes[waiting] = nir.Delay(lag * dt / 1000)
            edges += [(source, waiting), (waiting, linear)]
        else:
            edges.append((source, linear))


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


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()
