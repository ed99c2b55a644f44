"""The folder of a training run: what lies in it and how it gets there whole."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from lambent.hardware.chip import Chip, find_chip
from lambent.machine.files import read_file
from lambent.machine.version import VERSION
from lambent.quantize import quantized_model
from lambent.quantize.aware import aware_of, trained_bits
from lambent.training.checkpoint import check_model
from lambent.training.config import PLAIN, RUNNING, Config
from lambent.training.describing import shape_of_inputs, weights_of_all
from lambent.training.folder import Folder, from_json, holding
from lambent.training.model import build_model

_OWN = ("config.toml", "run.json")  # what makes a folder a run
_HOLDS = {  # what must be in a file
    "run.json": ("n_units", "class_names", "duration"),
    "export.json": ("weight_bits",),
    "cost.json": ("energy", "latency"),
    "host.json": ("costs",),
    "on_chip.json": ("energy", "latency"),
    "checkpoint.pt": ("model", "optimizer", "state"),
    "calibration.pt": ("times", "units", "offsets"),
    "confidence.json": ("temperature",),
    "stream.json": ("curves", "hours", "rule", "background"),
}


class Run(Folder):
    """A run folder.

    config.toml      the settings
    run.json         data files, classes, units, duration, versions
    metrics.jsonl    one line per epoch
    checkpoint.pt    the state to resume from
    best.pt          the model of the best epoch so far; once weights are quantised, of these epochs
    calibration.pt   a few training samples, to measure activity on before quantising
    NAME.net         the exported network, named like the folder; export.json says so, and with how many bits
    FORMAT/          the same in another format of the chip, such as lava/
    confidence.json  the temperature of its softmax, by validation samples
    stream.json      what it misses on streams, against false alarms; detections.svg: the curve
    evaluation.npz   the last evaluation, for the report; cost.json and host.json: what it costs
    report.html
    on_chip.json     what an update cost on the chip, if the run learned there
    listen.html      what was heard last
    tensorboard/     logs, if asked for
    """

    holds = _HOLDS

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.name = self.folder.resolve().name

    def need(self, name: str) -> Path:
        """See `Folder.need`; first there must be a run."""
        if missing := [own for own in _OWN if not self.path(own).exists()]:
            raise FileNotFoundError(f"{self.folder}: no training run here ({missing[0]} is missing)")
        return super().need(name)

    @property
    def network(self) -> Path:
        """Where the exported network lies, also when the folder was renamed since.

        Raises:
            ValueError: export.json is damaged.
        """
        known = self.read_json("export.json") if self.path("export.json").exists() else {}
        file = known.get("file", f"{self.name}.net")
        # a folder may come from anybody, and this file is one that `export` writes over
        if not (_is_bare(file) and file.endswith(".net")):
            raise ValueError(f"{self.path('export.json')}: damaged: file must be a name such as run.net, got {file!r}")
        return self.path(file)

    def exists(self) -> bool:
        """Whether a training run was begun here."""
        return all(self.path(name).exists() for name in _OWN)

    def check_free(self) -> None:
        """Raise ValueError if no run can begin here: the path is no folder, or a folder with other things in it."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder}: is a file; a run needs a folder")
        if self.folder.exists() and not self.exists() and not self._barely_begun():
            raise ValueError(f"{self.folder}: holds other files and no run; choose an empty or new folder")

    def create(
        self, config: Config, facts: dict[str, Any], files: Mapping[str, dict[str, Any]] = MappingProxyType({})
    ) -> None:
        """Begin a run: make the folder, write settings, `facts` and `files` of tensors, drop what an older run left.

        With the settings, the last, it is a run; whatever stops this before, it can be begun again.

        Raises:
            ValueError: as `check_free`.
        """
        self.check_free()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.outdate()
        self.path("config.toml").unlink(missing_ok=True)
        results = ("metrics.jsonl", "checkpoint.pt", "best.pt", "calibration.pt", "on_chip.json", "confidence.json")
        for old in (*results, "listen.html"):
            self.path(old).unlink(missing_ok=True)
        shutil.rmtree(self.path("tensorboard"), ignore_errors=True)
        self.write_json("run.json", facts | {"versions": versions()})
        for name, values in files.items():
            self.save(name, values)
        self.write_text("config.toml", config.to_toml())

    def _barely_begun(self) -> bool:
        """Whether the folder is empty, or a `create` was interrupted in it."""
        names, path = self.names(), self.path("run.json")
        if not names or "config.toml" in names or path.name not in names:
            return not names
        with suppress(ValueError):
            return "versions" in from_json(read_file(path), str(path))
        return False

    def outdate(self, *, export: bool = True) -> None:
        """Remove what was made from an older model or network: evaluation, report, the network in other formats.

        With `export` the network itself, too; without, evaluation and report of the float model alone stay.
        """
        also = self.programs()
        of_network = self.path("cost.json").exists()  # which an evaluation on the chip leaves
        made = ["evaluation.npz", "report.html", "cost.json", "host.json"] if export or of_network else []
        made += ["stream.json", "detections.svg"]
        made += ["export.json", self.network.name, self.network.with_suffix(".nir").name] if export else []
        for name in made:
            self.path(name).unlink(missing_ok=True)
        for folder, files in also.items():
            with suppress(OSError):  # the folder holds more than was written there, or is gone
                for name in files:
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()

    def programs(self) -> dict[Path, list[str]]:
        """Folders with the exported network in other formats of the chip, and the files in each.

        Raises:
            ValueError: export.json is damaged.
        """
        known = self.read_json("export.json").get("also", {}) if self.path("export.json").exists() else {}
        listed = isinstance(known, dict) and all(isinstance(files, list) for files in known.values())
        names = [*known, *(name for files in known.values() for name in files)] if listed else [None]
        # as for the network: bare names
        if not all(map(_is_bare, names)):
            raise ValueError(f"{self.path('export.json')}: damaged: also must be lists of file names, got {known!r}")
        folders = {self.path(folder): files for folder, files in known.items()}
        for folder in folders:
            self.check_own(folder)
        return folders

    def check_own(self, folder: Path) -> None:
        """Raise ValueError if a folder of the run is a link: its files would be written, or removed, elsewhere."""
        if folder.is_symlink():
            raise ValueError(f"{folder}: is a link out of the run's folder; remove it")

    def exported_bits(self) -> list[int] | None:
        """Bits of a weight in each layer of the exported network; None if none was exported, or not to the end.

        Raises:
            ValueError: export.json is damaged.
        """
        if not self.path("export.json").exists() or not self.network.exists():
            return None
        known = self.read_json("export.json")
        if "began" in known:
            return None
        bits = known["weight_bits"]
        if not isinstance(bits, list) or not all(isinstance(n, int) and n > 0 for n in bits):
            raise ValueError(
                f"{self.path('export.json')}: damaged: weight_bits must be a list of numbers, got {bits!r}"
            )
        return bits

    def config(self) -> Config:
        """The settings.

        Raises:
            FileNotFoundError: this is no run folder.
            ValueError: they are damaged, or not those that the run began with.
        """
        config = Config.from_toml(self.need("config.toml"))
        self.check_settings(config)
        return config

    def check_settings(self, config: Config) -> None:
        """Raise ValueError if a setting that must not change is not what it was when the run began."""
        began = self.facts().get("settings", {})
        for key, value in vars(config).items():
            if isinstance(value, tuple):
                value = list(value)  # as JSON has it
            if key in PLAIN and config.layer:  # which mean nothing there; runs of before noted them
                continue
            if key not in RUNNING and began.get(key, value) != value:
                raise ValueError(
                    f"{self.path('config.toml')}: {key} was {began[key]!r} when the run began, is {value!r}; put it "
                    "back, or begin another run with --from"
                )

    def chip(self) -> Chip:
        """The chip that the run is for.

        Raises:
            FileNotFoundError: this is no run folder.
        """
        return find_chip(self.config().chip)

    def facts(self, *also: str) -> dict[str, Any]:
        """What run.json holds.

        Args:
            also: keys it must have beside "n_units", "class_names" and "duration", which it always has.

        Raises:
            FileNotFoundError, ValueError: it is missing or damaged.
        """
        facts = holding(self.read_json("run.json"), str(self.path("run.json")), also)
        names, n_units, duration = (facts[key] for key in ("class_names", "n_units", "duration"))
        kinds = {"settings": dict, "data": dict, "versions": dict, "threads": int, "level": str | None, "graded": bool}
        good: dict[str, Any] = {key: isinstance(facts[key], kind) for key, kind in kinds.items() if key in facts}
        good |= {
            "n_units": type(n_units) is int and n_units > 0,
            "class_names": isinstance(names, list) and names and all(isinstance(name, str) for name in names),
            "duration": type(duration) in (int, float) and duration > 0,
        }
        if bad := [key for key, fine in good.items() if not fine]:
            raise ValueError(f"{self.path('run.json')}: damaged: {bad[0]} is {facts[bad[0]]!r}")
        return facts

    def temperature(self) -> float:
        """By what scores are divided before the softmax, so that confidence is what it says; 1 if that is not known.

        Raises:
            ValueError: confidence.json is damaged.
        """
        if not self.path("confidence.json").exists():
            return 1.0
        value = self.read_json("confidence.json")["temperature"]
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise ValueError(f"{self.path('confidence.json')}: damaged: temperature is {value!r}")
        return float(value)

    def model(self) -> nn.Sequential:
        """The model of the best epoch, in evaluation mode; after quantisation-aware training with rounded values.

        Raises:
            FileNotFoundError, ValueError: as `trained_model`.
        """
        trained, chip = self.trained_model(), self.config().chip
        return quantized_model(trained, chip=chip).eval() if trained_bits(trained, chip) else trained

    def aware_model(self) -> nn.Sequential | None:
        """The model of the best epoch as `quantization_aware` made it, or None if that was float training.

        Raises:
            FileNotFoundError, ValueError: as `trained_model`.
        """
        trained = self.trained_model()
        return trained if trained_bits(trained, self.config().chip) else None

    def trained_model(self) -> nn.Sequential:
        """The model of the best epoch as it was trained: float, or as `quantization_aware` made it.

        Raises:
            FileNotFoundError, ValueError: best.pt is missing, damaged, or not of the network that config.toml and
                run.json describe.
        """
        facts, state, config = self.facts(), self.load("best.pt"), self.config()
        try:
            _check_size(state, facts["n_units"], config)
            model = build_model(config, facts["n_units"], len(facts["class_names"]), facts["duration"])
            aware = aware_of(model, state, config.chip)
            if aware is not None:
                return aware.eval()
            check_model(state, model.state_dict())
            model.load_state_dict(state)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{self.path('best.pt')}: is not of the network that config.toml and run.json describe; "
                "they do not fit each other"
            ) from error
        return model.eval()


def _check_size(state: dict[str, Any], n_units: int, config: Config) -> None:
    """Raise ValueError if the model would be larger than what is there to put into it."""
    shape = shape_of_inputs(config.input_shape, n_units)
    for i, wanted in enumerate(weights_of_all(config.descriptions(), shape)):
        weight = state.get(f"{i}.weight", state.get(f"{i}.layer.weight"))
        if not isinstance(weight, Tensor) or tuple(weight.shape) != wanted:
            raise ValueError(f"the weights of layer {i} are not {' x '.join(map(str, wanted))}")


def _is_bare(name: Any) -> bool:
    """Whether this is the name of a file in a folder, not a way out of it."""
    return isinstance(name, str) and Path(name).name == name and name not in ("", "..") and "\0" not in name


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Say that it was this file in which something was missing or wrong."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: damaged: {error!r}") from error


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    packages = ("torch", "numpy", "numba", "scipy", "h5py")
    return {"python": platform.python_version(), "lambent": VERSION} | {name: version(name) for name in packages}
