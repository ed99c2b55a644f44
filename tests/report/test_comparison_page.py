"""The page of several runs: escaped, whole, and nothing that was not given."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from lambent.report import ReportData
from lambent.report.comparison import Comparison, render_comparison

Build = Callable[..., ReportData]


def test_all_that_is_known_is_shown(full: Build) -> None:
    runs = [full(title="one"), full(title="<b>two</b>")]
    data = Comparison("today", runs, ["a <notice>"], paired=True, repeated=True, differences={"seed": ["0", "<1>"]})
    page = render_comparison(data)
    assert re.findall(r'<section id="([\w-]+)"', page) == [
        "result",
        "runs",
        "differences",
        "pairs",
        "curves",
        "classes",
    ]
    assert page.count("<svg ") == 3
    assert "<b>" not in page
    for part in ("a &lt;notice&gt;", "&lt;1&gt;", "one and &lt;b&gt;two&lt;/b&gt;, side by side", "0.187"):
        assert part in page
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    assert "http" not in page.replace("http-equiv", "")


def test_many_small_runs(minimal: Build) -> None:
    page = render_comparison(Comparison("today", [minimal(title=f"run {i}") for i in range(12)]))
    assert re.findall(r'<section id="([\w-]+)"', page) == ["runs", "differences", "classes"]
    assert "run 0, run 1, run 2 and 9 more" in page
    assert "No setting and no fact." in page


def test_gains_and_losses_are_counted(minimal: Build) -> None:
    runs = [minimal(title="a"), minimal(title="b", accuracy={}, predictions_float=[1, 1, 2, 1, 1, 2])]
    page = re.sub(r"<[^>]*>", "|", render_comparison(Comparison("today", runs, paired=True)))
    assert re.search(r"\|b\|+−16\.7\|+1\|+2\|+1\|", page)


def test_what_does_not_fit_is_refused(minimal: Build) -> None:
    a, b = minimal(title="a"), minimal(title="b")
    other = minimal(title="c", class_names=["yin", "yang", "other"])
    fewer = minimal(title="d", accuracy={}, labels=np.zeros(6, int))
    for runs, more, message in (
        ([a], {}, "two runs or more, got 1"),
        ([a, other], {}, "c: has other classes than a"),
        ([a, b, a], {}, "two runs are called 'a'"),
        ([a, fewer], {"paired": True}, "d: was tested on other samples than a"),
        ([a, b], {"differences": {"seed": ["0"]}}, r"differences\['seed'\] has 1 texts for 2 runs"),
        ([a, b], {"notices": [""]}, r"notices\[0\] is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            Comparison("today", runs, **more)
