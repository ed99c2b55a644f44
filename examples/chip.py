"""To Loihi 2: quantise, export, run on a bit-exact model of the chip, and what it would cost there.

Trains the spoken commands of keywords.py, writes 8-bit and 4-bit NetX files to the working folder, and fine-tunes with
the chip's integers for 2 bits.

Reaches X

    python examples/chip.py
"""

import sys

import torch

import lambent as lb
from lambent.hardware import loihi2

small = "--smoke" in sys.argv
torch.manual_seed(0)

train, test = lb.data.keywords()
if small:
    train, test = train.subset(range(100)), test.subset(range(20))
typical, _ = train.batch(range(100))
events, labels = test.batch(range(len(test)))


def accuracy(scores):
    return (torch.as_tensor(scores).argmax(1) == labels).float().mean()


def on_chip(model, path, bits=None):
    """Accuracy on the chip model, and energy and latency of a word, modelled."""
    print(loihi2.export_netx(model, path, bits, calibration=typical))
    network = loihi2.load_netx(path)
    print(loihi2.estimate_cost(network, network.run(events[:20])))
    return accuracy(network.logits(events))


delay = 120 * torch.rand(140, 128)  # [ms]; Loihi 2 has up to 62 steps
model = torch.nn.Sequential(lb.LIF(140, 128, recurrent=True, delay=delay, dt=2.0), lb.LIReadout(128, 10, scale=30, dt=2.0))
lb.calibrate(model, typical, spikes=5.0)
lb.fit(model, train, epochs=2 if small else 12, lr=1e-2)
results = {"float": accuracy(model(events))}
for bits in (8,4,3,2):
    results[f"{bits} bits"] = on_chip(model, f"words{bits}.net", bits)

    aware = lb.quantize.quantization_aware(model, bits, calibration=typical)  # computes as the chip, trains like any model
    lb.fit(aware, train, epochs=1 if small else 3, lr=2e-3)
    results[f"{bits} bits, fine-tuned"] = on_chip(aware, f"words{bits}_tuned.net")
print("test accuracy " + ", ".join(f"{name} {value:.3f}" for name, value in results.items()))
