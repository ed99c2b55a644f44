"""The page: `render` turns a `ReportData` into one HTML document, `write` saves it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from lambent.machine.files import replacing
from lambent.machine.showing import counted
from lambent.plot import curves
from lambent.report import (
    confidence,
    confusion,
    cores,
    costs,
    hearing,
    histograms,
    learning,
    speakers,
    spreads,
    streams,
    tables,
    trace,
    words,
)
from lambent.report.model import ReportData, SampleTrace
from lambent.report.page import beside, figure, page, section, tiles


def render(data: ReportData) -> str:
    """The report as one self-contained HTML document: figures, styles and all; no script, no network.

    The same data give the same text, byte for byte.
    """
    sections = [_headline(data), _confusion(data), _samples(data), _examples(data), _speakers(data), _confidence(data)]
    sections += [
        _streams(data),
        _hearing(data),
        _learning(data),
        _rates(data),
        _weights(data),
        _spreads(data),
        _sizes(data),
    ]
    sections += [_on_chip(data), _cost(data), _facts(data)]
    return page(data.title, data.created, sections, data.versions)


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
        sections.append(section(f"sample-{i}", heading, figure([drawing], text, "wide")))
    return page(title, created, sections, {})


def write(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Render `data` and save the page at `path`, whole or not at all.

    Raises:
        OSError: the folder of `path` is missing or cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(data), encoding="utf-8")


def _headline(data: ReportData) -> str:
    found = []
    reference = data.accuracy.get("float")
    for key, name in (("float", "Float"), ("quantised", "Quantised"), ("chip", "Chip")):
        if key not in data.accuracy:
            continue
        value = data.accuracy[key]
        low, high = words.interval(value, data.n_test)
        note = f"95 % interval {100 * low:.1f} to {100 * high:.1f}"
        if key != "float" and reference is not None:
            note = f"{words.points(value - reference)} points against float"
        found.append((f"{name} accuracy", words.percent(value), note, key))
    if data.agreement is not None:
        found.append(("Chip and float agree", words.percent(data.agreement), _differences(data), ""))
    note = counted(len(data.class_names), "class", "classes")
    found.append(("Test samples", words.integer(data.n_test), note, ""))
    on_chip = [layer.chip_bytes for layer in data.sizes]
    if on_chip and None not in on_chip:
        total = sum(layer.chip_bytes or 0 for layer in data.sizes)
        float_total = sum(layer.float_bytes for layer in data.sizes)
        bits = ", ".join(dict.fromkeys(str(layer.chip_bits) for layer in data.sizes))
        note = f"{bits} bits a weight; {words.size(float_total)} in float"
        found.append(("Weights on chip", words.size(total), note, ""))
    return section("result", "Result", tiles(found))


def _differences(data: ReportData) -> str:
    different = round((1 - (data.agreement or 0)) * data.n_test)
    return f"{words.integer(different)} of {words.integer(data.n_test)} differ"


def _confusion(data: ReportData) -> str:
    n = len(data.class_names)
    drawings = []
    unused = []
    for side in data.sides:
        counts = confusion.matrix(data.labels, data.predictions(side), n)
        drawings.append(confusion.draw(counts, data.class_names, side.capitalize(), f"confusion-{side}"))
        never = [data.class_names[c] for c in range(n) if not counts[:, c].any() and counts[c].any()]
        if never:
            unused.append(f" The {side} network never answers {words.listing(never)}.")
    caption = (
        "Samples by true class and answer. Blue is recognised; orange is a mistake, "
        "in full colour from a tenth of the class on." + "".join(unused) + _gained_and_lost(data)
    )
    kind = "wide" if n > confusion.MANY_CLASSES else "halves"
    beneath = f'<div class="tables">{tables.classes(data)}{tables.frequent_mistakes(data)}</div>'
    return section("confusion", "Which classes are mixed up", figure(drawings, caption, kind), beneath)


def _gained_and_lost(data: ReportData) -> str:
    if data.predictions_chip is None:
        return ""
    by_float, by_chip = data.recognised("float"), data.recognised("chip")
    gained, lost = int(np.sum(by_chip & ~by_float)), int(np.sum(by_float & ~by_chip))
    return f" Recognised only in float: {words.integer(lost)}; only on the chip: {words.integer(gained)}."


def _samples(data: ReportData) -> str:
    """The surest mistakes as a table, and some samples in full."""
    table = tables.surest_mistakes(data)
    drawings = []
    for i, sample in enumerate(data.traces):
        drawings.append(figure([trace.draw(sample, data.class_names, f"trace-{i}")], _about(sample, data), "wide"))
    heading = "The surest mistakes" if table else "One sample through the network"
    explained = "Each dot is a spike; where float and chip part, rounding changed it."
    if any(x.readout_float is not None or x.readout_chip is not None for x in data.traces):
        explained += " Beneath, the readout's voltages of all classes, each in its own unit, the answer in colour."
    below = f'<p class="note">{explained}</p>' if drawings else ""
    return section("samples", heading, table, *drawings, below)


def _about(sample: SampleTrace, data: ReportData) -> str:
    """What a sample is called, and what it was called."""
    names = data.class_names
    said = f"{sample.name or 'a test sample'}"
    if sample.label is None:
        return f"{said}: called {names[sample.answer]}."
    if sample.answer == sample.label:
        return f"{said}: {names[sample.label]}, recognised."
    return f"{said}: {names[sample.label]}, called {names[sample.answer]}."


def _examples(data: ReportData) -> str:
    drawings = [trace.draw_small(x, data.class_names, f"example-{i}") for i, x in enumerate(data.examples)]
    present = len(np.unique(data.labels))
    caption = "Input spikes in time [ms]"
    if any(x.readout_float is not None or x.readout_chip is not None for x in data.examples):
        caption += ", over the readout's voltages: the answer in colour, the true class dashed where it is another"
    caption += ". Shown is a recognised sample of middling confidence, or of a class without any the first."
    if len(drawings) < present:
        caption += f" These are the {len(drawings)} of {present} classes that are recognised least often."
    return section("examples", "A sample of each class", figure(drawings, caption, "small"))


def _speakers(data: ReportData) -> str:
    if data.speakers is None:
        return ""
    found = speakers.by_speaker(data.speakers, data.recognised(data.deployed))
    if not 1 < len(found.n) < data.n_test:  # nothing that other sections do not say
        return ""
    overall = float(data.recognised(data.deployed).mean())
    low, middle, high = (words.percent(float(x)) for x in np.percentile(found.accuracy, [0, 50, 100]))
    caption = (
        f"{counted(len(found.n), 'speaker')}, recognised in {low} to {high}, in the median {middle}. "
        "Bars are 95 % intervals, dashed is the accuracy of all."
    )
    drawing = figure([speakers.draw(found, overall, data.deployed)], caption, "single")
    return section("speakers", "Speakers", beside(drawing, tables.speakers(data)))


def _confidence(data: ReportData) -> str:
    answers = {side: (x, data.recognised(side)) for side in data.sides if (x := data.confidence(side)) is not None}
    if not answers:
        return ""
    caption = (
        "Confidence is the softmax of the scores, by the temperature that validation samples gave where there is one, "
        "of the class that is answered. On the diagonal a network is as "
        "accurate as it is sure, above it more so. The error is the expected calibration error over 10 bins."
    )
    side = data.deployed if data.deployed in answers else "float"
    head = ["Threshold", "Accepted", "Accuracy of these", "Falsely accepted, of all"]
    table = tables.table(
        f"Answers accepted from a confidence on, {side}", head, confidence.rows(*answers[side], tables.MISSING)
    )
    drawings = figure(confidence.draw(answers), caption, "thirds")
    return section("confidence", "Confidence: thresholds and calibration", drawings, table)


def _streams(data: ReportData) -> str:
    if not data.streams:
        return ""
    caption = "Share of the words in long recordings that are missed, by false alarms an hour, over all thresholds."
    rows = streams.rows(data.streams, tables.MISSING)
    head = ["Network", "False alarms an hour, at most", "Threshold", "Missed", "Latency (median)"]
    table = tables.table("Operating points", head, rows) if rows else ""
    drawing = figure([streams.draw(data.streams)], caption, "single")
    return section("streams", "On streams", beside(drawing, table))


def _hearing(data: ReportData) -> str:
    heard = data.hearing
    if heard is None:
        return ""
    caption = (
        f"Share of {words.integer(heard.n)} samples whose class leads in the float network by what was heard so far; "
        "dashed is chance."
    )
    if (soon := heard.nearly()) is not None:
        caption += f" From {soon:g} ms on it stays above {hearing.NEARLY:.0%} of what it is in the end."
    drawing = hearing.draw(heard, len(data.class_names))
    return section("hearing", "How soon it knows", figure([drawing], caption.replace("%", f"{words.NBSP}%"), "single"))


def _learning(data: ReportData) -> str:
    caption = (
        "A validation curve that turns away from the training curve shows overfitting; "
        "units that fall silent or spike ever more show a network out of balance."
    )
    for key in curves.KEYS:
        if epochs := learning.not_finite(data.history, key):
            which = f"epoch{'s' * (len(epochs) > 1)} {words.listing([str(epoch) for epoch in epochs])}"
            caption += f" {key} was not finite in {which}."
    return section("learning", "Learning", figure(learning.draw(data.history), caption, "thirds"))


def _rates(data: ReportData) -> str:
    drawings = [histograms.draw_rates(layer, f"rates-{i}") for i, layer in enumerate(data.rates)]
    caption = (
        "Units by their mean number of spikes per test sample; the orange bar counts units that never spike, "
        "which cost memory and do nothing."
    )
    return section("rates", "Spikes per unit", figure(drawings, caption, "thirds"))


def _weights(data: ReportData) -> str:
    drawings = [histograms.draw_weights(matrix, f"weights-{i}") for i, matrix in enumerate(data.weights)]
    caption = "Weights by value; bars that follow the outline mean that rounding kept the distribution."
    errors = [(matrix.name, histograms.quantisation_error(matrix)) for matrix in data.weights]
    rows = [[name, words.integer(e[0]), words.percent(e[1])] for name, e in errors if e is not None]
    if not rows:
        return section("weights", "Weights", figure(drawings, "Weights by value.", "thirds"))
    drawn = figure(drawings, caption, "thirds")
    head = ["Connection", "Levels in use by a unit, at most", "Rounding error, share of the weights"]
    table = tables.table("Quantisation (root mean square)", head, rows)
    return section("weights", "Weights before and after quantisation", drawn, table)


def _sizes(data: ReportData) -> str:
    return section("sizes", "Size", tables.sizes(data.sizes) if data.sizes else "")


def _spreads(data: ReportData) -> str:
    drawn = [spread for spread in data.spreads if not spread.alike]
    drawings = [spreads.draw(spread, f"spread-{i}") for i, spread in enumerate(drawn)]
    caption = "How many have which value."
    if any(spread.trained for spread in drawn):
        caption += " Outlined is what training began with."
    elif any(spread.trained is None for spread in drawn):
        caption += " What training began with is not known."
    rows = [spreads.row(spread) for spread in data.spreads if spread.alike]
    table = tables.table("The same for all", ["Parameter", "Values", "Value"], rows) if rows else ""
    return section("spreads", "Delays and time constants", figure(drawings, caption, "thirds"), table)


def _on_chip(data: ReportData) -> str:
    facts = tables.facts(data.on_chip) if data.on_chip else ""
    if not data.cores:
        return section("on-chip", "On the chip", facts)
    caption = (
        "Outlined squares are routers, with their cores in them: coloured by layer, deeper the fuller their synaptic "
        "memory is, with the number of units. The placement is modelled."
    )
    head = ["Layer", "Cores", "Units", "Units of a core, at most", "Memory of the fullest core"]
    table = tables.table("Cores by layer", head, cores.rows(data.cores))
    drawing = figure([cores.draw(data.cores)], caption, "single")
    return section("on-chip", "On the chip", facts, beside(drawing, table))


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
    return section("cost", "Energy and latency", figure([costs.draw(data.costs)], caption, "wide"), table)


def _facts(data: ReportData) -> str:
    again = "<h3>To do it again</h3>" + tables.commands(data.commands) if data.commands else ""
    return section("facts", "About this run", tables.facts(data.facts) if data.facts else "", again)
