"""Malformed report data are refused with an error that names the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lambent.report import (
    CoreUse,
    CostFigure,
    Detections,
    Hearing,
    LayerRates,
    LayerSize,
    RasterLayer,
    ReportData,
    SampleTrace,
    Spread,
    WeightMatrix,
)

Build = Callable[..., ReportData]
EMPTY = np.empty(0)
NO_UNITS = np.empty(0, dtype=int)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": " "}, "title is empty"),
        ({"created": "a\x00b"}, "created holds a control character"),
        ({"class_names": []}, "class_names must be"),
        ({"class_names": "abc"}, "class_names must be"),
        ({"class_names": ["a", "b", ""]}, r"class_names\[2\] is empty"),
        ({"n_test": 0}, "n_test must be at least 1"),
        ({"n_test": 7}, "labels has 6 entries, n_test is 7"),
        ({"labels": [0, 1, 2, 0, 1, 3]}, r"labels\[5\] is 3"),
        ({"labels": [[0, 1, 2, 0, 1, 2]]}, "labels must have 1 dimension"),
        ({"predictions_float": [0, 1, 2, 0, -1, 0]}, r"predictions_float\[4\] is -1"),
        ({"predictions_chip": [0, 1]}, "predictions_chip has 2 entries"),
        ({"accuracy": {"gpu": 0.5}}, "unknown key 'gpu'"),
        ({"accuracy": {"float": 83.3}}, r"accuracy\['float'\] must lie in 0..1"),
        ({"accuracy": {"quantised": float("nan")}}, r"accuracy\['quantised'\] must lie in 0..1"),
        ({"accuracy": {"float": 0.5}}, r"accuracy\['float'\] is 0.5, but .* give 0.8333"),
        ({"agreement": 1.5}, "agreement must lie in 0..1"),
        ({"agreement": 1.0, "predictions_chip": [0, 1, 2, 0, 1, 2]}, "agreement is 1, but"),
        ({"facts": {"Seed": ""}}, r"facts\['Seed'\] is empty"),
        ({"confidence_float": [1.0]}, "confidence_float must be 6 numbers in 0..1"),
        ({"confidence_chip": [0, 0, 0, 0, 0, 1.1]}, "confidence_chip must be 6 numbers in 0..1"),
        ({"confidence_float": [float("nan")] * 6}, "confidence_float holds NaN"),
        ({"speakers": [1]}, "speakers must be 6 integers"),
        ({"speakers": list("abcdef")}, "speakers must be 6 integers"),
        ({"files": ["a"]}, "files must be a name for each of 6 samples"),
        ({"files": "abcdef"}, "files must be a name for each of 6 samples"),
        ({"files": ["a", "b", "c", "d", "e", "f\x07"]}, r"files\[5\] holds a control character"),
    ],
)
def test_bad_values_name_their_field(minimal: Build, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimal(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": None}, "title must be a string"),
        ({"facts": [("Seed", "1")]}, "facts must be a mapping"),
        ({"facts": {"Seed": 1}}, r"facts\['Seed'\] must be a string"),
        ({"labels": [0.0, 1, 2, 0, 1, 2]}, "labels must hold integers"),
        ({"n_test": 6.0}, "n_test must be an integer"),
        ({"history": [3]}, r"history\[0\] must be a mapping"),
        ({"history": [{"loss": 1.0}, {"loss": "low"}]}, r"history\[1\]\['loss'\] must be a number"),
        ({"rates": [("hidden", EMPTY)]}, r"rates\[0\] must be a LayerRates"),
        ({"traces": [{}]}, r"traces\[0\] must be a SampleTrace"),
        ({"spreads": [1]}, r"spreads\[0\] must be a Spread"),
        ({"cores": [1]}, r"cores\[0\] must be a CoreUse"),
        ({"hearing": 1}, r"hearing\[0\] must be a Hearing"),
        ({"commands": [1]}, r"commands\[0\] must be a string"),
    ],
)
def test_wrong_types_name_their_field(minimal: Build, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        minimal(**changes)


def _layer(name: str = "hidden", times: Any = EMPTY, units: Any = NO_UNITS, **more: Any) -> RasterLayer:
    return RasterLayer(name, 4, times, units, **more)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _layer(times=[1.0], units=[4]), "'hidden': units_float"),
        (lambda: _layer(times=[1.0, 2.0], units=[0]), "'hidden': times_float has 2 entries, units_float 1"),
        (lambda: _layer(times=[np.nan], units=[0]), "'hidden': times_float holds NaN"),
        (lambda: _layer(times=["x"], units=[0]), "'hidden': times_float must be an array of numbers"),
        (lambda: _layer(times_chip=EMPTY), "'hidden': times_chip and units_chip must be given together"),
        (lambda: SampleTrace([], 10.0, 0, 0), "sample.layers is empty"),
        (lambda: SampleTrace([_layer()], 0.0, 0, 0), "sample.duration must be positive"),
        (
            lambda: SampleTrace([_layer(times=[11.0], units=[0])], 10.0, 0, 0),
            "'hidden': times_float holds 11 ms",
        ),
        (
            lambda: SampleTrace([_layer()], 10.0, 0, 0, readout_chip=EMPTY),
            "sample.readout_chip must have 2 dimensions",
        ),
        (lambda: LayerRates("hidden", EMPTY), "rates of 'hidden'"),
        (lambda: LayerRates("hidden", np.array([-1.0])), "rates of 'hidden'"),
        (lambda: WeightMatrix("w", EMPTY), "weights of 'w': values is empty"),
        (lambda: WeightMatrix("w", np.ones((2, 3)), np.ones((3, 2))), "weights of 'w': quantised has shape"),
        (lambda: CostFigure("chip", "guessed", 1.0), "cost of 'chip': basis"),
        (lambda: CostFigure("chip", "modelled", 0.0), "cost of 'chip': latency"),
        (lambda: CostFigure("chip", "modelled", 1.0, -1.0), "cost of 'chip': energy"),
        (lambda: CostFigure("chip", "modelled", 1.0, batch=0), "cost of 'chip': batch"),
        (lambda: LayerSize("out", "2 × 3", -6, 24), "size of 'out': n_weights"),
        (lambda: Hearing([2.0, 1.0], [0.5, 0.5], 1), "hearing.times must rise"),
        (lambda: Hearing([], [], 1), "hearing.times must rise"),
        (lambda: Hearing([1.0], [1.5], 1), "hearing.accuracy must lie"),
        (lambda: Spread("delays", "units", EMPTY), "spread of 'delays': values is empty"),
        (lambda: Spread("delays", "units", [1.0], [np.nan]), "spread of 'delays': at_start holds NaN"),
        (lambda: Detections("chip", [0.5], []), "detections of 'chip': misses and false_alarms"),
        (lambda: Detections("chip", [1.5], [1.0]), "detections of 'chip': misses must lie"),
        (lambda: CoreUse(0, 0, {}, 0.5), "CoreUse.units is empty"),
        (lambda: CoreUse(0, 0, {"a": 1}, 1.5), "CoreUse.memory must lie"),
    ],
)
def test_bad_parts_name_layer_and_field(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (SampleTrace([_layer()], 10.0, 3, 0), "label"),
        (SampleTrace([_layer()], 10.0, 0, 0, predicted_chip=5), "predicted_chip"),
        (
            SampleTrace([_layer()], 10.0, 0, 0, readout_float=np.ones((10, 2))),
            "readout_float has 2 columns for 3 classes",
        ),
    ],
)
def test_sample_must_fit_the_classes(minimal: Build, sample: SampleTrace, message: str) -> None:
    for place in ("traces", "examples"):
        with pytest.raises(ValueError, match=rf"{place}\[0\]\.{message}"):
            minimal(**{place: [sample]})


def test_agreement_is_counted_from_the_answers(minimal: Build) -> None:
    assert minimal(predictions_chip=[0, 1, 2, 0, 1, 2]).agreement == pytest.approx(5 / 6)
    assert minimal().agreement is None
    assert minimal(agreement=0.9).agreement == 0.9
