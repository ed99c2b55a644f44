"""Learned delays: how long after one click another came, told by units that forget within a few milliseconds.

0, 10, 20, 30, 40 or 50 ms, each click some 1 ms off, and the first at any time. With delays that are trained with the
weights the test accuracy is 0.93, without delays 0.52; 10 s each.
"""

import sys

import numpy as np
import torch

import lambent as lb


def data(n, seed):
    """The times [ms] of both clicks, (n, 2), and the numbers of the intervals between them (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(6, size=n)
    times = rng.uniform(5, 30, (n, 1)) + np.stack([0 * labels, 10 * labels], 1) + rng.normal(0.0, 1.0, (n, 2))
    return times, torch.tensor(labels)


def main(small=False, seed=0, delays=True):
    """Train, and return the accuracy on clicks not heard before."""
    torch.manual_seed(seed)
    (times, labels), (test_times, test_labels) = data(500 if small else 1000, seed), data(500, seed + 1000)

    def events(times):
        order = times.argsort(1)
        return lb.Events.from_lists(np.take_along_axis(times, order, 1), order, n_units=2, duration=160.0)

    delay = 60 * torch.rand(2, 60) if delays else None  # one for each connection; parameters, as weights are
    model = torch.nn.Sequential(
        lb.LIF(2, 60, delay=delay, tau_mem=4.0, tau_syn=2.0), lb.LIReadout(60, 6, reduce="mean", scale=100)
    )
    lb.fit(model, lb.data.SpikeDataset.from_events(events(times), labels), epochs=8 if small else 30, lr_delay=0.5)

    with torch.no_grad():
        return (model(events(test_times)).argmax(1) == test_labels).float().mean().item()


if __name__ == "__main__":
    small = "--smoke" in sys.argv
    print(f"test accuracy {main(small):.3f}, without delays {main(small, delays=False):.3f}")
