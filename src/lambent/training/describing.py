"""Hidden layers in words, a line each, as settings and the command line take them.

256 recurrent                          256 LIF units that every input reaches, connected among themselves
adaptive 256 recurrent tau_adapt 200   other units, whose parameters may be given
sparse 512 density 0.1 delay 0         a tenth of all connections, without delays
conv 16 5x5 stride 2                   16 channels, of a map (28x28) or of two (2x34x34)
conv 16 21 stride 7 resonator          16 channels along a signal, such as a cochlea's
64 payload_bits 4                      spikes that say how far above threshold the unit was
conv 16 11% stride 3%                  the same, whatever the number of inputs
pool 2x2                               sums over windows of a map
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from lambent.connections import Conv1d, Conv2d, Dense, Sparse, SumPool2d
from lambent.layers import LIF, Spiking
from lambent.neurons import LIF as LIFNeuron
from lambent.neurons import AdaptiveLIF, AdLIF, Neuron, RefractoryLIF, Resonator
from lambent.neurons.payload import MOST_BITS

NEURONS: dict[str, type[Neuron]] = {
    "lif": LIFNeuron,
    "adaptive": AdaptiveLIF,
    "adlif": AdLIF,
    "refractory": RefractoryLIF,
    "resonator": Resonator,
}
CONNECTIONS = {
    "dense": (),
    "sparse": ("density",),
    "conv": ("stride", "padding", "dilation", "groups"),
    "pool": ("stride", "padding"),
}
"""Kinds of connections, and what may be said of each besides `delay`."""

_FROM_ZERO = ("be a number from 0 on", lambda x: x >= 0)
_POSITIVE = ("be a positive number", lambda x: x > 0)
_LARGEST = 1 << 28  # weights of a layer: 8 GB with what Adam keeps; more is a slip


class Share(float):
    """A size as a share of the length of a signal."""

    def of(self, length: int) -> int:
        """The size, at least 1 unless it is 0 %."""
        return max(1, round(self * length)) if self else 0


Sizes = tuple[int | Share, ...]


@dataclass(frozen=True)
class Description:
    """What a line says of a layer.

    Attributes:
        text: the line.
        connections, neuron: keys of `CONNECTIONS` and `NEURONS`.
        numbers: units or channels, and then the kernel; of signals it and `options` may hold a `Share` of their length.
        recurrent: whether the units are connected among themselves.
        options: of the connections.
        values: of the neuron.
        payload_bits: that spikes carry; 0 for none.
    """

    text: str
    connections: str = "dense"
    neuron: str = "lif"
    numbers: tuple[Sizes, ...] = ()
    recurrent: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    payload_bits: int = 0


def describe(text: str) -> Description:
    """Read a line.

    Raises:
        ValueError: it says something unknown, twice, or not enough.

    >>> describe("conv 16 5x5 stride 2").options
    {'stride': (2,)}
    """
    words, numbers = text.lower().split()[::-1], []
    found: dict[str, Any] = {}
    given: dict[str, str] = {}
    while words:
        word = words.pop()
        if word in CONNECTIONS or word in NEURONS:
            side = "connections" if word in CONNECTIONS else "neuron"
            if found.get(side, word) != word:
                raise ValueError(f"layer {text!r}: is {found[side]} or {word}?")
            _once(text, word, found.values())
            found[side] = word
        elif word == "recurrent":
            _once(text, word, found)
            found["recurrent"] = True
        elif word[0].isdigit():
            numbers.append(_sizes(text, "sizes", word))
        else:
            if not words:
                known, every = _known(word, found)
                what = "lacks its value" if word in every else "is unknown, or lacks its value"
                raise ValueError(f"layer {text!r}: {word!r} {what}; {known}")
            _once(text, word, given)
            given[word] = words.pop()
    if bits := given.pop("payload_bits", ""):
        if not bits.isdecimal() or int(bits) > MOST_BITS:
            raise ValueError(f"layer {text!r}: payload_bits must be a whole number from 0 to {MOST_BITS}, got {bits!r}")
        found["payload_bits"] = int(bits)
    made = Description(text, numbers=tuple(numbers), **found)
    kind = NEURONS[made.neuron]
    parameters = {f.name: f.default for f in fields(kind) if f.name not in ("min_slope", "bias")}
    for name, value in given.items():
        if name == "delay":
            made.options[name] = _number(text, name, value, *_FROM_ZERO)
        elif name == "density":
            made.options[name] = _number(text, name, value, "lie in (0, 1]", lambda x: 0 < x <= 1)
        elif name in CONNECTIONS[made.connections]:
            made.options[name] = (_whole if name == "groups" else _sizes)(text, name, value)
        elif name in parameters:
            text_like = isinstance(parameters[name], str)
            if text_like:
                made.values[name] = value
            else:
                made.values[name] = _number(text, name, value, *_FROM_ZERO if name in kind.from_zero else _POSITIVE)
        else:
            raise ValueError(f"layer {text!r}: {name!r} is unknown; {_known(name, found)[0]}")
    if "density" in made.options and made.connections != "sparse":
        raise ValueError(f"layer {text!r}: density is of sparse connections")
    wanted = 2 if made.connections == "conv" else 1
    if len(numbers) != wanted or (made.connections != "pool" and len(numbers[0]) != 1):
        needs = {"conv": "channels and a kernel, such as conv 16 5x5", "pool": "a window, such as pool 2x2"}
        what = needs.get(made.connections, "a number of units, such as 256 recurrent")
        raise ValueError(f"layer {text!r}: needs {what}{', and no more sizes' if len(numbers) > wanted else ''}")
    if any(isinstance(x, Share) for sizes in (numbers[:1] if wanted == 2 else numbers) for x in sizes):
        raise ValueError(f"layer {text!r}: only what a convolution's kernel is like can be a share of the inputs")
    if made.connections == "sparse" and "density" not in made.options:
        raise ValueError(f"layer {text!r}: needs a density, such as sparse 256 density 0.1")
    if made.recurrent and made.connections in ("conv", "pool"):
        raise ValueError(f"layer {text!r}: only dense and sparse layers are recurrent")
    kind(**made.values)  # refuses what units cannot have
    return made


def check_steps(said: Description, usual: Mapping[str, Any], dt: float, max_delay: float) -> None:
    """Raise ValueError if a layer says what its units cannot do in steps of `dt` [ms].

    Args:
        usual: parameters of neurons where the layer does not say them.
        max_delay: longest delay there is [ms].
    """
    values = _with_usual(NEURONS[said.neuron], usual, said.values)
    for name, (low, _) in NEURONS[said.neuron]().bounds(dt).items():
        if low is not None and values.get(name, low) < low:
            raise ValueError(
                f"layer {said.text!r}: {name} must be at least {low:g}, at dt {dt:g}, got {values[name]:g}"
            )
    if said.options.get("delay", 0.0) > max_delay:
        raise ValueError(f"layer {said.text!r}: delay must be at most {max_delay:g} ms, got {said.options['delay']:g}")


def _with_usual(kind: type[Neuron], usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What the layer says of its units, and else what is usual, as far as they have it; resonators have their own."""
    names = {f.name for f in fields(kind)}
    return {name: x for name, x in usual.items() if "tau_syn" in names and name in names} | {**own}


