"""Runs samples through the layers of a Loihi 2 network, several samples at once in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lambent.events import Events
from lambent.hardware.loihi2.inputs import samples_of
from lambent.hardware.loihi2.kernels.lists import Spikes
from lambent.machine.threads import in_threads

if TYPE_CHECKING:
    from lambent.hardware.loihi2.network import Loihi2Network

SpikeLists = tuple[np.ndarray, np.ndarray]
"""Offsets (steps + 1,) and units of one sample's spikes."""

RECORDABLE = ("spikes", "current", "voltage")


@dataclass(frozen=True, eq=False)
class Run:
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


def run(
    network: Loihi2Network,
    spikes: Events | Tensor | np.ndarray,
    record: Sequence[str],
    last_only: bool = False,
) -> Run:
    """Run all samples; `last_only` records of the last layer alone. See `Loihi2Network.run`."""
    unknown = [name for name in record if name not in RECORDABLE]
    if unknown or isinstance(record, str):
        raise ValueError(f"record must list any of {', '.join(RECORDABLE)}, got {record!r}")
    batch, steps, sample = samples_of(network, spikes)

    # Steps before units, so that the kernel writes whole rows; handed out transposed.
    layers = network.layers
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

    def one_sample(b: int) -> None:
        signal = sample(b)
        if isinstance(signal, Spikes):
            inputs[b] = signal.offsets, signal.units
        for i, layer in enumerate(layers):
            signal = layer.constants.run(signal, *(trace(name, i, b) for name in RECORDABLE))

    for layer in layers:
        _ = layer.constants  # built once, before threads could do so twice
    in_threads(one_sample, range(batch))
    recorded = {name: tuple(a.transpose(0, 2, 1) for a in traces) for name, traces in arrays.items()}
    return Run(**recorded, inputs=tuple(inputs))
