"""Quantisation-aware training: the chip's integers forward, gradients for the float parameters behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from lambent.events import Events
from lambent.hardware.chip import DEFAULT, TrainingChip, find_chip


def quantization_aware(
    model: nn.Sequential,
    weight_bits: int | Sequence[int] = 8,
    *,
    calibration: Events | None = None,
    chip: str = DEFAULT,
) -> nn.Sequential:
    """A trainable copy of `model` that computes as its exported version on the chip, bit for bit.

    On Loihi 2 its layers have weights of few bits, decays in 1/4096 and integer states in the forward pass, and the
    gradients of EventProp for the float parameters behind them. Train it as any model, with few epochs and a lower
    learning rate than before; call `constrain_` of its layers after each step. `export_netx` then writes the very
    integers that it was trained with, and `quantized_model` gives their float version. It runs on the CPU.

    Args:
        model: a trained `torch.nn.Sequential` of `LIF` layers, with or without a final `LIReadout`.
        weight_bits: 2 to 8, sign included; one number, or one for each layer.
        calibration: typical input, on which the scales are chosen; they stay as they are from then on.
        chip: its name.

    Raises:
        TypeError, ValueError: as the chip's export; or there is no such chip, or none that a model can be trained on.
    """
    return training_chip(chip).aware(model, weight_bits, calibration)


def aware_of(model: nn.Sequential, state: Mapping[str, Any], chip: str = DEFAULT) -> nn.Sequential | None:
    """`model` as the quantisation-aware one that `state`, a `state_dict`, was taken from; None if from a float one.

    Raises:
        RuntimeError: the state is of another network.
        ValueError: there is no such chip.
    """
    found = find_chip(chip)
    return found.aware_of(model, state) if isinstance(found, TrainingChip) else None


def trained_bits(model: nn.Module, chip: str = DEFAULT) -> tuple[int, ...]:
    """The bits of each layer that a model was trained for; none for a float model.

    Raises:
        ValueError: there is no such chip.
    """
    found = find_chip(chip)
    return found.trained_bits(model) if isinstance(found, TrainingChip) else ()


def training_chip(name: str) -> TrainingChip:
    """The chip of that name.

    Raises:
        ValueError: there is none, or none that a model can be trained on.
    """
    found = find_chip(name)
    if not isinstance(found, TrainingChip):
        raise ValueError(f"{found.title} has no arithmetic that a model could be trained on; train in float")
    return found
