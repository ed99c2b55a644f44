"""`Loihi2Network`: what a NetX file says, as plain values, checked; and running it on the chip model.

Several samples run at once, in threads, each through one layer after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from lambent.events import Events, n_steps
from lambent.hardware.loihi2.constants import Constants, State, constants_of
from lambent.hardware.loihi2.kernels import lists
from lambent.hardware.loihi2.kernels.lists import NO_VALUES, Drive, Sample, Spikes
from lambent.hardware.loihi2.layers.base import BIAS_LIMIT, Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.neurons import CUBA, MAX_MESSAGE_BITS, MEANT_NEVER
from lambent.hardware.loihi2.readout import Average, Readout
from lambent.layers.recording import recorded, recorded_table
from lambent.machine.threads import in_threads
from lambent.machine.warn import warn_caller

SpikeLists = tuple[np.ndarray, np.ndarray]
"""Offsets (steps + 1,) and units of one sample's spikes."""

_MAX_RESET = (1 << 31) - 1
_RECORDABLE = ("spikes", "current", "voltage")


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What a network did: one array (batch, n_i, steps) per layer i, empty tuples for what was not recorded.

    Attributes:
        spikes: int8, 1 where a unit spiked; int32, the values sent, for sigma-delta units.
        current, voltage: int32, in the chip's units; column t is the state after time step t + 1, voltages
            after the reset. For sigma-delta units these are sigma and act, for resonate-and-fire units the
            real and the imaginary part.
        inputs: for every sample the spikes that went in, (offsets, units): those of step t are
            `units[offsets[t]:offsets[t + 1]]`; none where the network's own input units take numbers.
    """

    spikes: tuple[np.ndarray, ...] = ()
    current: tuple[np.ndarray, ...] = ()
    voltage: tuple[np.ndarray, ...] = ()
    inputs: tuple[SpikeLists, ...] = ()

    def __repr__(self) -> str:
        return f"Recording({recorded(self._arrays())})"

    def _repr_html_(self) -> str:
        return recorded_table(self._arrays())

    def _arrays(self) -> dict[str, tuple[np.ndarray, ...]]:
        return {name: getattr(self, name) for name in _RECORDABLE}


@dataclass(frozen=True, eq=False)
class Loihi2Network:
    """A chain of layers behind `n_in` input units.

    Attributes:
        n_in: number of input units.
        layers: at least one `Loihi2Layer` or `ConvLayer`; the first may be an `InputLayer`.
        dt: length of a step [ms].
        readout: how the last layer's voltages or spikes become class scores, or None.
        in_shape: shape of the input, (n_in,) or (channels, height, width); the first layer's where left out.
        message_bits: 0 where input spikes are just spikes; else they carry values of this many bits and a sign.
        reset_interval: current and voltage of CUBA units are set to 0 every so many steps, as by Lava's
            ``netx.hdf5.Network(reset_interval=, reset_offset=)``; None for never.
        reset_offset: layer i is reset before each step t, counted from 0, where t - reset_offset - i is a multiple of
            `reset_interval`: a layer later than the one before it, as spikes take a step. What is on its way arrives.

    Raises:
        TypeError: `reset_interval` or `reset_offset` is no whole number.
        ValueError: no layers, sizes that do not follow from each other, a `dt` that is not positive, a reset out of
            range.

    Two samples, each of two steps, in one go:

    >>> import numpy as np
    >>> from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network
    >>> layer = Loihi2Layer("layer/1", "dense", np.array([[1]]), neuron=CUBA(0, 0, 100))
    >>> network = Loihi2Network(1, [layer], reset_interval=2)
    >>> network.run(np.ones((1, 1, 4), int)).voltage[0]
    array([[[  0,  64,  64, 192]]], dtype=int32)
    """

    n_in: int
    layers: Sequence[Layer]
    dt: float = 1.0
    readout: Readout | Average | None = None
    in_shape: tuple[int, ...] = ()
    message_bits: int = 0
    reset_interval: int | None = None
    reset_offset: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be positive and finite [ms], got {self.dt}")
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        if self.in_shape and math.prod(self.in_shape) != self.n_in:
            raise ValueError(f"in_shape: {tuple(self.in_shape)} are not {self.n_in} units")
        object.__setattr__(self, "in_shape", tuple(int(n) for n in self.in_shape or self.layers[0].in_shape))
        if not isinstance(self.message_bits, int) or not 0 <= self.message_bits <= MAX_MESSAGE_BITS:
            raise ValueError(f"message_bits must be a whole number from 0 to {MAX_MESSAGE_BITS}")
        if self.message_bits and isinstance(self.layers[0], InputLayer):
            raise ValueError("message_bits: an input layer with units takes numbers, not spikes")
        self._check_sizes()
        self._check_reset()
        if self.readout is not None:
            self.readout.check(self.n_out)

    @property
    def n_out(self) -> int:
        """Number of units of the last layer."""
        return self.layers[-1].n_out

    @cached_property
    def constants(self) -> tuple[Constants, ...]:
        """The layers in the form that the kernels take."""
        interval, offset = self.reset_interval or 0, self.reset_offset
        return tuple(constants_of(layer, interval, offset + i) for i, layer in enumerate(self.layers))

    def run(
        self,
        spikes: Events | Tensor | np.ndarray,
        record: Sequence[str] = ("spikes", "current", "voltage"),
        *,
        mantissas: bool = False,
    ) -> Recording:
        """Run every sample from rest, bit for bit as Lava's fixed-point models do.

        Samples are spread over `torch.get_num_threads()` threads; their number does not change the result.

        Args:
            spikes: (batch, n_in, steps) or (batch, *in_shape, steps), steps last as in what is recorded
                (`Events.to_dense` has them before the units), integers or bool, or `Events` of `n_in`
                units, which are put on the grid of `dt`. Spikes carry no value: several of one unit in one
                step are one. With `message_bits` entries are the values that spikes carry; where the first
                layer is an `InputLayer` they are its numbers x, which may be floating point. In `Events`,
                each spike then counts 1.
            record: what to return, any of "spikes", "current", "voltage"; nothing else is allocated.
            mantissas: `spikes` are the mantissas of the `InputLayer` themselves, whole numbers within +-131071, which
                its gain and bias have been applied to.

        Raises:
            TypeError: `spikes` are not integers.
            ValueError: they have the wrong shape, are negative or out of range, or `record` names something
                unknown.
        """
        return _run(self, spikes, record, mantissas=mantissas)

    def logits(self, spikes: Events | Tensor | np.ndarray, chunk: int = 64, *, mantissas: bool = False) -> np.ndarray:
        """Class scores float64 (batch, n_classes) of `spikes` or `mantissas` (as for `run`), `chunk` samples at a time.

        Only the last layer's voltages or spikes of one chunk are held in memory.

        Raises:
            ValueError: the network has no `readout`, or as `run`.
        """
        if self.readout is None:
            raise ValueError("the network has no readout: run() it and read spikes or voltages")
        parts = []
        for first in range(0, max(1, len(spikes)), chunk):
            own = spikes[first : first + chunk]
            recording = _run(self, own, (self.readout.reads,), last_only=True, mantissas=mantissas)
            parts.append(self.readout.scores(recording))
        return np.concatenate(parts)

    def stream(self) -> Stream:
        """The network at rest, to be run on and on."""
        return Stream(self)

    def _check_sizes(self) -> None:
        shape = self.in_shape
        if math.prod(shape) != self.n_in:
            raise ValueError(f"{self.layers[0].name}/weight: takes {math.prod(shape)} inputs, but gets {self.n_in}")
        for i, layer in enumerate(self.layers):
            if isinstance(layer, InputLayer) and i > 0:
                raise ValueError(f"{layer.name}/type: only the first layer can be an input")
            if isinstance(layer, (ConvLayer, InputLayer)) and layer.in_shape != shape:
                raise ValueError(f"{layer.name}: takes units of shape {layer.in_shape}, but gets {shape}")
            if layer.n_in != math.prod(shape):
                raise ValueError(f"{layer.name}/weight: takes {layer.n_in} inputs, but gets {math.prod(shape)}")
            shape = layer.shape

    def _check_reset(self) -> None:
        for name, low in (("reset_interval", 1), ("reset_offset", 0)):
            value = getattr(self, name)
            if value is None and name == "reset_interval":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be a whole number of steps, got {value!r}")
            if not low <= value <= _MAX_RESET:
                raise ValueError(f"{name} must be a whole number of steps from {low} to {_MAX_RESET}, got {value}")
            object.__setattr__(self, name, int(value))
        if self.reset_interval is None:
            return
        kept = [layer.name for layer in self.layers if not isinstance(layer.neuron, CUBA)]
        if kept:
            warn_caller(
                f"reset_interval: as in Lava only CUBA units are reset, and those of {', '.join(kept)} are none; "
                "without it samples run one by one, each from rest"
            )

    def __repr__(self) -> str:
        shapes = (self.in_shape, *(layer.shape for layer in self.layers))
        sizes = "-".join("x".join(map(str, shape)) for shape in shapes)
        kinds = ", ".join(layer.kind for layer in self.layers)
        return f"Loihi2Network({sizes}: {kinds}; dt={self.dt:g} ms)"


def check_network(network: object) -> None:
    """Raise TypeError if this is no network on the chip, such as a model that was not converted yet."""
    if not isinstance(network, Loihi2Network):
        raise TypeError(
            f"this takes a Loihi2Network, got {type(network).__name__}; export_netx converts and writes a model"
        )


class Stream:
    """A network that goes on from where it was, as the chip does: block after block of one stream, without end.

    Blocks of any lengths give, bit for bit, what the whole stream gives at once.

    Attributes:
        network: the `Loihi2Network`.
        steps: time steps so far.

    Example:
        >>> import numpy as np
        >>> from lambent.hardware.loihi2 import CUBA, Loihi2Layer, Loihi2Network
        >>> layer = Loihi2Layer("layer/1", "dense", np.array([[1]]), neuron=CUBA(0, 0, 100))
        >>> stream = Loihi2Network(1, [layer]).stream()
        >>> [stream.run(np.ones((1, 1, 2), int)).voltage[0].tolist() for _ in range(2)]
        [[[[0, 64]]], [[[192, 384]]]]
    """

    def __init__(self, network: Loihi2Network) -> None:
        self.network, self.steps = network, 0
        self._states = [layer.at_rest() for layer in network.constants]

    def run(
        self, spikes: Events | Tensor | np.ndarray, record: Sequence[str] = ("spikes", "current", "voltage")
    ) -> Recording:
        """Run the next block, a batch of one; see `Loihi2Network.run`.

        Raises:
            TypeError, ValueError: as `Loihi2Network.run`, or there are other than one sample.
        """
        if len(spikes) != 1:
            raise ValueError(f"a stream's block is a batch of one, got {len(spikes)} samples")
        recording = _run(self.network, spikes, record, carried=(self._states, self.steps))
        self.steps += len(recording.inputs[0][0]) - 1
        return recording


def _run(
    network: Loihi2Network,
    spikes: Events | Tensor | np.ndarray,
    record: Sequence[str],
    last_only: bool = False,
    mantissas: bool = False,
    carried: tuple[Sequence[State], int] | None = None,
) -> Recording:
    """Run all samples; `last_only` records of the last layer alone. See `Loihi2Network.run`.

    With `carried`, the layers' states and the steps so far, the one sample goes on from there.
    """
    unknown = [name for name in record if name not in _RECORDABLE]
    if unknown or isinstance(record, str):
        raise ValueError(f"record must list any of {', '.join(_RECORDABLE)}, got {record!r}")
    batch, steps, sample = _samples(network, spikes, mantissas)

    # Steps before units, so that the kernel writes whole rows; handed out transposed.
    layers, constants = network.layers, network.constants  # built before threads could do so twice
    sizes = [layer.n_out if i == len(layers) - 1 or not last_only else 0 for i, layer in enumerate(layers)]
    dtypes = [np.dtype(np.int32 if layer.neuron.graded else np.int8) for layer in layers]
    arrays: dict[str, list[np.ndarray]] = {
        "spikes": [np.zeros((batch, steps, n), d) for n, d in zip(sizes, dtypes, strict=True) if "spikes" in record],
        "current": [np.empty((batch, steps, n), np.int32) for n in sizes if "current" in record],
        "voltage": [np.empty((batch, steps, n), np.int32) for n in sizes if "voltage" in record],
    }

    def trace(name: str, i: int, b: int) -> np.ndarray:
        if name in record and sizes[i]:
            return arrays[name][i][b]
        return np.zeros((0, 0), dtypes[i] if name == "spikes" else np.int32)

    nothing = np.zeros(steps + 1, np.int64), np.zeros(0, np.int32)
    inputs: list[SpikeLists] = [nothing] * batch

    quiet = {i for i, layer in enumerate(layers) if np.all(getattr(layer.neuron, "v_th_mant", 0) == MEANT_NEVER)}
    fired: set[int] = set()

    def one_sample(b: int) -> None:
        signal = sample(b)
        if isinstance(signal, Spikes):
            inputs[b] = signal.offsets, signal.units
        for i, layer in enumerate(constants):
            state, first = (None, 0) if carried is None else (carried[0][i], carried[1])
            traces = [trace(name, i, b) for name in _RECORDABLE]
            signal = layer.run(signal, traces[0], traces[1], traces[2], state, first)
            if i in quiet and isinstance(signal, Spikes) and len(signal.units):
                fired.add(i)

    in_threads(one_sample, range(batch))
    for i in sorted(fired):
        warn_caller(
            f"{layers[i].name}: units that were meant never to spike did (vThMant is 2^16, a threshold of 2^22, and "
            "voltages reach 2^23): what follows them, and their voltages after a spike, are not what was trained"
        )
    recorded = {name: tuple(a.transpose(0, 2, 1) for a in traces) for name, traces in arrays.items()}
    return Recording(**recorded, inputs=tuple(inputs))


def _samples(
    network: Loihi2Network, spikes: Events | Tensor | np.ndarray, mantissas: bool
) -> tuple[int, int, Callable[[int], Sample]]:
    """Batch size, number of steps, and a function that gives sample b. See `Loihi2Network.run`."""
    if mantissas and not isinstance(network.layers[0], InputLayer):
        raise ValueError("mantissas: are for units of the input, and the network's first layer is no InputLayer")
    if isinstance(spikes, Events):
        if mantissas:
            raise TypeError("mantissas must be whole numbers (batch, n_in, steps), got Events")
        return _from_events(network, spikes)
    dense = spikes.detach().cpu().numpy() if isinstance(spikes, Tensor) else np.asarray(spikes)
    return _from_dense(network, dense, mantissas)


def _from_events(network: Loihi2Network, events: Events) -> tuple[int, int, Callable[[int], Sample]]:
    n_in, first = network.n_in, network.layers[0]
    if events.values is not None:
        raise ValueError(
            "the input of a chip network carries no values (Events.values); leave them out, events.with_values(None), "
            "or give whole numbers (batch, n_in, steps)"
        )
    if events.n_units != n_in:
        raise ValueError(f"events have {events.n_units} units, the network takes {n_in}")
    steps = n_steps(events.duration, network.dt)
    event_steps, units, offsets = (x.cpu().numpy() for x in (events.steps(network.dt), events.units, events.offsets))

    def sample(b: int) -> Sample:
        own = slice(offsets[b], offsets[b + 1])
        packed, where, counts = lists.pack_events(event_steps[own], units[own], n_in, steps)
        if isinstance(first, InputLayer):
            values = np.zeros((steps, n_in))
            values[np.repeat(np.arange(steps), np.diff(packed)), where] = counts
            return Drive(first.mantissas(values))
        return Spikes(packed, where, counts if network.message_bits else NO_VALUES)

    return len(events), steps, sample


def _from_dense(network: Loihi2Network, dense: np.ndarray, mantissas: bool) -> tuple[int, int, Callable[[int], Sample]]:
    n_in, first = network.n_in, network.layers[0]
    driven = isinstance(first, InputLayer)
    what = "mantissas" if mantissas else "spikes"
    if dense.dtype.kind not in ("iub" if mantissas or not driven else "iubf"):
        raise TypeError(f"{what} must be integers{'' if mantissas else ' or bool'}, got {dense.dtype}")
    if dense.ndim > 3 and dense.shape[1:-1] == network.in_shape:
        dense = dense.reshape(len(dense), n_in, dense.shape[-1])
    if dense.ndim != 3 or dense.shape[1] != n_in or dense.shape[2] == 0:
        turned = dense.ndim == 3 and dense.shape[2] == n_in
        hint = ": steps come last here, so swap the last two axes, as of Events.to_dense" if turned else ""
        raise ValueError(f"{what} must be (batch, {n_in}, steps), got shape {dense.shape}{hint}")
    steps = dense.shape[2]
    if mantissas:
        if dense.size and not -BIAS_LIMIT <= int(dense.min()) <= int(dense.max()) <= BIAS_LIMIT:
            raise ValueError(f"mantissas must lie within +-{BIAS_LIMIT}, found {dense.min()} to {dense.max()}")
        return len(dense), steps, lambda b: Drive(np.ascontiguousarray(dense[b].T, np.int32))
    if isinstance(first, InputLayer):
        return len(dense), steps, lambda b: Drive(np.ascontiguousarray(first.mantissas(dense[b].T)))
    if network.message_bits:
        return len(dense), steps, _graded(dense, network.message_bits)
    if dense.dtype.kind == "i" and dense.size and dense.min() < 0:
        raise ValueError("spikes must not be negative")
    return len(dense), steps, lambda b: Spikes(*lists.pack(dense[b]), NO_VALUES)


def _graded(dense: np.ndarray, bits: int) -> Callable[[int], Sample]:
    limit = min((1 << bits) - 1, np.iinfo(np.int32).max)
    if dense.size and (dense.min() < -limit or dense.max() > limit):
        raise ValueError(f"graded spikes of {bits} bits must lie within +-{limit}")

    def sample(b: int) -> Sample:
        own = np.ascontiguousarray(dense[b], np.int32)
        offsets, units = lists.pack(own)
        step = np.repeat(np.arange(own.shape[1]), np.diff(offsets))
        return Spikes(offsets, units, own[units, step])

    return sample
