"""What the nodes between two nodes of units do together, as connections."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lambent.connections import AvgPool2d, Conv1d, Conv2d, Dense, Sparse, SumPool2d
from lambent.connections.connections import Connections
from lambent.connections.matrix import array, as_matrix, spread_out

WEIGHTS = ("Linear", "Affine", "Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
PASSED = ("Input", "Output", "Flatten", "Identity")  # what changes no spike

_MAX_DIRECT = 20_000  # units that pass spikes on without weights, which takes a square matrix


class Synapses(NamedTuple):
    """What reaches units from one source.

    Attributes:
        connections: weights, and delays [ms], float64.
        bias: (n_out,) float64, what is always there as input: the biases of weights.
        shape: of the targets.
    """

    connections: Connections
    bias: np.ndarray
    shape: tuple[int, ...]


class _Values(NamedTuple):
    """What a `Scale` or `Delay` node has.

    Attributes:
        name: of the node.
        of: (n,) float64, factors or [ms].
        delays: whether these are delays.
    """

    name: str
    of: np.ndarray
    delays: bool


def way(path: Sequence[tuple[str, Any]], shape: tuple[int, ...]) -> Synapses:
    """What a path of named nodes does to spikes of units that lie in `shape`.

    Raises:
        ValueError: names the node.
    """
    linear: Connections | None = None
    last = shape
    bias: np.ndarray | None = None
    weights = ""
    before: list[_Values] = []
    behind: list[_Values] = []
    for name, node in path:
        kind = type(node).__name__
        if kind in ("Scale", "Delay"):
            values = _values(name, node, math.prod(last))
            (before if linear is None else behind).append(values)
            bias = bias if values.delays or bias is None else bias * values.of
        elif kind in WEIGHTS + POOLS:
            if kind in WEIGHTS and weights:
                raise ValueError(f"node {name!r}: follows other weights without units between")
            weights = weights or (name if kind in WEIGHTS else "")
            own, constant = _CONNECTIONS[kind](name, node, last)
            linear = own if linear is None else _chained(name, linear, behind, own)
            behind = [] if linear is not own else behind
            if bias is not None and bias.any():
                constant = constant + bias @ spread_out(as_matrix(own), as_matrix(own).weight)
            bias, last = constant, own.shape_out
        elif kind == "Flatten":
            last = _flat(node, last)
    if linear is None:
        if math.prod(shape) > _MAX_DIRECT:
            raise ValueError(f"{math.prod(shape):,} units without weights after them; at most {_MAX_DIRECT:,} can be")
        linear = Dense(math.prod(shape), math.prod(shape), torch.eye(math.prod(shape), dtype=torch.float64))
    return Synapses(_with_values(linear, before, behind), np.zeros(linear.n_out) if bias is None else bias, last)


def together(target: str, ways: Sequence[Synapses]) -> Synapses:
    """What parallel paths do together; each pair of units may have one delay."""
    first = ways[0]
    for own in ways:
        if own.connections.n_out != first.connections.n_out:
            raise ValueError(
                f"node {target!r}: gets {own.connections.n_out} and {first.connections.n_out} inputs from one node"
            )
    bias = sum((own.bias for own in ways), np.zeros(first.connections.n_out))
    found: list[Any] = [own.connections for own in ways]
    if len(found) == 1:
        return Synapses(found[0], bias, first.shape)
    alike = all(isinstance(x, Conv2d) and type(x) is type(found[0]) and x.geometry == found[0].geometry for x in found)
    if not alike:
        found = [as_matrix(x) for x in found]
    spread: Callable[[Any, Any], np.ndarray] = (lambda _, x: array(x)) if alike else spread_out
    total = delay = np.zeros_like(spread(found[0], found[0].weight))
    for own in found:
        weight, lag = spread(own, own.weight), spread(own, _delay(own))
        used, there = total != 0, weight != 0
        if (there & used & (delay != lag)).any():
            raise ValueError(f"node {target!r}: two synapses with different delays between the same two units")
        total, delay = total + weight, np.where(there, lag, delay)
    values = {"weight": torch.from_numpy(total), "delay": torch.from_numpy(delay)}
    if alike:
        return Synapses(found[0].with_values(**values), bias, first.shape)
    return Synapses(Dense(found[0].n_in, found[0].n_out, **values), bias, first.shape)


def _delay(connections: Any) -> Tensor:
    delay: Tensor | None = connections.delay
    return torch.zeros_like(connections.weight) if delay is None else delay


def _with_values(linear: Any, before: Sequence[_Values], behind: Sequence[_Values]) -> Connections:
    """Connections scaled and delayed by the nodes before and behind them."""

    def product(values: Sequence[_Values], n: int) -> np.ndarray:
        return math.prod((x.of for x in values if not x.delays), start=np.ones(n))

    def total(values: Sequence[_Values], n: int) -> np.ndarray:
        return sum((x.of for x in values if x.delays), np.zeros(n))

    scale_in, scale_out = product(before, linear.n_in), product(behind, linear.n_out)
    lag_in, lag_out = total(before, linear.n_in), total(behind, linear.n_out)
    if not isinstance(linear, (Dense, Sparse)):
        channels = 1 if isinstance(linear, SumPool2d) else linear.shape_out[0]
        kept = all(_same(x.reshape(1, -1)) for x in (scale_in, lag_in))
        kept = kept and all(_same(x.reshape(channels, -1)) for x in (scale_out, lag_out))
        lag = torch.from_numpy(lag_out + lag_in[0])
        if kept and not (lag.any() and isinstance(linear, SumPool2d)):
            weight = linear.weight * linear.per_weight(torch.from_numpy(scale_out * scale_in[0]))
            if isinstance(linear, SumPool2d):
                return linear.with_values(weight=weight)
            return linear.with_values(weight=weight, delay=linear.per_weight(lag).expand(weight.shape).clone())
        linear = as_matrix(linear)
    source, target, _, _ = linear.entries()
    shape = linear.weight.shape
    scale = torch.from_numpy(scale_in)[source] * torch.from_numpy(scale_out)[target]
    lag = torch.from_numpy(lag_in)[source] + torch.from_numpy(lag_out)[target]
    return linear.with_values(weight=linear.weight * scale.view(shape), delay=lag.view(shape))


def _same(rows: np.ndarray) -> bool:
    return bool((rows == rows[:, :1]).all())


def _chained(name: str, first: Connections, between: Sequence[_Values], second: Connections) -> Dense | Sparse:
    """Two connections, one behind the other, as one."""
    from scipy.sparse import csr_array

    if any(x.delays for x in between):
        raise ValueError(f"node {name!r}: has a delay and other weights or a pool before it, without units between")
    scaled = _with_values(first, (), between)

    def matrix(connections: Connections) -> Any:
        source, target, weight, _ = connections.entries()
        shape = (connections.n_in, connections.n_out)
        return csr_array((array(weight), (source.numpy(), target.numpy())), shape=shape)

    product = (matrix(scaled) @ matrix(second)).tocoo()
    if isinstance(second, Dense) or isinstance(first, Dense):
        return Dense(first.n_in, second.n_out, torch.from_numpy(product.toarray()))
    indices = torch.from_numpy(np.stack([product.row, product.col]).astype(np.int64))
    return Sparse(first.n_in, second.n_out, indices=indices, weight=torch.from_numpy(product.data))


def _values(name: str, node: Any, n: int) -> _Values:
    delays = type(node).__name__ == "Delay"
    value = np.asarray(node.delay if delays else node.scale, np.float64).reshape(-1)
    if len(value) not in (1, n):
        raise ValueError(f"node {name!r}: has {len(value)} values for {n} units")
    return _Values(name, np.broadcast_to(1000 * value if delays else value, n), delays)


def _linear(name: str, node: Any, shape: tuple[int, ...]) -> tuple[Connections, np.ndarray]:
    matrix = np.asarray(node.weight)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise ValueError(f"node {name!r}: weight must be a matrix of numbers, got shape {matrix.shape}")
    if matrix.shape[1] != math.prod(shape):
        raise ValueError(f"node {name!r}: takes {matrix.shape[1]} inputs, but gets {math.prod(shape)}")
    weight = torch.from_numpy(np.ascontiguousarray(matrix.T, np.float64))
    bias = np.zeros(len(matrix)) if type(node).__name__ == "Linear" else _bias(name, node, len(matrix))
    return Dense(matrix.shape[1], len(matrix), weight), bias


def _conv(name: str, node: Any, shape: tuple[int, ...]) -> tuple[Connections, np.ndarray]:
    axes = int(type(node).__name__[4])
    weight = np.asarray(node.weight)
    if weight.ndim != axes + 2 or weight.dtype.kind not in "fiu":
        raise ValueError(f"node {name!r}: weight must be numbers in {axes + 2} dimensions, got shape {weight.shape}")
    groups = int(node.groups)
    shape = _as_map(name, shape, weight.shape[1] * groups, node.input_shape, axes)
    stride, dilation = (_numbers(name, key, getattr(node, key), axes) for key in ("stride", "dilation"))
    padding = node.padding
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        padding = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        if any(n % 2 for n in padding) or (any(padding) and max(stride) > 1):
            raise ValueError(f"node {name!r}: padding 'same' of a kernel of {kernel} is not the same on both sides")
        padding = [n // 2 for n in padding]
    with _named(name):
        made = (Conv1d if axes == 1 else Conv2d)(
            shape, len(weight), _one_or_more(kernel), _one_or_more(stride),
            _one_or_more(_numbers(name, "padding", padding, axes)), _one_or_more(dilation), groups,
            torch.from_numpy(weight.astype(np.float64)),
        )  # fmt: skip
    bias = _bias(name, node, len(weight))
    return made, np.repeat(bias, made.n_out // len(weight))


def _pool(name: str, node: Any, shape: tuple[int, ...]) -> tuple[Connections, np.ndarray]:
    if len(shape) != 3:
        raise ValueError(f"node {name!r}: pools a map, but gets units that lie in {shape}")
    kernel, stride, padding = (
        _numbers(name, key, getattr(node, key), 2) for key in ("kernel_size", "stride", "padding")
    )
    kind = SumPool2d if type(node).__name__ == "SumPool2d" else AvgPool2d
    with _named(name):
        made = kind(shape, kernel, stride, padding)
    return made.with_values(weight=torch.as_tensor(made.weight).double()), np.zeros(made.n_out)


_CONNECTIONS: dict[str, Callable[[str, Any, tuple[int, ...]], tuple[Connections, np.ndarray]]] = {
    "Linear": _linear,
    "Affine": _linear,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
}


class _named:
    """Puts a node's name before what its connections complain of."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: Any, _trace: Any) -> None:
        if isinstance(error, (TypeError, ValueError)):
            raise ValueError(f"node {self.name!r}: {error}") from error


