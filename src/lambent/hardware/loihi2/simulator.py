"""Runs samples through the layers of a Loihi 2 network, several samples at once in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lambent.engines.threads import in_threads
from lambent.events import Events, n_steps
from lambent.hardware.loihi2 import kernels

if TYPE_CHECKING:
    from lambent.hardware.loihi2.network import Loihi2Layer

RECORDABLE = ("spikes", "current", "voltage")

SpikeLists = tuple[np.ndarray, np.ndarray]
"""The spikes of one sample, (offsets, units): those of step t are `units[offsets[t]:offsets[t + 1]]`."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a network did: one array (batch, n_i, steps) per layer i, empty tuples for what was not recorded.

    Attributes:
        spikes: int8, 1 where a unit spiked.
        current, voltage: int32, in the chip's units; column t is the state after time step t + 1, voltages
            after the reset.
        inputs: for every sample the spikes that went in, (offsets, units): those of step t are
            `units[offsets[t]:offsets[t + 1]]`.
    """

    spikes: tuple[np.ndarray, ...] = ()
    current: tuple[np.ndarray, ...] = ()
    voltage: tuple[np.ndarray, ...] = ()
    inputs: tuple[SpikeLists, ...] = ()


_NO_MATRIX = np.zeros((0, 0), np.int32)
_NO_SPIKES = np.zeros((0, 0), np.int8)
_NO_INPUT = (np.zeros(1, np.int64), np.zeros(0, np.int32))


def layer_constants(layer: Loihi2Layer) -> kernels.LayerConstants:
    """Turn matrices to [from, to], spread scalars over units and shift what is shifted in every step."""
    lag = layer.synapse_delays.min(0)
    extra = layer.synapse_delays - lag
    return kernels.LayerConstants(
        weight=_writable(layer.weight.T),
        lag=lag,
        delay=_writable(extra.T) if extra.any() else _NO_MATRIX,
        rows=int(layer.synapse_delays.max()) + 1,
        recurrent=_NO_MATRIX if layer.weight_rec is None else _writable(layer.weight_rec.T),
        keep_current=np.full(layer.n_out, 4096 - layer.i_decay, np.int32),
        keep_voltage=np.full(layer.n_out, 4096 - layer.v_decay, np.int32),
        bias=np.left_shift(layer.bias, 6, dtype=np.int32),
        threshold=np.full(layer.n_out, np.left_shift(layer.v_th_mant, 6), np.int32),
    )


def _writable(x: np.ndarray) -> np.ndarray:
    """A contiguous copy; Numba would compile the kernel once more for read-only arrays."""
    return np.array(x, np.int32, order="C")


def run(
    layers: Sequence[Loihi2Layer],
    n_in: int,
    dt: float,
    spikes: Events | Tensor | np.ndarray,
    record: Sequence[str],
    last_only: bool = False,
) -> Run:
    """Run all samples; `last_only` records of the last layer alone. See `Loihi2Network.run`."""
    unknown = [name for name in record if name not in RECORDABLE]
    if unknown or isinstance(record, str):
        raise ValueError(f"record must list any of {', '.join(RECORDABLE)}, got {record!r}")
    batch, steps, sample = _inputs(spikes, n_in, dt)

    # Steps before units, so that the kernel writes whole rows; handed out transposed.
    sizes = [layer.n_out if i == len(layers) - 1 or not last_only else 0 for i, layer in enumerate(layers)]
    arrays: dict[str, list[np.ndarray]] = {
        "spikes": [np.zeros((batch, steps, n), np.int8) for n in sizes if "spikes" in record],
        "current": [np.empty((batch, steps, n), np.int32) for n in sizes if "current" in record],
        "voltage": [np.empty((batch, steps, n), np.int32) for n in sizes if "voltage" in record],
    }

    def trace(name: str, i: int, b: int) -> np.ndarray:
        if name in record and sizes[i]:
            return arrays[name][i][b]
        return _NO_SPIKES if name == "spikes" else _NO_MATRIX

    inputs: list[SpikeLists] = [_NO_INPUT] * batch

    def one_sample(b: int) -> None:
        inputs[b] = lists = sample(b)
        for i, layer in enumerate(layers):
            traces = (trace("spikes", i, b), trace("current", i, b), trace("voltage", i, b))
            lists = kernels.run_layer(*lists, layer.constants, *traces)

    for layer in layers:
        _ = layer.constants  # built once, before threads could do so twice
    in_threads(one_sample, range(batch))
    recorded = {name: tuple(a.transpose(0, 2, 1) for a in traces) for name, traces in arrays.items()}
    return Run(**recorded, inputs=tuple(inputs))


def _inputs(spikes: Events | Tensor | np.ndarray, n_in: int, dt: float) -> tuple[int, int, Callable[[int], SpikeLists]]:
    """Batch size, number of steps, and a function that gives the spike lists of sample b."""
    if isinstance(spikes, Events):
        if spikes.n_units != n_in:
            raise ValueError(f"events have {spikes.n_units} units, the network takes {n_in}")
        steps = n_steps(spikes.duration, dt)
        event_steps, units, offsets = (x.cpu().numpy() for x in (spikes.steps(dt), spikes.units, spikes.offsets))

        def from_events(b: int) -> SpikeLists:
            own = slice(offsets[b], offsets[b + 1])
            return kernels.pack_events(event_steps[own], units[own], n_in, steps)

        return len(spikes), steps, from_events

    dense = spikes.detach().cpu().numpy() if isinstance(spikes, Tensor) else np.asarray(spikes)
    if dense.dtype.kind not in "iub":
        raise TypeError(f"spikes must be integers or bool, got {dense.dtype}")
    if dense.ndim != 3 or dense.shape[1] != n_in or dense.shape[2] == 0:
        raise ValueError(f"spikes must be (batch, {n_in}, steps), got shape {dense.shape}")
    if dense.dtype.kind == "i" and dense.size and dense.min() < 0:
        raise ValueError("spikes must not be negative")
    return len(dense), dense.shape[2], lambda b: kernels.pack_dense(np.ascontiguousarray(dense[b] != 0))
