"""A warning where a layer cannot learn, because none of its units spikes or all do nearly all the time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import register_multi_grad_hook

from lambent.events import Events, n_steps
from lambent.layers.layer import Layer
from lambent.machine.waiting import running_ahead
from lambent.machine.warn import warn_caller

_SATURATED = 0.75  # spikes per unit and step


def watch_activity(layer: Layer, events: Events, out: Events) -> None:
    """Warn, once a layer, if it is wholly silent or saturated when the gradients of this pass are worked out.

    Not of a silent layer whose counts have a gradient, such as that of a rate penalty, which pulls it up; nor where
    nothing arrives; nor in a step that runs ahead of a device, for the host does not know yet.
    """
    if layer.warned or not layer.training or torch.compiler.is_compiling() or running_ahead(out.device):
        return
    steps = n_steps(out.duration, layer.dt) if layer.dt is not None else float("inf")
    spikes, most = len(out.times), _SATURATED * len(out) * out.n_units * steps
    if 0 < spikes <= most or not out.times.requires_grad or not len(events.times):
        return

    def warn(gradients: Sequence[Tensor | None]) -> None:
        _, of_counts = gradients
        if not layer.warned and (spikes or of_counts is None or not of_counts.any()):
            layer.warned = True
            warn_caller(_complaint(layer, events, out, spikes, steps))

    register_multi_grad_hook((out.times, out.counts()), warn)


def _complaint(layer: Layer, events: Events, out: Events, spikes: float, steps: float) -> str:
    name = f"{type(layer).__name__}({layer.extra_repr()})"
    came = events.counts().detach().mean().item()
    where = f"in a batch of {len(out)} with {came:.3g} input spikes per unit and sample"
    if spikes == 0:
        return (
            f"{name} stayed silent through a training step: no unit spiked {where}, so that its weights learn nothing. "
            "Scale them with lambent.calibrate(model, events), or let lambent.losses.rate_penalty(spikes, lower=1) "
            "pull silent units up"
        )
    share = spikes / (len(out) * out.n_units * steps)
    return (
        f"{name} was saturated in a training step: its units spiked in {100 * share:.0f} % of all time steps {where}, "
        "so that its spikes say little. Scale its weights with lambent.calibrate(model, events), or let "
        "lambent.losses.rate_penalty(spikes, upper=20) hold units down"
    )
