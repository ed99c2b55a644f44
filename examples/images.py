"""Images: every pixel spikes once, the brighter the earlier; a spiking network says which shape it was.

Five shapes of any size and place in noisy images of 16 x 16 pixels. Reaches a test accuracy of 0.96 in 15 s.
"""

import sys

import numpy as np
import torch

import lambent as lb


def data(n, seed):
    """Images (n, 256), from 0 (dark) to 1, and the numbers of their shapes (n,)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    labels = rng.integers(5, size=n)
    images = rng.normal(0.0, 0.15, (n, 16, 16))
    for image, label in zip(images, labels, strict=True):
        dx, dy = np.abs(x - rng.uniform(5.5, 9.5)), np.abs(y - rng.uniform(5.5, 9.5))
        size, far = rng.uniform(3.0, 5.0), np.maximum(dx, dy)
        circle, square, diamond = np.hypot(dx, dy) - size, far - size, (dx + dy - 1.3 * size) / 1.4
        plus, cross = np.where(far > size, 9.0, np.minimum(dx, dy)), np.where(far > size, 9.0, (dx - dy) / 1.4)
        image += np.exp(-((circle, square, diamond, plus, cross)[label] ** 2))  # bright near the lines
    return torch.tensor(images.clip(0, 1).reshape(n, 256), dtype=torch.float32), torch.tensor(labels)


def main(small=False, seed=0):
    """Train, and return the accuracy on images not seen before."""
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = data(1000 if small else 3000, seed), data(500, seed + 1000)

    train = lb.data.SpikeDataset.from_events(lb.encode.latency(images, duration=60.0, t_late=50.0), labels)
    model = torch.nn.Sequential(lb.LIF(256, 100), lb.LIReadout(100, 5, scale=30))
    lb.fit(model, train, epochs=5 if small else 20)

    with torch.no_grad():
        guess = model(lb.encode.latency(test_images, duration=60.0, t_late=50.0)).argmax(1)
    return (guess == test_labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}")
