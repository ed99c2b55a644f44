"""What is remembered of tensors is what would be worked out anew, however they change."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.machine import waiting
from lambent.machine.remembered import remembered

EVENTS = lb.Events.from_lists([[1.0, 2.0, 3.0, 4.0]], [[0, 2, 1, 3]], 5, 30.0)


def counted(made):
    def make():
        made.append(True)
        return len(made)

    return make


def test_made_once_for_equal_content():
    x, made = torch.ones(3), []
    assert [remembered(counted(made), [x], "a") for _ in range(3)] == [1, 1, 1]
    assert remembered(counted(made), [x], "b") == 2
    assert remembered(counted(made), [x.double()], "a") == 3
    x.data[1] = 2.0  # which torch counts in no version
    assert remembered(counted(made), [x], "a") == 4


@pytest.mark.parametrize("change", [lambda x: x.data.mul_(0.5), lambda x: x.detach().numpy().__imul__(0.5)])
@pytest.mark.parametrize("make", [lambda: lb.LIF(5, 4), lambda: lb.LIReadout(5, 4), lambda: lb.LIReadout(5, 4, dt=2.0)])
def test_layers_see_their_time_constants_change(make, change):
    torch.manual_seed(0)
    layer = make()

    def out():
        y = layer(EVENTS)
        return (y.times if isinstance(y, lb.Events) else y).detach().clone()

    with torch.no_grad():
        layer.weight.abs_().mul_(3)
    before = out()
    with torch.no_grad():
        change(layer.tau_mem)
    after = out()
    fresh = make()
    fresh.load_state_dict(layer.state_dict())
    layer = fresh
    assert torch.equal(after, out())
    assert before.shape != after.shape or not torch.equal(before, after)


def test_bad_values_are_still_named():
    layer = lb.LIF(5, 4)
    layer(EVENTS)
    layer.tau_syn.data[2] = torch.nan
    for _ in range(2):
        with pytest.raises(ValueError, match="tau_syn of unit 2 is nan"):
            layer(EVENTS)


def test_trained_constants_get_gradients():
    layer = lb.LIF(5, 4)
    layer(EVENTS)
    layer.tau_mem.requires_grad_()
    with torch.no_grad():
        layer.weight.abs_().mul_(3)
        layer(EVENTS)
    layer(EVENTS).times.sum().backward()
    assert layer.tau_mem.grad.any()


def test_what_inference_remembers_is_not_trained_with():
    net = torch.nn.Sequential(lb.LIF(5, 4), lb.LIReadout(4, 2))
    with torch.no_grad():
        net[0].weight.abs_().mul_(3)
    with torch.inference_mode():
        expected = net(EVENTS).clone()
    net(EVENTS).sum().backward()
    assert net[0].weight.grad.any()
    assert torch.equal(net(EVENTS), expected)


def test_running_ahead_a_wrong_supposition_runs_the_step_again(monkeypatch):
    monkeypatch.setattr(waiting, "makes_wait", lambda device: True)
    x, steps, made = torch.ones(3), [], []

    def step():
        steps.append(True)
        return remembered(counted(made), [x], "ahead")

    assert [lb.run_ahead(step) for _ in range(2)] == [1, 1]
    assert len(steps) == 2
    x.data[0] = 3.0
    assert lb.run_ahead(step) == 2
    assert len(steps) == 4
