"""A warning where a layer cannot learn, because none of its units spikes or all do nearly all the time."""

from __future__ import annotations

import torch

from lambent.events import Events, n_steps
from lambent.layers.layer import Layer
from lambent.machine.waiting import learn, running_ahead
from lambent.machine.warn import warn_caller

_SATURATED = 0.5  # spikes per unit and step


def watch_activity(layer: Layer, events: Events, out: Events) -> None:
    """Warn, once a layer, if it is wholly silent or saturated when the gradients of this pass are asked for.

    A layer is not to blame where nothing arrives at it.
    """
    if layer.warned or not layer.training or torch.compiler.is_compiling():
        return
    node = out.padded().times.grad_fn
    if node is None:
        return
    steps = n_steps(out.duration, layer.dt) if layer.dt is not None else float("inf")
    most = _SATURATED * len(out) * out.n_units * steps

    def judge(spikes: float) -> bool:
        if not layer.warned and (spikes == 0 or spikes > most) and bool(events.offsets[-1]):
            layer.warned = True
            warn_caller(_complaint(layer, events, out, spikes, steps))
        return True

    if running_ahead(out.device):  # which holds a whole step, its gradients too
        learn(out.offsets[-1], judge)
    elif not 0 < len(out.times) <= most:
        node.register_prehook(lambda _: (judge(len(out.times)), None)[1])


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
