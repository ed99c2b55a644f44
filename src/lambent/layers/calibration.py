"""`calibrate`: input weights scaled until units are as active as is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.layers.chain import parts
from lambent.layers.spiking import Spiking
from lambent.machine.warn import warn_caller

_NEAR = 0.02  # how far from the wanted activity a layer's may be, as a share of it
_UNIT_NEAR = 0.1
_WIDEST = 1e3  # by which weights are scaled up or down
_ROUNDS = 24


@torch.no_grad()
def calibrate(model: nn.Module, events: Events | Tensor, spikes: float = 10.0, *, per_unit: bool = True) -> None:
    """Scale the input weights of each spiking layer so that its units spike `spikes` times a sample on average.

    Layer after layer, as the model calls them on a batch of `events`, by bisection. What is right for one data set
    leaves another silent or saturated, and neither learns (Rossbroich, Gygax & Zenke 2022). Layers may lie anywhere in
    the model; one that is called again keeps its first scale. Recurrent weights stay as they are.

    Args:
        model: any module that takes the events and has `lambent.Spiking` layers somewhere inside.
        events: typical input, some tens of samples; a tensor where the model begins with an encoder.
        spikes: wanted spikes per unit and sample.
        per_unit: bring each unit there, and not only the mean of each layer, over which some units may be silent and
            others busy. A unit that its inputs inhibit on balance gets the opposite weights. Where units share their
            weights, as those of a channel do in a convolution, it is their mean that is brought there.

    Raises:
        ValueError: no scale makes a layer spike that often, or `spikes` is not positive; names the layer.

    Warns:
        UserWarning: the model has no `lambent.Spiking` layers, or calls none of them.

    Example:
        >>> model = torch.nn.Sequential(lb.LIF(5, 16), lb.LIReadout(16, 3))
        >>> events, labels = lb.data.yin_yang(64, seed=0).batch(range(64))
        >>> lb.calibrate(model, events, spikes=3.0)
        >>> 2.5 < model[0](events).counts().mean() < 3.5
        tensor(True)
    """
    if not 0 < spikes < math.inf:
        raise ValueError(f"spikes must be positive, got {spikes}")
    if len(events) == 0:
        raise ValueError("events holds no samples to calibrate on")
    waiting = {part.layer: part.name for part in parts(model) if isinstance(part.layer, Spiking)}
    of_all = len(waiting)

    def scale(layer: Spiking, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer in waiting:
            name = waiting.pop(layer)
            given = [*args, *kwargs.values()]
            _scale_layer(layer, given[0], spikes)
            if per_unit:
                _scale_units(layer, given[0], spikes)
            _check(layer, name, given[0], spikes)

    hooks = [layer.register_forward_pre_hook(scale, with_kwargs=True) for layer in waiting]
    try:
        model(events)
    finally:
        for hook in hooks:
            hook.remove()
    if len(waiting) == of_all:
        warn_caller("nothing was calibrated: the model called no spiking layers (LIF, Resonator ...) on the events")


def _scale_layer(layer: Spiking, events: Events, spikes: float) -> None:
    """One factor for all weights of a layer."""
    weight = layer.weight.clone()
    low, high = 1 / _WIDEST, _WIDEST
    for _ in range(_ROUNDS):
        factor = (low * high) ** 0.5
        layer.weight.copy_(weight * factor)
        active = layer(events).counts().mean().item()
        low, high = (low, factor) if active > spikes else (factor, high)
        if abs(active - spikes) < _NEAR * spikes:
            break
    if active < 0.5 * spikes:  # as where all inhibit: no scale is better than another
        layer.weight.copy_(weight)


def _check(layer: Spiking, name: str, events: Events, spikes: float) -> None:
    """Raise ValueError if a layer is far from what was wanted."""
    active = layer(events).counts().mean().item()
    if not 0.5 * spikes <= active <= 2 * spikes:
        raise ValueError(
            f"layer {name} spikes {active:.3g} times per unit and sample where {spikes:.3g} are wanted: with "
            f"{events.counts().mean().item():.3g} input spikes per unit and sample no scale of its weights reaches "
            "that; want another number of spikes (initial_spikes of a run), or other weights where all inhibit"
        )


def _scale_units(layer: Spiking, events: Events, spikes: float) -> None:
    """A factor for the weights of each unit, all found at once; then once more, for recurrent units move each other."""
    weight, connections = layer.weight.clone(), layer.connections
    factor = weight.new_ones(layer.out_features)

    def counts(factor: Tensor) -> Tensor:
        layer.weight.copy_(weight * connections.per_weight(factor))
        return connections.shared(layer(events).counts().mean(0))

    factor = _bisect(counts, factor, spikes, _WIDEST)
    reached = counts(factor)
    if (inhibited := reached < 0.5 * spikes).any():
        factor = torch.where(inhibited, -factor.new_ones(()), factor)
        factor = _bisect(counts, factor, spikes, _WIDEST)
        reached = counts(factor)
    # a unit that cannot be driven either way keeps the layer's scale
    factor = torch.where(reached < 0.5 * spikes, factor.sign(), factor)
    if layer.recurrent is not None:
        factor = _bisect(counts, factor, spikes, 2.0)
    counts(factor)


def _bisect(counts: Callable[[Tensor], Tensor], factor: Tensor, spikes: float, widest: float) -> Tensor:
    """Factors, within `widest` of those given, that bring every unit near `spikes`."""
    low, high = factor.abs() / widest, factor.abs() * widest
    sign = factor.sign()
    for _ in range(_ROUNDS):
        active = counts(factor)
        few, many = active < spikes * (1 - _UNIT_NEAR), active > spikes * (1 + _UNIT_NEAR)
        if not (few | many).any():
            break
        size = factor.abs()
        low, high = torch.where(few, size, low), torch.where(many, size, high)
        factor = torch.where(few | many, sign * (low * high).sqrt(), factor)
    return factor
