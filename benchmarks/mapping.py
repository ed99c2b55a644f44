"""Claim: partitioning lowers the spikes that go from core to core, against placing units in order.

    python benchmarks/mapping.py

One JSON line per network, then a table. Networks are random; inputs spike with 2 % in every step.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from _common import arguments, show
from lambent.hardware.loihi2 import Loihi2Layer, Loihi2Network, map_to_cores


def network(n_in: int, hidden: int, density: float, groups: int = 1, outside: float = 0.0) -> Loihi2Network:
    """A recurrent layer and a readout; units of one group are connected with `density`, others with `outside`."""
    rng = np.random.default_rng(0)
    source, group = rng.permutation(n_in) % groups, rng.permutation(hidden) % groups

    def weights(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        there = rng.random((len(b), len(a)), np.float32) < np.where(b[:, None] == a, density, outside)
        return np.where(there, rng.integers(-127, 128, there.shape, np.int16), 0)

    layers = [
        Loihi2Layer("layer/1", "dense_rec", weights(source, group), weights(group, group), 0, 0, 742, 200, 900),
        Loihi2Layer("layer/2", "dense", rng.integers(-127, 128, (20, hidden)), None, 0, 0, 742, 200, 1 << 17),
    ]
    return Loihi2Network(n_in, layers)


CASES = {
    "full, 700-256-20": (700, 256, 1.0),
    "full, 700-512-20": (700, 512, 1.0),
    "full, 700-1024-20": (700, 1024, 1.0),
    "10 % of the synapses, 700-1024-20": (700, 1024, 0.1),
    "8 groups, 700-2048-20": (700, 2048, 0.6, 8, 0.01),
    "32 groups, 700-4000-20": (700, 4000, 0.6, 32, 0.002),
}


def measure(case: str, *sizes: Any) -> dict[str, Any]:
    """Both placements of one network."""
    net = network(*sizes)
    spikes = np.random.default_rng(1).random((2, net.n_in, 200)) < 0.02
    run = net.run(spikes, ("spikes",))
    start = time.perf_counter()
    found = map_to_cores(net, run, partition=True)
    seconds = time.perf_counter() - start
    before, after = found.traffic_in_order, found.traffic
    assert before is not None
    assert after is not None
    return {
        "case": case,
        "cores in order": map_to_cores(net).n_cores,
        "cores": found.n_cores,
        "method": found.method,
        "spikes to cores in order": before.crossing + before.entering,
        "spikes to cores": after.crossing + after.entering,
        "hops in order": before.hops,
        "hops": after.hops,
        "seconds": seconds,
    }


def main() -> None:
    """Measure all cases and print them."""
    cases = {"tiny, 40-32-20": (40, 32, 0.5)} if arguments(__doc__).parse_args().smoke else CASES
    show("mapping", [measure(case, *sizes) for case, sizes in cases.items()])


if __name__ == "__main__":
    main()
