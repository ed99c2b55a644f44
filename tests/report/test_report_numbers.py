"""The numbers that the page prints and the bins that it counts in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import lambent as lb
from lambent.report import WeightMatrix, words
from lambent.report.confusion import matrix, mistakes
from lambent.report.histograms import bin_edges, quantisation_error
from lambent.runs.report import layer_sizes


def test_formats() -> None:
    assert words.percent(0.9344) == "93.4\N{NO-BREAK SPACE}%"
    assert [words.points(x) for x in (-0.004, 0.01, -0.0001, 0.0)] == ["−0.4", "+1.0", "0.0", "0.0"]
    assert [words.size(n).replace(words.NBSP, " ") for n in (0, 1023, 1024, 312832, 2**20)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "305.5 KiB",
        "1.0 MiB",
    ]
    assert [words.significant(x) for x in (0.19, 82.3, 1370.4, 0.0123, 2.0)] == [
        "0.190",
        "82.3",
        "1,370",
        "0.0123",
        "2.00",
    ]
    ratios = [words.ratio(x).replace(words.NBSP, " ") for x in (1.0, 0.83, 9.96, 433.2, 0.0123)]
    assert ratios == ["× 1.0", "× 0.83", "× 10", "× 433", "× 0.012"]
    assert [words.listing(list(names), at_most=3) for names in ("a", "ab", "abc", "abcd")] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b and 2 more",
    ]


def test_interval_is_that_of_wilson() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263 and 15/148 and 0/20.
    assert words.interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert words.interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert words.interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_confusion_counts_rows_as_true_classes() -> None:
    labels, answers = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 2])
    counts = matrix(labels, answers, 4)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert mistakes(counts, at_most=5) == [(0, 1, 2), (2, 0, 1)]
    assert mistakes(counts, at_most=1) == [(0, 1, 2)]


@pytest.mark.parametrize("step", [0.01, 0.1, 1.0])
def test_bins_hold_whole_levels(step: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(-1.2, 1.0, 5000)
    quantised = np.round(values / step) * step
    edges = bin_edges(values, quantised)
    per_bin = np.diff(edges) / step
    assert per_bin == pytest.approx(np.round(per_bin))
    for both in (values, quantised):
        assert np.histogram(both, edges)[0].sum() == 5000
    # No level sits on an edge, where rounding would decide its bin.
    assert np.abs(edges[:, None] - np.unique(quantised)).min() > 0.4 * step


@pytest.mark.parametrize("values", [[0.0], [0.3, 0.3], [-1.0, 2.0], [1e-30, 2e-30]])
def test_bins_cover_everything(values: list[float]) -> None:
    for quantised in (None, np.zeros(len(values))):
        edges = bin_edges(np.array(values), quantised)
        assert (np.diff(edges) > 0).all()
        assert np.histogram(values, edges)[0].sum() == len(values)


def test_quantisation_error() -> None:
    values = np.array([1.0, -1.0, 0.4, 0.6])
    levels, error = quantisation_error(WeightMatrix("w", values, np.round(values)))  # type: ignore[misc]
    assert levels == 3
    assert error == pytest.approx(np.sqrt((0.16 + 0.16) / (1 + 1 + 0.16 + 0.36)))
    assert quantisation_error(WeightMatrix("w", values)) is None
    scales = np.array([0.1, 0.7, 1.3])  # of three units
    levels, _ = quantisation_error(WeightMatrix("w", np.ones((4, 3)), np.round(values)[:, None] * scales))  # type: ignore[misc]
    assert levels == 3
    assert quantisation_error(WeightMatrix("w", np.zeros(3), np.zeros(3))) == (1, 0.0)


def test_size_on_the_chip_is_that_of_the_export(tmp_path: Path) -> None:
    model = nn.Sequential(lb.LIF(5, 7, recurrent=True, dt=1.0), lb.LIReadout(7, 3, dt=1.0))
    exported = lb.hardware.loihi2.export_netx(model, tmp_path / "a.net", [3, 5])
    sizes = layer_sizes(model, [layer.weight_bits for layer in exported.layers])
    assert [size.chip_bytes for size in sizes] == [layer.weight_bytes for layer in exported.layers] == [32, 14]
    assert [size.chip_bytes for size in layer_sizes(model, [None, None])] == [None, None]
