"""Saving: a training that stops and goes on bit for bit, and a model in one safetensors file.

Trains on Yin-Yang, stops after 5 epochs as Ctrl-C or a power cut would, goes on from the folder, and gets the very
weights of a training that never stopped. The saved file needs no code of yours to be read, and runs none. Reaches a
test accuracy of 0.95 in 20 s on two cores.

    python examples/save_and_load.py
"""

import sys
import tempfile
from pathlib import Path

import torch

import lambent as lb


def data(small, seed):
    """Points of the Yin-Yang sign as five spikes each, to train on and to test."""
    return lb.data.yin_yang(300 if small else 3000, seed), lb.data.yin_yang(1000, seed + 1000)


def network(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(lb.LIF(5, 120), lb.LIReadout(120, 3, scale=30))


def main(small=False, seed=0):
    """Train with and without a stop, save, load, and return the accuracy of what was loaded."""
    train, test = data(small, seed)
    folder = Path(tempfile.mkdtemp())  # yours would be something like runs/yin_yang
    settings = {"epochs": 8 if small else 30, "lr": 2e-2, "seed": seed, "progress": False}

    never_stopped = network(seed)
    lb.fit(never_stopped, train, **settings)

    stop = [lambda metrics: metrics["epoch"] == 5]  # a callback that returns True ends the training
    lb.fit(network(seed), train, **settings, folder=folder / "run", callbacks=stop)

    resumed = network(seed)  # in another program, on another day
    lb.fit(resumed, train, **settings, folder=folder / "run", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), never_stopped.parameters(), strict=True))

    lb.save(resumed, folder / "yin_yang.safetensors")
    loaded = lb.load(folder / "yin_yang.safetensors")  # the file knows what the network is made of
    scores, labels = lb.training.predict(loaded, test)
    assert torch.equal(scores, lb.training.predict(resumed, test)[0])
    return (scores.argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}, bit for bit that of a training that never stopped")
