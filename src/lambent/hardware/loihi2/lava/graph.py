"""Reads a network out of a graph of Lava processes, for lambent. Needs numpy and runs in Lava's own Python (3.10).

    python graph.py MODULE:NAME OUT.npz

NAME in the file or module MODULE is a process, a list of processes, or a function that returns one: any of them will
do, as the whole graph is found by following connections. In Python with lambent,
`lambent.hardware.loihi2.load_lava("OUT.npz")` then is the network.

A chain of layers is understood: a source, synapses (Dense, DelayDense, Sparse, DelaySparse, Conv), units (LIF,
SigmaDelta, Sigma, Delta, RF, RF_IZ), which may have synapses among themselves, the next synapses and so on; blocks and
networks of lava-dl's NetX, too. Weights and thresholds mean what Lava's fixed-point models make of them, values are
those that variables start with. Monitors and sinks are left out; whatever else there is, is refused.

Processes are known by the names of their classes and by their attributes: nothing of Lava is imported. What is
returned are the arrays of the network.npz that `lambent.hardware.loihi2.save_lava` describes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SYNAPSES = ("Dense", "DelayDense", "Sparse", "DelaySparse", "Conv")
ADAPTERS = ("PyToNxAdapter", "NxToPyAdapter")
"""Processes that hand on what they get, between a CPU and a chip."""
WATCHERS = ("Monitor", "Read")
"""Processes that read variables of others and change nothing."""
HINTS = {
    "LIFReset": "units that are reset at intervals: build the network without reset_interval, "
    "samples start from rest in lambent",
    "LIFRefractory": "lambent's units for Loihi 2 have no refractory period: use LIF",
    "TernaryLIF": "lambent's units for Loihi 2 send no negative spikes: use LIF or SigmaDelta",
}
GRADED_BITS = 16  # of units whose spikes nobody takes, as in NetX
MAX_VALUES = 1 << 28  # of a matrix
MAX_DELAY = 62
STATE_EXP = 6  # states have 6 bits more than what arrives
SPIKE_BITS = 2 * STATE_EXP  # sigma-delta units: values have 6 bits behind the point, states 6 more
DECAY_BITS = 12
NEVER = (1 << 18) - 1  # highest threshold
BIAS_LIMIT = (1 << 17) - 1


def values_of(processes: Any) -> dict[str, Any]:
    """The arrays of network.npz for the graph that `processes`, one or several processes, are part of.

    Raises:
        ValueError: it is no network that lambent has; the message names the process and says what to do.
    """
    found = _everything(_listed(processes))
    units = [p for p in found if _kind(p) == "units"]
    chain = _chain([_Layer(unit, found) for unit in units])
    used = {id(s.process) for layer in chain for s in layer.before + layer.own}
    for process in found:
        if _kind(process) == "synapses" and id(process) not in used:
            raise _refused(process, "leads to no units: put units behind it, for example LIF, or take it out")
    return _values(chain)


# -- processes and ports ----------------------------------------------------------------------------------------------


def _refused(process: Any, why: str) -> ValueError:
    return ValueError(f"{_name(process)}: {why}")


def _name(process: Any) -> str:
    name, number = getattr(process, "name", ""), getattr(process, "id", "")
    if name != f"Process_{number}":  # processes in blocks all have the same names
        name = f"{name} ({number})"
    return f"{type(process).__name__} {name}"


def _members(collection: Any) -> list[Any]:
    """What is in it; Lava's collections go on where the last loop over them stopped."""
    return list(getattr(collection, "members", collection))


def _listed(processes: Any) -> list[Any]:
    if _is_process(processes):
        return [processes]
    if not isinstance(processes, Iterable):
        raise ValueError(f"only processes of Lava can be read, got {type(processes).__name__}")
    listed = list(processes)
    for process in listed:
        if not _is_process(process):
            raise ValueError(f"only processes of Lava can be read, got {type(process).__name__} among them")
    return listed


def _is_process(x: Any) -> bool:
    return hasattr(x, "in_ports") and hasattr(x, "out_ports")


