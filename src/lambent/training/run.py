"""The folder of a training run: what lies in it and how it gets there whole."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lambent.files import replacing
from lambent.hardware.loihi2.on_grid import OnGrid
from lambent.quantize import quantized_model
from lambent.quantize.aware import aware_of
from lambent.training.config import Config
from lambent.training.model import build_model


class Run:
    """A run folder.

    config.toml      the settings
    run.json         data files, classes, units, duration, versions
    metrics.jsonl    one line per epoch
    checkpoint.pt    the state to resume from
    best.pt          the model of the best epoch so far; once weights are quantised, of these epochs
    calibration.pt   a few training samples, to measure activity on before quantising
    NAME.net         the exported network, named like the folder; export.json says so, and with how many bits
    evaluation.npz   the last evaluation, for the report
    report.html
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = self.folder.resolve().name

    def path(self, name: str) -> Path:
        """A file of the run."""
        return self.folder / name

    @property
    def netx(self) -> Path:
        """Where the exported network lies, also when the folder was renamed since."""
        known = self.read_json("export.json") if self.path("export.json").exists() else {}
        return self.path(known.get("file", f"{self.name}.net"))

    def exists(self) -> bool:
        """Whether a training run was begun here."""
        return self.path("config.toml").exists()

    def create(self, config: Config, facts: dict[str, Any]) -> None:
        """Begin a run: make the folder, write the settings and `facts`, drop what an older run left.

        Raises:
            ValueError: the path is no folder, or a folder with other things in it.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder}: is a file; a run needs a folder")
        if not self.exists() and self.folder.exists() and any(self.folder.iterdir()):
            raise ValueError(f"{self.folder}: holds other files and no run; choose an empty or new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in ("metrics.jsonl", "checkpoint.pt", "best.pt", "calibration.pt"):
            self.path(old).unlink(missing_ok=True)
        self.outdate()
        self.write_text("config.toml", config.to_toml())
        self.write_json("run.json", facts | {"versions": versions()})

    def outdate(self, *, export: bool = True) -> None:
        """Remove what was made from an older model: evaluation and report and, with `export`, the network."""
        made = ["evaluation.npz", "report.html", "cost.json", "host.json"]
        made += ["export.json", self.netx.name, self.netx.with_suffix(".nir").name] if export else []
        for name in made:
            self.path(name).unlink(missing_ok=True)

    def config(self) -> Config:
        """The settings.

        Raises:
            FileNotFoundError: this is no run folder.
        """
        return Config.from_toml(self._need("config.toml"))

    def facts(self) -> dict[str, Any]:
        """What run.json holds."""
        return self.read_json("run.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self._need(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: damaged: {error}") from error

    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary per epoch so far."""
        path = self.path("metrics.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def model(self) -> nn.Sequential:
        """The model of the best epoch, in evaluation mode; after quantisation-aware training with rounded values."""
        trained = self.trained_model()
        return quantized_model(trained).eval() if isinstance(trained[0], OnGrid) else trained

    def aware_model(self) -> nn.Sequential | None:
        """The model of the best epoch as `quantization_aware` made it, or None if that was float training."""
        trained = self.trained_model()
        return trained if isinstance(trained[0], OnGrid) else None

    def trained_model(self) -> nn.Sequential:
        """The model of the best epoch as it was trained: float, or as `quantization_aware` made it."""
        facts, state = self.facts(), self.load("best.pt")
        model = build_model(self.config(), facts["n_units"], len(facts["class_names"]))
        aware = aware_of(model, state)
        if aware is not None:
            return aware.eval()
        model.load_state_dict(state)
        return model.eval()

    def load(self, name: str) -> Any:
        """Read a file written by `save`.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        path = self._need(name)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{path}: damaged checkpoint: {error}") from error

    def save(self, name: str, value: Any) -> None:
        """Write tensors and plain values."""
        self._write(name, lambda path: torch.save(value, path))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(value, indent=1) + "\n")

    def _write(self, name: str, write: Callable[[Path], Any]) -> None:
        with replacing(self.path(name)) as path:
            write(path)

    def _need(self, name: str) -> Path:
        path = self.path(name)
        if not self.exists():
            raise FileNotFoundError(f"{self.folder}: no training run here (config.toml is missing)")
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; was the run trained to the end of an epoch?")
        return path


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    packages = ("lambent", "torch", "numpy", "numba", "scipy", "h5py")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
