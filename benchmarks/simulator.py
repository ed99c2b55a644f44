"""Claim: the chip model runs a recurrent 700-256-20 network at 20,000 time steps per second and more on one core.

    python benchmarks/simulator.py [--repeats 30]

One JSON line per case, then two tables: the recurrent network against its number of units, input spikes and batch
size, one of them changed at a time, and other kinds of layers. Networks are random, with the weights'
distribution and about the activity of the one that Lava recorded (8 input spikes and 40 hidden spikes a step);
the recorded one runs too. Lava's own fixed-point CPU model makes about 450 steps/s. Synaptic operations are weights
added; times are medians.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _common import arguments, show
from lambent.hardware.loihi2 import ConvLayer, InputLayer, Loihi2Layer, Loihi2Network, Sigma, SigmaDelta, load_netx
from lambent.hardware.loihi2.neurons import CUBA

RECORDING = Path(__file__).resolve().parents[1] / "tests" / "hardware" / "loihi2" / "recordings" / "shd_700_256_20"
EVERYTHING = ("spikes", "current", "voltage")
STEPS = 1000


def normal(shape: tuple[int, ...], mean: float, sd: float) -> np.ndarray:
    """Weights of 8 bits."""
    return np.clip(np.rint(np.random.default_rng(0).normal(mean, sd, shape)), -127, 127).astype(np.int32)


def random_network(units: int = 256) -> Loihi2Network:
    """700-units(recurrent)-20; weights, decays and thresholds drawn like those of the recorded network."""
    recurrent = normal((units, units), 0, 12 * min(1, 256 / units) ** 0.5)
    hidden = Loihi2Layer(
        "layer/1", "dense_rec", normal((units, 700), 3, 12), recurrent, i_decay=742, v_decay=200, v_th_mant=900
    )
    readout = Loihi2Layer("layer/2", "dense", normal((20, units), 0, 40), i_decay=742, v_decay=200, v_th_mant=131072)
    return Loihi2Network(700, [hidden, readout])


def conv_network() -> Loihi2Network:
    """Two convolutions of 2 x 34 x 34 events, of the size used for N-MNIST, and a dense layer."""
    first = ConvLayer(
        "layer/1", "conv", normal((12, 2, 5, 5), 2, 20), (2, 34, 34), stride=2, neuron=CUBA(800, 200, 700)
    )
    second = ConvLayer(
        "layer/2", "conv", normal((24, 12, 3, 3), 1, 20), first.shape, stride=2, neuron=CUBA(800, 200, 900)
    )
    dense = Loihi2Layer(
        "layer/4", "dense", normal((10, second.n_out), 0, 40), i_decay=742, v_decay=200, v_th_mant=131072
    )
    return Loihi2Network(first.n_in, [first, second, dense])


def sigma_delta_network() -> Loihi2Network:
    """Sigma-delta units behind 700 numbers a step."""
    source = InputLayer("layer/0", "input", (700,), neuron=SigmaDelta(4))
    hidden = Loihi2Layer("layer/1", "dense", normal((256, 700), 0, 12), neuron=SigmaDelta(8))
    return Loihi2Network(
        700, [source, hidden, Loihi2Layer("layer/2", "dense", normal((20, 256), 0, 40), neuron=Sigma())]
    )


def noise(n_in: int, per_step: float, batch: int = 1, steps: int = STEPS) -> np.ndarray:
    """Spikes (batch, n_in, steps), `per_step` of them on average."""
    return (np.random.default_rng(1).random((batch, n_in, steps)) < per_step / n_in).astype(np.int8)


def operations(network: Loihi2Network, spikes: np.ndarray) -> float:
    """Weights added per step and sample."""
    signals = [spikes, *network.run(spikes, ("spikes",)).spikes]
    total = 0
    for layer, before, own in zip(network.layers, signals, signals[1:], strict=False):
        fan_out = np.diff(layer.synapses().tocsc().indptr)
        total += int((before != 0).sum((0, 2)) @ fan_out)
        if isinstance(layer, Loihi2Layer) and layer.weight_rec is not None:
            total += int((own != 0).sum()) * layer.n_out
    return total / (spikes.shape[0] * spikes.shape[2])


def measure(
    case: str,
    network: Loihi2Network,
    spikes: np.ndarray,
    record: tuple[str, ...] = (),
    threads: int = 1,
    repeats: int = 30,
) -> dict[str, Any]:
    """Median time of `repeats` runs, and what was run."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        added = operations(network, spikes[:2])
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
        "units": sum(layer.n_out for layer in network.layers),
        "batch": batch,
        "threads_used": threads,
        "input_spikes_per_step": float((spikes != 0).sum() / (batch * steps)),
        "synaptic_operations_per_step": round(added),
        "median_ms": 1e3 * median,
        "steps_per_s": round(batch * steps / median),
        "million_synaptic_operations_per_s": round(added * batch * steps / median / 1e6),
    }


def main() -> None:
    """Run all cases and print them."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    repeats, largest, steps = (1, 64, 20) if args.smoke else (args.repeats, 4096, STEPS)
    few = 1 if args.smoke else max(3, repeats // 10)

    network, one, many = random_network(), noise(700, 8, steps=steps), noise(700, 8, 64, steps)
    cores = torch.get_num_threads()
    results = [
        measure("256 units", network, one, repeats=repeats),
        measure("256 units", network, one, EVERYTHING, repeats=repeats),
    ]
    results += [measure(f"{n} units", random_network(n), one, repeats=few) for n in (64, 1024, 4096) if n <= largest]
    results += [measure(f"{n} input spikes", network, noise(700, n, steps=steps), repeats=few) for n in (1, 32, 128)]
    results += [measure(f"batch {b}", network, noise(700, 8, b, steps), repeats=few) for b in (8, 64)]
    if cores > 1:
        results.append(measure("batch 64", network, many, threads=cores, repeats=few))
    recorded = np.load(RECORDING.with_suffix(".npz"))["input"][None]
    results.append(measure("as Lava recorded", load_netx(RECORDING.with_suffix(".net")), recorded, repeats=repeats))
    show("simulator", results)

    convolutional = conv_network()
    numbers = np.cumsum(np.random.default_rng(2).integers(-1, 2, (1, 700, steps)), 2) // 20 / 8
    others = [
        measure("conv, conv, dense", convolutional, noise(convolutional.n_in, 40, steps=steps), repeats=few),
        measure("sigma-delta", sigma_delta_network(), numbers, repeats=few),
    ]
    show("other layers", others)


if __name__ == "__main__":
    main()
