"""The rate regulariser: mean spike counts within a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lambent.events import Events
from lambent.losses._checks import check_filled

if TYPE_CHECKING:  # a build of torch may lack it
    from torch.distributed import ProcessGroup


def rate_penalty(
    events: Events, lower: float = 0.0, upper: float = float("inf"), group: ProcessGroup | None = None
) -> Tensor:
    """How far the units' mean spike counts lie outside [lower, upper]: mean over units of the distance squared.

    Counts are averaged over the batch (Nowotny, Turner & Knight 2024). Units below `lower` are pulled up, at
    their spikes and, in samples in which they are silent, at their highest voltage (where it is rest, the mean
    voltage): silent units revive.

    Args:
        events: a layer's spikes.
        lower, upper: mean spikes per unit and sample.
        group: processes (`torch.distributed`) whose batches are one: counts are averaged over all of them, and so must
            be the gradients, as `DistributedDataParallel` does. Each of the processes must call this.

    Raises:
        ValueError: the bounds are negative or not in order.
    """
    if not 0 <= lower <= upper:
        raise ValueError(f"need 0 <= lower <= upper, got {lower} and {upper}")
    check_filled(len(events))
    mean = events.counts().mean(0)
    if group is not None:
        everywhere = mean.detach().clone()
        torch.distributed.all_reduce(everywhere, group=group)
        mean = mean + (everywhere / group.size() - mean.detach())
    return ((lower - mean).clamp(min=0) ** 2 + (mean - upper).clamp(min=0) ** 2).mean()
