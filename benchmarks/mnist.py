"""Claim: MNIST with one spike per pixel, the exact engine and a loss on first spikes.

784-350-10 LIF units in continuous time. FOLDER holds the four files of MNIST (`train-images-idx3-ubyte` and so on, with
or without .gz), which lambent does not bring along. Wunderlich & Pehle (2021) report 97.6 +- 0.1 %.

    python benchmarks/mnist.py FOLDER [--seeds 1] [--epochs 20]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import lambent as lb
from _common import show
from _first_spikes import accuracy, network, train


def read(folder: Path, part: str) -> lb.data.SpikeDataset:
    """The images and labels of "train" or "t10k"."""
    names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
    files = [next((f for f in (folder / n, folder / f"{n}.gz") if f.exists()), folder / n) for n in names]
    return lb.data.from_idx(*files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    data, test = read(args.folder, "train"), read(args.folder, "t10k")
    rows = []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        model = network(data.n_units, 350, 10, mean=0.078, spread=0.045)
        minutes = train(model, data, args.epochs, batch=64, lr=5e-3, report=True)
        rows.append(
            {"seed": str(seed), "train": accuracy(model, data), "test": accuracy(model, test), "minutes": minutes}
        )
    show("mnist", rows)


if __name__ == "__main__":
    main()
