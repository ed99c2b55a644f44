"""Claim: spoken digits, 700-256(recurrent)-10, on the chip: 8 bits within 0.5 points of float, 4 within 1.5.

Trains with the library's default settings (what `lambent train` does), then for each number of bits quantises this
network as it is (post-training), and fine-tunes it with quantised weights (aware, what `lambent train --from RUN
--qat-bits N` does). All accuracies but the float one are those of the bit-exact chip model.

    python benchmarks/quantization.py TRAIN.h5.gz TEST.h5.gz [--bits 8 6 4 3 2] [--seeds 0 1 2] [--out runs]
        [--figure quantization.svg]

Runs in --out are kept and gone on with; the float ones are those of `spoken_digits.py`.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from _common import arguments, show, tiny_words
from lambent.data import SpikeDataset
from lambent.hardware.loihi2.convert import convert
from lambent.machine.threads import engine_only_threads
from lambent.runs.export import calibration_events
from lambent.runs.train import load_training_data
from lambent.training import Config, Run, predict
from spoken_digits import DENSE, trained

SETTINGS: dict[str, Any] = {}  # beside those of "dense" of spoken_digits.py; only --smoke has some


def accuracy(scores: Any, labels: Any) -> float:
    """Percentage of right answers."""
    return 100 * float((scores.argmax(1) == labels).mean())


def case(data: SpikeDataset, test: SpikeDataset, bits: int, seed: int, folder: Path) -> dict[str, float]:
    """Test accuracies of one seed [%], and what fine-tuning took."""
    start = trained(Run(folder / f"dense{seed}"), Config(**(DENSE | SETTINGS), seed=seed), data)
    config = replace(start.config(), epochs=0, qat_bits=str(bits))
    aware = trained(Run(folder / f"aware{bits}_{seed}"), config, data, start)
    scores, labels = (x.numpy() for x in predict(start.model(), test))
    calibration = calibration_events(start)
    history = aware.metrics()
    events, _ = test.batch(range(len(test)))
    return {
        "float": accuracy(scores, labels),
        "post": accuracy(convert(start.model(), bits, calibration).network.logits(events), labels),
        "aware": accuracy(convert(aware.aware_model()).network.logits(events), labels),
        "epochs": len(history),
        "minutes": sum(m["seconds"] for m in history) / 60,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy against bits: mean over seeds, and each seed."""
    figure, axis = plt.subplots(figsize=(5, 3.4), layout="constrained")
    at = range(len(rows))
    for name, label, colour in (("post", "post-training", "#b45f06"), ("aware", "quantisation-aware", "#1f6f8b")):
        axis.plot(at, [row[name] for row in rows], color=colour, marker="o", label=label)
        for seed in zip(*(row[f"{name}_seeds"] for row in rows), strict=True):
            axis.plot(at, seed, ".", color=colour, alpha=0.4)
    axis.axhline(statistics.mean(row["float"] for row in rows), color="#555555", linestyle="--", label="float")
    axis.set_xticks(at, [str(row["bits"]) for row in rows])
    axis.set_xlabel("bits of a weight")
    axis.set_ylabel("test accuracy on the chip model [%]")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4, 3, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/spoken_digits"))
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    if args.smoke:
        args.out = Path(tempfile.mkdtemp())
        args.train, args.test = tiny_words(args.out)
        args.bits, args.seeds = [4], [0]
        SETTINGS.update(hidden=16, epochs=1, qat_epochs=1)
    elif args.test is None:
        parser.error("needs the files of a training and of a test set")
    data, test, _ = load_training_data(args.train, args.test, Config())
    assert test is not None
    rows = []
    for bits in args.bits:
        with engine_only_threads():
            results = [case(data, test, bits, seed, args.out) for seed in args.seeds]
        row: dict[str, Any] = {"bits": bits, "seeds": len(args.seeds)}
        row |= {name: statistics.mean(r[name] for r in results) for name in results[0]}
        row |= {f"{name}_seeds": [round(r[name], 1) for r in results] for name in ("float", "post", "aware")}
        rows.append(row)
    show("quantization", rows)
    if args.figure:
        draw(rows, args.figure)


if __name__ == "__main__":
    main()
