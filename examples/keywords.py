"""Spoken commands: recurrent LIF units, and a delay to learn at every input synapse.

Ten words (yes, no, left, stop ...) by synthetic voices, as spikes of 140 auditory channels; the six test voices are
never heard in training. Reaches a test accuracy of 0.97 in half a minute on two cores.

    python examples/keywords.py
"""

import sys

import torch

import lambent as lb


def data(small, seed):
    """2,100 words of thirty voices to train on, 420 of six others to test."""
    train, test = lb.data.keywords()
    return (train.subset(range(100)), test) if small else (train, test)


def main(small=False, seed=0):
    """Train, and return the accuracy on voices not heard before."""
    torch.manual_seed(seed)
    train, test = data(small, seed)

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
    return (scores.argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}")
