"""`import_nir`: a NIR file as a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from lambent.connections import Conv2d, Dense, Sparse, SumPool2d
from lambent.connections.matrix import as_matrix, spread_out
from lambent.layers import LI, LIF, LIReadout, Spiking
from lambent.layers._parameters import check_step
from lambent.layers.integrators import Integrators
from lambent.machine.hdf5 import check_hdf5
from lambent.neurons import LIF as LIFUnits
from lambent.neurons.response import grid_constants
from lambent.nir.graph import Graph
from lambent.nir.package import PREFIX, nir_package
from lambent.nir.ways import Synapses

DECAYS = ("exact", "euler")
_INDICES = ("indices", "recurrent_indices")  # metadata: which of the weights there are, (2, n)
_INSTANT = 1 / 50  # tau_syn / dt of units without a synapse: exp(-50) of a current is left after a step
_ENDLESS = 1e8  # tau_mem / dt of units without a leak: in float32 nothing is lost in a step


def import_nir(
    path: str | os.PathLike[str], dt: float | None = None, *, reset: str | None = None, decay: str = "exact"
) -> nn.Sequential:
    """Read a NIR file as a `torch.nn.Sequential` of `LIF` and, where the last units do not spike, `LIReadout`.

    What `export_nir` wrote comes back exactly (float32 parameters). Of other graphs lambent runs chains of
    units, each behind one `Linear`, `Affine`, `Conv1d` or `Conv2d` node, itself between any `Delay`, `Scale`,
    `Flatten`, `SumPool2d` and `AvgPool2d` nodes, with or without synapses from the units back to themselves. What pools
    and weights do one behind the other becomes one layer of sparse connections, or of dense ones if the weights are
    `Linear`:

    * `CubaLIF`, `CubaLI`: r, w_in and pulses of one step go into the weights; v_reset is where V = 0 lies, from where
      v_leak is the bias.
    * `LIF`, `LI` have no synaptic current: `tau_syn` becomes dt / 50, so that an event acts in one step.
    * `IF` has no leak, which `tau_mem` of 1e8 dt is: an event adds r times its weight to V, as if pulses had an area of
      1. A bias is refused.
    * The bias of an `Affine` node or a convolution is a current into the synapses; it becomes the layer's, as if it had
      long flowed.

    A final layer of leaky integrators gives its voltages, `reduce="none"`, unless the file says otherwise; those before
    other units are `LI`, which send theirs on in every step. Spikes take
    one step from layer to layer here; other frameworks pass them on at once, so that layer i (from 0) spikes i + 1
    steps later here.

    Args:
        path: the file.
        dt: time step [ms] of the layers. Files of `export_nir` say it themselves; for those of other
            frameworks give the step that they were made for, since it is also how long their spikes last.
        reset: "zero" or "subtract", for which NIR has no word; left out, what a file of `export_nir` says, else "zero".
        decay: what is left of a state after a step: "exact", exp(-dt / tau), as NIR's equations have it, or "euler",
            1 - dt / tau, as Norse, snnTorch and others step through them: their spikes, then, but for rounding.

    Raises:
        ImportError: the package nir is missing; `pip install 'lambent[nir]'`.
        OSError: the file cannot be read.
        ValueError: it is no NIR file, or holds something that lambent cannot run; names the file and the node.

    >>> import lambent as lb
    >>> lb.export_nir(torch.nn.Sequential(lb.LIF(3, 4, delay=2.0)), "model.nir")
    >>> lb.import_nir("model.nir")
    Sequential(
      (0): LIF(3, 4, delay, reset='zero', dt=1.0)
    )
    """
    if reset not in (None, "zero", "subtract"):
        raise ValueError(f'reset must be "zero" or "subtract", got {reset!r}')
    if decay not in DECAYS:
        raise ValueError(f"decay must be one of {', '.join(DECAYS)}, got {decay!r}")
    nir = nir_package()
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is no file")
    check_hdf5(path)
    try:
        root = nir.read(path, type_check=False)
    except Exception as error:  # the reader lets pass whatever a malformed file leads to
        raise ValueError(f"{path}: is no NIR file: {type(error).__name__}: {error}") from error
    try:
        return _model(Graph(root), root, dt, reset, decay)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class _Rule(NamedTuple):
    """How units are read.

    Attributes:
        pulse: how long a spike lasts [ms].
        dt: step of the layers [ms].
        reset: what the caller wants, or None.
        decay: one of `DECAYS`.
    """

    pulse: float
    dt: float
    reset: str | None
    decay: str

    def share(self, tau: np.ndarray) -> np.ndarray:
        """What a constant input of 1, there for a pulse, leaves in units of `tau` [ms] at rest."""
        return self.pulse / tau if self.decay == "euler" else -np.expm1(-self.pulse / tau)

    def tau(self, name: str, tau: np.ndarray) -> np.ndarray:
        """The time constants [ms] whose exponential decay in a step is that of `tau`."""
        if self.decay == "exact":
            return tau
        if (tau < self.dt).any():
            raise ValueError(
                f"{name} of {tau.min():g} ms is less than a step of {self.dt:g} ms; Euler's steps need more"
            )
        with np.errstate(divide="ignore"):
            return np.maximum(-self.dt / np.log1p(-self.dt / tau), _INSTANT * self.dt)


def _model(graph: Graph, root: Any, dt: float | None, reset: str | None, decay: str) -> nn.Sequential:
    if (target := _metadata(root, "target")) is not None:
        raise ValueError(f'was written for {target} alone; import_nir reads what target="generic" writes')
    own = _metadata(root, "dt")
    if own is None and dt is None:
        raise ValueError("the file does not say its time step; give dt [ms]")
    step = check_step(1000 * _number("dt", own) if dt is None else dt)
    pulse = step if own is None else check_step(1000 * _number("dt", own))
    rule = _Rule(pulse, step, reset, decay)
    layers = nn.Sequential()
    chain = list(graph.chain())
    for i, (name, inputs, recurrent) in enumerate(chain):
        try:
            layers.append(_layer(graph.nodes[name], inputs, recurrent, rule, i == len(chain) - 1))
        except ValueError as error:
            raise ValueError(f"node {name!r}: {error}") from error
    return layers


def _layer(
    node: Any, inputs: Synapses, recurrent: Synapses | None, rule: _Rule, is_last: bool
) -> Spiking | Integrators:
    """The layer of one node of units."""
    n_out = inputs.connections.n_out
    values = _Values(node, n_out)
    kind = type(node).__name__
    if kind.startswith("Cuba"):
        tau_mem, tau_syn = 1000 * values.positive("tau_mem"), 1000 * values.positive("tau_syn")
        steady = values("r") * values("w_in")
        gain = steady * rule.pulse / tau_syn  # an impulse of the pulse's area
        if rule.decay == "euler":
            share, tau_mem = rule.dt / tau_mem, rule.tau("tau_mem", tau_mem)
            tau_syn = rule.tau("tau_syn", tau_syn)
            gain = gain * share / _per_event(tau_mem, tau_syn, rule.dt)
        gain = np.where(np.abs(gain - 1) < 1e-12, 1.0, gain)  # rounded on the way through seconds
    elif kind == "IF":
        tau_mem, tau_syn, steady = (np.full(n_out, n * rule.dt) for n in (_ENDLESS, _INSTANT, 0.0))
        gain = values("r") / _per_event(tau_mem, tau_syn, rule.dt)
        if any(x is not None and x.bias.any() for x in (inputs, recurrent)):
            raise ValueError("the bias of what feeds it must be 0 for units without a leak")
    else:
        tau = 1000 * values.positive("tau")
        tau_mem, tau_syn, steady = rule.tau("tau", tau), np.full(n_out, _INSTANT * rule.dt), values("r")
        gain = steady * rule.share(tau) / _per_event(tau_mem, tau_syn, rule.dt)
    constant = steady * (inputs.bias if recurrent is None else inputs.bias + recurrent.bias)
    sides: list[Any] = [side and _scaled(side.connections, gain) for side in (inputs, recurrent)]
    taus = {"tau_mem": _tensor(tau_mem), "tau_syn": _tensor(tau_syn)}
    layer: Spiking | Integrators
    if kind.endswith("IF"):
        sides = [side and _sparse(node, key, side) for key, side in zip(_INDICES, sides, strict=True)]
        layer = _lif(node, values, sides[0], sides[1], constant, rule, **taus)
    else:
        sides[0] = _dense(sides[0])
        _check_integrators(values, sides[1], constant)
        if is_last and not _metadata(node, "sends"):
            layer = _readout(node, sides[0], rule, **taus)
        else:
            layer = LI(sides[0].n_in, sides[0].n_out, dt=rule.dt, **taus)
    with torch.no_grad():
        layer.weight.copy_(sides[0].weight)
        if isinstance(layer, Spiking) and layer.recurrent_weight is not None and sides[1] is not None:
            layer.recurrent_weight.copy_(sides[1].weight)
    for name, value in layer.state_dict().items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return layer


def _per_event(tau_mem: np.ndarray, tau_syn: np.ndarray, dt: float) -> np.ndarray:
    """What an event of weight 1 adds to the voltage in its step."""
    return grid_constants(torch.from_numpy(tau_mem), torch.from_numpy(tau_syn), dt)[2].numpy()


def _scaled(connections: Any, gain: np.ndarray) -> Any:
    """Connections whose weights are multiplied by what units (n_out,) make of them."""
    if isinstance(connections, (Conv2d, SumPool2d)):
        shared = 1 if isinstance(connections, SumPool2d) else connections.shape_out[0]
        if (np.ptp(gain.reshape(shared, -1), axis=1) > 0).any():
            connections = as_matrix(connections)
    each = connections.per_weight(torch.from_numpy(gain))
    return connections.with_values(weight=connections.weight * each)


def _lif(
    node: Any, values: _Values, inputs: Any, recurrent: Any, constant: np.ndarray, rule: _Rule, **taus: Any
) -> Spiking:
    dt = rule.dt
    reset = rule.reset or _metadata(node, "reset") or "zero"
    origin = values("v_reset") if reset == "zero" else np.zeros(inputs.n_out)  # where V is 0 here
    bias = constant if type(node).__name__ == "IF" else values("v_leak") - origin + constant
    options: dict[str, Any] = {
        "delay": _delay(node, "delay", inputs, dt),
        "recurrent_delay": None if recurrent is None else _delay(node, "recurrent_delay", recurrent, dt),
    }
    options["max_delay"] = max([62 * dt, *(float(x.max()) for x in options.values() if x is not None)])
    for key in ("max_delay", "min_slope"):
        if (kept := _metadata(node, key)) is not None:
            options[key] = _number(key, kept)
    units: dict[str, Any] = {"reset": reset, "threshold": _tensor(values("v_threshold") - origin), **taus}
    units["bias"] = _tensor(bias) if bias.any() else None
    if isinstance(inputs, Dense) and (recurrent is None or isinstance(recurrent, Dense)):
        return LIF(inputs.n_in, inputs.n_out, recurrent=recurrent is not None, dt=dt, **options, **units)
    delays = options.pop("delay"), options.pop("recurrent_delay")
    sides = [x and _in_default_dtype(x, delay) for x, delay in zip((inputs, recurrent), delays, strict=True)]
    if "min_slope" in options:
        units["min_slope"] = options.pop("min_slope")
    return Spiking(LIFUnits(**units), sides[0], sides[1], dt=dt, **options)


def _in_default_dtype(connections: Any, delay: torch.Tensor | None) -> Any:
    """Connections with these delays."""
    weight = connections.weight.to(torch.get_default_dtype())
    if isinstance(connections, SumPool2d):
        return connections.with_values(weight=weight)
    return connections.with_values(weight=weight, delay=delay)


def _dense(connections: Any) -> Dense:
    """The same without delays, as a matrix."""
    if connections.delay is not None and torch.as_tensor(connections.delay).any():
        raise ValueError("units that do not spike cannot have delays before them")
    own = as_matrix(connections)
    return Dense(own.n_in, own.n_out, torch.from_numpy(spread_out(own, own.weight)))


def _sparse(node: Any, key: str, connections: Any) -> Any:
    """Sparse connections in the place of dense ones with zeros, where metadata say which there are."""
    kept = _metadata(node, key)
    if kept is None or not isinstance(connections, Dense):
        return connections
    indices = torch.from_numpy(_numbers(key, kept).astype(np.int64))
    there = torch.zeros(connections.n_in, connections.n_out, dtype=torch.bool)
    try:
        found = Sparse(connections.n_in, connections.n_out, indices=indices)
    except ValueError:
        return connections
    source, target = found.entries()[:2]
    there[source, target] = True
    if (torch.as_tensor(connections.weight) != 0)[~there].any():
        return connections
    values = {name: torch.as_tensor(getattr(connections, name))[source, target] for name in ("weight", "delay")}
    return found.with_values(**values)


def _check_integrators(values: _Values, recurrent: Any, constant: np.ndarray) -> None:
    """Raise ValueError for what units that do not spike have not."""
    if recurrent is not None:
        raise ValueError("units that do not spike cannot be recurrent")
    for what, value in (("v_leak", values("v_leak")), ("the bias of what feeds it", constant)):
        if value.any():
            raise ValueError(f"{what} must be 0 for units that do not spike")


def _readout(node: Any, inputs: Any, rule: _Rule, **taus: Any) -> LIReadout:
    scale = _metadata(node, "scale")
    kept = {} if scale is None else {"scale": _number("scale", scale)}
    return LIReadout(inputs.n_in, inputs.n_out, reduce=_metadata(node, "reduce") or "none", dt=rule.dt, **kept, **taus)


def _delay(node: Any, key: str, connections: Any, dt: float) -> torch.Tensor | None:
    """Delays [ms] of the weights: those kept as metadata where they round to those of the graph, else the graph's."""
    if connections.delay is None:
        return None
    weight, delay = (torch.as_tensor(x).numpy() for x in (connections.weight, connections.delay))
    if (kept := _metadata(node, key)) is not None:
        kept = _numbers(key, kept)
        steps, kept_steps = np.rint(delay / dt), np.rint(kept / dt)
        if kept.shape == steps.shape and not (weight != 0)[steps != kept_steps].any():
            return _tensor(kept)
    return _tensor(delay) if delay.any() else None


class _Values:
    """The parameters of a node as float64 arrays of one value per unit."""

    def __init__(self, node: Any, size: int) -> None:
        self.node, self.size = node, size

    def __call__(self, key: str) -> np.ndarray:
        array = _numbers(key, getattr(self.node, key)).reshape(-1)
        if len(array) not in (1, self.size):
            raise ValueError(f"{key} has {len(array)} values for {self.size} units")
        return np.broadcast_to(array, self.size)

    def positive(self, key: str) -> np.ndarray:
        array = self(key)
        if not (np.isfinite(array) & (array > 0)).all():
            raise ValueError(f"{key} must be positive and finite")
        return array


def _numbers(key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{key} must be numbers, got {array.dtype}")
    return array.astype(np.float64)


def _number(key: str, value: Any) -> float:
    array = _numbers(key, value).reshape(-1)
    if len(array) != 1:
        raise ValueError(f"{key} must be one number, got {len(array)}")
    return float(array[0])


def _metadata(node: Any, key: str) -> Any:
    return (node.metadata or {}).get(PREFIX + key)


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)).to(torch.get_default_dtype())
