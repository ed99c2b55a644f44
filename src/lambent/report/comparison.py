"""Several runs side by side: `Comparison`, and its page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import cycle

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lambent.machine.files import replacing
from lambent.plot import curves
from lambent.report import _checks as check
from lambent.report import confidence, svg, tables, words
from lambent.report.model import ReportData
from lambent.report.page import figure, page, section, tiles

_SIZE = (3.7, 2.6)
_TITLES = {"float": "Float", "chip": "Chip"}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of the same classes, to be shown side by side.

    Args:
        created: when, as it should be printed.
        runs: at least two, with titles that tell them apart.
        notices: what a reader must know, such as that test data differ.
        paired: whether all were tested on the same samples, in the same order.
        repeated: whether they differ by chance alone, such as by their seed, so that a mean says something.
        differences: of the runs' facts and settings those that differ, each with a text for every run.

    Raises:
        TypeError, ValueError: naming the run or the field at fault.
    """

    created: str
    runs: Sequence[ReportData]
    notices: Sequence[str] = ()
    paired: bool = False
    repeated: bool = False
    differences: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check.text("created", self.created)
        check.instances("runs", self.runs, ReportData)
        if len(self.runs) < 2:
            raise ValueError(f"a comparison takes two runs or more, got {len(self.runs)}")
        first, titles = self.runs[0], set()
        for run in self.runs:
            if list(run.class_names) != list(first.class_names):
                raise ValueError(f"{run.title}: has other classes than {first.title}")
            if self.paired and not np.array_equal(run.labels, first.labels):
                raise ValueError(f"{run.title}: was tested on other samples than {first.title}")
            if run.title in titles:
                raise ValueError(f"two runs are called {run.title!r}")
            titles.add(run.title)
        for i, text in enumerate(self.notices):
            check.text(f"notices[{i}]", text)
        for name, texts in self.differences.items():
            if len(texts) != len(self.runs):
                raise ValueError(f"differences[{name!r}] has {len(texts)} texts for {len(self.runs)} runs")

    @property
    def side(self) -> str:
        """The network that all are compared by: "chip" where all were run on one, else "float"."""
        return "chip" if all("chip" in run.sides for run in self.runs) else "float"


def render_comparison(data: Comparison) -> str:
    """The comparison as one self-contained HTML document."""
    sections = [_headline(data), _runs(data), _differences(data), _pairs(data), _curves(data), _classes(data)]
    title = f"{words.listing([run.title for run in data.runs], at_most=4)}, side by side"
    return page(title, data.created, sections, data.runs[0].versions)


