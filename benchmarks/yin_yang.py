"""Claim: the exact engine reaches the published accuracy on Yin-Yang with a loss on first spikes.

5-120-3 LIF units in continuous time, trained on 5,000 points with time-to-first-spike cross-entropy, tested on 10,000
others (1,000 would spread by 0.4 % for their choice alone); mean and standard deviation over seeds. Wunderlich & Pehle
(2021) report 98.10 +- 0.19 %.

    python benchmarks/yin_yang.py [--seeds 10] [--epochs 100] [--jobs 2]
"""

from __future__ import annotations

import statistics
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import torch

import lambent as lb
from _common import arguments, show
from _first_spikes import accuracy, network, train


def run(seed: int, epochs: int, points: int) -> dict[str, float]:
    """Train one network."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    data, test = (lb.data.yin_yang(n, s, t_bias=20.0) for n, s in ((points, 2 * seed), (2 * points, 2 * seed + 1)))
    model = network(5, 120, 3, first=(1.5, 0.78), second=(0.93 * 200 / 120, 0.1))  # Wunderlich & Pehle's
    minutes = train(model, data, epochs, batch=64, lr=1e-2)
    return {"train": accuracy(model, data), "test": accuracy(model, test), "minutes": minutes}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2, help="networks trained at a time, one thread each")
    args = parser.parse_args()
    points = 5000
    if args.smoke:
        args.seeds, args.epochs, points = 1, 1, 60
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        results = []
        for seed, result in enumerate(pool.map(run, range(args.seeds), repeat(args.epochs), repeat(points))):
            print(f"seed {seed}: test {100 * result['test']:.1f} %, {result['minutes']:.1f} min", flush=True)
            results.append(result)
    rows = [{"seed": str(seed), **r} for seed, r in enumerate(results)]
    tests = [100 * r["test"] for r in results]
    spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
    show("yin_yang", rows)
    print(f"test accuracy {statistics.mean(tests):.2f} +- {spread:.2f} % over {len(tests)} seeds")


if __name__ == "__main__":
    main()
