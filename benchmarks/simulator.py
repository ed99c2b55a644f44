"""Claim: the chip model runs a recurrent 700-256-20 network at 20,000 time steps per second and more on one core.

    python benchmarks/simulator.py [--repeats 30]

One JSON line per case, then a table. The network is random, with the weights' distribution and about the
activity of the one that Lava recorded (8 input spikes and 40 hidden spikes a step); if the recordings lie
beside the checkout, the recorded network runs too. Lava's own fixed-point CPU model makes about 450 steps/s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _common import show
from lambent.hardware.loihi2 import Loihi2Layer, Loihi2Network, load_netx

RECORDING = Path(__file__).resolve().parents[1] / ".." / "shared" / "oracle" / "lava" / "shd_700_256_20"
EVERYTHING = ("spikes", "current", "voltage")


def random_network() -> Loihi2Network:
    """Weights, decays and thresholds drawn like those of the recorded network."""
    rng = np.random.default_rng(0)

    def normal(n_out: int, n_in: int, mean: float, sd: float) -> np.ndarray:
        return np.clip(np.rint(rng.normal(mean, sd, (n_out, n_in))), -127, 127).astype(np.int32)

    hidden = Loihi2Layer(
        "layer/1",
        "dense_rec",
        normal(256, 700, 3, 12),
        normal(256, 256, 0, 12),
        i_decay=742,
        v_decay=200,
        v_th_mant=900,
    )
    weight = normal(20, 256, 0, 40)
    readout = Loihi2Layer("layer/2", "dense", weight, i_decay=742, v_decay=200, v_th_mant=131072)
    return Loihi2Network(700, [hidden, readout])


def measure(
    case: str,
    network: Loihi2Network,
    spikes: np.ndarray,
    record: tuple[str, ...],
    threads: int,
    repeats: int,
) -> dict[str, Any]:
    """Median time of `repeats` runs, and what was run."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        own = network.run(spikes, ("spikes",)).spikes[0]  # compiles, too
        network.run(spikes, record)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            network.run(spikes, record)
            seconds.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    batch, _, steps = spikes.shape
    median = statistics.median(seconds)
    return {
        "case": f"{case}, {'everything' if record == EVERYTHING else ' '.join(record) or 'nothing'} recorded",
        "batch": batch,
        "threads_used": threads,
        "input_spikes_per_step": float(spikes.sum() / (batch * steps)),
        "hidden_spikes_per_step": float(own.sum() / (batch * steps)),
        "median_ms": 1e3 * median,
        "steps_per_s": round(batch * steps / median),
    }


def main() -> None:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats

    network = random_network()
    rng = np.random.default_rng(1)
    one = (rng.random((1, 700, 1000)) < 8 / 700).astype(np.int8)
    many = (rng.random((64, 700, 1000)) < 8 / 700).astype(np.int8)
    cores = torch.get_num_threads()
    results = [
        measure("random", network, one, (), 1, repeats),
        measure("random", network, one, EVERYTHING, 1, repeats),
        measure("random", network, many, ("spikes",), 1, max(3, repeats // 10)),
    ]
    if cores > 1:
        results.append(measure("random", network, many, ("spikes",), cores, max(3, repeats // 10)))
    if RECORDING.with_suffix(".net").exists():
        recorded = np.load(RECORDING.with_suffix(".npz"))["input"][None]
        results.append(measure("recorded", load_netx(RECORDING.with_suffix(".net")), recorded, (), 1, repeats))

    show("simulator", results)


if __name__ == "__main__":
    main()
