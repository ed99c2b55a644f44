"""Which classes are taken for which: the confusion matrix and the most frequent mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Rectangle

from lambent.report import svg

MANY_CLASSES = 12  # above this a matrix takes the width of the page
_FULL_ORANGE = 0.1  # share of a class from which on a mistake is drawn in full colour


def matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts, int64 (n_classes, n_classes): row true class, column answer."""
    flat = np.bincount(labels * n_classes + predictions, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)


def mistakes(counts: np.ndarray, at_most: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (true class, answer, count), most frequent first."""
    off = counts - np.diag(np.diag(counts))
    order = np.argsort(-off, axis=None, kind="stable")[:at_most]
    pairs = [(int(i // len(off)), int(i % len(off))) for i in order]
    return [(i, j, int(off[i, j])) for i, j in pairs if off[i, j] > 0]


@svg.style()
def draw(counts: np.ndarray, names: Sequence[str], title: str, key: str) -> str:
    """The matrix as an SVG element: what is recognised blue, mistakes orange, by share of the class.

    Args:
        counts: (n_classes, n_classes) from `matrix`.
        names: one name per class.
        title: printed above.
        key: prefix of the ids, unique on the page.
    """
    n = len(counts)
    size = min(5.0, 2.0 + 0.4 * n) if n <= MANY_CLASSES else 10.4
    figure, axes = svg.new_axes(size, size * 0.94)
    cell = 0.82 * size * 72 / n  # point
    digits = len(str(int(counts.max())))
    font = min(10.0, 0.6 * cell, 0.86 * cell / (0.6 * digits))
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        recognised = i == j
        depth = np.sqrt(share[i, j]) if recognised else min(1.0, 0.12 + 0.88 * share[i, j] / _FULL_ORANGE)
        colour = svg.FLOAT if recognised else svg.CHIP
        axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, color=colour, alpha=depth, linewidth=0))
        ink = svg.STRONG if depth > 0.9 else svg.INK
        axes.text(j, i, f"{counts[i, j]}", ha="center", va="center_baseline", fontsize=font, color=ink)
    labels = [svg.shorten(name, 14) for name in names]
    label_font = min(8.5, max(6.0, 0.7 * cell))
    upright = max(map(len, labels)) * 0.6 * label_font < 0.95 * cell
    axes.set_xticks(range(n), labels, fontsize=label_font, rotation=0 if upright else 90)
    axes.set_yticks(range(n), labels, fontsize=label_font)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_xticks(np.arange(0.5, n - 1), minor=True)
    axes.set_yticks(np.arange(0.5, n - 1), minor=True)
    axes.grid(which="minor")
    axes.tick_params(which="minor", length=0)
    axes.spines[["top", "right"]].set_visible(True)
    axes.set(xlabel="answer", ylabel="true class")
    axes.set_title(title)
    found = f"{int(np.trace(counts))} of {int(counts.sum())} samples recognised"
    label = f"{title}: confusion matrix of {n} classes, {found}"
    return svg.inline(figure, key, label)
