"""An event camera: a bar moves through the picture; a recurrent network says in which of eight directions.

Every pixel brightens and darkens once, whatever the direction: only the order of events tells it. Bars differ in speed,
width and tilt, half of the events is lost, and some are noise. Reaches a test accuracy of 0.98 in 10 s.
"""

import sys

import numpy as np
import torch

import lambent as lb


def data(n, seed):
    """Recordings, each an array of events with fields x, y, t [us] and p (brighter or darker), and directions (n,)."""
    rng = np.random.default_rng(seed)
    directions = rng.integers(8, size=n)
    recordings = []
    for direction in directions:
        angle = np.pi / 4 * direction + rng.uniform(-0.2, 0.2)
        x, y, p = (a.ravel() for a in np.mgrid[:16, :16, :2])
        way = (x - 7.5) * np.cos(angle) + (y - 7.5) * np.sin(angle) + 11 + np.where(p, 0.0, rng.uniform(2, 5))
        t = 1000 * (way / rng.uniform(0.3, 0.6) + rng.normal(0.0, 1.0, x.size) + 5)
        noise = rng.random(x.size) < 0.1
        t[noise] = rng.uniform(0, 99_000, noise.sum())
        seen = np.flatnonzero((rng.random(x.size) < 0.5) & (t < 99_000))
        seen = seen[t[seen].argsort()]
        recordings.append(np.rec.fromarrays([x[seen], y[seen], t[seen].astype(int), p[seen] == 1], names="x, y, t, p"))
    return recordings, torch.tensor(directions)


def main(small=False, seed=0):
    """Train, and return the accuracy on recordings not seen before."""
    torch.manual_seed(seed)
    (recordings, directions), (test_recordings, test_directions) = (
        data(600 if small else 1500, seed),
        data(300, seed + 1000),
    )

    events = lb.Events.from_structured(recordings, sensor_size=(16, 16, 2), duration=100.0)
    train = lb.data.SpikeDataset.from_events(events, directions)
    model = torch.nn.Sequential(lb.LIF(512, 64, recurrent=True), lb.LIReadout(64, 8, scale=30))
    lb.fit(model, train, epochs=5 if small else 15)

    with torch.no_grad():
        guess = model(lb.Events.from_structured(test_recordings, sensor_size=(16, 16, 2), duration=100.0)).argmax(1)
    return (guess == test_directions).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {main(small='--smoke' in sys.argv):.3f}")