def shape_of(text: str) -> tuple[int, ...]:
    """How inputs lie, from "28x28" or "2x34x34", as (channels, ...).

    Raises:
        ValueError: these are no sizes.
    """
    try:
        shape = _whole(text, "input_shape", text)
    except ValueError:
        raise ValueError(f"input_shape must be whole numbers such as 28x28 or 2x34x34, got {text!r}") from None
    return (1, *shape) if len(shape) < 3 else shape


def shape_of_inputs(text: str, n_units: int) -> tuple[int, ...]:
    """As `shape_of`, of so many units; (units,) where `text` is empty.

    Raises:
        ValueError: these are not so many units.
    """
    shape = shape_of(text) if text else (n_units,)
    if math.prod(shape) != n_units:
        raise ValueError(f"input_shape {text} has {math.prod(shape)} units, the data have {n_units}")
    return shape


@dataclass(frozen=True)
class Defaults:
    """What layers are where their lines do not say.

    Attributes:
        dt, max_delay, delay: [ms]; initial delays are uniform in [0, delay].
        longest: [ms] that initial delays are at most, whatever is said.
        values: parameters of neurons; those that a neuron does not have are passed over.
        spread: of time constants over units or channels (sigma of a log-normal).
    """

    dt: float
    max_delay: float
    delay: float
    longest: float
    values: dict[str, Any]
    spread: float