def write_comparison(data: Comparison, path: str | os.PathLike[str]) -> None:
    """Render `data` and save the page at `path`, whole or not at all.

    Raises:
        OSError: the folder of `path` is missing or cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render_comparison(data), encoding="utf-8")


def _headline(data: Comparison) -> str:
    """The mean over runs that repeat each other, else nothing: a best one would be chosen on test data."""
    if not data.repeated:
        return ""
    found = []
    for side, name in _TITLES.items():
        values = [run.accuracy[side] for run in data.runs if side in run.accuracy]
        if len(values) == len(data.runs):
            note = f"standard deviation {100 * np.std(values, ddof=1):.2f} points over {len(values)} runs"
            found.append((f"Mean {name.lower()} accuracy", words.percent(float(np.mean(values))), note, side))
    return section("result", "Result", tiles(found)) if found else ""


def _runs(data: Comparison) -> str:
    notices = "".join(f'<p class="notice">{escape(text)}</p>' for text in data.notices)
    with_cost = any(run.costs for run in data.runs)
    head = ["Run", "Samples", *_TITLES.values(), f"95 % interval, {data.side}", "Calibration error"]
    head += ["Energy", "Latency"] if with_cost else []
    rows = []
    for run in data.runs:
        low, high = words.interval(float(run.recognised(data.side).mean()), run.n_test)
        sure = run.confidence(data.side)
        error = None if sure is None else confidence.reliability(sure, run.recognised(data.side))[2]
        row = [run.title, words.integer(run.n_test)]
        row += [_percent(run.accuracy.get(side)) for side in _TITLES]
        row += [f"{100 * low:.1f} to {100 * high:.1f}", _percent(error)]
        if with_cost:
            cost = run.costs[0] if run.costs else None
            row += [
                _cost(None if cost is None else cost.energy, "mJ"),
                _cost(None if cost is None else cost.latency, "ms"),
            ]
        rows.append(row)
    return section("runs", "Runs", notices, tables.table("Accuracy, and cost of a sample, modelled", head, rows))


def _cost(value: float | None, unit: str) -> str:
    return tables.MISSING if value is None else f"{words.significant(value)}{words.NBSP}{unit}"


def _percent(share: float | None) -> str:
    return tables.MISSING if share is None else words.percent(share)


def _differences(data: Comparison) -> str:
    if not data.differences:
        return section("differences", "What differs", '<p class="note">No setting and no fact.</p>')
    head = ["", *(run.title for run in data.runs)]
    rows = [[name, *texts] for name, texts in data.differences.items()]
    return section("differences", "What differs", tables.table("Facts and settings", head, rows, words_in=len(head)))


def _pairs(data: Comparison) -> str:
    """Which samples one of two runs recognises and the other does not, each run against the first."""
    if not data.paired:
        return ""
    from scipy.stats import binomtest

    first, side = data.runs[0], data.side
    rows = []
    for run in data.runs[1:]:
        ours, theirs = run.recognised(side), first.recognised(side)
        gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        chance = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        difference = words.points(float(ours.mean() - theirs.mean()))
        rows.append([run.title, difference, words.integer(gained), words.integer(lost), f"{chance:.2g}"])
    caption = f"Against {first.title}, {side}"
    head = ["Run", "Difference in points", "Recognised by it alone", "By the first alone", "By chance (McNemar, exact)"]
    return section("pairs", "Sample by sample", tables.table(caption, head, rows))


def _curves(data: Comparison) -> str:
    side = data.side
    colours = [colour for _, colour in zip(data.runs, cycle(svg.PALETTE), strict=False)]
    heard = [None if run.hearing is None else (run.hearing.times, run.hearing.accuracy) for run in data.runs]
    accepted = []
    for run in data.runs:
        sure = run.confidence(side)
        kept = None if sure is None else confidence.accepted(sure, run.recognised(side))
        accepted.append(None if kept is None else (kept.share, kept.accuracy))
    learned = [_learned(run) for run in data.runs]
    drawings = [
        _lines(f"curves-{key}", title, x, y, lines, colours)
        for key, title, x, y, lines in (
            ("learning", "Learning", "epoch", "validation accuracy", learned),
            ("hearing", "How soon they know, float", "heard [ms]", "accuracy", heard),
            ("accepted", f"The surest answers, {side}", "accepted share", "accuracy of the accepted", accepted),
        )
        if any(line is not None for line in lines)
    ]
    items = "".join(
        f'<li style="--of: {colour}">{escape(run.title)}</li>' for run, colour in zip(data.runs, colours, strict=True)
    )
    key = f'<ul class="key">{items}</ul>'
    return section("curves", "Curves", key, figure(drawings, "A line for each run.", "thirds")) if drawings else ""


def _learned(run: ReportData) -> tuple[np.ndarray, np.ndarray] | None:
    if not curves.has(run.history, "val_accuracy"):
        return None
    return curves.epochs(run.history), curves.column(run.history, "val_accuracy")


@svg.style()
def _lines(
    key: str,
    title: str,
    x: str,
    y: str,
    lines: Sequence[tuple[np.ndarray, np.ndarray] | None],
    colours: Sequence[str],
) -> str:
    drawing, axes = svg.new_axes(*_SIZE)
    for line, colour in zip(lines, colours, strict=True):
        if line is not None:
            axes.plot(*line, color=colour, linewidth=1.3, marker="o" if len(line[0]) == 1 else "", markersize=3)
    axes.set(xlabel=x, ylabel=y)
    axes.set_ylim(top=1.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=x == "epoch"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    if x == "accepted share":
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_title(title)
    return svg.inline(drawing, key, f"{title}: {y} by {x} of {len(lines)} runs")


def _classes(data: Comparison) -> str:
    names, columns = data.runs[0].class_names, []
    for run in data.runs:
        of = np.bincount(run.labels, minlength=len(names))
        found = np.bincount(run.labels[run.recognised(data.side)], minlength=len(names))
        columns.append([_percent(f / n if n else None) for f, n in zip(found.tolist(), of.tolist(), strict=True)])
    rows = [[name, *(column[c] for column in columns)] for c, name in enumerate(names)]
    head = ["Class", *(run.title for run in data.runs)]
    return section(
        "classes", "Recall by class", tables.table(f"Share of each class recognised, {data.side}", head, rows)
    )
