"""`export_nir`: a model as a NIR graph in a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn

from lambent.layers import LIReadout, Spiking
from lambent.layers.chain import check_chain
from lambent.machine.files import replacing
from lambent.machine.hdf5 import seal
from lambent.nir.package import PREFIX, nir_package


def export_nir(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write `model` as a NIR file, whole or not at all.

    Layer i becomes `linear_i` and `lif_i` (CubaLIF) or `li_i` (CubaLI). A recurrent layer is a subgraph with
    the nodes input, lif, w_rec and output, as snnTorch writes it. Times are in seconds; `lambent.nir.package`
    says how weights relate. Delays become `Delay` nodes before the weights, one pair of both for every delay
    that an input has on its way to different units; they are rounded to steps, as the layer rounds them.

    NIR has no word for the step, for reset "subtract", for the reduction of a readout, for `min_slope` and
    `max_delay` and for fractions of a step in delays. They are kept as metadata, which `import_nir` reads and
    other frameworks ignore: these reset to zero and give voltages. Which parameters are trained is not kept.

    Args:
        model: a `torch.nn.Sequential` of `LIF` layers, with or without a final `LIReadout`.
        path: the file to write.

    Raises:
        ImportError: the package nir is missing; `pip install 'lambent[nir]'`.
        TypeError: the model is no Sequential or holds another kind of layer.
        ValueError: layers that do not fit each other, or values that are not finite; names the layer.
        OSError: the file cannot be written.
    """
    nir = nir_package()
    layers, dt = check_chain(model)
    nodes: dict[str, Any] = {"input": nir.Input(np.array([layers[0].in_features]))}
    edges: list[tuple[str, str]] = []
    last = "input"
    for i, layer in enumerate(layers):
        name = f"lif_{i}" if isinstance(layer, Spiking) else f"li_{i}"
        _connect(nodes, edges, (last, name), (f"linear_{i}", f"delay_{i}"), layer.weight, layer.delay, dt)
        nodes[name] = _unit(layer, dt)
        if isinstance(layer, Spiking) and layer.recurrent_weight is not None:
            nodes[name] = _recurrent(layer, nodes[name], dt)
        last = name
    nodes["output"] = nir.Output(np.array([layers[-1].out_features]))
    graph = nir.NIRGraph(nodes, [*edges, (last, "output")], metadata={f"{PREFIX}dt": dt / 1000})
    written = io.BytesIO()  # HDF5 does not survive a disk that is full when it closes a file
    nir.write(written, graph)
    seal(written)
    with replacing(path) as temporary:
        temporary.write_bytes(written.getbuffer())


def _recurrent(layer: Spiking, unit: Any, dt: float) -> Any:
    nir = nir_package()
    size = np.array([layer.out_features])
    nodes = {"input": nir.Input(size), "lif": unit, "output": nir.Output(size)}
    edges = [("input", "lif"), ("lif", "output")]
    weight = layer.recurrent_weight
    assert weight is not None
    _connect(nodes, edges, ("lif", "lif"), ("w_rec", "delay_rec"), weight, layer.recurrent_delay, dt)
    return nir.NIRGraph(nodes, edges)


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
    steps = np.rint(delay.detach().cpu().numpy() / dt).astype(np.int64)
    distinct = [np.unique(row) for row in steps]
    for k in range(max(map(len, distinct))):
        lag = np.array([own[min(k, len(own) - 1)] for own in distinct])
        there = np.array([k < len(own) for own in distinct])
        yield np.where((steps == lag[:, None]) & there[:, None], weight, 0), lag


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()
