"""Population codes: ten units see each number, and ten units vote for each class, by how often they spike.

Points of the plane on three spirals, wound into one another. Reaches a test accuracy of 0.99 in 15 s.
"""

import sys

import torch

import lambent as lb


def data(n, seed):
    """Points (n, 2) in the unit square and the numbers of their spirals (n,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    along = torch.rand(n, generator=generator).sqrt()
    angle = 2 * torch.pi * (along + labels / 3)
    points = 0.5 + 0.45 * along[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return (points + 0.015 * torch.randn(n, 2, generator=generator)).clamp(0, 1), labels


def main(small=False, seed=0):
    """Train, and return the accuracy on points not seen before."""
    torch.manual_seed(seed)
    (points, labels), (test_points, test_labels) = data(1000 if small else 2000, seed), data(1000, seed + 1000)

    code = lb.encode.Encoder(lb.encode.population, duration=60.0, t_late=30.0, fields=10)
    model = torch.nn.Sequential(lb.LIF(20, 100), lb.LIF(100, 30))
    lb.fit(
        model,
        lb.data.SpikeDataset.from_events(code(points), labels),
        epochs=6 if small else 30,
        loss=lambda spikes, labels: lb.losses.count_cross_entropy(spikes, labels, population=10),
    )

    with torch.no_grad():
        votes = lb.losses.population_mean(model(code(test_points)).counts(), 10)
    return (votes.argmax(1) == test_labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}")