def make_layer(
    said: Description, shape: tuple[int, ...], defaults: Defaults, generator: torch.Generator
) -> tuple[Spiking, tuple[int, ...]]:
    """The layer that a line describes, behind inputs of `shape`, and the shape of what it gives.

    Raises:
        ValueError: it does not fit its inputs; names the line.
    """
    connect, size, shape_out = _connect(said, shape)
    longest, delay = min(said.options.get("delay", defaults.delay), defaults.longest), None
    if longest and size:
        delay = torch.rand(size, generator=generator) * longest
    kind = NEURONS[said.neuron]
    values = _with_usual(kind, defaults.values, said.values)
    channels, each = shape_out[0], math.prod(shape_out[1:])
    bounds = kind(**values).bounds(defaults.dt)
    for name in kind.time_constants:
        tau = values.get(name, getattr(kind, name))
        drawn: Tensor = tau * torch.exp(defaults.spread * torch.randn(channels, generator=generator))
        values[name] = drawn.clamp(*bounds[name]).repeat_interleave(each)
    common: Any = {"dt": defaults.dt, "max_delay": defaults.max_delay, "payload_bits": said.payload_bits or None}
    n_in, n_out = math.prod(shape), math.prod(shape_out)
    if kind is LIFNeuron and said.connections == "dense":
        return LIF(n_in, n_out, recurrent=said.recurrent, delay=delay, **values, **common), shape_out
    among: Any = None
    if said.recurrent:
        density = said.options.get("density")
        among = Dense(n_out, n_out) if density is None else Sparse(n_out, n_out, density=density)
    return Spiking(kind(**values), connect(delay), among, **common), shape_out


