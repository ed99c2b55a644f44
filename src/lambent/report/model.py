"""What a report shows, as plain values: strings, numbers and numpy arrays, checked when they are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lambent.report import _checks as check
from lambent.report.cores import CoreUse
from lambent.report.costs import CostFigure
from lambent.report.hearing import Hearing
from lambent.report.spreads import Spread
from lambent.report.streams import Detections

ACCURACY_KINDS = ("float", "quantised", "chip")
HISTORY_KEYS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "spikes_per_unit",
    "silent",
    "lr",
    "samples_per_s",
    "seconds",
)


@dataclass(frozen=True, eq=False)
class RasterLayer:
    """The spikes of one layer for one sample.

    Args:
        name: what the layer is called on the page.
        n_units: number of units, at least 1.
        times_float, units_float: (n_spikes,) times [ms] and units of the float network's spikes, any order.
        times_chip, units_chip: the same from the chip. Both None: the layer is drawn once, as what float and
            chip have in common, which suits the input.

    Raises:
        ValueError: naming the layer and the field at fault.
    """

    name: str
    n_units: int
    times_float: np.ndarray
    units_float: np.ndarray
    times_chip: np.ndarray | None = None
    units_chip: np.ndarray | None = None

    def __post_init__(self) -> None:
        check.text("RasterLayer.name", self.name)
        where = f"raster layer {self.name!r}"
        check.count(f"{where}: n_units", self.n_units, at_least=1)
        if (self.times_chip is None) != (self.units_chip is None):
            raise ValueError(f"{where}: times_chip and units_chip must be given together")
        for side in ("float", "chip"):
            if getattr(self, f"times_{side}") is None:
                continue
            times = check.floats(f"{where}: times_{side}", getattr(self, f"times_{side}"), ndim=1)
            units = check.indices(f"{where}: units_{side}", getattr(self, f"units_{side}"), self.n_units)
            if len(times) != len(units):
                raise ValueError(f"{where}: times_{side} has {len(times)} entries, units_{side} {len(units)}")
            object.__setattr__(self, f"times_{side}", times)
            object.__setattr__(self, f"units_{side}", units)


@dataclass(frozen=True, eq=False)
class SampleTrace:
    """One sample on its way through the network.

    Args:
        layers: the input and every hidden layer, in order.
        duration: length of the sample [ms]; every spike lies in ``[0, duration]``.
        label: the true class, None where it isn't known.
        predicted_float, predicted_chip: the class each network answers with. Given, not taken from the
            voltages, because only the model knows how it reduces them.
        readout_float, readout_chip: (steps, n_classes) voltages, each in its own unit, or None.
        dt: time between two rows of the voltages [ms]; row t is the state after step t + 1.
        name: what to call the sample, such as its file; empty for none.

    Raises:
        ValueError: naming the field at fault.
    """

    layers: Sequence[RasterLayer]
    duration: float
    label: int | None
    predicted_float: int
    predicted_chip: int | None = None
    readout_float: np.ndarray | None = None
    readout_chip: np.ndarray | None = None
    dt: float = 1.0
    name: str = ""

    @property
    def deployed(self) -> str:
        """The side that is closest to what will be used: "chip" where it was run, else "float"."""
        return "float" if self.predicted_chip is None else "chip"

    @property
    def answer(self) -> int:
        """The class that it answers with."""
        return self.predicted_float if self.predicted_chip is None else self.predicted_chip

    def __post_init__(self) -> None:
        if self.name:
            check.text("sample.name", self.name)
        check.instances("sample.layers", self.layers, RasterLayer)
        if not self.layers:
            raise ValueError("sample.layers is empty")
        check.positive("sample.duration", self.duration)
        check.positive("sample.dt", self.dt)
        for layer in self.layers:
            for key, times in (("times_float", layer.times_float), ("times_chip", layer.times_chip)):
                if times is None:
                    continue
                outside = times[(times < 0) | (times > self.duration)]
                if len(outside):
                    raise ValueError(
                        f"raster layer {layer.name!r}: {key} holds {outside[0]:g} ms, outside [0, {self.duration:g}]"
                    )
        for key in ("readout_float", "readout_chip"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, check.floats(f"sample.{key}", getattr(self, key), ndim=2))


@dataclass(frozen=True, eq=False)
class LayerRates:
    """Mean number of spikes of each unit per sample, (n_units,), averaged over the test set."""

    name: str
    mean_spikes: np.ndarray

    def __post_init__(self) -> None:
        check.text("LayerRates.name", self.name)
        where = f"rates of {self.name!r}"
        mean = check.floats(where, self.mean_spikes, ndim=1)
        if not len(mean) or mean.min() < 0:
            raise ValueError(f"{where}: needs at least one unit and no negative mean")
        object.__setattr__(self, "mean_spikes", mean)


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """The weights of one connection in float and, scaled back to float units, as the chip holds them.

    Args:
        name: what the connection is called on the page.
        values: the float weights, any shape; the first axis counts what they come from.
        quantised: the rounded weights in the units of `values` and of the same shape, or None.
    """

    name: str
    values: np.ndarray
    quantised: np.ndarray | None = None

    def __post_init__(self) -> None:
        check.text("WeightMatrix.name", self.name)
        where = f"weights of {self.name!r}"
        values = check.floats(f"{where}: values", self.values)
        if not values.size:
            raise ValueError(f"{where}: values is empty")
        object.__setattr__(self, "values", values)
        if self.quantised is not None:
            quantised = check.floats(f"{where}: quantised", self.quantised)
            if quantised.shape != values.shape:
                raise ValueError(f"{where}: quantised has shape {quantised.shape}, values {values.shape}")
            object.__setattr__(self, "quantised", quantised)


@dataclass(frozen=True)
class LayerSize:
    """The size of one layer: its shape in words, weights, bytes in float, bits of a weight on the chip (or None)."""

    name: str
    shape: str
    n_weights: int
    float_bytes: int
    chip_bits: int | None = None

    def __post_init__(self) -> None:
        check.text("LayerSize.name", self.name)
        where = f"size of {self.name!r}"
        check.text(f"{where}: shape", self.shape)
        check.count(f"{where}: n_weights", self.n_weights)
        check.count(f"{where}: float_bytes", self.float_bytes)
        if self.chip_bits is not None:
            check.count(f"{where}: chip_bits", self.chip_bits, at_least=1)

    @property
    def chip_bytes(self) -> int | None:
        """Memory of the weights on the chip, at `chip_bits` each."""
        return None if self.chip_bits is None else -(-self.n_weights * self.chip_bits // 8)


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report shows. Whatever is left out is left out of the page.

    Args:
        title: heading of the page.
        created: when, as it should be printed; the page is the same byte for byte for the same data.
        accuracy: share of samples that are recognised, in 0..1, under any of the keys "float", "quantised" and "chip".
        n_test: number of test samples.
        class_names: one name per class.
        labels: (n_test,) true classes.
        predictions_float: (n_test,) answers of the float network.
        predictions_chip: (n_test,) answers of the chip, or None.
        agreement: share of test samples where chip and float answer alike, or None. Counted here where
            `predictions_chip` is given.
        confidence_float, confidence_chip: (n_test,) probability in 0..1 that each network gives its answer, or None.
        speakers: (n_test,) integers, who spoke, or None.
        files: the file that each test sample was made of, or None.
        hearing: accuracy by how much was heard, or None.
        streams: what each network misses on streams.
        facts: what else to print about the run: data set, seed, time, ...
        versions: name and version of the software, for the foot of the page.
        history: one mapping per epoch with any of `HISTORY_KEYS`; `accuracy`, `val_accuracy` and `silent` are
            shares in 0..1. A missing, None or non-finite value leaves a gap in the curve.
        traces: samples to be shown in full, mistakes first.
        examples: samples to be shown in small, one of each class.
        rates, weights, sizes: one entry per layer or connection.
        spreads: delays and time constants.
        on_chip: what was exported, for whom, and what was verified.
        cores: what each core of the chip holds.
        costs: what a sample costs, the network on the chip first, others to compare it with after.
        commands: what to type to do it all again, a line each.

    Raises:
        TypeError, ValueError: naming the field at fault, or two fields that contradict each other.
    """

    title: str
    created: str
    accuracy: Mapping[str, float]
    n_test: int
    class_names: Sequence[str]
    labels: np.ndarray
    predictions_float: np.ndarray
    predictions_chip: np.ndarray | None = None
    agreement: float | None = None
    confidence_float: np.ndarray | None = None
    confidence_chip: np.ndarray | None = None
    speakers: np.ndarray | None = None
    files: Sequence[str] | None = None
    hearing: Hearing | None = None
    streams: Sequence[Detections] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    traces: Sequence[SampleTrace] = ()
    examples: Sequence[SampleTrace] = ()
    rates: Sequence[LayerRates] = ()
    weights: Sequence[WeightMatrix] = ()
    spreads: Sequence[Spread] = ()
    sizes: Sequence[LayerSize] = ()
    costs: Sequence[CostFigure] = ()
    on_chip: Mapping[str, str] = field(default_factory=dict)
    cores: Sequence[CoreUse] = ()
    commands: Sequence[str] = ()

    @property
    def deployed(self) -> str:
        """The network that is closest to what will be used: "chip" where it was run, else "float"."""
        return "float" if self.predictions_chip is None else "chip"

    @property
    def sides(self) -> list[str]:
        """The networks that answered: "float", and "chip" where it was run."""
        return ["float"] if self.predictions_chip is None else ["float", "chip"]

    def predictions(self, side: str) -> np.ndarray:
        """(n_test,) answers of one of `sides`."""
        return getattr(self, f"predictions_{side}")

    def confidence(self, side: str) -> np.ndarray | None:
        """(n_test,) how sure one of `sides` is of its answers, or None."""
        return getattr(self, f"confidence_{side}")

    def recognised(self, side: str) -> np.ndarray:
        """(n_test,) bool, whether the answer of one of `sides` is the true class."""
        return self.predictions(side) == self.labels

    def __post_init__(self) -> None:
        check.text("title", self.title)
        check.text("created", self.created)
        check.texts("facts", self.facts)
        check.texts("versions", self.versions)
        check.texts("on_chip", self.on_chip)
        if isinstance(self.class_names, str) or not len(self.class_names):
            raise ValueError("class_names must be a non-empty sequence of names")
        for i, name in enumerate(self.class_names):
            check.text(f"class_names[{i}]", name)
        check.instances("rates", self.rates, LayerRates)
        check.instances("weights", self.weights, WeightMatrix)
        check.instances("sizes", self.sizes, LayerSize)
        check.instances("costs", self.costs, CostFigure)
        check.instances("spreads", self.spreads, Spread)
        check.instances("cores", self.cores, CoreUse)
        check.instances("streams", self.streams, Detections)
        if self.hearing is not None:
            check.instances("hearing", [self.hearing], Hearing)
        for i, line in enumerate(self.commands):
            check.text(f"commands[{i}]", line)
        self._check_history()
        self._check_answers()
        self._check_about_samples()
        for key in ("traces", "examples"):
            check.instances(key, getattr(self, key), SampleTrace)
            for i, sample in enumerate(getattr(self, key)):
                self._check_sample(f"{key}[{i}]", sample)

    def _check_history(self) -> None:
        for i, epoch in enumerate(self.history):
            if not isinstance(epoch, Mapping):
                raise TypeError(f"history[{i}] must be a mapping, got {type(epoch).__name__}")
            for key in HISTORY_KEYS:
                if epoch.get(key) is not None:
                    check.number(f"history[{i}][{key!r}]", epoch[key])

    def _check_answers(self) -> None:
        check.count("n_test", self.n_test, at_least=1)
        n_classes = len(self.class_names)
        for key in ("labels", "predictions_float", "predictions_chip"):
            if getattr(self, key) is None and key == "predictions_chip":
                continue
            values = check.indices(key, getattr(self, key), n_classes)
            if len(values) != self.n_test:
                raise ValueError(f"{key} has {len(values)} entries, n_test is {self.n_test}")
            object.__setattr__(self, key, values)
        for key, value in self.accuracy.items():
            if key not in ACCURACY_KINDS:
                raise ValueError(f"accuracy has the unknown key {key!r}; known: {', '.join(ACCURACY_KINDS)}")
            check.share(f"accuracy[{key!r}]", value)
        self._agree("accuracy['float']", self.accuracy.get("float"), self.labels, self.predictions_float)
        if self.predictions_chip is not None:
            self._agree("accuracy['chip']", self.accuracy.get("chip"), self.labels, self.predictions_chip)
            self._agree("agreement", self.agreement, self.predictions_float, self.predictions_chip)
            if self.agreement is None:
                same = float(np.mean(self.predictions_float == self.predictions_chip))
                object.__setattr__(self, "agreement", same)
        elif self.agreement is not None:
            check.share("agreement", self.agreement)

    def _agree(self, key: str, given: float | None, a: np.ndarray, b: np.ndarray) -> None:
        """A share that is stated must be the one that the answers give, to less than half a sample."""
        counted = float(np.mean(a == b))
        if given is not None and not abs(given - counted) * self.n_test < 0.5:
            raise ValueError(f"{key} is {given:g}, but the labels and predictions give {counted:g}")

    def _check_about_samples(self) -> None:
        """What is known of each test sample."""
        for side in ("float", "chip"):
            if (sure := self.confidence(side)) is None:
                continue
            key = f"confidence_{side}"
            sure = check.floats(key, sure, ndim=1)
            if len(sure) != self.n_test or not ((sure >= 0) & (sure <= 1)).all():
                raise ValueError(f"{key} must be {self.n_test} numbers in 0..1")
            object.__setattr__(self, key, sure)
        if self.speakers is not None:
            speakers = np.asarray(self.speakers)
            if speakers.shape != (self.n_test,) or speakers.dtype.kind not in "iu":
                raise ValueError(f"speakers must be {self.n_test} integers, got {speakers.dtype} {speakers.shape}")
            object.__setattr__(self, "speakers", speakers)
        if self.files is not None:
            if isinstance(self.files, str) or len(self.files) != self.n_test:
                raise ValueError(f"files must be a name for each of {self.n_test} samples")
            for i, name in enumerate(self.files):
                check.text(f"files[{i}]", name)

    def _check_sample(self, where: str, sample: SampleTrace) -> None:
        n_classes = len(self.class_names)
        for key in ("label", "predicted_float", "predicted_chip"):
            if getattr(sample, key) is not None:
                check.indices(f"{where}.{key}", [getattr(sample, key)], n_classes)
        for key in ("readout_float", "readout_chip"):
            volts = getattr(sample, key)
            if volts is not None and volts.shape[1] != n_classes:
                raise ValueError(f"{where}.{key} has {volts.shape[1]} columns for {n_classes} classes")
