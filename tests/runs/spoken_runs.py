"""Data and settings of small runs."""

from __future__ import annotations

from typing import Any

import numpy as np

import lambent as lb
from lambent.runs.evaluation import Evaluation
from lambent.training import Run

SMALL = {
    "hidden": 10, "epochs": 1, "batch_size": 50, "initial_spikes": 1.0, "rate_lower": 0.2, "shift": 0,
    "recurrent": False, "delay": 5.0,
}  # fmt: skip


def spoken(n: int, seed: int, names: tuple[str, ...] = ("yin", "yang", "dot"), **more: Any) -> lb.data.SpikeDataset:
    """Yin-Yang as if spoken: with speakers and files, or `more` in place of these, and any names for the classes."""
    plain = lb.data.yin_yang(n, seed=seed)
    about = {"speakers": np.arange(n) % 4, "files": [f"{seed}/{i}.wav" for i in range(n)]} | more
    parts = (plain.times, plain.units, plain.offsets, plain.labels, plain.n_units, plain.duration, names)
    return lb.data.SpikeDataset(*parts, **about)


def older(run: Run) -> None:
    """Make the evaluation of a run what it was before there were speakers, files and several samples."""
    path = run.path("evaluation.npz")
    evaluation = Evaluation.load(path)
    first = evaluation.samples[0]
    with np.load(path) as file:
        kept = {name: file[name] for name in file if name.startswith(("scores_", "rates_"))}
        kept |= {name: file[name] for name in ("data", "labels", "sample_shape")}
    kept |= {"sample_times": first.times.numpy(), "sample_units": first.units.numpy(), "sample_label": np.array(0)}
    np.savez_compressed(path, **kept)
