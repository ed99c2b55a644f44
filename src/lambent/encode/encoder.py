"""Encoders as modules, for a place in a `torch.nn.Sequential`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lambent.events import Events


class Encoder(nn.Module):
    """A function of `lambent.encode` with its options, as a module: values or signals in, `Events` out.

    Modules before it learn where the function hands gradients on, as `latency`, `population`, `burst` and `delta` do.

    Args:
        function: takes a tensor first, such as `lambent.encode.latency`.
        options: what else it takes, by name.

    Raises:
        TypeError: it cannot be called.

    >>> encode = lb.encode.Encoder(lb.encode.latency, duration=60.0, t_late=50.0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Sigmoid(), encode, lb.LIF(6, 3))
    >>> model(torch.rand(2, 4)).n_units
    3
    """

    def __init__(self, function: Callable[..., Events], **options: Any) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"function must be one of lambent.encode, got {function!r}")
        self.function, self.options = function, options

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))

    def forward(self, values: Tensor) -> Events:
        """What the function makes of `values`; raises as it does.

        Raises:
            ValueError: a gradient is wanted for the values, and the function has none.
        """
        events = self.function(values, **self.options)
        if torch.is_grad_enabled() and values.requires_grad and not events.times.requires_grad:
            raise ValueError(
                f"{self._name} has no gradient, so nothing before it would learn: take latency, population, burst or "
                "delta, or freeze what comes before (requires_grad_(False))"
            )
        return events

    def extra_repr(self) -> str:
        """The function and its options, for printing."""
        return ", ".join([self._name, *(f"{k}={v!r}" for k, v in self.options.items())])
