"""A hybrid: a convolution in front, spikes in the middle, an ordinary layer behind, all trained together.

Gratings of eight orientations and of any phase and width, in noise. Reaches a test accuracy of 0.97 in 15 s.
"""

import sys

import numpy as np
import torch
from torch import nn

import lambent as lb


def data(n, seed):
    """Images (n, 1, 16, 16) and the numbers of their orientations (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(8, size=n)
    y, x = np.mgrid[:16, :16]
    angle, phase, width = (a[:, None, None] for a in (np.pi / 8 * labels, rng.uniform(0, 7, n), rng.uniform(1, 1.6, n)))
    images = np.sin((x * np.cos(angle) + y * np.sin(angle)) / width + phase) + rng.normal(0.0, 1.5, (n, 16, 16))
    return torch.tensor(images[:, None], dtype=torch.float32), torch.tensor(labels)


def main(small=False, seed=0):
    """Train, and return the accuracy on images not seen before."""
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = data(1000 if small else 2000, seed), data(500, seed + 1000)

    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2),
        nn.Flatten(),
        nn.Sigmoid(),
        lb.encode.Encoder(lb.encode.latency, duration=40.0, t_late=30.0),
        lb.LIF(16 * 6 * 6, 100),
        lb.LIReadout(100, 32, scale=10),
        nn.ReLU(),
        nn.Linear(32, 8),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(5 if small else 15):
        for batch in torch.randperm(len(images)).split(32):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (model(test_images).argmax(1) == test_labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}")
