"""What every benchmark prints: one JSON line per case with the machine and versions, and a table."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table


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
