"""Whether a checkpoint is of the model and the optimiser that are to go on with it.

A file may be damaged, or somebody else's. PyTorch takes shapes on trust in places: a fused optimiser that is given an
average of another shape than its parameter's ends the whole process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from lambent.training.state import State

_LIKE_PARAMETERS = ("exp_avg", "max_exp_avg", "momentum_buffer", "square_avg", "grad_avg", "acc_delta")
"""What the names of an optimiser's values begin with that have the shape of their parameter."""


def check_model(found: Any, model: Mapping[str, Any]) -> None:
    """Raise ValueError unless `found` holds the same names as the `state_dict` `model`, for values of the same kind."""
    if not isinstance(found, Mapping) or found.keys() != model.keys():
        raise ValueError("the model has other values")
    for name, like in model.items():
        if isinstance(like, Tensor):
            _check_tensor(f"the model's {name}", found[name], like)


def check_optimizer(found: Any, optimizer: torch.optim.Optimizer, settled: bool) -> None:
    """Raise ValueError unless `found` is a `state_dict` of such an optimiser of the same parameters.

    Args:
        settled: whether all its options but the learning rate are as they were when it was made.
    """
    if not isinstance(found, Mapping) or not {"state", "param_groups"} <= found.keys():
        raise ValueError("the optimiser's values are missing")
    now, groups = optimizer.state_dict()["param_groups"], found["param_groups"]
    if not isinstance(groups, list) or len(groups) != len(now):
        raise ValueError("the optimiser has another number of groups")
    for group, own in zip(groups, now, strict=True):
        if not isinstance(group, Mapping) or group.keys() != own.keys() or group["params"] != own["params"]:
            raise ValueError("the optimiser has other groups")
        for key, value in own.items():
            numbers = isinstance(value, (int, float)) and not isinstance(value, bool)
            same = _is_number(group[key]) if numbers else type(group[key]) is type(value)
            if not same or (settled and key != "lr" and group[key] != value):
                raise ValueError(f"the optimiser's {key} is {group[key]!r}, not like {value!r}")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not isinstance(found["state"], Mapping):
        raise ValueError("the optimiser's values are missing")
    for i, values in found["state"].items():
        if type(i) is not int or not 0 <= i < len(parameters) or not isinstance(values, Mapping):
            raise ValueError(f"the optimiser has no parameter {i!r}")
        if settled and values.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"the optimiser's values of parameter {i} are not those of AdamW")
        for name, value in values.items():
            where = f"the optimiser's {name} of parameter {i}"
            if str(name).startswith(_LIKE_PARAMETERS) and value is not None:
                _check_tensor(where, value, parameters[i])
            elif name == "step":
                _check_tensor(where, torch.as_tensor(value).float(), torch.zeros(()))


def read_state(found: Any, batches: int) -> State:
    """Where a training of epochs of `batches` batches is, by its checkpoint.

    Raises:
        ValueError: it can be nowhere there.
    """
    if not isinstance(found, Mapping) or not set(found) <= {f.name for f in fields(State)}:
        raise ValueError("where the training is is missing")
    state = State(**{"top_score": found.get("best_score", -math.inf), **found})  # which older versions kept as one
    counts = [state.epoch, state.batch, state.best_epoch, state.better_epoch]
    counts += [] if state.aware_from is None else [state.aware_from]
    good = all(type(n) is int and n >= 0 for n in counts) and max(counts) <= max(state.epoch, state.batch)
    good = good and state.batch < max(batches, 1) + 1 and max(counts[2:]) <= state.epoch
    good = good and all(type(x) is float and x < math.inf for x in (state.best_score, state.top_score))
    good = good and _is_number(state.seconds)
    good = good and isinstance(state.sums, dict) and all(isinstance(name, str) for name in state.sums)
    good = good and all(type(x) in (int, float) for x in state.sums.values())
    if not good or (state.batch and not {"samples", "seconds"} <= state.sums.keys()):
        raise ValueError("where the training is makes no sense")
    return state


def _check_tensor(what: str, found: Any, like: Tensor) -> None:
    if not isinstance(found, Tensor):
        raise ValueError(f"{what} is {type(found).__name__}, not a tensor")
    if found.shape != like.shape or found.dtype != like.dtype or found.layout != like.layout:
        raise ValueError(f"{what} is {_kind(found)}, not {_kind(like)}")


def _kind(x: Tensor) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)}"


def _is_number(x: Any) -> bool:
    return type(x) in (int, float) and math.isfinite(x)
