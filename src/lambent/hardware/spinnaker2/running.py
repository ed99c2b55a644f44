"""`run_network`: inference on the chip, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lambent.events import Events, n_steps
from lambent.hardware.spinnaker2 import kernels
from lambent.hardware.spinnaker2.fast import flat_weights, new_trace, spikes_of, units_of, wiring_of
from lambent.hardware.spinnaker2.network import Spinnaker2Network, check_events, check_network
from lambent.machine.denormals import denormals_flushed
from lambent.machine.showing import Short
from lambent.machine.threads import in_threads

_KINDS = ("spikes", "voltage")
_PIECES = 8  # samples that a thread takes at a time


@dataclass(frozen=True, eq=False)
class Recording(Short):
    """What a network did.

    Attributes:
        spikes: for each layer uint8 (batch, units, steps), 1 where a unit spiked, and none of a readout; or empty.
        voltage: for each layer float32 (batch, units, steps), in thresholds, after the reset; or empty.
        inputs: int32 (batch, steps), how many spikes came in.
    """

    spikes: tuple[np.ndarray, ...]
    voltage: tuple[np.ndarray, ...]
    inputs: np.ndarray


def run_network(network: Spinnaker2Network, events: Events, record: Sequence[str] = ("spikes", "voltage")) -> Recording:
    """Run samples.

    Args:
        network: with float or integer weights.
        events: the inputs.
        record: what to keep, of "spikes" and "voltage".

    Raises:
        TypeError, ValueError: `network` is none of this chip; the events have other units than the network, or carry
            values; or `record` has an unknown word.

    >>> network = lb.hardware.spinnaker2.to_chip(torch.nn.Sequential(lb.LIF(5, 20), lb.LIReadout(20, 3)))
    >>> events, labels = lb.data.yin_yang(4, seed=0).batch(range(4))
    >>> lb.hardware.spinnaker2.run_network(network, events).voltage[1].shape
    (4, 3, 60)
    """
    check_network(network)
    if unknown := [word for word in record if word not in _KINDS]:
        raise ValueError(f"record must be of {', '.join(_KINDS)}, got {unknown[0]!r}")
    check_events(network, events)
    batch, steps = len(events), n_steps(events.duration, network.dt)
    spikes, wiring, units = spikes_of(events, network.dt), wiring_of(network), units_of(network)
    weights, trace = flat_weights(network), new_trace(wiring, batch, steps)
    n, factors = int(wiring.first[-1]), np.zeros(steps, np.float32)
    voltages = np.zeros((batch, steps if "voltage" in record else 0, n), np.float32)
    fired = np.zeros((batch, steps if "spikes" in record else 0, n), np.uint8)

    def run(first: int) -> None:
        with denormals_flushed():
            for b in range(first, min(first + _PIECES, batch)):
                kernels.forward(b, spikes, weights, wiring, units, True, factors, trace, voltages[b])
                kernels.raster(b, wiring, trace, fired[b])

    in_threads(run, range(0, batch, _PIECES))
    parts = list(zip(wiring.first.tolist(), wiring.first.tolist()[1:], strict=False))

    def by_layer(array: np.ndarray, kept: bool) -> tuple[np.ndarray, ...]:
        return tuple(array[:, :, a:b].transpose(0, 2, 1) for a, b in parts) if kept else ()

    return Recording(
        by_layer(fired, "spikes" in record), by_layer(voltages, "voltage" in record), np.diff(spikes.upto, axis=1)
    )