def _kind(process: Any) -> str:
    """Any of units, synapses, block, adapter, source and sink; unknown processes are refused."""
    name = type(process).__name__
    if _members(process.procs):
        return "block"  # hands on what it gets to processes in it
    if name in UNITS:
        return "units"
    if name in SYNAPSES:
        return "synapses"
    if name in ADAPTERS:
        return "adapter"
    if not _members(process.in_ports):
        return "source"
    if not _members(process.out_ports):
        return "sink"
    if name.startswith("Learning"):
        why = "learns while it runs, which nothing in lambent's Loihi 2 does: take its weights into Dense or Sparse"
    else:
        why = HINTS.get(name, "has no equivalent in lambent: take it out, or put processes in its place that have one")
    raise _refused(process, why)


def _everything(processes: list[Any]) -> list[Any]:
    """All processes that are connected to `processes` or lie in them, each once."""
    found: dict[int, Any] = {}
    ports: dict[int, Any] = {}  # holds them, so that no two have the same id
    todo: list[Any] = list(processes)
    while todo:
        x = todo.pop(0)
        if _is_process(x):
            if id(x) not in found:
                found[id(x)] = x
                todo += _members(x.in_ports) + _members(x.out_ports) + _members(x.procs)
        elif id(x) not in ports:
            ports[id(x)] = x
            todo += [*x.in_connections, *x.out_connections]
            if not _virtual(x):
                todo.append(x.process)
    for process in found.values():
        _check_variables(process)
    return list(found.values())


def _check_variables(process: Any) -> None:
    """Refuse processes whose variables others may change while the network runs."""
    for port in _members(process.var_ports):
        for other in port.in_connections:
            if type(other.process).__name__ not in WATCHERS:
                why = f"{_name(other.process)} can change its variables, which nothing in lambent does: cut it"
                raise _refused(process, why)


def _virtual(port: Any) -> bool:
    """Whether it lies between ports of processes and changes shapes."""
    name = type(port).__name__
    if name == "ConcatPort":
        raise ValueError(
            f"{_name(port.in_connections[0].process)}: its output is concatenated with that of others, which lambent's "
            "layers cannot be: put them into one process"
        )
    return name in ("ReshapePort", "TransposePort")


@dataclass
class _Link:
    """A way from the port `start`, which nothing leads to, to another port.

    Attributes:
        index: in the shape of the port that takes: the place in `start`, in C order, whose value arrives there.
    """

    start: Any
    index: np.ndarray

    @property
    def open(self) -> bool:
        """Whether nothing is connected."""
        return any(port is self.start for port in _members(self.start.process.in_ports))


def _links(port: Any) -> list[_Link]:
    """All ways that lead to `port`; one from itself if there are none."""
    before = list(port.in_connections)
    if not before and not _virtual(port) and type(port.process).__name__ in ADAPTERS:
        before = [p for p in _members(port.process.in_ports) if p is not port]
    links = [link for p in before for link in _links(p)]
    if not links:
        return [_Link(port, np.arange(int(np.prod(port.shape))).reshape(port.shape))]
    for link in links:
        if type(port).__name__ == "TransposePort":
            link.index = link.index.transpose(port.axes)
        else:
            link.index = link.index.reshape(port.shape)
    return links


# -- values of variables ----------------------------------------------------------------------------------------------


def _numbers(process: Any, name: str) -> np.ndarray:
    value = getattr(process, name).init
    value = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    if value.dtype.kind not in "biuf":
        raise _refused(process, f"{name} is no number")
    return value


def _whole(process: Any, name: str, low: int, high: int) -> np.ndarray:
    """A variable's first value, whole numbers from `low` to `high`, int64."""
    value = _numbers(process, name)
    if value.size > MAX_VALUES:
        raise _refused(process, f"{name} has {value.size} values, at most {MAX_VALUES} can be taken")
    if not np.isfinite(value).all() or (value != np.trunc(value)).any():
        why = "as for Lava's floating-point models: quantise the network, those of the chip hold whole numbers"
        raise _refused(process, f"{name} holds fractions, {why}")
    if value.size and (value.min() < low or value.max() > high):
        worst = value.min() if value.min() < low else value.max()
        raise _refused(process, f"{name}: {worst} is outside {low} to {high}")
    return value.astype(np.int64)


def _number(process: Any, name: str, low: int, high: int) -> int:
    value = _whole(process, name, low, high)
    if value.size != 1:
        raise _refused(process, f"{name} must be one number, got shape {value.shape}")
    return int(value.reshape(()))


