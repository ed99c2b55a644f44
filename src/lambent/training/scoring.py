"""What a model answers to events, and what its layers emit meanwhile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lambent.data import DeviceDataset, SpikeDataset
from lambent.events import Events

EVALUATION_BATCH = 100


def forward(model: nn.Module, events: Events) -> tuple[Any, list[Events]]:
    """The model's output and the events that each of its spiking layers emitted, in the order in which they did.

    A spiking layer is a module with parameters that returns `Events` and has no such module inside that did so before.
    One that is used twice counts twice. What only encodes or thins out spikes, without parameters, does not count.
    """
    hidden: list[Events] = []
    spiking: set[nn.Module] = set()

    def note(module: nn.Module, _: Any, out: Any) -> None:
        if not isinstance(out, Events) or next(module.parameters(), None) is None:
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


@torch.no_grad()
def predict(model: nn.Module, data: SpikeDataset | DeviceDataset) -> tuple[Tensor, Tensor]:
    """Class scores (n, classes) and labels (n,) of a whole data set."""
    parts = [(model(events), labels) for events, labels in data.batches(EVALUATION_BATCH)]
    scores, labels = zip(*parts, strict=True)
    return torch.cat(scores), torch.cat(labels)
