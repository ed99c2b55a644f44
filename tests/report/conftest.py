"""Made-up but lifelike report data: a spoken-digit network whose chip differs a little from float."""

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
    render,
)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def answers(rng: np.random.Generator, n: int, n_classes: int, share_right: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers of which about `share_right` are right; mistakes lean to the next class."""
    labels = np.arange(n) % n_classes
    wrong = rng.random(n) > share_right
    shift = np.where(rng.random(n) < 0.6, 1, rng.integers(1, max(2, n_classes), n))
    return labels, np.where(wrong, (labels + shift) % n_classes, labels)


def raster(rng: np.random.Generator, name: str, n_units: int, n_spikes: int, chip: bool) -> RasterLayer:
    """A layer of which the chip, where asked for, moves and loses some spikes."""
    times = np.sort(rng.beta(1.6, 2.4, n_spikes) * 1000.0)
    units = ((np.sin(times / 90.0) * 0.3 + 0.5 + 0.12 * rng.standard_normal(n_spikes)) * n_units).astype(int)
    units = np.clip(units, 0, n_units - 1)
    if not chip:
        return RasterLayer(name, n_units, times, units)
    kept = rng.random(n_spikes) < 0.97
    moved = np.clip(times + rng.integers(-1, 2, n_spikes), 0, 999.0)
    return RasterLayer(name, n_units, times, units, moved[kept], units[kept])


def weights(rng: np.random.Generator, name: str, shape: tuple[int, int], scale: float) -> WeightMatrix:
    """A matrix and itself rounded to 8 bits."""
    values = scale * rng.standard_normal(shape).astype(np.float32)
    step = np.abs(values).max() / 127
    return WeightMatrix(name, values, np.round(values / step) * step)


def sample_trace(rng: np.random.Generator, n_classes: int = 10, n_input_spikes: int = 8000) -> SampleTrace:
    """A word through 700-256-256-n_classes that the chip gets wrong."""
    slopes = rng.standard_normal((1000, n_classes)) * 0.2
    slopes[:, 7 % n_classes] += 0.02
    volts = np.cumsum(slopes, 0)
    layers = [
        raster(rng, "input", 700, n_input_spikes, chip=False),
        raster(rng, "hidden 1", 256, 2400, chip=True),
        raster(rng, "hidden 2", 256, 900, chip=True),
    ]
    chip_volts = np.round(volts * 900) + rng.integers(-300, 300, volts.shape)
    return SampleTrace(layers, 1000.0, 7 % n_classes, 7 % n_classes, 0, volts, chip_volts, name="seven/a.wav")


def example(rng: np.random.Generator, c: int, n_classes: int) -> SampleTrace:
    """A short word of class c that both networks recognise."""
    volts = np.cumsum(rng.standard_normal((200, n_classes)), 0)
    layers = [raster(rng, "input", 700, 500, chip=False)]
    return SampleTrace(layers, 1000.0, c, c, c, volts, volts, dt=5.0)


def full_arguments(n_classes: int = 10, names: tuple[str, ...] = DIGITS, **sample: Any) -> dict[str, Any]:
    """Arguments of a `ReportData` with every part in it."""
    rng = np.random.default_rng(5)
    labels, by_float = answers(rng, 600, n_classes, 0.92)
    by_chip = np.where(rng.random(600) < 0.98, by_float, rng.integers(0, n_classes, 600))
    progress = 1 - np.exp(-np.arange(1, 51) / 12)
    history = [
        {
            "epoch": i + 1,
            "loss": 2.3 - 2.1 * p + 0.02 * rng.standard_normal(),
            "accuracy": 0.1 + 0.88 * p,
            "val_loss": 2.3 - 1.8 * p + 0.05 * rng.standard_normal() + 0.004 * i,
            "val_accuracy": 0.1 + 0.82 * p + 0.01 * rng.standard_normal(),
            "spikes_per_unit": 4 + 10 * p,
            "silent": 0.3 * (1 - p),
            "lr": 1e-3,
            "samples_per_s": 950.0,
            "seconds": 2.5,
        }
        for i, p in enumerate(progress)
    ]
    silent_some = np.where(rng.random(256) < 0.06, 0.0, rng.gamma(3.0, 4.0, 256))
    return {
        "title": "Spoken digits, 700-256-256-10",
        "created": "2025-11-21 09:30",
        "accuracy": {
            "float": float(np.mean(by_float == labels)),
            "quantised": 0.9217,
            "chip": float(np.mean(by_chip == labels)),
        },
        "n_test": 600,
        "agreement": float(np.mean(by_float == by_chip)),
        "class_names": names,
        "labels": labels,
        "predictions_float": by_float,
        "predictions_chip": by_chip,
        "confidence_float": rng.beta(6, 2, 600),
        "confidence_chip": rng.beta(5, 2, 600),
        "speakers": rng.integers(0, 20, 600),
        "files": [f"{names[c]}/recording {i}.wav" for i, c in enumerate(labels)],
        "hearing": Hearing(np.arange(1, 51) * 20.0, 0.9 * progress + 0.05, 300),
        "streams": [Detections("chip", [0.1, 0.2, 0.9], [30.0, 2.0, 0.0], [(5.0, 0.5, 0.2, float("nan"))])],
        "facts": {
            "Data set": "spoken_digits_test.h5.gz, 600 words",
            "Parameters": "312,842, of which 768 time constants",
            "Seed": "1",
            "Training": "50 epochs in 2 min 5 s on 2 cores",
            "Optimiser": "Adam, 1e-3, cosine schedule",
        },
        "versions": {"lambent": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "history": history,
        "traces": [sample_trace(rng, n_classes, **sample)],
        "examples": [example(rng, c, n_classes) for c in range(n_classes)],
        "rates": [LayerRates("hidden 1", silent_some), LayerRates("hidden 2", rng.gamma(2.0, 2.0, 256))],
        "weights": [
            weights(rng, "input → hidden 1", (700, 256), 0.05),
            weights(rng, "hidden 1 → hidden 1", (256, 256), 0.1),
            weights(rng, "hidden 1 → hidden 2", (256, 256), 0.1),
            weights(rng, "hidden 2 → readout", (256, n_classes), 0.3),
        ],
        "spreads": [
            Spread("delays of hidden 1", "connections", rng.gamma(3.0, 9.0, 900), rng.uniform(0, 60, 900), step=1.0),
            Spread("membranes of hidden 1", "units", rng.gamma(9.0, 2.0, 256)),
            Spread("membranes of readout", "units", np.full(10, 20.0), np.full(10, 20.0)),
        ],
        "on_chip": {"Cores": "3, with 300,000 bytes of synaptic memory"},
        "cores": [
            CoreUse(0, 0, {"hidden 1": 256}, 0.9),
            CoreUse(0, 0, {"hidden 2": 256}, 0.5),
            CoreUse(1, 0, {"hidden 2": 6, "readout": 10}, 0.1),
        ],
        "commands": ["lambent train 'a b.h5' --out words", "lambent evaluate words test.h5"],
        "sizes": [
            LayerSize("hidden 1", "700 × 256 + 256 × 256", 244736, 978944, 8),
            LayerSize("hidden 2", "256 × 256", 65536, 262144, 4),
            LayerSize("readout", f"256 × {n_classes}", 256 * n_classes, 1024 * n_classes, 3),
        ],
        "costs": [
            CostFigure("this network, Loihi 2", "modelled", 2.31, 0.187),
            CostFigure("this network, cpu", "measured", 12.4),
            CostFigure("700-256-20, Loihi 2", "published", 2.33, 0.19),
            CostFigure("700-256-20, embedded GPU", "published", 103.0, 3.7, batch=128),
        ],
    }


def minimal_arguments() -> dict[str, Any]:
    """Arguments of a `ReportData` with nothing optional in it."""
    labels = np.array([0, 1, 2, 0, 1, 2])
    return {
        "title": "Yin-Yang",
        "created": "today",
        "accuracy": {"float": 5 / 6},
        "n_test": 6,
        "class_names": ["yin", "yang", "dot"],
        "labels": labels,
        "predictions_float": np.array([0, 1, 2, 0, 1, 0]),
    }


@pytest.fixture
def full() -> Callable[..., ReportData]:
    """Builds a full `ReportData`; keywords replace fields."""
    return lambda **changes: ReportData(**(full_arguments() | changes))


@pytest.fixture(scope="session")
def full_page() -> str:
    """The full page, drawn once."""
    return render(ReportData(**full_arguments()))


@pytest.fixture
def minimal() -> Callable[..., ReportData]:
    """Builds a minimal `ReportData`; keywords replace fields."""
    return lambda **changes: ReportData(**(minimal_arguments() | changes))


@pytest.fixture
def many_classes() -> ReportData:
    """35 classes and a raster of 20,000 input spikes."""
    names = tuple(f"keyword {i}" if i % 3 else f"kw{i}" for i in range(35))
    return ReportData(**full_arguments(35, names, n_input_spikes=20_000))