def _by_unit(process: Any, name: str, low: int, high: int) -> np.ndarray:
    """One whole number for each unit, in the shape of the units."""
    return _spread(process, name, _whole(process, name, low, high), process.s_out.shape)


def _spread(process: Any, name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise _refused(process, f"{name} has shape {value.shape}, which does not fit {tuple(shape)}") from None


def _expect(process: Any, name: str, wanted: int) -> None:
    found = _number(process, name, -(1 << 31), 1 << 31)
    if found != wanted:
        raise _refused(process, f"{name} is {found}, lambent's units for Loihi 2 have {wanted}: set it to that")


def _at_rest(process: Any, *states: str) -> None:
    for name in states:
        if np.any(_numbers(process, name)):
            raise _refused(process, f"{name} starts with other values than 0, where lambent starts: leave it out")


def _shifted_back(process: Any, name: str, value: np.ndarray, bits: int, limit: int) -> np.ndarray:
    """`value` >> `bits`, which must lose nothing and lie within +-`limit`."""
    if (value % (1 << bits) != 0).any():
        why = f"{name} must be a multiple of {1 << bits} after Lava's shifts, which lambent's units for Loihi 2 take"
        raise _refused(process, f"{why}: round it")
    value = value >> bits
    if np.abs(value).max() > limit:
        raise _refused(process, f"{name}: {value.flat[np.abs(value).argmax()]} is outside +-{limit}")
    return value


# -- units ------------------------------------------------------------------------------------------------------------


def _lif(process: Any) -> tuple[str, dict[str, np.ndarray]]:
    _at_rest(process, "u", "v")
    mantissa = _by_unit(process, "bias_mant", -(1 << 15), (1 << 15) - 1)
    exponent = np.clip(_by_unit(process, "bias_exp", -(1 << 15), 1 << 15), -32, 32)
    bias = np.floor(mantissa * 2.0**exponent).astype(np.int64)
    return "CUBA", {
        "iDecay": _by_unit(process, "du", -1, 4095) + 1,  # Lava's model adds 1
        "vDecay": _by_unit(process, "dv", 0, 4096),
        "vThMant": _by_unit(process, "vth", -NEVER, NEVER),
        "bias": _shifted_back(process, "bias", bias, STATE_EXP, BIAS_LIMIT),
    }


def _sigma(process: Any) -> tuple[str, dict[str, np.ndarray]]:
    _at_rest(process, "sigma")
    return "Sigma", {}


def _sigma_delta(process: Any) -> tuple[str, dict[str, np.ndarray]]:
    if int(process.proc_params.get("act_mode", 1)) != 1:
        raise _refused(process, "act_mode must be RELU, as lambent's sigma-delta units have a rectifier")
    units, values = _delta(process)
    bias = _by_unit(process, "bias", -(1 << 31), (1 << 31) - 1)
    return units, values | {"bias": _shifted_back(process, "bias", bias, SPIKE_BITS, BIAS_LIMIT)}


def _delta(process: Any) -> tuple[str, dict[str, np.ndarray]]:
    _at_rest(process, "sigma", "act", "residue", "error")
    _expect(process, "state_exp", STATE_EXP)
    _expect(process, "cum_error", 0)
    if type(process).__name__ == "Delta":
        _expect(process, "spike_exp", SPIKE_BITS - STATE_EXP)
    threshold = _by_unit(process, "vth", 0, (1 << 31) - 1)
    return "SigmaDelta", {"vThMant": _shifted_back(process, "vth", threshold, SPIKE_BITS, NEVER)}


def _resonators(process: Any) -> tuple[str, dict[str, np.ndarray]]:
    _at_rest(process, "real", "imag")
    _expect(process, "state_exp", STATE_EXP)
    _expect(process, "decay_bits", DECAY_BITS)
    one = 1 << DECAY_BITS
    threshold = _by_unit(process, "vth", -(1 << 31), (1 << 31) - 1)
    return "RF_PHASE" if type(process).__name__ == "RF" else "RF_IZHIKEVICH", {
        "sinDecay": _by_unit(process, "sin_decay", -one, one),
        "cosDecay": _by_unit(process, "cos_decay", -one, one),
        "vThMant": _shifted_back(process, "vth", threshold, STATE_EXP, NEVER),
    }


UNITS = {
    "LIF": _lif,
    "SigmaDelta": _sigma_delta,
    "Sigma": _sigma,
    "Delta": _delta,
    "RF": _resonators,
    "RF_IZ": _resonators,
}
"""What units of the chip are called in network.npz, and their values, in the shape of the units."""


# -- synapses ---------------------------------------------------------------------------------------------------------


@dataclass
class _Synapses:
    """A process with synapses between units.

    Attributes:
        part: weight or weight_imag.
        index: in the shape of the units: the row of the weights whose sum arrives there.
        source: where the spikes come from.
    """

    process: Any
    part: str
    index: np.ndarray
    source: _Link

    @property
    def bits(self) -> int:
        """Of the values that spikes carry, 0 for plain ones."""
        return _number(self.process, "num_message_bits", 0, 32)

    @property
    def convolves(self) -> bool:
        """Whether the synapses share a kernel."""
        return type(self.process).__name__ == "Conv"


def _weights(process: Any) -> np.ndarray:
    """What a fixed-point model multiplies spikes by, int64 (out, in)."""
    weight = _whole(process, "weights", -(1 << 31), (1 << 31) - 1)
    given = process.proc_params.get("sign_mode")
    sign = int(getattr(given, "value", given)) if given else 2 if weight.min() >= 0 else 3 if weight.max() <= 0 else 1
    mixed, inhibitory = sign == 1, sign == 3
    bits = int(process.proc_params.get("num_weight_bits", 8))
    cut = 8 - bits + mixed
    if not 0 <= cut <= 16:
        raise _refused(process, f"num_weight_bits of {bits} makes Lava lose all weights: set it to 8")
    weight = np.clip(-weight if inhibitory else weight, -256 * mixed, 255) >> cut << cut
    weight = -weight if inhibitory else weight
    exponent = int(process.proc_params.get("weight_exp", 0))
    if exponent >= 0:
        return weight << min(exponent, 16)
    if (weight % (1 << min(-exponent, 16)) != 0).any():
        raise _refused(
            process,
            f"with weight_exp {exponent} Lava rounds sums of weights, which lambent's synapses for Loihi 2 do not: "
            f"make the weights multiples of {1 << -exponent}",
        )
    return weight >> min(-exponent, 16)


def _delays(process: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Steps, int64 (out, in); 0 for synapses without."""
    if not hasattr(process, "delays"):
        return np.zeros(shape, np.int64)
    delay = _spread(process, "delays", _whole(process, "delays", 0, MAX_DELAY), shape)
    longest = int(process.a_buff.shape[-1]) - 1
    if delay.max() > longest:
        raise _refused(process, f"max_delay {longest} makes Lava lose synapses with a delay of {delay.max()}: raise it")
    return delay


def _matrices(synapses: list[_Synapses], rows: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Weights by part and `delay`, sums over processes, of a layer that numbers its units as `rows` says."""
    shape = len(rows), len(columns)
    found: dict[str, np.ndarray] = {}
    delay, taken = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for i, own in enumerate(synapses):
        weight = _weights(own.process)
        at = np.ix_(own.index.ravel()[rows], np.argsort(own.source.index.ravel())[columns])
        weight, steps = weight[at], _delays(own.process, weight.shape)[at]
        here = weight != 0
        if (here & taken & (steps != delay)).any():
            raise _refused(own.process, "has other delays than synapses beside it: there is one between two units")
        delay = np.where(here | (i == 0), steps, delay)
        taken |= here
        found[own.part] = found.get(own.part, 0) + weight
    for weight in found.values():
        both = weight.min() < 0 < weight.max()
        low, high = (-256, 254) if both else (-255, 255)
        if weight.min() < low or weight.max() > high:
            worst = weight.min() if weight.min() < low else weight.max()
            raise _refused(synapses[0].process, f"weights: {worst} is outside {low} to {high}, which synapses hold")
    return found | {"delay": delay}


def _dense(layer: _Layer, columns: np.ndarray) -> dict[str, Any]:
    rows = layer.place
    found: dict[str, Any] = _matrices(layer.before, rows, columns)
    if layer.parts == 2:
        for part in ("weight", "weight_imag"):
            found.setdefault(part, np.zeros((len(rows), len(columns)), np.int64))
    if layer.own:
        recurrent = _matrices(layer.own, rows, rows)
        found |= {"weight_rec": recurrent["weight"], "delay_rec": recurrent["delay"]}
    for name in ("delay", "delay_rec"):
        if name in found and not found[name].any():
            found[name] = 0
    kind = "dense_rec" if layer.own else "dense"
    return {name: np.asarray(x, np.int32) for name, x in found.items()} | {"kind": kind, "shape": np.array([len(rows)])}


def _conv(layer: _Layer) -> dict[str, Any]:
    first = layer.before[0].process
    if layer.own:
        raise _refused(layer.own[0].process, "connects units behind a Conv with each other: lambent has no such layer")
    found: dict[str, Any] = {}
    for own in layer.before:
        process = own.process
        if own.part in found:
            raise _refused(process, f"{_name(first)} leads to the same units: add both up in one process")
        if not _straight(own.index):
            raise _refused(process, "its output is transposed: give the units the shape (width, height, channels)")
        geometry = _geometry(process)
        if any(not np.array_equal(found.get(name, value), value) for name, value in geometry.items()):
            raise _refused(process, f"has another stride, padding, dilation or groups than {_name(first)}")
        kernel = _whole(process, "weight", -256, 255)
        # Lava folds an image with (out, width, height, in), torch slides (out, in, height, width) over it
        found |= geometry | {own.part: kernel[:, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int32)}
    if layer.parts == 2:
        some = next(found[part] for part in ("weight", "weight_imag") if part in found)
        found = {"weight": np.zeros_like(some), "weight_imag": np.zeros_like(some)} | found
    delay = np.zeros(layer.place.size, np.int32)
    return found | {"kind": "conv", "shape": np.array(layer.unit.s_out.shape[::-1]), "delay": delay, "sparse": False}


def _geometry(process: Any) -> dict[str, Any]:
    _expect(process, "weight_exp", 0)  # Lava's models pass over another one
    found: dict[str, Any] = {"in_shape": np.array(process.s_in.shape[::-1])}
    found["groups"] = _number(process, "groups", 1, 1 << 15)
    for name in ("stride", "padding", "dilation"):
        found[name] = np.broadcast_to(_whole(process, name, 0, 1 << 15).ravel(), 2)[::-1].copy()
    return found


# -- layers -----------------------------------------------------------------------------------------------------------


class _Layer:
    """Units and what leads to them.

    Attributes:
        unit: the process of the units.
        before: synapses from the layer before, none if numbers go into the units themselves.
        own: synapses from the units themselves.
        source: where what arrives comes from.
        block: the block of NetX whose input the units are.
        parts: 2 if they take real and imaginary weights, else 1.
    """

    def __init__(self, unit: Any, found: list[Any]) -> None:
        self.unit = unit
        self.block = next((p for p in found if _turns_into(p, unit)), None)
        ports = {"weight": "a_in"} if hasattr(unit, "a_in") else {"weight": "a_real_in", "weight_imag": "a_imag_in"}
        self.parts = len(ports)
        links = [(part, link) for part, name in ports.items() for link in _links(getattr(unit, name))]
        arriving = [(part, link) for part, link in links if not link.open]
        synapses = [_synapses(part, link) for part, link in arriving if _kind(link.start.process) == "synapses"]
        self.own = [s for s in synapses if s.source.start.process is unit]
        self.before = [s for s in synapses if s.source.start.process is not unit]
        direct = [link for _, link in arriving if _kind(link.start.process) != "synapses"]
        if not synapses and not direct:
            direct = [links[0][1]]
        self._check(direct)
        self.source = direct[0] if direct else self.before[0].source

    def _check(self, direct: list[_Link]) -> None:
        sources = {id(link.start): link.start.process for link in direct + [s.source for s in self.before]}
        if len(sources) != 1 or (direct and self.own):
            names = " and ".join(map(_name, sources.values())) or "nothing but itself"
            why = f"gets its input from {names}: lambent's networks for Loihi 2 are chains of layers"
            raise _refused(self.unit, f"{why}; there must be one layer or source before it, behind synapses")
        for link in direct:
            if _kind(link.start.process) == "units" and not link.open:
                why = f"is connected to {_name(self.unit)} without synapses: put a Dense or Conv between them"
                raise _refused(link.start.process, why)
        if direct and type(self.unit).__name__ not in ("LIF", "Delta"):
            raise _refused(
                self.unit, "has no synapses before it, but only LIF and Delta can be the input: put one there"
            )
        if not direct and type(self.unit).__name__ == "Delta":
            raise _refused(self.unit, "has synapses before it, but can only be the input: use SigmaDelta")
        if self.image and not all(s.convolves for s in self.before):
            names = " and ".join(_name(s.process) for s in self.before)
            raise _refused(self.unit, f"gets sums from {names}: give the units one Conv, or Dense and Sparse alone")
        if self.own and self.parts == 2:
            raise _refused(self.own[0].process, "connects resonators with each other: lambent has no such layer")

    @property
    def image(self) -> bool:
        """Whether kernels lead to the units."""
        return any(s.convolves for s in self.before)

    @property
    def place(self) -> np.ndarray:
        """For each unit in lambent's order its place in Lava's."""
        return _places(self.unit.s_out.shape)


def _turns_into(process: Any, unit: Any) -> bool:
    """Whether it is a block of NetX that says how numbers are to be fed to `unit`."""
    return getattr(process, "neuron", None) is unit and isinstance(getattr(process, "transform", None), dict)


def _synapses(part: str, link: _Link) -> _Synapses:
    process = link.start.process
    sources = _links(process.s_in)
    if len(sources) != 1:
        names = " and ".join(_name(source.start.process) for source in sources)
        raise _refused(process, f"gets spikes from {names}: give each its own synapses")
    source = sources[0]
    if not source.open and _kind(source.start.process) == "synapses":
        raise _refused(process, f"has no units before it, but {_name(source.start.process)}: put units between them")
    return _Synapses(process, part, link.index, source)


def _places(shape: tuple[int, ...]) -> np.ndarray:
    """Lava has images as (width, height, channels), lambent as (channels, height, width); other shapes are flat."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    return (index.transpose() if len(shape) == 3 else index).ravel()


def _shape(shape: tuple[int, ...]) -> np.ndarray:
    return np.array(shape[::-1] if len(shape) == 3 else [int(np.prod(shape))])


def _straight(index: np.ndarray) -> bool:
    return np.array_equal(index.ravel(), np.arange(index.size))


def _chain(layers: list[_Layer]) -> list[_Layer]:
    """The layers from the input on; anything but a chain is refused."""
    if not layers:
        raise ValueError(f"there are no units among the processes: lambent knows {', '.join(UNITS)}")
    owners = {id(layer.unit) for layer in layers}
    behind: dict[int, list[_Layer]] = {}
    for layer in layers:
        process = layer.source.start.process
        from_unit = id(process) in owners and not layer.source.open
        behind.setdefault(id(process) if from_unit else 0, []).append(layer)
    chain: list[_Layer] = []
    following = behind.get(0, [])
    while following:
        if len(following) > 1:
            names = " and ".join(_name(layer.unit) for layer in following)
            where = _name(chain[-1].unit) if chain else "the input"
            raise ValueError(f"{names} all follow {where}: lambent's networks for Loihi 2 are chains; keep one")
        chain += following
        following = behind.get(id(chain[-1].unit), [])
    rest = [_name(layer.unit) for layer in layers if layer not in chain]
    if rest:
        raise ValueError(f"{' and '.join(rest)}: no input leads there; start from a source")
    return chain


def _values(chain: list[_Layer]) -> dict[str, Any]:
    first = chain[0]
    columns, in_shape = _input(first)
    found: dict[str, Any] = {"n_layers": len(chain), "in_shape": in_shape, "dt": 1.0}
    found["message_bits"] = _bits(first.before, graded=False)
    place, image = columns, len(in_shape) == 3
    for i, layer in enumerate(chain):
        after = chain[i + 1].before if i + 1 < len(chain) else []
        values = _layer_values(layer, place, image, after)
        found |= {f"{i}/{name}": value for name, value in values.items()}
        place, image = layer.place, values["kind"] == "conv" or (not layer.before and len(values["shape"]) == 3)
    return found


def _input(first: _Layer) -> tuple[np.ndarray, np.ndarray]:
    """For each unit of the input in lambent's order its place in Lava's; the input's shape in lambent."""
    if not first.before:
        shape = first.unit.s_out.shape
        return _places(shape), _shape(shape)
    if first.image:  # what goes into a convolution is an image, whatever shape it came in
        index = first.source.index
        return index.transpose().ravel(), np.array(index.shape[::-1])
    shape = first.source.start.shape
    return _places(shape), _shape(shape)


def _layer_values(layer: _Layer, before: np.ndarray, image: bool, after: list[_Synapses]) -> dict[str, Any]:
    """All values of a layer behind units numbered as `before` says."""
    units, parameters = UNITS[type(layer.unit).__name__](layer.unit)
    values: dict[str, Any] = {"units": units}
    if not layer.before:
        values |= _input_values(layer, parameters)
    elif layer.image:
        _check_image(layer, before, image)
        values |= _conv(layer)
    else:
        values |= _dense(layer, before)
    for name, value in ({"bias": np.zeros(layer.unit.s_out.shape)} | parameters).items():
        values[name] = value.ravel()[layer.place].astype(np.int32)
    if units in ("SigmaDelta", "Sigma"):
        values["message_bits"] = _bits(after + layer.own, graded=True) or GRADED_BITS
    return values


def _check_image(layer: _Layer, before: np.ndarray, image: bool) -> None:
    own = layer.before[0]
    if not image:
        raise _refused(own.process, "follows units behind a Dense: in lambent only images, from Conv, go into Conv")
    if any(not np.array_equal(s.source.index.transpose().ravel(), before) for s in layer.before):
        raise _refused(own.process, "its input is transposed or reshaped: connect (width, height, channels) directly")


def _bits(synapses: list[_Synapses], graded: bool) -> int:
    """Bits of the values on the way to `synapses`, which are all for such if one is, or `graded` says so."""
    bits = [s.bits for s in synapses]
    if graded or any(bits):
        for own, n in zip(synapses, bits, strict=True):
            if n == 0:
                raise _refused(own.process, "takes graded spikes for plain ones: set num_message_bits, for example 16")
    return max(bits, default=0)


def _input_values(layer: _Layer, parameters: dict[str, np.ndarray]) -> dict[str, Any]:
    """Units that numbers go into; changes `parameters`."""
    gain, offset = 1, 0
    bias = parameters.pop("bias", np.zeros(1, np.int64))
    if (bias != bias.flat[0]).any() or (bias.any() and (parameters["iDecay"] != 4096).any()):
        why = "is the input: its bias must be 0, or the same for all units with du 4095"
        raise _refused(layer.unit, f"{why}: put a Dense before it")
    if layer.block is not None:
        gain, offset = int(layer.block.transform["weight"]), int(layer.block.transform["bias"])
        if "iDecay" in parameters and layer.source.open:  # NetX feeds such units by their bias, past the current
            parameters["iDecay"] = np.full_like(parameters["iDecay"], 4096)
    offset += int(bias.flat[0])
    return {"kind": "input", "shape": _shape(layer.unit.s_out.shape), "gain": gain, "offset": offset}


# -- the command ------------------------------------------------------------------------------------------------------


def _module(name: str) -> ModuleType:
    """A module by the path of its file or by its name."""
    path = Path(name)
    folder = path.parent if path.suffix == ".py" else Path()
    sys.path.insert(0, str(folder.resolve()))
    if path.suffix != ".py":
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        sys.exit(f"{path}: no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickles look there
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("processes", metavar="MODULE:NAME", help="a process, a list of some, or a function for them")
    parser.add_argument("output", type=Path, metavar="OUT.npz", help="the .npz file to write")
    args = parser.parse_args()
    module, colon, name = args.processes.rpartition(":")
    if not colon:
        parser.error(f"{args.processes}: must be MODULE:NAME, for example my_network.py:lif")
    if args.output.suffix != ".npz" or not args.output.parent.is_dir():
        sys.exit(f"{args.output}: must end in .npz and lie in a folder that is there")
    try:
        found = getattr(_module(module), name, None)
    except ModuleNotFoundError as error:
        sys.exit(f"{module}: cannot be imported ({error})")
    if found is None:
        sys.exit(f"{module}: has no {name}")
    if callable(found) and not _is_process(found):
        if inspect.signature(found).parameters:
            sys.exit(f"{args.processes}: needs arguments; give a function without any, or the processes themselves")
        found = found()
    try:
        values = values_of(found)
    except ValueError as error:
        sys.exit(str(error))
    np.savez_compressed(args.output, **values)
    print(f"wrote {args.output}: layers {values['n_layers']}; lambent.hardware.loihi2.load_lava reads it")


if __name__ == "__main__":
    main()
