"""The tables of the page as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from lambent.report import words
from lambent.report.confusion import matrix, mistakes
from lambent.report.model import LayerSize, ReportData
from lambent.report.speakers import SHOWN, by_speaker

MISSING = "–"


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    foot: Sequence[str] = (),
    words_in: int = 1,
) -> str:
    """A table whose first column names the row.

    Args:
        caption: printed above.
        head: column titles.
        rows: cells as plain text; they are escaped here.
        foot: a last row of totals.
        words_in: so many leading columns hold words and are aligned left; the others hold numbers.
    """
    titles = "".join(f'<th scope="col"{_left(i, words_in)}>{escape(t)}</th>' for i, t in enumerate(head))
    body = "".join(_row(row, words_in) for row in rows)
    total = f"<tfoot>{_row(foot, words_in)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead>"
        f"<tbody>{body}</tbody>{total}</table></div>"
    )


def _row(cells: Sequence[str], words_in: int) -> str:
    rest = "".join(f"<td{_left(i, words_in)}>{escape(cell)}</td>" for i, cell in enumerate(cells) if i)
    return f'<tr><th scope="row"{_left(0, words_in)}>{escape(cells[0])}</th>{rest}</tr>'


def _left(column: int, words_in: int) -> str:
    return ' class="left"' if column < words_in else ""


def sizes(layers: Sequence[LayerSize]) -> str:
    """Weights and bytes of every layer with their sums; the chip's column only where every layer has it."""
    on_chip = [layer.chip_bytes for layer in layers if layer.chip_bytes is not None]
    with_chip = len(on_chip) > 0
    head = ["Layer", "Shape", "Weights", "Float"] + ["Bits on chip", "Chip"] * with_chip
    rows = [
        [layer.name, layer.shape, words.integer(layer.n_weights), words.size(layer.float_bytes)]
        + _on_chip(layer) * with_chip
        for layer in layers
    ]
    foot = [
        "Total",
        "",
        words.integer(sum(layer.n_weights for layer in layers)),
        words.size(sum(layer.float_bytes for layer in layers)),
    ] + ["", words.size(sum(on_chip))] * with_chip
    return table("Weights and their memory by layer", head, rows, foot, words_in=2)


def _on_chip(layer: LayerSize) -> list[str]:
    return [MISSING, MISSING] if layer.chip_bytes is None else [str(layer.chip_bits), words.size(layer.chip_bytes)]


def classes(data: ReportData) -> str:
    """Recall and precision of every class in float and, where there is one, on the chip, and their means."""
    n = np.bincount(data.labels, minlength=len(data.class_names))
    head, shares = ["Class", "Samples"], []
    for side in data.sides:
        counts = matrix(data.labels, data.predictions(side), len(n))
        shares += [_ratio(np.diag(counts), counts.sum(1)), _ratio(np.diag(counts), counts.sum(0))]
        name = f"{side.capitalize()} " if len(data.sides) > 1 else ""
        head += [f"{name}recall".capitalize(), f"{name}precision".capitalize()]
    rows = [
        [name, words.integer(int(n[c])), *(_share(column[c]) for column in shares)]
        for c, name in enumerate(data.class_names)
    ]
    foot = ["Mean", "", *(_share(np.mean(known) if len(known := x[~np.isnan(x)]) else np.nan) for x in shares)]
    return table("Recall and precision by class", head, rows, foot if len(n) > 1 else ())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Shares, NaN where there is nothing to take them of."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _share(value: float) -> str:
    return MISSING if np.isnan(value) else words.percent(float(value))


def frequent_mistakes(data: ReportData, at_most: int = 8) -> str:
    """The most frequent mistakes of the network that is deployed: the chip where it was run, float elsewhere.

    Empty where every sample is recognised.
    """
    side = data.deployed
    counts = matrix(data.labels, data.predictions(side), len(data.class_names))
    rows = [
        [
            data.class_names[true],
            data.class_names[answer],
            words.integer(n),
            words.percent(n / int(counts[true].sum())),
        ]
        for true, answer, n in mistakes(counts, at_most)
    ]
    if not rows:
        return ""
    head = ["True class", "Answer", "Samples", "Share of class"]
    return table(f"Most frequent mistakes, {side}", head, rows, words_in=2)


def surest_mistakes(data: ReportData, at_most: int = 12) -> str:
    """The mistakes that the network which is deployed is surest of; empty where there are none to tell of.

    Samples are called by their files where these are known, else by their places in the test data, from 0.
    """
    side = data.deployed
    sure, answers = data.confidence(side), data.predictions(side)
    wrong = np.flatnonzero(~data.recognised(side))
    if sure is None or not len(wrong):
        return ""
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:at_most]
    rows = [
        [
            f"sample {i}" if data.files is None else data.files[i],
            data.class_names[data.labels[i]],
            data.class_names[answers[i]],
            words.percent(sure[i]),
        ]
        + ([] if data.speakers is None else [str(data.speakers[i])])
        for i in chosen.tolist()
    ]
    head = ["Sample" if data.files is None else "File", "True class", "Called", "Confidence"]
    head += [] if data.speakers is None else ["Speaker"]
    of = f", {len(rows)} of {words.integer(len(wrong))}" if len(wrong) > len(rows) else ""
    return table(f"The surest mistakes, {side}{of}", head, rows, words_in=3)


def speakers(data: ReportData) -> str:
    """Accuracy of the speakers that are hardest for the deployed network, beside that in float."""
    assert data.speakers is not None
    hardest = by_speaker(data.speakers, data.recognised(data.deployed))
    head = ["Speaker", "Samples", *(side.capitalize() for side in data.sides)]
    rows = []
    for speaker, n in zip(hardest.speaker[:SHOWN].tolist(), hardest.n.tolist(), strict=False):
        own = data.speakers == speaker
        rows.append([str(speaker), words.integer(n), *(_share(data.recognised(x)[own].mean()) for x in data.sides)])
    of = f", the hardest {len(rows)} of {words.integer(len(hardest.n))}" if len(hardest.n) > len(rows) else ""
    return table(f"Accuracy by speaker{of}", head, rows)


def facts(entries: Mapping[str, str]) -> str:
    """What else there is to know about the run, as a list of terms."""
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in entries.items())
    return f'<dl class="facts">{items}</dl>'


def commands(lines: Sequence[str]) -> str:
    """What to type, line for line."""
    return f'<pre tabindex="0">{escape(chr(10).join(lines))}</pre>' if lines else ""
