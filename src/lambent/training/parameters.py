"""Which parameters of a model are trained, and how: groups of an optimiser by what parameters mean."""

from __future__ import annotations

from typing import Any

from torch import nn

from lambent.training.config import Config


def role(module: nn.Module, name: str) -> str:
    """What the parameter `name` of `module` is: "weight", "tau" (a time constant), "delay" or "other".

    The module says so in an attribute `parameter_roles`, {name: role}. What it does not mention is a weight if it has
    two dimensions or more, as the matrices and kernels of ordinary torch modules, else other: biases, thresholds.
    """
    said = getattr(module, "parameter_roles", {}).get(name)
    return said or ("weight" if getattr(module, name).ndim > 1 else "other")


def constrain(model: nn.Module) -> None:
    """Put what is trained back where it means something, in all modules that have a `constrain_`."""
    for module in model.modules():
        if constrain_ := getattr(module, "constrain_", None):
            constrain_()


def parameter_groups(model: nn.Module, config: Config) -> list[dict[str, Any]]:
    """The trained parameters of a model as groups of an optimiser, each with its learning rate under "base".

    Weights have `lr` and the weight decay, time constants `lr_tau`, delays `lr_delay`, all others `lr`.
    """
    rates = {"weight": config.lr, "tau": config.lr_tau, "delay": config.lr_delay, "other": config.lr}
    members: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                members[role(module, name)].append(parameter)
    return [
        {"params": members[name], "base": rate, "weight_decay": config.weight_decay if name == "weight" else 0.0}
        for name, rate in rates.items()
        if members[name]
    ]
