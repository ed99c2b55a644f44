"""To Loihi 2: quantise, export, run on a bit-exact model of the chip, and what it would cost there.

Trains on the spoken commands of keywords.py, writes them as NetX files of 8 and 4 bits a weight into the working
folder, and fine-tunes the 4 bits with the chip's integers in the forward pass.

Reaches test accuracy 0.967 as floats, 0.964 with 8 bits on the chip model, 0.957 with 4, and 0.964 with 4 fine-tuned;
a word costs 0.07 mJ and takes 1 ms there, modelled. A minute on two cores.

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
    train, test = train.subset(range(100)), test.subset(range(100))
typical, _ = train.batch(range(100))  # on which the scales of the integers are chosen

model = torch.nn.Sequential(
    lb.LIF(140, 128, recurrent=True, delay=120 * torch.rand(140, 128), dt=2.0),  # [ms]; the chip has 62 steps
    lb.LIReadout(128, 10, scale=30, dt=2.0),
)
lb.calibrate(model, typical, spikes=5.0)
lb.fit(model, train, epochs=2 if small else 12, lr=1e-2)

loihi2.export_netx(model, "words8.net", weight_bits=8, calibration=typical)
print(loihi2.export_netx(model, "words4.net", weight_bits=4, calibration=typical))

aware = lb.quantize.quantization_aware(model, 4, calibration=typical)  # computes as the chip, trains like any model
lb.fit(aware, train, epochs=1 if small else 4, lr=2e-3)
loihi2.export_netx(aware, "words4_tuned.net")  # the very integers that it was trained with

events, labels = test.batch(range(len(test)))
network = loihi2.load_netx("words4_tuned.net")
print(loihi2.estimate_cost(network, network.run(events[:20])))


def accuracy(scores):
    return (torch.as_tensor(scores).argmax(1) == labels).float().mean()


results = [f"float {accuracy(model(events)):.3f}"]
for name in ("words8", "words4", "words4_tuned"):
    results.append(f"{name} {accuracy(loihi2.load_netx(f'{name}.net').logits(events)):.3f}")
print("test accuracy " + ", ".join(results))
