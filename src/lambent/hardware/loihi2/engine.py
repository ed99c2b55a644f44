"""Engine `loihi2`: layers on the chip model; the adjoint is that of the grid on the CPU.

A layer comes twice: as the chip has it, in integers, and as a neuron and connections in which voltages count in units
of the chip: weights are 64 times an integer, divided by the gain; thresholds lie between the integers that spike and
those that do not; time constants are those of decays in 1/4096. Forward, the chip model runs the integers: spikes are
its own, bit for bit. Backward, EventProp integrates the adjoint of the same layer in floating point, with the slopes
before spikes and the peaks of silent units that the chip's states give.

On the CPU, for reset "zero" and without gradients of what rounding does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lambent.connections.connections import Connections
from lambent.engines.grid import cpu as grid_cpu
from lambent.engines.grid import operation
from lambent.events import Events
from lambent.events import n_steps as count_steps
from lambent.hardware.loihi2.constants import constants_of
from lambent.hardware.loihi2.kernels import LIMIT
from lambent.hardware.loihi2.kernels.cuba import decayed
from lambent.hardware.loihi2.kernels.lists import NO_VALUES, Spikes, pack_events
from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.neurons import CUBA, THRESHOLD_LIMIT, ResonateAndFire
from lambent.machine.compiling import jit
from lambent.machine.threads import in_threads
from lambent.neurons.neuron import Neuron

_NOT_RECORDED = np.zeros((0, 0), np.int8)


def _samples(steps: Tensor, units: Tensor, offsets: Tensor, n_in: int, n_steps: int) -> list[Spikes]:
    at, unit, bounds = steps.numpy(), units.numpy(), offsets.tolist()
    own = [slice(*b) for b in pairwise(bounds)]
    return [Spikes(*pack_events(at[s], unit[s], n_in, n_steps)[:2], NO_VALUES) for s in own]


def spikes(
    events: Events, layer: Layer, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float
) -> Events:
    """Spikes of a layer on the chip, `events` being none that come twice in a step; see `lambent.engines`."""
    n_steps, size = count_steps(events.duration, dt), layer.n_out
    run = constants_of(layer).run
    before_spikes = (_of_resonators if isinstance(layer.neuron, ResonateAndFire) else _of_cuba)(layer, neuron, dt)

    def one_sample(sample: Spikes) -> tuple[np.ndarray, ...]:
        current, voltage = np.empty((2, n_steps, size), np.int32)
        own = run(sample, _NOT_RECORDED, current, voltage)
        step = np.repeat(np.arange(n_steps, dtype=np.int32), np.diff(own.offsets))
        return step, own.units, *before_spikes(sample, step, own.units, current, voltage)

    parts = in_threads(one_sample, _samples(events.steps(dt), events.units, events.offsets, layer.n_in, n_steps))
    nothing = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    own_steps, own_units, slopes = (np.concatenate(x) for x in zip(*(p[:3] for p in parts), nothing, strict=False))
    counts = np.array([np.bincount(p[1], minlength=size) for p in parts]).reshape(len(parts), size)
    peak_step = np.array([p[3] for p in parts], np.int32).reshape(len(parts), size)
    sizes, dtype = torch.from_numpy(counts.sum(1)), inputs.weight.dtype  # type: ignore[attr-defined]
    found = operation.Emitted(
        times=torch.from_numpy(own_steps.astype(np.float64) * dt).to(events.times.dtype),
        counts=torch.from_numpy(counts).to(dtype),
        units=torch.from_numpy(own_units.astype(np.int32)),
        offsets=torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
        steps=torch.from_numpy(own_steps.astype(np.int32)),
        marks=torch.from_numpy(slopes).to(dtype).unsqueeze(1),
        peak_step=torch.from_numpy(peak_step),
        values=events.times.new_empty(0),
    )
    return operation.with_adjoint(grid_cpu.spikes_backward, found, events, neuron, inputs, recurrent, dt)


_BeforeSpikes = Callable[[Spikes, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From the input, the steps and units of spikes and the two states after each step: slopes before each, peak steps."""


def _of_cuba(layer: Layer, neuron: Neuron, dt: float) -> _BeforeSpikes:
    cuba: Any = layer.neuron
    units: Any = neuron.on_grid(dt, torch.float64)
    keep = np.subtract(4096, layer.per_unit(cuba.v_decay), dtype=np.int32)
    gain, tau, least = (x.detach().numpy() for x in (units.gain, units.tau_mem, units.least))
    chip_bias = np.left_shift(layer.per_unit(layer.bias), 6, dtype=np.int32)
    bias = getattr(units, "bias", torch.zeros(layer.n_out, dtype=torch.float64)).numpy()
    constants: Any = keep, gain, tau, least, chip_bias, bias
    return lambda _sample, *spikes: _before_cuba_spikes(*spikes, *constants)


