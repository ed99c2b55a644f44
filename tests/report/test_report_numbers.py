"""The numbers that the page prints and the bins that it counts in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import lambent as lb
from lambent.report import Hearing, WeightMatrix, confidence, words
from lambent.report.confusion import matrix, mistakes
from lambent.report.histograms import bin_edges, quantisation_error
from lambent.report.speakers import by_speaker
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


def test_what_is_accepted_at_each_threshold() -> None:
    sure, recognised = np.array([0.9, 0.5, 0.9, 0.2]), np.array([True, True, False, False])
    curve = confidence.accepted(sure, recognised)
    assert curve.threshold.tolist() == [0.9, 0.5, 0.2]  # equals are accepted together
    assert curve.share.tolist() == [0.5, 0.75, 1.0]
    assert curve.accuracy == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert curve.false == pytest.approx([0.25, 0.25, 0.5])
    assert confidence.at(0.9, sure, recognised) == (0.5, 0.5, 0.25)
    assert confidence.at(0.95, sure, recognised) == (0.0, None, 0.0)
    zeros = confidence.accepted(np.zeros(3), np.array([True, False, False]))
    assert (zeros.share.tolist(), zeros.accuracy.tolist()) == ([1.0], [1 / 3])
    many = confidence.accepted(np.random.default_rng(0).random(5000), np.ones(5000, bool))
    assert len(many.share) <= 200
    assert many.share[-1] == 1


def test_expected_calibration_error() -> None:
    sure = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 1.0])
    recognised = np.array([True, True, True, False, False, True])
    mean, accuracy, error = confidence.reliability(sure, recognised)
    assert mean == pytest.approx([0.55, 0.96])
    assert accuracy == pytest.approx([0.0, 0.8])
    assert error == pytest.approx((1 * 0.55 + 5 * 0.16) / 6)
    assert confidence.reliability(np.ones(4), np.ones(4, bool))[2] == 0


def test_speakers_from_the_hardest() -> None:
    found = by_speaker(np.array([5, 5, -1, 7, 7, 7]), np.array([True, False, True, True, True, False]))
    assert found.speaker.tolist() == [5, 7, -1]
    assert found.n.tolist() == [2, 3, 1]
    assert found.accuracy == pytest.approx([1 / 2, 2 / 3, 1.0])


def test_when_accuracy_is_nearly_what_it_will_be() -> None:
    times = np.array([10.0, 20.0, 30.0, 40.0])
    assert Hearing(times, np.array([0.1, 0.99, 0.2, 1.0]), 9).nearly() == 40
    assert Hearing(times, np.array([0.1, 0.99, 0.96, 1.0]), 9).nearly() == 20
    assert Hearing(times, np.array([0.9, 0.9, 0.9, 0.9]), 9).nearly() == 10
    assert Hearing(times, np.zeros(4), 9).nearly() is None
