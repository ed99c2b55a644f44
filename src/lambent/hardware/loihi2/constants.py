"""Layers in the form the kernels take: arrays turned, spread and shifted once, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lambent.hardware.loihi2.kernels import cuba, resonator, sigma_delta
from lambent.hardware.loihi2.kernels.lists import NO_VALUES, Drive, Sample, Spikes
from lambent.hardware.loihi2.kernels.synapses import Synapses
from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.neurons import CUBA, Neuron, ResonateAndFire, Sigma, SigmaDelta


class Constants(Protocol):
    """A layer in the form its kernel takes."""

    def at_rest(self) -> State:
        """The layer before the first step."""
        ...

    def run(
        self,
        sample: Sample,
        spikes: np.ndarray,
        current: np.ndarray,
        voltage: np.ndarray,
        state: State | None = None,
        first: int = 0,
    ) -> Spikes:
        """Run one sample: its spikes out. Arrays (steps, n_out) are filled; those without rows are not.

        Args:
            state: the layer before the sample, which becomes that after it; left out, at rest.
            first: number of the first step.
        """
        ...


State = tuple[np.ndarray, ...]
"""What a layer carries from step to step: arrays (rows, n_out) of what is under way, the next step's row first, and
arrays (n_out,) of its units."""


_NO_MATRIX = np.zeros((0, 0), np.int32)
_NO_WEIGHTS = np.zeros((0, 0), np.int8)
_NO_SYNAPSES = Synapses(
    weight=_NO_WEIGHTS,
    lag=np.zeros(0, np.int32),
    delay=_NO_MATRIX,
    rows=1,
    late=np.zeros(0, np.int32),
    slot=np.zeros(0, np.uint32),
    at_once=False,
    recurrent=_NO_WEIGHTS,
    recurrent_delay=_NO_MATRIX,
    kernel=np.zeros((0, 0, 0, 0), np.int32),
    row=_NO_MATRIX,
    column=_NO_MATRIX,
    sizes=np.zeros(4, np.int64),
    wraps=False,
)


@dataclass(frozen=True, eq=False)
class _Cuba:
    synapses: Synapses
    units: cuba.Units

    def at_rest(self) -> State:
        size = len(self.units.threshold)
        return _ring(self.synapses, size), *np.zeros((2, size), np.int32)

    def run(
        self, sample: Sample, spikes: np.ndarray, current: np.ndarray, voltage: np.ndarray,
        state: State | None = None, first: int = 0,
    ) -> Spikes:  # fmt: skip
        lists, drive = _split(sample)
        state, units = self.at_rest() if state is None else state, self.units
        if units.interval:
            units = units._replace(phase=(units.phase - first) % units.interval)
        out = cuba.run(*lists, drive, self.synapses, units, spikes, current, voltage, *state)
        _turn(state, lists)
        return Spikes(*out, NO_VALUES)


@dataclass(frozen=True, eq=False)
class _SigmaDelta:
    synapses: Synapses
    units: sigma_delta.Units

    def at_rest(self) -> State:
        size = len(self.units.threshold)
        return _ring(self.synapses, size), *np.zeros((3, size), np.int32)

    def run(
        self, sample: Sample, spikes: np.ndarray, current: np.ndarray, voltage: np.ndarray,
        state: State | None = None, first: int = 0,
    ) -> Spikes:  # fmt: skip
        lists, drive = _split(sample)
        state = self.at_rest() if state is None else state
        out = sigma_delta.run(*lists, drive, self.synapses, self.units, spikes, current, voltage, *state)
        _turn(state, lists)
        return Spikes(*out)


@dataclass(frozen=True, eq=False)
class _Resonator:
    real: Synapses
    imag: Synapses
    units: resonator.Units

    def at_rest(self) -> State:
        size = len(self.units.threshold)
        return _ring(self.real, size), _ring(self.imag, size), *np.zeros((2, size), np.int64)

    def run(
        self, sample: Sample, spikes: np.ndarray, current: np.ndarray, voltage: np.ndarray,
        state: State | None = None, first: int = 0,
    ) -> Spikes:  # fmt: skip
        lists, _ = _split(sample)
        state = self.at_rest() if state is None else state
        out = resonator.run(*lists, self.real, self.imag, self.units, spikes, current, voltage, *state)
        _turn(state, lists)
        return Spikes(*out, NO_VALUES)


def _ring(synapses: Synapses, size: int) -> np.ndarray:
    return np.zeros((synapses.rows, size), np.int32)


def _turn(state: State, lists: Spikes) -> None:
    """Let the rings begin with the row of the step after those of a sample."""
    steps = len(lists.offsets) - 1
    for ring in state:
        if ring.ndim == 2 and steps % len(ring):
            ring[:] = np.roll(ring, -steps, axis=0)


def _split(sample: Sample) -> tuple[Spikes, np.ndarray]:
    if isinstance(sample, Drive):
        silent = Spikes(np.zeros(len(sample.mantissas) + 1, np.int64), NO_VALUES, NO_VALUES)
        return silent, sample.mantissas
    return sample, _NO_MATRIX


def constants_of(layer: Layer, reset_interval: int = 0, reset_offset: int = 0) -> Constants:
    """`layer` in the form that its kernel takes; CUBA units are reset where steps % interval are offset % interval."""
    made = _of_layer(layer)
    if reset_interval and isinstance(made, _Cuba):
        units = made.units._replace(interval=reset_interval, phase=reset_offset % reset_interval)
        return _Cuba(made.synapses, units)
    return made


def _of_layer(layer: Layer) -> Constants:
    if isinstance(layer, Loihi2Layer):
        return _dense(layer)
    if isinstance(layer, ConvLayer):
        return _conv(layer)
    assert isinstance(layer, InputLayer)
    return _input(layer)


def _dense(layer: Loihi2Layer) -> Constants:
    """Turn matrices to [from, to] and split delays into those by input, by output and by synapse."""
    delays, recurrent_delays = layer.synapse_delays, layer.recurrent_delays
    lag = delays.min(0)
    extra = delays - lag
    late = extra.min(1) if layer.weight_rec is None else np.zeros(layer.n_out, np.int32)  # recurrent spikes don't wait
    extra = extra - late[:, None]
    narrow = _narrow([layer.weight, layer.weight_imag, layer.weight_rec])
    longest = max(int(delays.max()), int(recurrent_delays.max(initial=0)))

    def synapses(weight: np.ndarray) -> Synapses:
        made = _NO_SYNAPSES._replace(weight=_writable(weight.T, narrow), lag=_writable(lag), rows=longest + 1)
        made = made._replace(at_once=not lag.any() and not extra.any(), recurrent=np.zeros((0, 0), narrow))
        if extra.any():
            made = made._replace(delay=_writable(extra.T))
        if late.any():
            made = made._replace(late=_writable(late), slot=np.arange(layer.n_out, dtype=np.uint32))
        if layer.weight_rec is not None:
            made = made._replace(recurrent=_writable(layer.weight_rec.T, narrow))
        if recurrent_delays.any():
            made = made._replace(recurrent_delay=_writable(recurrent_delays.T))
        return made

    return _constants(layer, synapses, layer.weight, layer.weight_imag)


def _conv(layer: ConvLayer) -> Constants:
    """Sort kernels by input channel; sums wait in rows ordered by height, width, channel."""
    channels, height, width = layer.shape
    late = layer.per_unit(layer.delay)
    order = np.arange(layer.n_out, dtype=np.uint32).reshape(height, width, channels)

    def reached(axis: int) -> np.ndarray:
        """The place in the output, or -1, by the place in the input and in the kernel."""
        stride, padding, dilation = (pair[axis] for pair in layer.geometry)
        distance = np.arange(layer.in_shape[1 + axis])[:, None] + padding
        distance = distance - dilation * np.arange(layer.weight.shape[2 + axis])
        place, off = np.divmod(distance, stride)
        return _writable(np.where((off == 0) & (place >= 0) & (place < layer.shape[1 + axis]), place, -1))

    def synapses(weight: np.ndarray) -> Synapses:
        kernel = layer.kernels(weight)
        from_group = layer.in_shape[0] * kernel.shape[3] // channels
        return _NO_SYNAPSES._replace(
            lag=np.zeros(layer.n_in, np.int32),
            rows=int(late.max()) + 1,
            late=late,
            slot=order.transpose(2, 0, 1).flatten(),
            kernel=kernel,
            row=reached(0),
            column=reached(1),
            sizes=np.array([width, channels, from_group, kernel.shape[3]], np.int64),
            wraps=layer.wraps,
        )

    return _constants(layer, synapses, layer.weight, layer.weight_imag)


def _input(layer: InputLayer) -> Constants:
    """Units without synapses."""
    if isinstance(layer.neuron, CUBA):
        return _Cuba(_NO_SYNAPSES, _cuba_units(layer, layer.neuron, np.zeros(layer.n_out, np.int32)))
    return _SigmaDelta(
        _NO_SYNAPSES, _sigma_delta_units(layer, layer.neuron, np.zeros(layer.n_out, np.int32), rectify=False)
    )


def _constants(
    layer: Layer, synapses: Callable[[np.ndarray], Synapses], weight: np.ndarray, imag: np.ndarray | None
) -> Constants:
    bias = layer.per_unit(layer.bias)
    if isinstance(layer.neuron, ResonateAndFire):
        assert imag is not None  # checked by the layer
        return _Resonator(synapses(weight), synapses(imag), _resonator_units(layer, layer.neuron))
    if isinstance(layer.neuron, CUBA):
        return _Cuba(synapses(weight), _cuba_units(layer, layer.neuron, bias))
    return _SigmaDelta(synapses(weight), _sigma_delta_units(layer, layer.neuron, bias, rectify=True))


def _cuba_units(layer: Layer, neuron: CUBA, bias: np.ndarray) -> cuba.Units:
    return cuba.Units(
        keep_current=np.subtract(4096, layer.per_unit(neuron.i_decay), dtype=np.int32),
        keep_voltage=np.subtract(4096, layer.per_unit(neuron.v_decay), dtype=np.int32),
        bias=np.left_shift(bias, 6, dtype=np.int32),
        threshold=np.left_shift(layer.per_unit(neuron.v_th_mant), 6, dtype=np.int32),
        interval=0,
        phase=0,
    )


def _sigma_delta_units(layer: Layer, neuron: Neuron, bias: np.ndarray, *, rectify: bool) -> sigma_delta.Units:
    threshold = neuron.v_th_mant if isinstance(neuron, SigmaDelta) else 0
    output = isinstance(neuron, Sigma)
    return sigma_delta.Units(
        bias=np.left_shift(bias, sigma_delta.STATE_SHIFT, dtype=np.int32),
        threshold=np.left_shift(layer.per_unit(threshold), sigma_delta.STATE_SHIFT, dtype=np.int32),
        rectify=rectify and not output,
        output=output,
    )


def _resonator_units(layer: Layer, neuron: ResonateAndFire) -> resonator.Units:
    sin, cos, threshold = (
        layer.per_unit(x).astype(np.int64) for x in (neuron.sin_decay, neuron.cos_decay, neuron.v_th_mant)
    )
    return resonator.Units(sin, cos, threshold << 6, neuron.phase)


def _narrow(matrices: Sequence[np.ndarray | None]) -> type[np.signedinteger]:
    """The type of fewest bytes that holds all these weights: of large layers memory is what takes the time."""
    there = [x for x in matrices if x is not None]
    fits = all(-128 <= int(x.min()) <= int(x.max()) <= 127 for x in there)
    return np.int8 if fits else np.int16


def _writable(x: np.ndarray, dtype: type[np.signedinteger] = np.int32) -> np.ndarray:
    """A contiguous copy; Numba would compile the kernel once more for read-only arrays."""
    return np.array(x, dtype, order="C")
