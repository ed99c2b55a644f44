"""Layers that cannot learn say so, once, when they are trained."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import lambent as lb


def batch(rate: float = 0.05, n_units: int = 10) -> lb.Events:
    g = torch.Generator().manual_seed(0)
    return lb.Events.from_dense((torch.rand(4, 50, n_units, generator=g) < rate).int(), 1.0)


def deep(scale: float, dt: float | None = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(lb.LIF(10, 20, dt=dt), lb.LIF(20, 20, dt=dt), lb.LIReadout(20, 3, dt=dt))
    with torch.no_grad():
        model[0].weight.abs_().mul_(scale)
    return model


def step(model: nn.Module, events: lb.Events, times: int = 1) -> None:
    for _ in range(times):
        model(events).sum().backward()


@pytest.mark.parametrize("dt", [1.0, None])
def test_a_silent_layer_says_so_once(dt: float | None) -> None:
    model, events = deep(1e-3, dt), batch()
    with pytest.warns(UserWarning, match=r"LIF\(10, 20.*silent.*lambent\.calibrate") as found:
        step(model, events, times=2)
    assert len(found) == 1  # and nothing of the second layer, at which nothing arrives


def test_a_saturated_layer_says_so_once() -> None:
    model, events = deep(1e3), batch(0.5)
    with pytest.warns(UserWarning, match=r"LIF\(10, 20.*saturated.*lambent\.calibrate") as found:
        step(model, events, times=2)
    assert len([w for w in found if "LIF(10, 20" in str(w.message)]) == 1


def test_a_later_layer_is_named() -> None:
    model = deep(1.0)
    with torch.no_grad():
        model[1].weight.mul_(1e-3)
    with pytest.warns(UserWarning, match=r"LIF\(20, 20.*silent"):
        step(model, batch())


def test_a_penalty_that_pulls_up_is_cure_enough() -> None:
    layer = deep(1e-3)[0]
    lb.losses.rate_penalty(layer(batch()), lower=1.0).backward()
    with pytest.warns(UserWarning, match="silent"):
        lb.losses.rate_penalty(layer(batch()), upper=1.0).backward()


def test_no_warning_without_training_or_need() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(deep(1.0), batch())
        step(deep(1e-3).eval(), batch())
        deep(1e-3)(batch())
        with torch.no_grad():
            deep(1e-3)(batch())
        step(deep(1e-3), batch(0.0))  # nothing arrives


def test_running_ahead_it_is_said_after_the_step() -> None:
    model, events = deep(1e-3), batch()
    with pytest.warns(UserWarning, match="silent"):
        lb.run_ahead(lambda: step(model, events))


@pytest.mark.parametrize("last", [lb.LIReadout(20, 3, dt=2.0), lb.LIF(20, 3, dt=2.0), lb.LIReadout(20, 3, dt=None)])
def test_layers_of_another_time_step_say_so_once(last: nn.Module) -> None:
    model, events = nn.Sequential(lb.LIF(10, 20), last), batch()
    with pytest.warns(UserWarning, match=r"the layer before it steps of 1 ms: give all layers .* the same dt") as found:
        _ = model(events), model(events)
    assert len(found) == 1
