"""Claim: a network split over a radio link loses at most three points with 30 % of the spikes; payloads save spikes.

Spoken digits in steps of 2 ms: 700-256 units with fixed delays at the sensor, a link, and a readout behind it. A spike
takes 8 bits for its unit and those of its payload (0 to 4). Networks are trained through a link that loses 15 % of the
spikes, one as if there were no link, and tested where 0, 10, 20 and 30 % are lost. Units that spike more than eight
times a word are pulled down. Settings were chosen on 480 of the words to train on.

    python benchmarks/split_computing.py TRAIN.h5.gz TEST.h5.gz [--seeds 1] [--epochs 15] [--out FOLDER]

A case that is finished in --out is not run again.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import lambent as lb
from _common import arguments, show, tiny_words
from lambent.data import SpikeDataset, augment
from lambent.runs.train import load_training_data
from lambent.training import Config

DT, UNITS, TRAINED, TESTED = 2.0, 256, 0.15, (0.0, 0.1, 0.2, 0.3)


def network(inputs: int, classes: int, bits: int, erasure: float) -> torch.nn.Sequential:
    """Units with time constants from 10 to 40 ms and delays up to 120 ms, a link, and a readout."""
    tau, delay = torch.linspace(10, 40, UNITS), 120 * torch.rand(inputs, UNITS)
    near = lb.LIF(inputs, UNITS, tau_mem=tau, delay=delay, dt=DT, payload_bits=bits, payload_range=0.25)
    near.delay.requires_grad_(False)
    return torch.nn.Sequential(near, lb.Channel(erasure), lb.LIReadout(UNITS, classes, dt=DT, scale=30.0))


def train(data: SpikeDataset, bits: int, erasure: float, seed: int, epochs: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    model = network(data.n_units, data.n_classes, bits, erasure)
    lb.calibrate(model, data.batch(range(0, len(data), max(1, len(data) // 30)))[0], 3.0)
    change = augment.Compose([augment.Blend(data, 0.5), augment.ShiftChannels(10), augment.JitterTimes(2.0)])
    lb.fit(model, data, epochs=epochs, seed=seed, augment=change, rate_lower=2.0, rate_upper=8.0, progress=False)
    return model


@torch.no_grad()
def test(model: torch.nn.Sequential, data: SpikeDataset, erasure: float) -> tuple[float, float]:
    """Share of the words recognised where so many spikes are lost, and spikes that the sensor sends for a word."""
    near, link, readout = model.eval()
    link.erasure, link.in_evaluation = erasure, True
    right = sent = 0.0
    torch.manual_seed(0)
    for events, labels in data.batches(200):
        spikes = near(events)
        sent += len(spikes.times)
        right += float((readout(link(spikes)).argmax(1) == labels).sum())
    return right / len(data), sent / len(data)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, help="where finished cases are kept")
    args = parser.parse_args()
    cases = [(TRAINED, bits) for bits in range(5)] + [(0.0, 0)]
    if args.smoke:
        (args.train, args.test), args.epochs, cases = tiny_words(Path(tempfile.mkdtemp())), 1, [(TRAINED, 2)]
    elif args.test is None:
        parser.error("needs the files of spoken digits")
    data, words, _ = load_training_data(args.train, args.test, Config())
    rows = []
    for seed in range(args.seeds):
        for trained, bits in cases:
            kept = None if args.out is None else args.out / f"{trained:g}_{bits}_{seed}_{args.epochs}.json"
            if kept is not None and kept.exists():
                rows.append(json.loads(kept.read_text()))
                continue
            model = train(data, bits, trained, seed, args.epochs)
            row: dict[str, Any] = {"trained_at": f"{trained:.0%}", "payload_bits": bits, "seed": seed}
            for erasure in TESTED:
                row[f"lost_{erasure:.0%}"], sent = test(model, words, erasure)
            row["spikes_a_word"], row["bits_a_word"] = sent, sent * (math.log2(UNITS) + bits)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(row))
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    show("split_computing", rows)


if __name__ == "__main__":
    main()
