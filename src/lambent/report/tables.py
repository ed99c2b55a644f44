"""The tables of the page as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from lambent.report import words
from lambent.report.confusion import matrix, mistakes
from lambent.report.model import LayerSize, ReportData

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
    """Accuracy of every class in float and, where there is one, on the chip."""
    n = np.bincount(data.labels, minlength=len(data.class_names))
    right = [np.bincount(data.labels[data.predictions_float == data.labels], minlength=len(n))]
    head = ["Class", "Samples", "Float"]
    if data.predictions_chip is not None:
        right.append(np.bincount(data.labels[data.predictions_chip == data.labels], minlength=len(n)))
        head += ["Chip", "Difference"]
    rows = []
    for c, name in enumerate(data.class_names):
        row = [name, words.integer(int(n[c]))]
        if n[c]:
            shares = [float(r[c] / n[c]) for r in right]
            row += [words.percent(share) for share in shares]
            row += [words.points(shares[1] - shares[0])] if len(shares) == 2 else []
        else:
            row += [MISSING] * (len(head) - 2)
        rows.append(row)
    caption = "Accuracy by class" + (", difference in points" if data.predictions_chip is not None else "")
    return table(caption, head, rows)


def frequent_mistakes(data: ReportData, at_most: int = 8) -> str:
    """The most frequent mistakes of the network that is deployed: the chip where it was run, float elsewhere.

    Empty where every answer is right.
    """
    side = "float" if data.predictions_chip is None else "chip"
    predictions = data.predictions_float if data.predictions_chip is None else data.predictions_chip
    counts = matrix(data.labels, predictions, len(data.class_names))
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


def facts(entries: Mapping[str, str]) -> str:
    """What else there is to know about the run, as a list of terms."""
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in entries.items())
    return f"<dl>{items}</dl>"
