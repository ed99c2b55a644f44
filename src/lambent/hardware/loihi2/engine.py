"""Engine `loihi2`: layers on the chip model; the adjoint is that of the grid on the CPU.

A layer comes twice: as the chip has it, in integers, and as a neuron and connections in which voltages count in units
of the chip: weights are 64 times an integer, divided by the gain; thresholds lie between the integers that spike and
those that do not; time constants are those of decays in 1/4096. Forward, the chip model runs the integers: spikes are
its own, bit for bit. Backward, EventProp integrates the adjoint of the same layer in floating point, with the slopes
before spikes and the peaks of silent units that the chip's states give.

On the CPU, for reset "zero" and without gradients of what rounding does.
"""

from __future__ import annotations

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
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.machine.compiling import jit
from lambent.machine.threads import in_threads
from lambent.neurons.neuron import Neuron

_NOT_RECORDED = np.zeros((0, 0), np.int8)


def _samples(steps: Tensor, units: Tensor, offsets: Tensor, n_in: int, n_steps: int) -> list[Spikes]:
    at, unit, bounds = steps.numpy(), units.numpy(), offsets.tolist()
    own = [slice(*b) for b in pairwise(bounds)]
    return [Spikes(*pack_events(at[s], unit[s], n_in, n_steps)[:2], NO_VALUES) for s in own]


def spikes(
    events: Events, layer: Loihi2Layer, neuron: Neuron, inputs: Connections, recurrent: Connections | None, dt: float
) -> Events:
    """Spikes of a layer on the chip, `events` being none that come twice in a step; see `lambent.engines`."""
    n_steps, size = count_steps(events.duration, dt), layer.n_out
    run, keep = constants_of(layer).run, np.subtract(4096, layer.v_decay, dtype=np.int32)
    units: Any = neuron.on_grid(dt, torch.float64)
    gain, tau, least = (x.detach().numpy() for x in (units.gain, units.tau_mem, units.least))
    chip_bias = np.left_shift(layer.per_unit(layer.bias), 6, dtype=np.int32)
    bias = getattr(units, "bias", torch.zeros(size, dtype=torch.float64)).numpy()

    def one_sample(sample: Spikes) -> tuple[np.ndarray, ...]:
        current, voltage = np.empty((2, n_steps, size), np.int32)
        own = run(sample, _NOT_RECORDED, current, voltage)
        step = np.repeat(np.arange(n_steps, dtype=np.int32), np.diff(own.offsets))
        return step, own.units, *_before_spikes(
            step, own.units, current, voltage, keep, gain, tau, least, chip_bias, bias
        )  # fmt: skip

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


@jit
def _before_spikes(
    steps: np.ndarray, units: np.ndarray, current: np.ndarray, voltage: np.ndarray,
    keep: np.ndarray, gain: np.ndarray, tau_mem: np.ndarray, min_slope: np.ndarray,
    chip_bias: np.ndarray, bias: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """dV/dt = (I + bias - V) / tau_mem before each spike, and peak steps as in `operation.Emitted`.

    `current` and `voltage` (steps, size) are the chip's u and v after each step, so V before the reset of a spike
    is worked out once more; I is u / gain, `chip_bias` what the chip adds to v in a step.
    """
    slopes = np.empty(len(steps))
    peak = np.full(current.shape[1], -LIMIT, np.int32)
    peak_step = np.zeros(current.shape[1], np.int32)
    for n in range(len(voltage)):
        now = np.int32(n)
        for j in range(len(peak)):
            higher = voltage[n, j] > peak[j]
            peak[j] = voltage[n, j] if higher else peak[j]
            peak_step[j] = now if higher else peak_step[j]
    for j in range(len(peak)):
        if peak[j] <= 0:
            peak_step[j] = -2
    for s in range(len(steps)):
        n, j = steps[s], units[s]
        kept = decayed(voltage[n - 1, j], keep[j]) if n > 0 else np.int32(0)
        reached = min(kept + current[n, j] + chip_bias[j], LIMIT - 1)
        slopes[s] = max((current[n, j] / gain[j] + bias[j] - reached) / tau_mem[j], min_slope[j])
        peak_step[j] = -1
    return slopes, peak_step


def voltages(events: Events, layer: Loihi2Layer, dt: float) -> np.ndarray:
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
