"""What a model answers to events, and what its layers emit meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lambent.data import DeviceDataset, SpikeDataset
from lambent.events import Events
from lambent.layers import LI
from lambent.training.batches import OfLoader
from lambent.training.objective import together

EVALUATION_BATCH = 100


def forward(model: nn.Module, events: Events) -> tuple[Any, list[Events]]:
    """The model's output and the events that each of its spiking layers emitted, in the order in which they did.

    A spiking layer is a module with parameters that returns `Events` and has no such module inside that did so before.
    One that is used twice counts twice. What only encodes or thins out spikes, without parameters, does not count, nor
    do leaky integrators (`lambent.LI`), which send in every step.
    """
    hidden: list[Events] = []
    spiking: set[nn.Module] = set()

    def note(module: nn.Module, _: Any, out: Any) -> None:
        if not isinstance(out, Events) or isinstance(module, LI) or next(module.parameters(), None) is None:
            return
        if not any(part in spiking for part in module.modules() if part is not module):
            spiking.add(module)
            hidden.append(out)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        return model(events), hidden
    finally:
        for hook in hooks:
            hook.remove()


def activity(hidden: list[Events], like: Tensor) -> dict[str, Tensor]:
    """Mean spikes per unit and sample, and share of units without a spike; 0 without spiking layers."""
    if not hidden:
        return {"spikes_per_unit": like.new_zeros(()), "silent": like.new_zeros(())}
    counts = [h.counts().detach() for h in hidden]
    spikes = torch.cat([c.flatten() for c in counts]).mean()
    return {"spikes_per_unit": spikes, "silent": torch.cat([(c == 0).all(0) for c in counts]).float().mean()}


def device_of(model: nn.Module) -> torch.device:
    """Where a model is: its first parameter, or the CPU if it has none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def predict(model: nn.Module, data: SpikeDataset | DeviceDataset | Iterable[tuple[Events, Any]]) -> tuple[Any, Any]:
    """What a model gives for all samples, and their targets; without gradients, and with dropout switched off.

    Args:
        model: any module that takes `Events`; afterwards in training or evaluation mode as it was.
        data: a data set, or batches (`Events`, targets) with a length, such as a `torch.utils.data.DataLoader`.

    Returns:
        The outputs of all samples together, such as class scores (samples, classes), or `Events` of models that end in
        spikes; and their targets, None where the set has none.

    Raises:
        TypeError: data or outputs of another kind.
        ValueError: there are no samples.

    Example:
        >>> model = torch.nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3))
        >>> scores, labels = lb.training.predict(model, lb.data.yin_yang(200, seed=0))
        >>> accuracy = (scores.argmax(1) == labels).double().mean()
    """
    if isinstance(data, (SpikeDataset, DeviceDataset)):
        batches = data.batches(EVALUATION_BATCH)
    else:
        batches = OfLoader(data, device_of(model)).in_order(EVALUATION_BATCH)
    modes = [(module, module.training) for module in model.modules()]
    try:
        return answers(model.eval(), batches)
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def answers(model: nn.Module, batches: Iterable[tuple[Events, Any]]) -> tuple[Any, Any]:
    """What a model gives for all batches, as if they were one, and their targets; None where there are none."""
    pairs = [(model(events), targets) for events, targets in batches]
    if not pairs:
        raise ValueError("there are no samples to answer to")
    outputs, targets = zip(*pairs, strict=True)
    return together(outputs), None if targets[0] is None else together(targets)