def _as_map(name: str, shape: tuple[int, ...], channels: int, size: Any, axes: int) -> tuple[int, ...]:
    """The shape of a convolution's input: that of the units before, or, if these lie in a row, what the node says."""
    if len(shape) == axes + 1:
        wanted = shape
    elif size is None:
        raise ValueError(f"node {name!r}: does not say its input_shape, and gets units that lie in {shape}")
    else:
        wanted = (channels, *_numbers(name, "input_shape", size, axes))
    if math.prod(wanted) != math.prod(shape) or wanted[0] != channels:
        raise ValueError(f"node {name!r}: takes {channels} channels in {wanted}, but gets units that lie in {shape}")
    return wanted


def _flat(node: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with some axes made one."""
    try:
        first, last = (int(x) % len(shape) for x in (node.start_dim, node.end_dim))
    except (AttributeError, TypeError, ValueError):
        return (math.prod(shape),)
    return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]) if first <= last else shape


def _bias(name: str, node: Any, n_to: int) -> np.ndarray:
    """The bias (to,) of a node."""
    bias = np.asarray(node.bias)
    if bias.shape not in ((), (n_to,)) or bias.dtype.kind not in "fiu":
        raise ValueError(f"node {name!r}: bias must be {n_to} numbers, got shape {bias.shape}")
    return np.broadcast_to(bias.astype(np.float64), n_to)


def _numbers(name: str, key: str, value: Any, n: int) -> tuple[int, ...]:
    """`n` whole numbers from one or as many."""
    array = np.asarray(value).reshape(-1)
    if len(array) not in (1, n) or array.dtype.kind not in "iuf" or (array != np.floor(array)).any():
        raise ValueError(f"node {name!r}: {key} must be {n} whole numbers, got {value!r}")
    return tuple(int(x) for x in np.broadcast_to(array, n))


def _one_or_more(numbers: Sequence[int]) -> Any:
    return int(numbers[0]) if len(numbers) == 1 else tuple(int(x) for x in numbers)
