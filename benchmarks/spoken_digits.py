"""Claim: real spoken digits, 700-256(recurrent)-10, at least 90 % within 15 minutes on two cores, chip within 1 point.

Trains with the library's default settings (what `lambent train` does), exports at 8 bits and runs the chip model; in
the same table one layer with learned delays in steps of 1 ms ("dense", the defaults before there was a convolution) and
the plain recurrent LIF (one time constant, no delays, no augmentation) trained with EventProp, with and
without `count_gradient`, and the same plain network trained by surrogate-gradient BPTT in PyTorch with the same loss,
optimiser, schedule and epochs.

    python benchmarks/spoken_digits.py TRAIN.h5.gz TEST.h5.gz [--seeds 3] [--cases recipe dense plain] [--out runs]

Finished runs in --out are not trained again, so that an interrupted benchmark goes on; after a change of settings
choose another folder. "plain", "times" and "bptt" run for 30 epochs in steps of 2 ms on all training words; "times" is
"plain" with the gradient of spike times alone.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from _common import arguments, show, tiny_words
from bptt import BPTT
from lambent.data import SpikeDataset
from lambent.losses import readout_cross_entropy
from lambent.machine.threads import engine_only_threads
from lambent.runs.evaluate import evaluate_run
from lambent.runs.export import export_run
from lambent.runs.report import report_run
from lambent.runs.train import load_training_data, train_run
from lambent.training import Config, Run, Trainer, build_model, predict

SETTINGS: dict[str, Any] = {}  # beside those of every case; only --smoke has some
SOURCE = {"train": "spoken digits, train", "test": "spoken digits, test"}
CHUNK = 32  # steps of BPTT that are compiled at a time
FORMER: dict[str, Any] = {
    "tau_mem": 20.0, "tau_syn": 5.0, "tau_spread": 0.5, "readout_tau_mem": 20.0,
    "dt": 1.0, "delay": 60.0, "reduce": "exp_mean", "initial_spikes": 10.0, "rate_lower": 2.0, "epochs": 60,
    "shift": 10, "blend": 0.5, "stretch": 0.0, "shift_time": 0.0, "mask": 0.0, "mask_time": 0.0, "dilate": 0.0,
}  # fmt: skip
"""The defaults before there was a convolution, with which most of these figures were measured."""
DENSE: dict[str, Any] = FORMER | {"hidden": 256}
PLAIN: dict[str, Any] = DENSE | {
    "tau_spread": 0.0, "lr_tau": 0.0, "delay": 0.0, "lr_delay": 0.0, "shift": 0, "blend": 0.0, "jitter": 0.0,
    "drop": 0.0, "label_smoothing": 0.0, "valid": 0.0, "epochs": 30, "dt": 2.0,
}  # fmt: skip


def trained(run: Run, config: Config, data: SpikeDataset, start: Run | None = None) -> Run:
    """`run`, trained to its end."""
    resume = run.path("checkpoint.pt").exists()
    if not train_run(run, config, data, SOURCE, Console(), resume=resume, start=None if resume else start):
        raise KeyboardInterrupt
    return run


def recipe(
    data: SpikeDataset, test: SpikeDataset, seed: int, folder: Path, name: str = "recipe", **settings: Any
) -> dict[str, Any]:
    """The default settings, or `settings`, by way of a run folder."""
    run = Run(folder / f"{name}{seed}")
    if not run.path("summary.json").exists():
        export_run(trained(run, Config(**(settings | SETTINGS), seed=seed), data))
        evaluation = evaluate_run(run, test, chip=True, source="spoken digits, test")
        report_run(run)
        run.write_json("summary.json", evaluation.summary())
    summary, history = run.read_json("summary.json"), run.metrics()
    return {
        "accuracy": summary["accuracy"],
        "quantised": summary["accuracy_quantised"],
        "chip": summary["accuracy_chip"],
        "agreement": summary["agreement"],
        "epochs": len(history),
        "minutes": sum(m["seconds"] for m in history) / 60,
    }


def _cached(path: Path, work: Any) -> dict[str, Any]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(work()))
    return json.loads(path.read_text())


def plain(
    data: SpikeDataset, test: SpikeDataset, seed: int, folder: Path, name: str = "plain", **settings: Any
) -> dict[str, Any]:
    """EventProp on the plain network."""

    def work() -> dict[str, Any]:
        config = Config(**(PLAIN | settings | SETTINGS), seed=seed)
        trainer = Trainer(build_model(config, data.n_units, data.n_classes), config, data)
        trainer.start()
        return _fit(trainer, trainer.step, lambda: predict(trainer.model, test))

    return _cached(folder / f"{name}{seed}.json", work)


def bptt(data: SpikeDataset, test: SpikeDataset, seed: int, folder: Path) -> dict[str, Any]:
    """Surrogate-gradient BPTT on the plain network, from the same initial weights."""

    def work() -> dict[str, Any]:
        config = Config(**(PLAIN | SETTINGS), seed=seed)
        trainer = Trainer(build_model(config, data.n_units, data.n_classes), config, data)
        trainer.start()
        hidden, readout = trainer.model
        net = BPTT(data.n_units, config.hidden, data.n_classes, config.tau_mem, config.tau_syn, config.dt, CHUNK)
        net.load_state_dict(
            {"weight": hidden.weight, "recurrent_weight": hidden.recurrent_weight, "readout": readout.weight}
        )
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.0)

        def step(events, labels):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * trainer.rate()
            scores, counts = net(events.to_dense(config.dt))
            mean = counts.mean(0)
            low, high = (config.rate_lower - mean).clamp(min=0), (mean - config.rate_upper).clamp(min=0)
            loss = readout_cross_entropy(scores, labels, config.logit_scale)
            optimizer.zero_grad()
            (loss + config.rate_strength * (low**2 + high**2).mean()).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            optimizer.step()
            return {"loss": loss.item() * len(labels), "samples": len(labels)}

        @torch.no_grad()
        def answers():
            batches = [(net(e.to_dense(config.dt))[0], y) for e, y in test.batches(config.batch_size)]
            return tuple(torch.cat(x) for x in zip(*batches, strict=True))

        return _fit(trainer, step, answers)

    return _cached(folder / f"bptt{seed}.json", work)


def _fit(trainer: Trainer, step: Any, answers: Any) -> dict[str, Any]:
    """Train for the configured epochs with `step`, in the order of batches `Trainer` would take."""
    config, state = trainer.config, trainer.state
    start = time.perf_counter()
    for _ in range(config.epochs):
        loss, samples = 0.0, 0
        for number, (events, labels) in enumerate(trainer.data.epoch(config.seed, state.epoch)):
            state.batch = number
            loss, samples = loss + step(events, labels)["loss"], samples + len(labels)
        state.epoch, state.batch = state.epoch + 1, 0
        print(f"{state.epoch}/{config.epochs}  loss {loss / samples:.3f}", flush=True)
    minutes = (time.perf_counter() - start) / 60
    scores, labels = answers()
    accuracy = (scores.argmax(1) == labels).double().mean().item()
    return {"accuracy": accuracy, "epochs": config.epochs, "minutes": minutes}


CASES = {
    "recipe": recipe,
    "dense": partial(recipe, name="dense", **DENSE),
    "plain": plain,
    "times": partial(plain, name="times", count_gradient=0.0),
    "bptt": bptt,
}


def main() -> None:
    global CHUNK
    parser = arguments(__doc__)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("runs/spoken_digits"))
    args = parser.parse_args()
    if args.smoke:
        args.out = Path(tempfile.mkdtemp())
        args.train, args.test = tiny_words(args.out)
        args.seeds, CHUNK = 1, 0  # compiling takes minutes
        SETTINGS.update(hidden=16, epochs=1)
    elif args.test is None:
        parser.error("needs the files of a training and of a test set")
    data, test, _ = load_training_data(args.train, args.test, Config())
    assert test is not None
    rows = []
    for case in args.cases:
        threads = torch.get_num_threads()
        # PyTorch's own operations carry BPTT: there they keep all threads
        with engine_only_threads() if case != "bptt" else torch.enable_grad():
            results = [CASES[case](data, test, seed, args.out) for seed in range(args.seeds)]
        torch.set_num_threads(threads)
        row: dict[str, Any] = {"case": case, "seeds": args.seeds}
        for key in ("accuracy", "quantised", "chip", "agreement", "epochs", "minutes"):
            values = [r[key] for r in results if key in r]
            row[key] = statistics.mean(values) if values else None
        row["accuracies"] = " ".join(f"{r['accuracy']:.3f}" for r in results)
        rows.append(row)
    show("spoken_digits", rows)


if __name__ == "__main__":
    main()
