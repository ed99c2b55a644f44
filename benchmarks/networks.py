"""Claim: on real spoken digits other units and sparse connections learn as LIF units behind dense ones do; their cost.

All networks are trained alike: the settings of "dense" of `spoken_digits.py`, but steps of 2 ms, 12 epochs and no
delays, unless their name says otherwise. Dense ones have equal numbers of trained weights within 1 %. What the chip
takes runs on its bit-exact model, from a NetX file of 8 bits. Seconds are those of an epoch on one thread, without
augmentation.

    python benchmarks/networks.py TRAIN.h5.gz TEST.h5.gz [--seeds 3] [--only NAME ...] [--out runs]

Every run adds a line to OUT/networks.jsonl when it is done; runs that have one are not trained again, so that an
interrupted benchmark goes on. After a change of settings choose another folder.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from _common import arguments, machine, show, tiny_words
from lambent.data import SpikeDataset
from lambent.machine.threads import engine_only_threads
from lambent.runs.evaluate import evaluate_run, kept_chip_cost
from lambent.runs.export import export_run
from lambent.runs.train import load_training_data
from lambent.training import Config, Run, Trainer
from spoken_digits import FORMER, trained

STEPS = 20  # that are timed
SETTINGS: dict[str, Any] = FORMER | {"dt": 2.0, "delay": 0.0, "epochs": 12, "threads": 1}
DELAYS = {"delay": FORMER["delay"]}


def sparse(density: float, rewire: float = 0.0, epochs: int = 12) -> tuple[str, dict[str, Any]]:
    """LIF units with a share of all connections."""
    lr = 5e-3 / math.sqrt(density)  # fewer weights are as much larger
    return f"sparse 256 density {density} recurrent", {"lr": lr, "rewire": rewire, "epochs": epochs}


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "LIF": ("256 recurrent", {}),
    "adaptive LIF": ("adaptive 256 recurrent beta 0.2", {}),
    "SE-adLIF": ("adlif 256 recurrent", {}),
    "resonators": ("resonator 256 recurrent period 60", {}),
    "LIF, forward": ("348", {}),
    "resonators, forward": ("resonator 348 period 60", {}),
    "NetX RF, forward": ("resonator 348 period 16 rule phase", {}),
    "sparse 25 %": sparse(0.25),
    "sparse 25 %, rewired": sparse(0.25, 0.02),
    "sparse 10 %": sparse(0.1),
    "sparse 10 %, rewired": sparse(0.1, 0.02),
    "sparse 5 %": sparse(0.05),
    "sparse 5 %, rewired": sparse(0.05, 0.02),
    "LIF, 40 epochs": ("256 recurrent", {"epochs": 40}),
    "sparse 5 %, 40 epochs": sparse(0.05, epochs=40),
    "sparse 5 %, rewired, 40 epochs": sparse(0.05, 0.02, 40),
    "LIF, delays": ("256 recurrent", DELAYS),
    "SE-adLIF, delays": ("adlif 256 recurrent", DELAYS),
    "resonators, delays": ("resonator 256 recurrent period 60", DELAYS),
}
"""The hidden layer in words, and settings besides. What units need of their own was chosen on validation words."""


def measure(name: str, seed: int, data: SpikeDataset, test: SpikeDataset, folder: Path) -> dict[str, Any]:
    """One network, trained and tested."""
    layer, settings = NETWORKS[name]
    run = Run(folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{seed}")
    config = Config(**(SETTINGS | settings), layer=(layer,), seed=seed)
    model = trained(run, config, data).trained_model()
    row: dict[str, Any] = {
        "network": name,
        "layer": layer,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    try:
        export_run(run)
        why_not = ""
    except (TypeError, ValueError) as error:
        why_not = str(error)
    evaluation = evaluate_run(run, test, "spoken digits, test", chip=not why_not)
    row |= {
        "accuracy": evaluation.accuracy("float"),
        "spikes": float(evaluation.rates[0].mean()),
        "seconds": seconds_of_an_epoch(Trainer(model, config, data)),
    }
    if why_not:
        return row | {"not on the chip": why_not}
    cost = kept_chip_cost(run)
    return row | {
        "chip": evaluation.accuracy("chip"),
        "agreement": evaluation.agreement(),
        "bytes": run.network.stat().st_size,
        "cores": cost if isinstance(cost, str) else cost.counts.cores,
    }


def seconds_of_an_epoch(trainer: Trainer) -> float:
    """All batches times the processor's time for the shortest of some steps on one of them."""
    events, labels = next(iter(trainer.data.epoch(0, 0)))
    events, seconds = trainer.augment(events, labels, torch.Generator().manual_seed(0)), []
    for _ in range(STEPS):
        start = time.process_time()
        trainer.step(events, labels)
        seconds.append(time.process_time() - start)
    return trainer.batches * min(seconds)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of one network in a row: means over seeds, and the accuracies of each."""
    found = {"network": rows[0]["network"], "seeds": len(rows)}
    for key in ("parameters", "accuracy", "chip", "agreement", "bytes", "cores", "spikes", "seconds"):
        values = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
        found[key] = statistics.mean(values) if values else None
    for key in ("accuracy", "chip"):
        found[f"{key} of each"] = " ".join(f"{100 * row[key]:.1f}" for row in rows if key in row)
    return found


def main() -> None:
    """Train what is not yet trained, seed after seed, and print all."""
    parser = arguments(__doc__)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/networks"))
    args = parser.parse_args()
    if args.smoke:
        args.out = Path(tempfile.mkdtemp())
        args.train, args.test = tiny_words(args.out)
        args.seeds, args.only = 1, ["LIF", "resonators", "sparse 5 %, rewired"]
        SETTINGS.update(epochs=1)
    elif args.test is None:
        parser.error("needs the files of a training and of a test set")
    torch.set_num_threads(1)
    data, test, _ = load_training_data(args.train, args.test, Config())
    assert test is not None
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "networks.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for seed in range(args.seeds):
        for name in args.only:
            if not any(row["network"] == name and row["seed"] == seed for row in rows):
                with engine_only_threads():
                    rows.append(measure(name, seed, data, test, args.out))
                with kept.open("a") as file:
                    file.write(json.dumps(rows[-1] | machine()) + "\n")
    show("networks", [summary(of) for name in args.only if (of := [row for row in rows if row["network"] == name])])


if __name__ == "__main__":
    main()
