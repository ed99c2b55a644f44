"""What a network is given, sample by sample, in the form its first layer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lambent.events import Events, n_steps
from lambent.hardware.loihi2.kernels import lists
from lambent.hardware.loihi2.kernels.lists import NO_VALUES, Drive, Sample, Spikes
from lambent.hardware.loihi2.layers import InputLayer

if TYPE_CHECKING:
    from lambent.hardware.loihi2.network import Loihi2Network


def samples_of(
    network: Loihi2Network, spikes: Events | Tensor | np.ndarray
) -> tuple[int, int, Callable[[int], Sample]]:
    """Batch size, number of steps, and a function that gives sample b. See `Loihi2Network.run`."""
    if isinstance(spikes, Events):
        return _from_events(network, spikes)
    return _from_dense(network, spikes.detach().cpu().numpy() if isinstance(spikes, Tensor) else np.asarray(spikes))


def _from_events(network: Loihi2Network, events: Events) -> tuple[int, int, Callable[[int], Sample]]:
    n_in, first = network.n_in, network.layers[0]
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


def _from_dense(network: Loihi2Network, dense: np.ndarray) -> tuple[int, int, Callable[[int], Sample]]:
    n_in, first = network.n_in, network.layers[0]
    driven = isinstance(first, InputLayer)
    if dense.dtype.kind not in ("iubf" if driven else "iub"):
        raise TypeError(f"spikes must be integers or bool, got {dense.dtype}")
    if dense.ndim > 3 and dense.shape[1:-1] == network.in_shape:
        dense = dense.reshape(len(dense), n_in, dense.shape[-1])
    if dense.ndim != 3 or dense.shape[1] != n_in or dense.shape[2] == 0:
        raise ValueError(f"spikes must be (batch, {n_in}, steps), got shape {dense.shape}")
    steps = dense.shape[2]
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
