"""What travels between cores, from the spikes of a run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.network import Loihi2Network, Recording

_WIDTH = 16  # of the mesh of 128 cores; snaking through it, cores with neighbouring numbers are neighbours


class Traffic(NamedTuple):
    """Mean numbers per step.

    Attributes:
        crossing: spikes that a unit sends to another core, once for every such core.
        entering: input spikes, once for every core that they go to.
        hops: links of the mesh that both pass; inputs come in at core 0.
    """

    crossing: float
    entering: float
    hops: float

    def __str__(self) -> str:
        return (
            f"{self.crossing:,.2f} spikes from core to core, {self.entering:,.2f} from outside, {self.hops:,.2f} hops"
        )


def traffic(reached: np.ndarray, cores: np.ndarray, n_in: int, rates: np.ndarray) -> Traffic:
    """The traffic of sources with `rates` (sources,) that reach the cores marked in `reached` (sources, cores)."""
    others = reached[n_in:].sum(1) - reached[n_in + np.arange(len(cores)), cores]
    crossing, entering = rates[n_in:] @ others, rates[:n_in] @ reached[:n_in].sum(1)
    return Traffic(float(crossing), float(entering), float(rates @ hops(reached, cores, n_in)))


def hops(reached: np.ndarray, cores: np.ndarray, n_in: int) -> np.ndarray:
    """(sources,) links that one spike of each source passes on its way to all its cores; chips lie in a column."""
    origin = np.concatenate([np.zeros(n_in, np.int64), cores])
    places = np.arange(reached.shape[1])
    row, column = places // _WIDTH, places % _WIDTH
    column = np.where(row % 2 == 0, column, _WIDTH - 1 - column)
    distance = np.abs(row[:, None] - row) + np.abs(column[:, None] - column)
    return (reached * distance[origin]).sum(1)


def mean_rates(network: Loihi2Network, run: Recording) -> np.ndarray:
    """(n_in + all units,) spikes per step of every source of spikes, mean over steps and samples.

    Raises:
        ValueError: `run` has no spikes recorded or is of another network.
    """
    check_run(network, run)
    samples, _, steps = run.spikes[0].shape
    counts = np.bincount(np.concatenate([units for _, units in run.inputs]), minlength=network.n_in)
    sent = [np.count_nonzero(spikes, axis=(0, 2)) for spikes in run.spikes]
    return np.concatenate([counts, *sent]) / (samples * steps)


def spike_matrix(network: Loihi2Network, run: Recording, sample: int) -> csr_array:
    """(steps, n_in + all units) int64, the spikes of one sample."""
    offsets, units = run.inputs[sample]
    steps = [np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))]
    sources, first = [units.astype(np.int64)], network.n_in
    for spikes in run.spikes:
        unit, step = spikes[sample].nonzero()
        steps.append(step)
        sources.append(first + unit)
        first += spikes.shape[1]
    step, source = np.concatenate(steps), np.concatenate(sources)
    return csr_array((np.ones(len(step), np.int64), (step, source)), shape=(run.spikes[0].shape[2], first))


def check_run(network: Loihi2Network, run: Recording) -> None:
    """Raise ValueError unless `run` has recorded spikes of samples of `network`."""
    if not run.spikes:
        raise ValueError('the run has no spikes; run the network with record=("spikes",)')
    sizes, wanted = [s.shape[1] for s in run.spikes], [layer.n_out for layer in network.layers]
    if sizes != wanted:
        raise ValueError(f"the run is of layers of {sizes} units, the network has {wanted}")
    if len(run.spikes[0]) == 0:
        raise ValueError("the run has no samples")
    if len(run.inputs) != len(run.spikes[0]):
        raise ValueError(f"the run has the input of {len(run.inputs)} of {len(run.spikes[0])} samples")
