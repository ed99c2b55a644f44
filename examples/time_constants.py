"""Time constants for each unit, trained: a tone must be kept for 150 ms, and clicks be told apart that are 8 ms apart.

One of two tones sounds; 150 ms later come two clicks, together or one after the other. The readout, which forgets
within 10 ms, is asked at the end: which tone, and which clicks? With time constants from 5 to 400 ms that are trained
the test accuracy is 0.95, with 20 ms for all units 0.52; 5 s each.
"""

import sys

import torch

import lambent as lb


def data(n, seed):
    """Spikes (n, 200, 24), 0 or 1 in steps of 1 ms, and labels (n,): 2 tone + (1 if the clicks came together)."""
    generator = torch.Generator().manual_seed(seed)
    tone, together = torch.randint(2, (2, n), generator=generator)
    spikes = torch.rand(n, 200, 24, generator=generator) < 0.001  # noise
    for i, start in enumerate(torch.randint(5, 25, (n,), generator=generator)):
        tones = slice(6 * int(tone[i]), 6 * int(tone[i]) + 6)
        spikes[i, start : start + 10, tones] |= torch.rand(10, 6, generator=generator) < 0.3
        spikes[i, start + 160, 12:18] = True
        spikes[i, start + 160 + 8 * (1 - together[i]), 18:] = True
    return spikes, 2 * tone + together


def main(small=False, seed=0, spread=True):
    """Train, and return the accuracy on sequences not heard before."""
    torch.manual_seed(seed)
    (spikes, labels), (test_spikes, test_labels) = data(600 if small else 1500, seed), data(500, seed + 1000)

    tau = 5 * 80 ** torch.rand(100)  # from 5 to 400 ms
    model = torch.nn.Sequential(
        lb.LIF(24, 100, tau_mem=tau if spread else 20.0), lb.LIReadout(100, 4, tau_mem=10.0, reduce="last", scale=30)
    )
    if spread:
        model[0].tau_mem.requires_grad_()  # trained with the weights from now on
    train = lb.data.SpikeDataset.from_events(lb.Events.from_dense(spikes, dt=1.0, batch_first=True), labels)
    lb.fit(model, train, epochs=6 if small else 20, lr=2e-2, lr_tau=1.0, label_smoothing=0.0)

    with torch.no_grad():
        guess = model(lb.Events.from_dense(test_spikes, dt=1.0, batch_first=True)).argmax(1)
    return (guess == test_labels).float().mean().item()


if __name__ == "__main__":
    small = "--smoke" in sys.argv
    print(f"test accuracy {main(small):.3f}, with one time constant {main(small, spread=False):.3f}")
