"""What travels between cores, from the spikes of a run."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from lambent.hardware.loihi2.network import Loihi2Network, Recording
from lambent.hardware.loihi2.placement.core import CORES

AT_A_ROUTER = 4
"""Cores at each router of the mesh (Davies et al., Loihi, IEEE Micro 38(1), 2018)."""
_ROWS = CORES // AT_A_ROUTER // 8  # of a chip's routers, eight in each


class Traffic(NamedTuple):
    """Mean numbers per step.

    Attributes:
        crossing: spikes that a unit sends to another core, once for every such core.
        entering: input spikes, once for every core that they go to.
        hops: links of the mesh, from router to router, that both pass; inputs come in at core 0.
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
    """(sources,) links that one spike of each source passes on its way to all its cores."""
    origin = np.concatenate([np.zeros(n_in, np.int64), cores])
    row, column = routers(reached.shape[1]).T
    distance = np.abs(row[:, None] - row) + np.abs(column[:, None] - column)
    passed = np.empty(len(reached), np.int64)
    for core in np.unique(origin):
        passed[origin == core] = reached[origin == core] @ distance[core]
    return passed


def routers(n_cores: int) -> np.ndarray:
    """(n_cores, 2) int64, row and column of the router that each core is at.

    Each chip fills as square a block of its routers as there is, to and fro along the shorter side, so that cores with
    neighbouring numbers are neighbours. Chips lie in a column.
    """
    places: list[tuple[int, int]] = []
    while len(places) < n_cores:
        chip, left = len(places) // CORES, min(CORES, n_cores - len(places))
        used = -(-left // AT_A_ROUTER)
        rows = min(_ROWS, math.ceil(math.sqrt(used)))
        for router in range(used):
            column, row = divmod(router, rows)
            place = (chip * _ROWS + (row if column % 2 == 0 else rows - 1 - row), column)
            places += [place] * min(AT_A_ROUTER, n_cores - len(places))
    return np.array(places, np.int64)


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
