"""The network that a `Config` describes, with weights scaled to a wanted activity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.hardware.chip import find_chip
from lambent.layers import LIF, LIReadout, Spiking
from lambent.layers.chain import parts
from lambent.training.config import Config


def build_model(config: Config, n_units: int, n_classes: int) -> nn.Sequential:
    """Hidden LIF layers and an LI readout as `config` says, with random weights from its seed."""
    generator = torch.Generator().manual_seed(config.seed)

    def spread(tau: float) -> Tensor:
        return tau * torch.exp(config.tau_spread * torch.randn(config.hidden, generator=generator))

    max_delay = find_chip(config.chip).max_delay * config.dt
    longest = min(config.delay, max_delay)
    layers: list[nn.Module] = []
    size = n_units
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for _ in range(config.layers):
            delay = torch.rand(size, config.hidden, generator=generator) * longest if longest else None
            layer = LIF(
                size,
                config.hidden,
                recurrent=config.recurrent,
                tau_mem=spread(config.tau_mem).clamp(min=config.dt),
                tau_syn=spread(config.tau_syn).clamp(min=config.dt),
                reset=config.reset,
                delay=delay,
                max_delay=max_delay,
                dt=config.dt,
            )
            layer.tau_mem.requires_grad_(config.lr_tau > 0)
            layer.tau_syn.requires_grad_(config.lr_tau > 0)
            if layer.delay is not None:
                layer.delay.requires_grad_(config.lr_delay > 0)
            layers.append(layer)
            size = config.hidden
        layers.append(
            LIReadout(
                size,
                n_classes,
                tau_mem=config.readout_tau_mem,
                tau_syn=config.readout_tau_syn,
                reduce=config.reduce,
                dt=config.dt,
                count_gradient=0.0 if config.reduce == "max" else config.count_gradient,
            )
        )
    return nn.Sequential(*layers)


@torch.no_grad()
def calibrate(model: nn.Module, events: Events, spikes: float) -> None:
    """Scale the input weights of each spiking layer so that its units spike `spikes` times a sample on average.

    Layer after layer, as the model calls them on a batch of `events`, by bisection. What is right for one data set
    leaves another silent or saturated, and neither learns (Rossbroich, Gygax & Zenke 2022). Layers may lie anywhere in
    the model; one that is called again keeps its first scale.

    Raises:
        ValueError: the events are too few to make a layer spike that often.
    """
    waiting = {part.layer: part.name for part in parts(model) if isinstance(part.layer, Spiking)}

    def scale(layer: Spiking, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer in waiting:
            name = waiting.pop(layer)
            given = [*args, *kwargs.values()]
            _scale(layer, name, given[0], spikes)

    hooks = [layer.register_forward_pre_hook(scale, with_kwargs=True) for layer in waiting]
    try:
        model(events)
    finally:
        for hook in hooks:
            hook.remove()


def _scale(layer: Spiking, name: str, events: Events, spikes: float) -> None:
    weight = layer.weight.clone()
    low, high = 1e-3, 1e3
    for _ in range(24):
        factor = (low * high) ** 0.5
        layer.weight.copy_(weight * factor)
        active = layer(events).counts().mean().item()
        low, high = (low, factor) if active > spikes else (factor, high)
        if abs(active - spikes) < 0.02 * spikes:
            break
    if not 0.5 * spikes <= active <= 2 * spikes:
        raise ValueError(
            f"layer {name} spikes {active:.3g} times per unit and sample where {spikes:.3g} are wanted "
            f"(initial_spikes): with {events.counts().mean().item():.3g} input spikes per unit and sample "
            f"no scale of its weights reaches that"
        )