def weights_of_all(layers: Iterable[Description], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of the weights of layers one behind the other.

    Raises:
        ValueError: one does not fit its inputs; names the line.
    """
    found = []
    for said in layers:
        weights, shape = _connect(said, shape)[1:]
        found.append(weights)
    return found


_Connect = tuple[Callable[[Tensor | None], Any], tuple[int, ...], tuple[int, ...]]
"""A function of delays that makes connections, the shape of their weights, and that of what they give."""


def _connect(said: Description, shape: tuple[int, ...]) -> _Connect:
    try:
        return _fitting(said, shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"layer {said.text!r}: {error}") from error


def _fitting(said: Description, shape: tuple[int, ...]) -> _Connect:
    n_in = math.prod(shape)
    if said.connections in ("dense", "sparse"):
        n_out, density = int(said.numbers[0][0]), said.options.get("density", 1.0)
        if not n_out:
            raise ValueError("needs at least one unit")
        n = max(1, round(density * n_in * n_out))
        _check_room(n)
        if said.connections == "dense":
            return lambda delay: Dense(n_in, n_out, delay=delay), (n_in, n_out), (n_out,)
        return lambda delay: Sparse(n_in, n_out, density=density, delay=delay), (n,), (n_out,)
    flat = len(shape) < 3
    length = shape[-1] if flat else 0
    options = {name: x for name, x in said.options.items() if name not in ("delay", "density")}
    groups = options.pop("groups", (1,))[0]
    sizes: Any = {name: _one_or_two(_in_units(x, length)) for name, x in options.items()}
    *channels, kernel = (_in_units(x, length) for x in said.numbers)
    if flat and (len(kernel) > 1 or not channels):  # a pool has no channels of its own
        raise ValueError("its inputs do not lie in a map; --input-shape says how they do, such as 28x28 or 2x34x34")
    if not channels:
        pool = SumPool2d(shape, _one_or_two(kernel), **sizes)
        return lambda delay: pool, (), pool.shape_out
    lies = (1, *shape) if len(shape) == 1 else shape
    size = (channels[0][0], lies[0] // max(groups, 1), *(kernel if flat else (*kernel, *kernel)[:2]))
    _check_room(math.prod(size))

    def connect(delay: Tensor | None, weight: Tensor | None = None) -> Conv2d:
        kind: Any = Conv1d if flat else Conv2d
        return kind(lies, size[0], _one_or_two(kernel), groups=groups, delay=delay, weight=weight, **sizes)

    return connect, size, connect(None, torch.zeros(size)).shape_out


def _check_room(n_weights: int) -> None:
    if n_weights > _LARGEST:
        raise ValueError(f"{n_weights:,} weights are too many; at most {_LARGEST:,}")


def _in_units(sizes: Sizes, length: int) -> tuple[int, ...]:
    """Shares as whole numbers, of a signal of this length."""
    if not length and any(isinstance(x, Share) for x in sizes):
        raise ValueError("sizes in % are shares of the length of a signal; its inputs lie in a map")
    return tuple(x.of(length) if isinstance(x, Share) else x for x in sizes)


def _one_or_two(numbers: tuple[int, ...]) -> Any:
    return numbers[0] if len(numbers) == 1 else numbers


def _sizes(text: str, name: str, word: str) -> Sizes:
    """Whole numbers, or "11%"."""
    if not word.endswith("%"):
        return _whole(text, name, word)
    return (Share(_number(text, name, word[:-1], "be a share up to 100 %", lambda x: 0 <= x <= 100) / 100),)


def _whole(text: str, name: str, word: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in word.split("x"))
    except ValueError:
        found = ()
    if "," in word and name == "sizes":
        raise ValueError(f"layer {text!r}: is one layer; for several give --layer again, or --hidden {word}")
    if not 1 <= len(found) <= 3 or min(found) < 0:
        raise ValueError(f"layer {text!r}: {name} must be whole numbers such as 16 or 5x5, got {word!r}")
    return found


def _number(text: str, name: str, word: str, wanted: str, good: Callable[[float], bool]) -> float:
    try:
        found = float(word)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and good(found)):
        raise ValueError(f"layer {text!r}: {name} must {wanted}, got {word!r}")
    return found


def _once(text: str, word: str, before: Iterable[Any]) -> None:
    if word in before:
        raise ValueError(f"layer {text!r}: says {word} twice")


def _known(word: str, found: dict[str, Any]) -> tuple[str, Sequence[str]]:
    """What can be said of such a layer, and what was perhaps meant by `word`; and what takes a value."""
    connections, neuron = found.get("connections", "dense"), found.get("neuron", "lif")
    names = [f.name for f in fields(NEURONS[neuron]) if f.name not in ("min_slope", "bias")]
    words = (*CONNECTIONS, *NEURONS, "recurrent")
    with_value = (*CONNECTIONS[connections], "delay", "payload_bits", *names)
    meant = difflib.get_close_matches(word.partition("=")[0], (*words, *with_value), 1)
    hint = f"did you mean {meant[0]!r}? " if meant and word not in meant else ""
    hint += "values follow behind a space: tau_mem 20; " if "=" in word else ""
    every = f"words are {', '.join(words)}; of {connections} {neuron} layers there is {', '.join(with_value)}"
    return hint + every, with_value
