"""Claim: the exact engine's cost per spike hardly grows with the number of units.

Sparse recurrent networks of 100 to 100,000 units, each with about 100 inputs from outside and 100 from other units
(four fifths excitatory, the others five times as strong and inhibitory), 100 ms, one sample, one thread: synaptic
events per second and time per spike, forward and backward, medians.

    python benchmarks/exact_speed.py [--repeats 3] [--largest 100000] [--figure exact_speed.svg]
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

import lambent as lb
from _common import arguments, show
from lambent.connections import Sparse
from lambent.engines.exact import cpu as exact
from lambent.neurons import LIF

FAN_OUT, DURATION = 100, 100.0
SIZES = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)


def synapses(size: int, weight: float, g: torch.Generator) -> Sparse:
    """`size` sources that each reach `FAN_OUT` random units, every fifth inhibitory."""
    sign = torch.where(torch.arange(size) % 5 == 0, -5.0, 1.0).unsqueeze(1)
    values = weight * sign * torch.rand(size, FAN_OUT, generator=g) * 2
    targets = torch.randint(size, (size, FAN_OUT), generator=g).flatten()
    sources = torch.arange(size).repeat_interleave(FAN_OUT)
    made = Sparse(size, size, indices=torch.stack([sources, targets]), weight=values.flatten())
    made.weight.requires_grad_()
    return made


def network(size: int) -> tuple[lb.Events, LIF, Sparse, Sparse]:
    """One spike of every outside source, and the units."""
    g = torch.Generator().manual_seed(size)
    times = torch.sort(torch.rand(size, generator=g) * (DURATION - 1)).values
    events = lb.Events(times, torch.randperm(size, generator=g), torch.tensor([0, size]), size, DURATION)
    one = torch.ones(size)
    neuron = LIF(20 * one, 5 * one, one, min_slope=1e-6)
    return events, neuron, synapses(size, 1.2, g), synapses(size, 0.2, g)


def measure(size: int, repeats: int) -> dict[str, Any]:
    events, neuron, inputs, own = network(size)
    forward, backward = [], []
    for _ in range(repeats + 1):  # the first one compiles
        start = time.perf_counter()
        out = exact.spikes(events, neuron, inputs, own)
        between = time.perf_counter()
        out.times.sum().backward()
        forward.append(between - start)
        backward.append(time.perf_counter() - between)
    spikes = size + len(out.times)
    seconds, back = statistics.median(forward[1:]), statistics.median(backward[1:])
    return {
        "units": size,
        "spikes per unit": len(out.times) / size,
        "synaptic events/s": FAN_OUT * spikes / seconds,
        "us per spike": 1e6 * seconds / spikes,
        "us per spike, backward": 1e6 * back / spikes,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    if args.smoke:
        args.repeats, args.largest = 1, 300
    torch.set_num_threads(1)
    rows = [measure(size, args.repeats) for size in SIZES if size <= args.largest]
    show("exact_speed", rows)
    if args.figure:
        figure, axis = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
        for name, label in (("us per spike", "forward"), ("us per spike, backward", "backward")):
            axis.loglog([r["units"] for r in rows], [r[name] for r in rows], "o-", label=label)
        axis.loglog([100, 1000], [rows[0]["us per spike"], 10 * rows[0]["us per spike"]], "k:", label="linear")
        axis.set_xlabel("units")
        axis.set_ylabel("time per spike [us]")
        axis.legend()
        figure.savefig(args.figure)


if __name__ == "__main__":
    main()
