"""The page: `render` turns a `ReportData` into one HTML document, `write` saves it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

import numpy as np

from lambent.machine.files import replacing
from lambent.machine.showing import counted
from lambent.plot import curves
from lambent.report import confusion, costs, histograms, learning, tables, trace, words
from lambent.report.model import ReportData, SampleTrace


def render(data: ReportData) -> str:
    """The report as one self-contained HTML document: figures, styles and all; no script, no network.

    The same data give the same text, byte for byte.
    """
    sections = [_headline(data), _confusion(data), _learning(data), _sample(data)]
    sections += [_rates(data), _weights(data), _sizes(data), _on_chip(data), _cost(data), _facts(data)]
    return _page(data.title, data.created, sections, data.versions)


def render_traces(
    title: str, created: str, traces: Sequence[tuple[str, str, SampleTrace]], class_names: Sequence[str]
) -> str:
    """A page like the report of some samples on their way through a network.

    Args:
        title, created: the head of the page.
        traces: heading, text and spikes of each sample.
        class_names: the classes.
    """
    sections = []
    for i, (heading, text, sample) in enumerate(traces):
        drawing = trace.draw(sample, class_names, f"trace-{i}")
        sections.append(_section(f"sample-{i}", heading, _figure([drawing], text, "wide")))
    return _page(title, created, sections, {})


def _page(title: str, created: str, sections: Sequence[str], versions: Mapping[str, str]) -> str:
    here = resources.files("lambent.report")
    made_with = " · ".join(f"{name} {version}" for name, version in versions.items())
    page = Template(here.joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title),
        created=escape(created),
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        sections="\n".join(section for section in sections if section),
        versions=escape(made_with or "lambent"),
    )


def write(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Render `data` and save the page at `path`, whole or not at all.

    Raises:
        OSError: the folder of `path` is missing or cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(data), encoding="utf-8")


def _section(name: str, heading: str, *parts: str) -> str:
    """A section with its heading; nothing where all its parts are empty."""
    body = "\n".join(part for part in parts if part)
    if not body:
        return ""
    title = f'<h2 id="{name}-h">{escape(heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-h">{title}\n{body}\n</section>'


def _figure(drawings: list[str], caption: str, kind: str) -> str:
    """Drawings side by side (`kind` is a class of page.css that says how wide each is) over one caption."""
    if not drawings:
        return ""
    cell = '<div class="scroll" tabindex="0">' if kind == "wide" else "<div>"
    cells = "".join(f"{cell}{drawing}</div>" for drawing in drawings)
    return f'<figure><div class="{kind}">{cells}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _headline(data: ReportData) -> str:
    tiles = []
    reference = data.accuracy.get("float")
    for key, name in (("float", "Float"), ("quantised", "Quantised"), ("chip", "Chip")):
        if key not in data.accuracy:
            continue
        value = data.accuracy[key]
        low, high = words.interval(value, data.n_test)
        note = f"95 % interval {100 * low:.1f} to {100 * high:.1f}"
        if key != "float" and reference is not None:
            note = f"{words.points(value - reference)} points against float"
        tiles.append((f"{name} accuracy", words.percent(value), note, key))
    if data.agreement is not None:
        tiles.append(("Chip and float agree", words.percent(data.agreement), _differences(data), ""))
    note = counted(len(data.class_names), "class", "classes")
    tiles.append(("Test samples", words.integer(data.n_test), note, ""))
    on_chip = [layer.chip_bytes for layer in data.sizes]
    if on_chip and None not in on_chip:
        total = sum(layer.chip_bytes or 0 for layer in data.sizes)
        float_total = sum(layer.float_bytes for layer in data.sizes)
        bits = ", ".join(dict.fromkeys(str(layer.chip_bits) for layer in data.sizes))
        note = f"{bits} bits a weight; {words.size(float_total)} in float"
        tiles.append(("Weights on chip", words.size(total), note, ""))
    items = "".join(
        f'<div class="tile {kind}"><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for name, value, note, kind in tiles
    )
    columns = len(tiles) if len(tiles) <= 4 else 3
    return _section("result", "Result", f'<dl class="tiles" style="--columns: {columns}">{items}</dl>')


def _differences(data: ReportData) -> str:
    different = round((1 - (data.agreement or 0)) * data.n_test)
    return f"{words.integer(different)} of {words.integer(data.n_test)} differ"


def _confusion(data: ReportData) -> str:
    n = len(data.class_names)
    drawings = []
    unused = []
    for side, predictions in (("float", data.predictions_float), ("chip", data.predictions_chip)):
        if predictions is None:
            continue
        counts = confusion.matrix(data.labels, predictions, n)
        drawings.append(confusion.draw(counts, data.class_names, side.capitalize(), f"confusion-{side}"))
        never = [data.class_names[c] for c in range(n) if not counts[:, c].any() and counts[c].any()]
        if never:
            unused.append(f" The {side} network never answers {words.listing(never)}.")
    caption = (
        "Samples by true class and answer. Blue is right; orange is a mistake, "
        "in full colour from a tenth of the class on." + "".join(unused) + _gained_and_lost(data)
    )
    kind = "wide" if n > confusion.MANY_CLASSES else "halves"
    beneath = f'<div class="tables">{tables.classes(data)}{tables.frequent_mistakes(data)}</div>'
    return _section("confusion", "Which classes are mixed up", _figure(drawings, caption, kind), beneath)


def _gained_and_lost(data: ReportData) -> str:
    if data.predictions_chip is None:
        return ""
    by_float, by_chip = data.predictions_float == data.labels, data.predictions_chip == data.labels
    gained, lost = int(np.sum(by_chip & ~by_float)), int(np.sum(by_float & ~by_chip))
    return f" Right only in float: {words.integer(lost)}; right only on the chip: {words.integer(gained)}."


def _learning(data: ReportData) -> str:
    caption = (
        "A validation curve that turns away from the training curve shows overfitting; "
        "units that fall silent or spike ever more show a network out of balance."
    )
    for key in curves.KEYS:
        if epochs := learning.not_finite(data.history, key):
            which = f"epoch{'s' * (len(epochs) > 1)} {words.listing([str(epoch) for epoch in epochs])}"
            caption += f" {key} was not finite in {which}."
    return _section("learning", "Learning", _figure(learning.draw(data.history), caption, "thirds"))


def _sample(data: ReportData) -> str:
    if data.sample is None:
        return ""
    label = data.sample.label
    caption = (
        f"Each dot is a spike of one test sample{'' if label is None else f' of class {data.class_names[label]}'}; "
    )
    caption += "where float and chip part, rounding changed a spike. "
    if data.sample.readout_float is not None or data.sample.readout_chip is not None:
        caption += "Beneath, the readout voltages of all classes, each in its own unit, the answer in colour."
    drawing = trace.draw(data.sample, data.class_names)
    return _section("sample", "One sample through the network", _figure([drawing], caption.strip(), "wide"))


def _rates(data: ReportData) -> str:
    drawings = [histograms.draw_rates(layer, f"rates-{i}") for i, layer in enumerate(data.rates)]
    caption = (
        "Units by their mean number of spikes per test sample; the orange bar counts units that never spike, "
        "which cost memory and do nothing."
    )
    return _section("rates", "Spikes per unit", _figure(drawings, caption, "thirds"))


def _weights(data: ReportData) -> str:
    drawings = [histograms.draw_weights(matrix, f"weights-{i}") for i, matrix in enumerate(data.weights)]
    caption = "Weights by value; bars that follow the outline mean that rounding kept the distribution."
    errors = [(matrix.name, histograms.quantisation_error(matrix)) for matrix in data.weights]
    rows = [[name, words.integer(e[0]), words.percent(e[1])] for name, e in errors if e is not None]
    if not rows:
        return _section("weights", "Weights", _figure(drawings, "Weights by value.", "thirds"))
    figure = _figure(drawings, caption, "thirds")
    head = ["Connection", "Levels in use by a unit, at most", "Rounding error, share of the weights"]
    table = tables.table("Quantisation (root mean square)", head, rows)
    return _section("weights", "Weights before and after quantisation", figure, table)


def _sizes(data: ReportData) -> str:
    return _section("sizes", "Size", tables.sizes(data.sizes) if data.sizes else "")


def _on_chip(data: ReportData) -> str:
    return _section("on-chip", "On the chip", tables.facts(data.on_chip) if data.on_chip else "")


def _cost(data: ReportData) -> str:
    if not data.costs:
        return ""
    caption = (
        "Modelled figures are estimates from counted events, not measurements; their model meets the published "
        "networks it was not fitted to within about 6 % in energy and 8 % in latency, but has to assume how many steps "
        "and spikes these took. Published figures are of "
        "700-hidden-20 networks for keyword recognition, another task than this one (Shoesmith et al. 2025, "
        "arXiv 2503.04341). Latency is that of a batch, energy that of a sample. Ratios are to the first row."
    )
    head = [
        "System",
        "Basis",
        "Energy",
        "Latency",
        "Energy-delay product",
        "Energy ratio",
        "Latency ratio",
        "Product ratio",
    ]
    table = tables.table("Cost of one sample", head, costs.rows(data.costs, tables.MISSING), words_in=2)
    return _section("cost", "Energy and latency", _figure([costs.draw(data.costs)], caption, "wide"), table)


def _facts(data: ReportData) -> str:
    return _section("facts", "About this run", tables.facts(data.facts) if data.facts else "")
