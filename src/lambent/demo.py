"""The whole way on data inside the package: train, quantise, export, chip model, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from lambent import workflow
from lambent.data import yin_yang
from lambent.training import Config, Run

SETTINGS: dict[str, Any] = {
    "hidden": 120, "recurrent": False, "delay": 0.0, "tau_spread": 0.3, "initial_spikes": 2.0,
    "rate_lower": 0.5, "rate_upper": 5.0, "epochs": 60, "batch_size": 50, "lr": 3e-3, "lr_tau": 0.1,
    "logit_scale": 100.0, "shift": 0, "blend": 0.0, "valid": 0.1,
}  # fmt: skip
"""Settings for Yin-Yang: five spikes a sample, so no augmentation of channels and little activity."""


def run_demo(folder: Path, seed: int, console: Console) -> dict[str, Any]:
    """Run the demonstration in `folder`; returns its evaluation, the path of its report and the seconds."""
    start = time.perf_counter()
    run = Run(folder)
    if run.exists():
        raise ValueError(f"{folder}: holds a run already; choose another folder for the demo")
    config = Config(**SETTINGS, seed=seed)
    console.print("Yin-Yang: points in a plane as spike times; 5,000 to train on, 1,000 to test")
    source: dict[str, str | None] = {"train": "Yin-Yang, generated", "test": None}
    if not workflow.train_run(run, config, yin_yang(5000, seed=2 * seed), source, console):
        raise KeyboardInterrupt
    console.print(str(workflow.export_run(run)), markup=False, soft_wrap=True)
    evaluation = workflow.evaluate_run(run, yin_yang(1000, seed=2 * seed + 1), chip=True, source="Yin-Yang, generated")
    report = workflow.report_run(run)
    return {"evaluation": evaluation.summary(), "report": report, "seconds": time.perf_counter() - start}
