"""`EventDropout`: spikes left out at random while training."""

from __future__ import annotations

import torch
from torch import nn

from lambent.events import Events


class EventDropout(nn.Module):
    """Leave out each spike with probability `p` in training; in evaluation all pass.

    For spikes between layers; `lambent.data.augment.Drop` does it to data. Gradients pass to the times and counts of
    the spikes that are kept. These are not made stronger in exchange.

    Args:
        p: probability in ``[0, 1]``.

    Raises:
        ValueError: `p` is no probability.

    Example:
        >>> model = torch.nn.Sequential(lb.LIF(5, 20), lb.EventDropout(0.2), lb.LIReadout(20, 3))
        >>> events, _ = lb.data.yin_yang(4, seed=0).batch(range(4))
        >>> model(events).shape
        torch.Size([4, 3])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a probability in [0, 1], got {p}")
        self.p = p

    def forward(self, events: Events) -> Events:
        """The batch without the spikes that were drawn."""
        if not isinstance(events, Events):
            raise TypeError(f"EventDropout takes lambent.Events, got {type(events).__name__}")
        if not self.training or self.p == 0:
            return events
        return events.keep(torch.rand(len(events.times), device=events.device) >= self.p)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
