"""Graphs for Norse, snnTorch and sinabs, which go through NIR in steps, each by its own rule.

The time constants and weights of these graphs are such that the reader's rule is lambent's step

    I[n] = alpha_syn I[n-1] + arrivals
    V[n] = alpha_mem V[n-1] + gain I[n] + (1 - alpha_mem) bias

whatever they would mean in continuous time. V is counted in thresholds, and gain and threshold go into the weights:

    Norse     I += dt / tau_syn (w_in x - I)         V += dt / tau_mem (r I - V)       dt is told to its reader
    snnTorch  I = (1 - dt / tau_syn) I + x           V = (1 - dt / tau_mem) V + I      dt is 0.1 ms, whatever the step
    sinabs    V = exp(-1 / tau) V + x                                                  tau counts steps

Read in Norse 1.1, snnTorch 1.0, sinabs 3.1 and nirtorch 2.6, which runs all three. Spikes act in the layer behind in
the step in which they are sent, so that layer i (from 0) spikes i + 1 steps earlier than here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lambent.connections.connections import Connections, delay_steps
from lambent.connections.matrix import array, as_matrix, spread_out
from lambent.layers import LI, LIReadout, Spiking
from lambent.layers.integrators import Integrators
from lambent.neurons.response import grid_constants
from lambent.nir.package import PREFIX, nir_package, recurrent_graph

READERS = {"norse": "Norse", "snntorch": "snnTorch", "sinabs": "sinabs"}
_SNNTORCH_STEP = 0.1  # [ms] a constant in its reader


class _Steps(NamedTuple):
    """A layer in steps, V in thresholds (of a readout: times its scale); float64.

    Attributes:
        weight, recurrent: (in, out) and (out, out) or None, what an event adds to gain I.
        tau_mem, tau_syn: (out,) time constants in steps.
        push: (out,) what the bias adds to V in a step, or None.
        spiking: whether it is no readout.
    """

    weight: np.ndarray
    recurrent: np.ndarray | None
    tau_mem: np.ndarray
    tau_syn: np.ndarray
    push: np.ndarray | None
    spiking: bool


def target_graph(layers: Sequence[Spiking | Integrators], dt: float, target: str) -> Any:
    """The `nir.NIRGraph` of a chain of layers with a step of `dt` [ms] for one of `READERS`.

    Raises:
        ValueError: a layer has what the reader cannot run.
    """
    _check(layers, dt, target)
    nir = nir_package()
    graph = _Graph(layers[0].in_features)
    for i, layer in enumerate(layers):
        steps = _steps(layer, dt)
        # files hold nodes by name, and nirtorch trips over a subgraph that comes before what it waits for
        name = f"layer_{i:0{len(str(len(layers)))}d}"
        if target == "sinabs":
            _add_to_sinabs(graph, name, steps)
        else:
            _add_to_loops(graph, name, steps, dt if target == "norse" else _SNNTORCH_STEP)
    graph.add("output", nir.Output(np.array([layers[-1].out_features])))
    return nir.NIRGraph(graph.nodes, graph.edges, metadata={f"{PREFIX}target": target, f"{PREFIX}dt": dt / 1000})


def _check(layers: Sequence[Spiking | Integrators], dt: float, target: str) -> None:
    """Raise ValueError for what a reader would refuse, drop or run otherwise."""
    reader = READERS[target]
    elsewhere = 'or write target="generic"'
    neurons: list[Any] = [layer.neuron for layer in layers if isinstance(layer, Spiking)]
    resets = [neuron.reset for neuron in neurons]
    runs = {"norse": resets[:1], "snntorch": ["zero"], "sinabs": ["subtract"]}[target]
    for i, layer in enumerate(layers):
        where = f"layer {i} ({type(layer).__name__})"
        if isinstance(layer, LI):
            raise ValueError(f'{where}: {reader} is given spikes only from layer to layer; write target="generic"')
        if not isinstance(layer, Spiking):
            continue
        for name, delay in (("delay", layer.delay), ("recurrent_delay", layer.recurrent_delay)):
            longest = 0 if delay is None or not delay.numel() else int(delay_steps(delay, dt).max())
            if longest:
                raise ValueError(
                    f"{where}: {name} is up to {longest} steps, and {reader} has no delays; train without "
                    f"(lambent train --delay 0), {elsewhere}"
                )
        if layer.recurrent_weight is not None and target == "sinabs":
            raise ValueError(
                f"{where}: is recurrent, and {reader} runs layer after layer; train without (lambent train "
                f'--no-recurrent), or write target="norse"'
            )
        if resets[i] not in runs:
            how = {"norse": "all layers the same way", "snntorch": "to zero", "sinabs": "by subtraction"}[target]
            raise ValueError(
                f'{where}: reset is "{resets[i]}", and {reader} resets {how}; train with reset="{runs[0]}", {elsewhere}'
            )


def _steps(layer: Spiking | Integrators, dt: float) -> _Steps:
    neuron: Any = layer.neuron
    gain = array(grid_constants(neuron.tau_mem, neuron.tau_syn, dt)[2])
    tau_mem, tau_syn = array(neuron.tau_mem) / dt, array(neuron.tau_syn) / dt
    if isinstance(layer, LIReadout):
        return _Steps(array(layer.weight) * gain * layer.scale, None, tau_mem, tau_syn, None, False)
    assert isinstance(layer, Spiking)  # `_check` refused others
    threshold = array(layer.threshold)
    per_weight = gain / threshold
    recurrent = None if layer.recurrent is None else _matrix(layer.recurrent) * per_weight
    push = None if neuron.bias is None else -np.expm1(-1 / tau_mem) * array(neuron.bias) / threshold
    return _Steps(_matrix(layer.connections) * per_weight, recurrent, tau_mem, tau_syn, push, True)


class _Graph:
    """Nodes in a row, with loops."""

    def __init__(self, n_in: int) -> None:
        self.nodes: dict[str, Any] = {"input": nir_package().Input(np.array([n_in]))}
        self.edges: list[tuple[str, str]] = []
        self._last = "input"

    def add(self, name: str, node: Any) -> None:
        """Add a node behind the last."""
        self.nodes[name] = node
        self.edges.append((self._last, name))
        self._last = name

    def loop(self, name: str, node: Any) -> None:
        """Add a node that takes what the last one gives back to it, for the next step.

        nirtorch runs nodes in the order of a walk that takes edges as they stand, and the last it comes to gives the
        network's output; so edges out of a loop must stand behind those of the loop.
        """
        self.nodes[name] = node
        self.edges += [(self._last, name), (name, self._last)]


def _add_to_loops(graph: _Graph, name: str, steps: _Steps, clock: float) -> None:
    """A layer for Norse or snnTorch, which take a step of `clock` [ms]."""
    nir = nir_package()
    n = len(steps.tau_mem)
    if not steps.spiking:
        # neither has leaky integrators: sums that keep a part of themselves, whose voltage is then the network's output
        graph.add(f"{name}_dense", nir.Linear(_weights(steps.weight)))
        for state, tau in ((f"{name}_current", steps.tau_syn), (f"{name}_li", steps.tau_mem)):
            graph.add(state, nir.Linear(_weights(np.eye(n))))
            graph.loop(f"{state}_kept", nir.Linear(_weights(np.diag(np.exp(-1 / tau)))))
        return
    # 1 - clock / tau is what is left of a state after a step
    tau_syn, tau_mem = (clock / 1000 / -np.expm1(-1 / tau) for tau in (steps.tau_syn, steps.tau_mem))
    unit = nir.CubaLIF(
        tau_syn=tau_syn,
        tau_mem=tau_mem,
        r=tau_mem / (clock / 1000),
        w_in=tau_syn / (clock / 1000),
        v_leak=np.zeros(n),
        v_threshold=np.ones(n),
        v_reset=np.zeros(n),
    )
    recurrent = steps.recurrent
    if steps.push is None:
        graph.add(f"{name}_dense", nir.Linear(_weights(steps.weight)))
        back = None if recurrent is None else nir.Linear(_weights(recurrent))
    else:
        # a current of `push` from the first step on: what is added to it decays, but for what the loop, which is late
        # by a step, takes off again
        graph.add(f"{name}_dense", nir.Affine(_weights(steps.weight), steps.push.astype(np.float32)))
        back = nir.Affine(
            _weights(np.zeros((n, n)) if recurrent is None else recurrent),
            (-np.exp(-1 / steps.tau_syn) * steps.push).astype(np.float32),
        )
    if back is not None:
        unit = recurrent_graph(unit, n, {"w_rec": back}, [("lif", "w_rec"), ("w_rec", "lif")])
    graph.add(f"{name}_lif", unit)


def _add_to_sinabs(graph: _Graph, name: str, steps: _Steps) -> None:
    """A layer for sinabs: its units have no current, which is a leaky integrator before them."""
    nir = nir_package()
    n = len(steps.tau_mem)
    one, zero = np.ones(n, np.float32), np.zeros(n, np.float32)
    graph.add(f"{name}_dense", nir.Affine(_weights(steps.weight), zero))
    graph.add(f"{name}_current", nir.LI(tau=steps.tau_syn, r=one, v_leak=zero))
    if steps.push is not None:
        graph.add(f"{name}_bias", nir.Affine(_weights(np.eye(n)), steps.push.astype(np.float32)))
    if steps.spiking:
        graph.add(f"{name}_lif", nir.LIF(tau=steps.tau_mem, r=one, v_leak=zero, v_threshold=one, v_reset=zero))
    else:
        graph.add(f"{name}_li", nir.LI(tau=steps.tau_mem, r=one, v_leak=zero))


def _weights(x: np.ndarray) -> np.ndarray:
    """Weights (from, to) as NIR has them: (to, from), float32."""
    return np.ascontiguousarray(x.T, np.float32)


def _matrix(connections: Connections) -> np.ndarray:
    """All weights float64 (from, to), zeros among them."""
    own = as_matrix(connections)
    return spread_out(own, own.weight)
