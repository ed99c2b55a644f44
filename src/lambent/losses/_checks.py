"""What losses check of batches and labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lambent.machine.waiting import expect


def check_filled(batch: int) -> None:
    """Raise ValueError for an empty batch."""
    if not batch:
        raise ValueError("the batch is empty: there is nothing to take the mean of")


def checked_labels(labels: Tensor, shape: tuple[int, ...], classes: int, ignored: int | None = None) -> Tensor:
    """The labels, of this shape, if each is one of `classes` or `ignored`, though not all of them.

    A step that runs ahead gets harmless ones until it is known.
    """
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype is torch.bool:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels must be a tensor of whole numbers, got {kind}")
    check_filled(math.prod(shape))
    if labels.shape != shape:
        raise ValueError(f"labels must have shape {tuple(shape)}, got {tuple(labels.shape)}")
    counts = torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored

    def complain() -> None:
        if not counts.any():
            raise ValueError(f"labels are all {ignored}, which is ignored: there is nothing to take the mean of")
        wrong = labels[counts]
        but = "" if ignored is None else f" or be {ignored}"
        raise ValueError(f"labels must lie in [0, {classes}){but}, got {int(wrong.min())} to {int(wrong.max())}")

    expect(counts.any() & (~counts | ((labels >= 0) & (labels < classes))).all(), complain)
    found = labels.clamp(0, classes - 1)
    return (found if ignored is None else torch.where(counts, found, ignored)).long()
