"""What benchmarks share: their arguments, what they print (JSON lines with the machine and versions, a table)."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import lambent as lb


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="seconds instead of hours, to show that it runs")
    return parser


def machine() -> dict[str, Any]:
    """Processor, threads and versions."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x), cpu)
    return {"cpu": cpu, "threads": torch.get_num_threads()} | {p: _version(p) for p in ("lambent", "torch", "numba")}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # on the path only
        return "not installed"


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print `rows` as JSON lines, then as a table."""
    facts = machine()
    for row in rows:
        print(json.dumps({"benchmark": title, **row, **facts}), flush=True)
    table = Table(title=f"{title} ({facts['cpu']}, {facts['threads']} threads)", title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(f"{v:,.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=160).print(table)


def tiny_words(folder: Path) -> tuple[Path, Path]:
    """Random spikes in the place of the spoken digits: files of a training and of a test set."""
    paths = folder / "train.h5", folder / "test.h5"
    for seed, (path, n) in enumerate(zip(paths, (80, 20), strict=True)):
        rng = np.random.default_rng(seed)
        times, units = np.sort(rng.uniform(0, 100, (n, 200))).ravel(), rng.integers(0, 700, 200 * n)
        lb.data.write_shd(
            path, lb.data.SpikeDataset(times, units, np.arange(n + 1) * 200, np.arange(n) % 10, 700, 100.0)
        )
    return paths
