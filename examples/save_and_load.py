"""Saving: a training that stops and goes on bit for bit, and a model in one safetensors file.

Trains on Yin-Yang, stops after 5 epochs as Ctrl-C or a power cut would, goes on from the folder, and gets the very
weights of a training that never stopped. The saved file needs no code of yours to be read, and runs none.

Reaches test accuracy X in X s.

    python examples/save_and_load.py
"""

import sys
import tempfile
from pathlib import Path

import torch

import lambent as lb

small = "--smoke" in sys.argv
folder = Path(tempfile.mkdtemp())  # yours would be something like runs/yin_yang
train, test = lb.data.yin_yang(300 if small else 3000, seed=0), lb.data.yin_yang(1000, seed=1)
settings = {"valid": 0.1, "epochs": 8 if small else 30, "lr": 2e-2, "progress": False}


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(lb.LIF(5, 120), lb.LIReadout(120, 3, scale=30))


never_stopped = network()
lb.fit(never_stopped, train, **settings)

stopped = network()
after_five = [lambda metrics: metrics["epoch"] == 5]  # a callback that returns True ends the training
lb.fit(stopped, train, **settings, folder=folder / "run", callbacks=after_five)

resumed = network()  # in another program, perhaps
lb.fit(resumed, train, **settings, folder=folder / "run", resume=True)
assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), never_stopped.parameters(), strict=True))

lb.save(resumed, folder / "yin_yang.safetensors")
loaded = lb.load(folder / "yin_yang.safetensors")  # knows by itself what it is made of
events, labels = test.batch(range(len(test)))
assert torch.equal(loaded(events), resumed(events))
accuracy = (loaded(events).argmax(1) == labels).float().mean()
print(f"resumed and loaded bit for bit; test accuracy {accuracy:.3f}")
