"""Claim: on real spoken digits other units and sparse connections learn as LIF units behind dense ones do; their cost.

All networks are trained alike, with the default settings of `lambent train` in steps of 2 ms and 15 epochs. Units have
equal numbers of trained parameters, weights and delays, within 1 %. What the chip takes runs on its bit-exact model at
8 bits, from a NetX file; seconds are those of the fastest epoch, on one thread.

    python benchmarks/networks.py TRAIN.h5.gz TEST.h5.gz [--seeds 3] [--only NAME ...] [--out runs]

Every run adds a line to OUT/networks.jsonl when it is done; runs that have one are not trained again, so that an
interrupted benchmark goes on. After a change of settings choose another folder.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from _common import arguments, machine, show, tiny_words
from lambent.data import SpikeDataset
from lambent.machine.threads import engine_only_threads
from lambent.runs.evaluate import evaluate_run, kept_chip_cost
from lambent.runs.export import export_run
from lambent.runs.train import load_training_data
from lambent.training import Config, Run
from spoken_digits import trained

SETTINGS: dict[str, Any] = {"dt": 2.0, "epochs": 15, "threads": 1}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "LIF": ("256 recurrent", {}),
    "adaptive LIF": ("adaptive 256 recurrent", {}),
    "SE-adLIF": ("adlif 256 recurrent", {}),
    "resonators": ("resonator 256 recurrent", {}),
    "LIF, forward": ("302", {}),
    "resonators, forward": ("resonator 302", {}),
    "NetX RF, forward": ("resonator 302 rule phase", {}),
    "sparse 25 %": ("sparse 256 density 0.25 recurrent", {}),
    "sparse 25 %, rewired": ("sparse 256 density 0.25 recurrent", {"rewire": 0.02}),
    "sparse 10 %": ("sparse 256 density 0.1 recurrent", {}),
    "sparse 10 %, rewired": ("sparse 256 density 0.1 recurrent", {"rewire": 0.02}),
    "sparse 5 %": ("sparse 256 density 0.05 recurrent", {}),
    "sparse 5 %, rewired": ("sparse 256 density 0.05 recurrent", {"rewire": 0.02}),
    "LIF, no delays": ("256 recurrent delay 0", {}),
    "adaptive LIF, no delays": ("adaptive 256 recurrent delay 0", {}),
    "SE-adLIF, no delays": ("adlif 256 recurrent delay 0", {}),
    "resonators, no delays": ("resonator 256 recurrent delay 0", {}),
}
"""The hidden layer in words, and settings besides."""


def measure(name: str, seed: int, data: SpikeDataset, test: SpikeDataset, folder: Path) -> dict[str, Any]:
    """One network, trained and tested."""
    layer, settings = NETWORKS[name]
    run = Run(folder / f"{name.replace(' ', '_').replace('%', 'percent').replace(',', '')}{seed}")
    trained(run, Config(**(SETTINGS | settings), layer=(layer,), seed=seed), data)
    model, history = run.trained_model(), run.metrics()
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
        "validation": max(m["val_accuracy"] for m in history),
        "spikes": float(evaluation.rates[0].mean()),
        "seconds": min(m["seconds"] for m in history),
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


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs of one network in a row: means over seeds, and the accuracies of each."""
    found = {"network": rows[0]["network"], "layer": rows[0]["layer"], "seeds": len(rows)}
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
    data, test = load_training_data(args.train, args.test, Config())
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
