"""Claim: layers with default arguments are alive on inputs of many kinds, without calibration, and deep stacks learn.

Silent units and spikes per unit and sample of `lb.LIF(n, 64)`, alone and recurrent, as it is made: mean and worst of
seeds. Real spoken digits where the Heidelberg-like file is given. Then stacks of one to four hidden layers of 128 units
on the packaged keywords, as they are made and calibrated: test accuracy after ten epochs of `lb.fit`, one seed.

    python benchmarks/first_steps.py [--seeds 5] [--digits spoken_digits_train.h5.gz]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import lambent as lb
from _common import arguments, show


def images(n: int, side: int) -> torch.Tensor:
    """Smooth blobs (n, side * side) in [0, 1], as dark as digits are."""
    at = torch.linspace(0, 1, side)
    y, x = at[:, None], at[None]
    centre, width = torch.rand(n, 3, 2, 1, 1), 0.01 + 0.02 * torch.rand(n, 3, 1, 1)
    blobs = torch.exp(-((x - centre[:, :, 0]) ** 2 + (y - centre[:, :, 1]) ** 2) / width)
    return blobs.sum(1).clamp(max=1).flatten(1)


def inputs(n: int, digits: Path | None) -> Iterator[tuple[str, lb.Events]]:
    """What a first program may be given: batches of `n`."""
    for side in (12, 28):
        pictures = images(n, side)
        yield f"images of {side * side}, latency", lb.encode.latency(pictures, 100.0, 80.0)
        yield f"images of {side * side}, rate", lb.encode.rate(pictures, 100.0, 100.0)
    yield "Yin-Yang", lb.data.yin_yang(n, seed=0).batch(range(n))[0]
    words = lb.data.keywords()[0]
    yield "keywords", words.batch(range(0, len(words), len(words) // n))[0]
    if digits is not None:
        data = lb.data.SpikeDataset.from_shd(digits)
        yield "spoken digits, 700 channels", data.batch(range(0, len(data), len(data) // n))[0]
    t = torch.arange(500) / 500
    waves = torch.sin(2 * math.pi * (1 + 4 * torch.rand(n, 1, 1)) * t + 6 * torch.rand(n, 1, 1))
    yield "delta code of a wave", lb.encode.delta(waves, 1.0, 0.2)
    yield "8 busy units", lb.Events.from_dense((torch.rand(n, 200, 8) < 0.05).int(), 1.0)
    yield "5,000 sparse units", lb.Events.from_dense((torch.rand(n, 200, 5000) < 0.003).int(), 1.0)


def stacks(smoke: bool) -> Iterator[dict[str, Any]]:
    """What stacks of feed-forward layers reach on the packaged keywords."""
    train, test = lb.data.keywords()
    train = train.subset(range(0, len(train), 20)) if smoke else train
    events, _ = train.batch(range(0, len(train), 32))
    for calibrated in (False, True):
        for depth in (1, 2) if smoke else (1, 2, 3, 4):
            torch.manual_seed(0)
            sizes = [train.n_units, *[128] * depth]
            layers = [lb.LIF(n_in, n_out, dt=2.0) for n_in, n_out in itertools.pairwise(sizes)]
            model = torch.nn.Sequential(*layers, lb.LIReadout(128, train.n_classes, scale=30, dt=2.0))
            if calibrated:
                lb.calibrate(model, events, spikes=5)
            last = torch.nn.Sequential(*layers)(events).counts().mean().item()
            lb.fit(model, train, valid=0.1, epochs=1 if smoke else 10, lr=1e-2, progress=False)
            scores, labels = lb.training.predict(model, test)
            yield {
                "case": f"keywords, {depth} hidden",
                "calibrated": calibrated,
                "spikes per unit of the last, before": last,
                "test accuracy": (scores.argmax(1) == labels).double().mean().item(),
            }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--digits", type=Path, help="training words of the spoken digits")
    args = parser.parse_args()
    seeds, n = (1, 8) if args.smoke else (args.seeds, 64)
    rows = []
    torch.manual_seed(0)
    for name, events in inputs(n, args.digits):
        for recurrent in (False, True):
            silent, spikes = [], []
            for seed in range(seeds):
                torch.manual_seed(seed)
                counts = lb.LIF(events.n_units, 64, recurrent=recurrent)(events).counts().detach()
                silent.append((counts.sum(0) == 0).float().mean().item())
                spikes.append(counts.mean().item())
            rows.append(
                {
                    "case": name,
                    "recurrent": recurrent,
                    "input spikes per unit": events.counts().mean().item(),
                    "silent units": sum(silent) / seeds,
                    "most silent": max(silent),
                    "spikes per unit": sum(spikes) / seeds,
                    "fewest": min(spikes),
                    "most": max(spikes),
                }
            )
    show("first_steps", rows)
    show("first_steps", list(stacks(args.smoke)))


if __name__ == "__main__":
    main()
