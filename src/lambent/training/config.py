"""The settings of a training run: one flat TOML file, whose keys are also the command line's options."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambent.hardware.chip import CHIPS, DEFAULT, TrainingChip, find_chip
from lambent.machine.files import read_file
from lambent.machine.showing import Short, html_table

if TYPE_CHECKING:
    from lambent.training.describing import Description


def _key(group: str, default: Any, help: str, choices: Collection[str] = (), kind: type | None = None) -> Any:
    """`kind`: what the command line takes, if not what the default is."""
    metadata = {"group": group, "help": help, "choices": choices, "kind": kind or type(default)}
    return field(default=default, metadata=metadata)


_network = partial(_key, "Network")
_optimisation = partial(_key, "Optimisation")
_augmentation = partial(_key, "Augmentation")
_chip = partial(_key, "Chip")
_aware = partial(_key, "Quantisation-aware training, after the other epochs")
_procedure = partial(_key, "Procedure")

_LONGEST = 1 << 14  # bytes of settings, five times what `to_toml` writes; Python reads some longer ones for minutes
_LARGEST = 1e30  # of numbers that become float32s
_MOST_LAYERS = 1000
_FRONT = "conv 16 11% stride 3% delay 60"  # about 32 places, each of which sees a ninth of the inputs
_WIDTH, _BEHIND = 256, 2  # units and layers behind it
_MOST_WEIGHTS = 1 << 28  # from hidden units to hidden units: 8 GB with what Adam keeps; more is a slip

PLAIN = ("hidden", "layers", "recurrent")
"""The keys that describe hidden layers without `layer`."""

NETWORK = (
    *PLAIN, "layer", "input_shape", "dt", "tau_mem", "tau_syn", "tau_spread", "reset", "delay",
    "readout_tau_mem", "readout_tau_syn", "reduce",
)  # fmt: skip
"""The keys that a trained network has settled."""

RUNNING = ("epochs", "patience", "threads", "device")
"""The keys that may change when a run is resumed: how long it goes on, and on what."""


def parse_bits(text: str) -> int | tuple[int, ...]:
    """Bits as a chip takes them from "4", or "4,8" for one number for each layer.

    Raises:
        ValueError: these are no whole numbers.
    """
    try:
        bits = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"bits must be a number such as 4, or one for each layer such as 4,8, got {text!r}") from None
    return bits if len(bits) > 1 else bits[0]


def _widths(given: Any) -> int | str:
    """Units from "256" or [256], or of several layers as a text "256,128"."""
    parts = given.split(",") if isinstance(given, str) else given
    try:
        found = [str(int(part)) for part in parts]
    except (TypeError, ValueError):
        found = []
    if not found:
        raise ValueError(f"hidden must be a number such as 256, or one for each layer such as 256,128, got {given!r}")
    return ",".join(found) if len(found) > 1 else int(found[0])


@dataclass(frozen=True)
class Config(Short):
    """Everything that decides what a training run does, next to its data.

    The defaults are the recipe for spoken words of about a second; `benchmarks/keywords.py` and
    `benchmarks/spoken_digits.py` show what it reaches. The network is a convolution along the inputs with a delay for
    each weight, so that what it learns of a sound holds for higher and lower voices and for any number of channels,
    then two recurrent layers with longer delays.

    Raises:
        ValueError: a value is out of range; names the key.
    """

    hidden: int | str = _network(
        "",
        f"units in each hidden layer, or one number for each such as 256,128; if left out, {_BEHIND} times {_WIDTH} "
        f"behind a convolution along the inputs, '{_FRONT}'",
    )
    layers: int = _network(0, "number of hidden layers; 0: as many as hidden says")
    recurrent: bool = _network(True, "connect the units of a hidden layer among themselves")
    layer: tuple[str, ...] = _network(
        (), "hidden layers in words, in place of the three above: 'conv 16 21 stride 7', '256 recurrent', ...", kind=str
    )
    input_shape: str = _network("", "how the inputs lie, for convolutions of maps: 28x28, or 2x34x34 with channels")
    dt: float = _network(4.0, "time step [ms]")
    duration: float = _network(0.0, "length of a sample [ms]; 0: that of the training data")
    tau_mem: float = _network(10.0, "membrane time constant [ms]")
    tau_syn: float = _network(10.0, "synaptic time constant [ms]")
    tau_spread: float = _network(1.0, "spread of the hidden time constants over units (sigma of a log-normal)")
    reset: str = _network("zero", "what a spike does to the voltage: zero or subtract", ("zero", "subtract"))
    delay: float = _network(
        240.0, "initial input delays are uniform in [0, delay] ms, at most 62 steps and half a sample; 0: none"
    )
    readout_tau_mem: float = _network(60.0, "membrane time constant of the readout [ms]")
    readout_tau_syn: float = _network(5.0, "synaptic time constant of the readout [ms]")
    reduce: str = _network(
        "mean",
        "how the readout's voltages become scores: mean, exp_mean, max or last",
        ("mean", "exp_mean", "max", "last"),
    )
    count_gradient: float = _network(
        1.0, "weight of the gradient for spikes that may come or go, beside that for their times; not with max"
    )
    initial_spikes: float = _network(5.0, "spikes per unit and sample to which the initial weights are scaled")
    epochs: int = _optimisation(100, "passes over the training data; 0: only those with quantised weights")
    batch_size: int = _optimisation(32, "samples per step")
    lr: float = _optimisation(5e-3, "learning rate of weights (Adam), at its highest")
    lr_tau: float = _optimisation(0.0, "learning rate of hidden time constants [ms]; 0: they stay fixed")
    lr_delay: float = _optimisation(0.5, "learning rate of delays [ms]; 0: they stay fixed")
    schedule: str = _optimisation(
        "cosine", "course of the learning rates: cosine (to 0) or constant", ("cosine", "constant")
    )
    warmup: float = _optimisation(0.0, "epochs over which the learning rates rise from 0")
    weight_decay: float = _optimisation(0.0, "decoupled weight decay (AdamW)")
    rewire: float = _optimisation(
        0.0, "Deep R: pull that takes sparse connections away and lets others grow, as a part of lr; 0: they stay"
    )
    clip: float = _optimisation(
        1.0, "largest norm of the gradient; longer ones, from spikes that graze threshold, are cut"
    )
    logit_scale: float = _optimisation(30.0, "factor on the readout's voltages before the softmax")
    label_smoothing: float = _optimisation(0.1, "label smoothing of the cross-entropy")
    rate_strength: float = _optimisation(0.1, "weight of the rate penalty")
    rate_lower: float = _optimisation(1.0, "mean spikes per unit and sample below which units are pulled up")
    rate_upper: float = _optimisation(14.0, "mean spikes per unit and sample above which units are held down")
    shift: float = _augmentation(
        0.03, "shift of all channels, up to this either way: a share of them, or from 1 on a number; not of maps"
    )
    stretch: float = _augmentation(0.1, "channels are stretched by a factor in [1 / (1 + stretch), 1 + stretch]")
    shift_time: float = _augmentation(80.0, "shift of a sample in time, up to this many ms either way; no word is cut")
    dilate: float = _augmentation(0.2, "time is stretched by a factor in [1 / (1 + dilate), 1 + dilate]")
    mask: float = _augmentation(0.1, "a band of channels is left out, up to this share of them")
    mask_time: float = _augmentation(0.1, "a span of time is left out, with up to this share of the spikes")
    jitter: float = _augmentation(0.0, "standard deviation of the jitter of each spike [ms]")
    drop: float = _augmentation(0.0, "share of spikes removed")
    blend: float = _augmentation(0.0, "share of samples blended with another of their class")
    chip: str = _chip(DEFAULT, "the chip that the network is for", CHIPS)
    qat_bits: str = _aware("", "bits of a weight, 2 to 8: 4, or one for each layer such as 4,8; empty: none")
    qat_epochs: int = _aware(8, "passes over the training data with quantised weights, the chip's integers forward")
    qat_lr: float = _aware(0.2, "factor on the learning rates in these passes")
    valid: float = _procedure(
        0.1, "share of the samples, or speakers, held out to choose the best epoch; 0: keep the last"
    )
    patience: int = _procedure(0, "stop after this many epochs without a better validation accuracy; 0: never")
    seed: int = _procedure(0, "seed of everything random")
    device: str = _procedure("cpu", "where to train: cpu or cuda; quantised weights always on the cpu", ("cpu", "cuda"))
    threads: int = _procedure(0, "threads; 0: one per core")

    def __post_init__(self) -> None:
        if type(self.qat_bits) is int or isinstance(self.qat_bits, (list, tuple)):
            bits = [self.qat_bits] if isinstance(self.qat_bits, int) else self.qat_bits
            object.__setattr__(self, "qat_bits", ",".join(map(str, bits)))
        elif isinstance(self.qat_bits, str) and self.qat_bits:  # as it is read, without blanks and the like
            try:
                bits = parse_bits(self.qat_bits)
            except ValueError as error:
                raise ValueError(f"qat_bits: {error}") from None
            object.__setattr__(self, "qat_bits", ",".join(map(str, [bits] if isinstance(bits, int) else bits)))
        if isinstance(self.layer, list):
            object.__setattr__(self, "layer", tuple(self.layer))
        if self.hidden != "" and not isinstance(self.hidden, (int, float, bool)):
            object.__setattr__(self, "hidden", _widths(self.hidden))
        for f in fields(self):
            value = getattr(self, f.name)
            wanted = int if f.name == "hidden" else type(f.default)
            if f.name == "hidden" and isinstance(value, str):
                continue
            if wanted is float and type(value) is int:
                object.__setattr__(self, f.name, float(value))
            elif type(value) is not wanted:
                raise ValueError(f"{f.name} must be of type {wanted.__name__}, got {value!r}")
        self._need("epochs", self.epochs >= (0 if self.qat_bits else 1), "at least 1, or with qat_bits 0")
        for name in ("batch_size", "qat_epochs"):
            self._need(name, getattr(self, name) >= 1, "at least 1")
        self._need("layers", 0 <= self.layers <= _MOST_LAYERS, f"0 to {_MOST_LAYERS}")
        most = math.isqrt(_MOST_WEIGHTS // len(self.widths))
        self._need("hidden", min(self.widths) >= 1, "at least 1")
        self._need("hidden", max(self.widths) <= most, f"at most {most:,}, for {len(self.widths)} layers")
        self._need("layers", self.layers in (0, 1, len(self.widths)), "as many as hidden has")  # 1: as runs noted it
        self._need("layer", all(isinstance(text, str) for text in self.layer), "texts")
        if self.layer:
            for f in fields(self):
                if f.name in PLAIN and getattr(self, f.name) != f.default:
                    raise ValueError(f"layer says all of the hidden layers; drop {f.name} = {getattr(self, f.name)!r}")
        for name in ("dt", "tau_mem", "tau_syn", "readout_tau_mem", "readout_tau_syn", "initial_spikes", "lr",
                     "qat_lr", "clip", "logit_scale"):  # fmt: skip
            self._need(name, 0 < getattr(self, name) < float("inf"), "positive")
        for name in ("duration", "tau_spread", "count_gradient", "delay", "lr_tau", "lr_delay", "warmup",
                     "weight_decay", "rewire", "rate_strength", "rate_lower", "shift", "stretch", "shift_time",
                     "jitter", "dilate", "patience", "seed", "threads"):  # fmt: skip
            self._need(name, 0 <= getattr(self, name) < float("inf"), "0 or more")
        self._need("seed", self.seed < 2**63, "below 2^63")
        for f in fields(self):
            if isinstance(f.default, float) and f.name != "rate_upper":  # inf: no bound
                self._need(f.name, getattr(self, f.name) <= _LARGEST, f"at most {_LARGEST:g}")
        for name in ("drop", "blend", "mask", "mask_time", "valid", "label_smoothing"):
            self._need(name, 0 <= getattr(self, name) < 1 or (name == "blend" and self.blend == 1), "in [0, 1)")
        self._need("shift", self.shift < 1 or self.shift.is_integer(), "a share below 1, or a whole number")
        self._need("rate_upper", self.rate_upper >= self.rate_lower, "at least rate_lower")
        for f in fields(self):
            if choices := f.metadata["choices"]:
                self._need(f.name, getattr(self, f.name) in choices, f"one of {', '.join(choices)}")
        self._check_layers()
        chip = find_chip(self.chip)
        trains = isinstance(chip, TrainingChip) or not self.qat_bits
        self._need("qat_bits", trains, f"empty, as no model can be trained on {chip.title}'s arithmetic")
        chip.check(self)

    def _check_layers(self) -> None:
        from lambent.training.describing import check_steps, shape_of, weights_of_all

        layers = self.descriptions()
        for said in layers:
            check_steps(said, self.neuron_values(), self.dt, self.max_delay if self.layer else math.inf)
        if self.input_shape:
            weights_of_all(layers, shape_of(self.input_shape))

    def neuron_values(self) -> dict[str, Any]:
        """Parameters of hidden units that do not say others themselves."""
        return {"tau_mem": self.tau_mem, "tau_syn": self.tau_syn, "reset": self.reset}

    @property
    def max_delay(self) -> float:
        """The longest delay on the chip [ms]."""
        return find_chip(self.chip).max_delay * self.dt

    def _repr_html_(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        rows = [(f.name, str(getattr(self, f.name)), f.metadata["help"]) for f in changed]
        return html_table(f"Config: {'what differs from the defaults' if rows else 'the defaults'}", rows)

    def weight_bits(self) -> int | tuple[int, ...] | None:
        """What `qat_bits` says, as a chip takes it; None where it is empty."""
        return parse_bits(self.qat_bits) if self.qat_bits else None

    @property
    def widths(self) -> tuple[int, ...]:
        """The units of each hidden layer, by `hidden` and `layers`."""
        if isinstance(self.hidden, str) and self.hidden:
            return tuple(int(part) for part in self.hidden.split(","))
        if self.hidden == "":
            return (_WIDTH,) * (self.layers or (1 if self.input_shape else _BEHIND))
        return (int(self.hidden),) * (self.layers or 1)

    def descriptions(self) -> list[Description]:
        """The hidden layers, in words that were read.

        Raises:
            ValueError: a line of `layer` cannot be read.
        """
        from lambent.training.describing import describe

        among = " recurrent" if self.recurrent else ""
        usual = [f"{n}{among}" for n in self.widths]
        if self.hidden == "" and not self.input_shape:
            usual = [_FRONT, *usual]
        return [describe(text) for text in self.layer or usual]

    @property
    def all_epochs(self) -> int:
        """Passes over the training data in all."""
        return self.epochs + (self.qat_epochs if self.qat_bits else 0)

    def _need(self, name: str, good: bool, what: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {what}, got {getattr(self, name)!r}")

    def to_toml(self) -> str:
        """The settings as TOML, in groups, each with its explanation."""
        groups = []
        for group, keys in groupby(fields(self), lambda f: f.metadata["group"]):
            lines = [f"# {group}"]
            for f in keys:
                value = getattr(self, f.name)
                text = json.dumps(value) if isinstance(value, (str, tuple)) else str(value).lower()
                lines.append(f"{f.name} = {text}  # {f.metadata['help']}")
            groups.append("\n".join(lines) + "\n")
        return "\n".join(groups)

    @classmethod
    def from_toml(cls, path: str | Path) -> Config:
        """Read a TOML file; keys left out have their defaults.

        Raises:
            ValueError: no TOML, an unknown key, or a bad value; names the file.
        """
        text = read_file(path)
        if len(text) > _LONGEST:
            raise ValueError(f"{path}: {len(text):,} bytes are no settings; they take {_LONGEST:,} at most")
        try:
            values = tomllib.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not a TOML file: {error}") from error
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise ValueError(f"{path}: unknown key {key!r}; the keys are {', '.join(sorted(known))}")
        for name, noted in {"hidden": _WIDTH, "layers": 1}.items():
            if values.get("layer") and values.get(name) == noted:
                del values[name]  # as runs of before noted it, whatever their layers
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