def _of_resonators(layer: Layer, neuron: Neuron, dt: float) -> _BeforeSpikes:
    chip: Any = layer.neuron
    units: Any = neuron.on_grid(dt, torch.float64)
    sin, cos = (layer.per_unit(x).astype(np.int64) for x in (chip.sin_decay, chip.cos_decay))
    turn, rate, least = (x.detach().numpy() for x in (units.turn, units.rate, units.least))
    constants: Any = sin, cos, turn, rate, least
    # units that keep nothing: their current is what arrives
    memoryless: Any = replace(layer, neuron=CUBA(4096, 4096, THRESHOLD_LIMIT), weight_imag=None)  # type: ignore[call-arg]
    arriving = None if chip.phase else constants_of(memoryless)

    def before_spikes(sample: Spikes, steps: np.ndarray, own: np.ndarray, real: np.ndarray, imag: np.ndarray) -> Any:
        arrived = np.zeros((0, 0), np.int32)
        if arriving is not None:
            arrived = np.empty_like(real)
            arriving.run(sample, _NOT_RECORDED, arrived, np.zeros((0, 0), np.int32))
        return _before_resonator_spikes(steps, own, real, imag, arrived, *constants)

    return before_spikes


@jit
def _before_cuba_spikes(
    steps: np.ndarray, units: np.ndarray, current: np.ndarray, voltage: np.ndarray,
    keep: np.ndarray, gain: np.ndarray, tau_mem: np.ndarray, min_slope: np.ndarray,
    chip_bias: np.ndarray, bias: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """dV/dt = (I + bias - V) / tau_mem before each spike, and peak steps as in `operation.Emitted`.

    `current` and `voltage` (steps, size) are the chip's u and v after each step, so V before the reset of a spike
    is worked out once more; I is u / gain, `chip_bias` what the chip adds to v in a step.
    """
    slopes = np.empty(len(steps))
    peak_step = _peak_steps(voltage)
    for s in range(len(steps)):
        n, j = steps[s], units[s]
        kept = decayed(voltage[n - 1, j], keep[j]) if n > 0 else np.int32(0)
        reached = min(kept + current[n, j] + chip_bias[j], LIMIT - 1)
        slopes[s] = max((current[n, j] / gain[j] + bias[j] - reached) / tau_mem[j], min_slope[j])
        peak_step[j] = -1
    return slopes, peak_step


@jit
def _before_resonator_spikes(
    steps: np.ndarray, units: np.ndarray, real: np.ndarray, imag: np.ndarray, arrived: np.ndarray,
    sin: np.ndarray, cos: np.ndarray, turn: np.ndarray, rate: np.ndarray, min_slope: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """As `_before_cuba_spikes`, with dIm/dt = turn Re - rate Im.

    Where a spike resets the state, that before it is worked out once more, from what `arrived` (steps, size); of units
    that spike at a phase, and go on as they are, that has no steps.
    """
    slopes = np.empty(len(steps))
    resets = len(arrived) > 0
    peak_step = _peak_steps(imag if resets else real)
    for s in range(len(steps)):
        n, j = steps[s], units[s]
        re, im = np.float64(real[n, j]), np.float64(imag[n, j])
        if resets:
            before = (np.float64(real[n - 1, j]), np.float64(imag[n - 1, j])) if n > 0 else (0.0, 0.0)
            re = (cos[j] * before[0] - sin[j] * before[1]) / 4096 + arrived[n, j]
            im = (sin[j] * before[0] + cos[j] * before[1]) / 4096
        slopes[s] = max(turn[j] * re - rate[j] * im, min_slope[j])
        peak_step[j] = -1
    return slopes, peak_step


@jit
def _peak_steps(level: np.ndarray) -> np.ndarray:
    """The steps at which levels (steps, size) are highest, -2 where they never rise above rest."""
    peak = np.full(level.shape[1], -LIMIT, np.int32)
    peak_step = np.zeros(level.shape[1], np.int32)
    for n in range(len(level)):
        now = np.int32(n)
        for j in range(len(peak)):
            higher = level[n, j] > peak[j]
            peak[j] = level[n, j] if higher else peak[j]
            peak_step[j] = now if higher else peak_step[j]
    for j in range(len(peak)):
        if peak[j] <= 0:
            peak_step[j] = -2
    return peak_step


def voltages(events: Events, layer: Layer, dt: float) -> np.ndarray:
    """Voltages (batch, out, steps) int32 of a layer that never spikes, as `Loihi2Network.run` records them."""
    steps = count_steps(events.duration, dt)
    samples = _samples(events.steps(dt), events.units, events.offsets, layer.n_in, steps)
    voltage = np.empty((len(samples), steps, layer.n_out), np.int32)
    nothing = np.zeros((0, 0), np.int32)
    run = constants_of(layer).run
    in_threads(lambda b: run(samples[b], _NOT_RECORDED, nothing, voltage[b]), range(len(samples)))
    return voltage.transpose(0, 2, 1)


def once_per_step(events: Events, dt: float) -> Events:
    """`events` without the second and further spikes of a unit in a step, which the chip does not tell apart."""
    steps, offsets = events.steps(dt).numpy(), events.offsets.numpy()
    first = torch.from_numpy(_first_of_step(steps, events.units.numpy(), offsets, events.n_units))
    if first.all():
        return events
    kept = torch.cat([first.new_zeros(1, dtype=torch.int64), first.cumsum(0)])[events.offsets]
    return Events(events.times[first], events.units[first], kept, events.n_units, events.duration, check=False)


@jit
def _first_of_step(steps: np.ndarray, units: np.ndarray, offsets: np.ndarray, n_units: int) -> np.ndarray:
    first = np.empty(len(steps), np.bool_)
    latest = np.empty(n_units, np.int32)
    for b in range(len(offsets) - 1):
        latest[:] = -1
        for e in range(offsets[b], offsets[b + 1]):
            first[e] = latest[units[e]] != steps[e]
            latest[units[e]] = steps[e]
    return first
