"""Running ahead of a device, on a CPU that poses as one."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.machine import waiting
from lambent.neurons.neuron import check_values


@pytest.fixture(autouse=True)
def device(monkeypatch):
    monkeypatch.setattr(waiting, "makes_wait", lambda device: True)


def number(x):
    return torch.tensor(x)


def test_judges_decide_whether_a_step_stands():
    tries, judged = [], []

    def step():
        tries.append(len(judged))
        for name in "ab":
            waiting.learn(number(7.0), lambda x, name=name: judged.append((name, x)) or len(tries) > 1)
        return len(tries)

    assert lb.run_ahead(step) == 2
    assert tries == [0, 1], "the first judge to object ends the first try"
    assert judged == [("a", 7.0), ("a", 7.0), ("b", 7.0)]


def test_without_a_step_nothing_is_put_off():
    judged = []
    waiting.learn(number(3), lambda x: judged.append(x) or True)
    assert judged == [3]
    with pytest.raises(ValueError, match="tau of unit 1 is -2"):
        waiting.expect(*check_values("tau", torch.tensor([1.0, -2.0])))


def goes_on_after_a_bad_value():
    """Whether a step that meets one, which is named in any case, goes on until its end."""
    reached = []

    def step():
        waiting.expect(*check_values("tau", torch.tensor([1.0, torch.nan])))
        reached.append(True)

    with pytest.raises(ValueError, match="tau of unit 1 is nan"):
        lb.run_ahead(step)
    return bool(reached)


def test_on_the_cpu_nothing_is_put_off(monkeypatch):
    monkeypatch.undo()
    assert not goes_on_after_a_bad_value()


def test_bad_values_are_named_in_the_end():
    assert goes_on_after_a_bad_value()
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 0 to 3"):
        lb.run_ahead(lambda: lb.losses.readout_cross_entropy(torch.randn(2, 3), torch.tensor([0, 3])))


def test_an_error_may_follow_from_a_wrong_supposition():
    tries = []

    def step(always=False):
        tries.append(True)
        waiting.learn(number(0), lambda x: len(tries) > 1)
        if always or len(tries) == 1:
            raise RuntimeError("of the step")
        return "done"

    assert lb.run_ahead(step) == "done"
    tries.clear()
    with pytest.raises(RuntimeError, match="of the step"):
        lb.run_ahead(lambda: step(always=True))
    assert len(tries) == 2


def test_a_step_within_a_step_is_part_of_it():
    tries = []

    def inner():
        waiting.learn(number(0), lambda x: len(tries) > 1)

    def outer():
        tries.append(True)
        lb.run_ahead(inner)
        return len(tries)

    assert lb.run_ahead(outer) == 2


def test_several_processes_wait(monkeypatch):
    monkeypatch.setattr(waiting, "_processes", lambda: 2)
    assert lb.run_ahead(lambda: waiting.running_ahead(torch.device("cuda"))) is False
    monkeypatch.undo()
    assert waiting._processes() == 1


def test_a_guess_is_what_it_was_last():
    guess, values = waiting.Guess(True), []

    def step(x):
        values.append(guess.of(number(x)))

    for x in (True, False, False, True):
        lb.run_ahead(lambda x=x: step(x))
    assert values == [True, True, False, False, False, True]
    assert guess.of(number(False)) is False


def test_readings_are_numbers():
    x = torch.tensor([1.5, 2.0], requires_grad=True)
    assert waiting.Reading(2 * x).tolist() == [3.0, 4.0]
