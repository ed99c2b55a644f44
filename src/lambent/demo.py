"""The whole way on data inside the package: train, quantise, export, chip model, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from lambent.data import keywords
from lambent.runs.evaluate import evaluate_run
from lambent.runs.export import export_run
from lambent.runs.report import report_run
from lambent.runs.train import train_run
from lambent.training import Config, Run

SETTINGS: dict[str, Any] = {
    "hidden": 128, "dt": 2.0, "delay": 120.0, "reduce": "exp_mean", "epochs": 20, "lr": 1e-2, "rate_lower": 2.0,
    "shift": 2.0, "stretch": 0.0, "shift_time": 0.0, "dilate": 0.0, "mask": 0.0, "mask_time": 0.0, "valid": 0.0,
}  # fmt: skip
"""Many voices, words that begin the sample, and little time: one layer, a higher learning rate, milder augmentation.

No voice is held out to choose an epoch: all of them teach, and the last epoch is kept.
"""


_SOURCE = "keywords, in the package"


def run_demo(folder: Path, seed: int, console: Console) -> dict[str, Any]:
    """Run the demonstration in `folder`; returns its evaluation, the path of its report and the seconds.

    An interrupted one goes on where it was.

    Raises:
        ValueError: the folder holds another run, or a demonstration with another seed.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    start = time.perf_counter()
    run = Run(folder)
    resume = run.exists()
    if resume and run.facts("data")["data"].get("train") != _SOURCE:
        raise ValueError(f"{folder}: holds another run; choose another folder for the demo")
    if not resume:
        run.check_free()
    config = Config(**SETTINGS, seed=seed)
    words, held = keywords()
    console.print(f"keywords: {', '.join(words.class_names)}")
    console.print(f"{len(words):,} to train on, {len(held)} of other voices to test")
    source = {"train": _SOURCE, "test": None, "command": f"lambent demo --seed {seed}"}
    if not train_run(run, config, words, source, console, resume=resume):
        raise KeyboardInterrupt
    console.print(str(export_run(run)), markup=False, soft_wrap=True)
    evaluation = evaluate_run(run, held, chip=True, source=_SOURCE)
    report = report_run(run)
    return {"evaluation": evaluation.summary(), "report": report, "seconds": time.perf_counter() - start}
