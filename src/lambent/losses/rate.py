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
        group: processes (`torch.distributed`) whose batches are one: counts are averaged over all of their samples, and
            gradients must be over processes, as `DistributedDataParallel` does. Each of the processes must call this.

    Raises:
        ValueError: the bounds are negative or not in order.
    """
    if not 0 <= lower <= upper:
        raise ValueError(f"need 0 <= lower <= upper, got {lower} and {upper}")
    check_filled(len(events))
    if group is None:
        mean = events.counts().mean(0)
    else:
        own = events.counts().sum(0)
        everywhere = torch.cat([own.detach(), own.new_tensor([len(events)])])
        torch.distributed.all_reduce(everywhere, group=group)
        mean = everywhere[:-1] / everywhere[-1] + (own - own.detach()) * (group.size() / everywhere[-1])
    return ((lower - mean).clamp(min=0) ** 2 + (mean - upper).clamp(min=0) ** 2).mean()
