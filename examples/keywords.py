"""Spoken commands: recurrent LIF units, and a delay to learn at every input synapse.

Ten words (yes, no, left, stop ...) by synthetic voices, as spikes of 140 auditory channels; the six test voices are
never heard in training.

Reaches test accuracy 0.97 in half a minute on two cores.

    python examples/keywords.py
"""

import sys

import torch

import lambent as lb

small = "--smoke" in sys.argv
torch.manual_seed(0)

train, test = lb.data.keywords()
if small:
    train = train.subset(range(100))

delay = 120 * torch.rand(140, 128)  # [ms], one for each pair of units
model = torch.nn.Sequential(
    lb.LIF(140, 128, recurrent=True, delay=delay, dt=2.0),
    lb.LIReadout(128, 10, scale=30, dt=2.0),
)
events, _ = train.batch(range(100))
lb.calibrate(model, events, spikes=5.0)  # per unit and word: neither silent nor saturated

shift = lb.data.augment.ShiftChannels(2)  # as if the voice were a little higher or lower
lb.fit(model, train, epochs=2 if small else 12, lr=1e-2, augment=shift)

scores, labels = lb.training.predict(model, test)
print(f"test accuracy {(scores.argmax(1) == labels).float().mean():.3f}")
