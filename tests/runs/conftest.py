"""Small trained runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from spoken_runs import SMALL, spoken

from lambent.runs.train import train_run
from lambent.training import Config, Run


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Run]:
    """Trains a run in a folder of a name; keywords are settings."""

    def train(name: str, data: Any = None, source: Any = None, start: Run | None = None, **settings: Any) -> Run:
        run = Run(tmp_path / name)
        config, data = Config(**(SMALL | settings)), spoken(200, 0) if data is None else data
        assert train_run(run, config, data, source or {"train": "spoken"}, Console(quiet=True), start=start)
        return run

    return train
