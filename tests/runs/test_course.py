"""What a network answers while it hears is what it answers to samples that end there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import lambent as lb
from lambent.layers.readout import REDUCTIONS
from lambent.runs.course import CourseNotes, so_far
from lambent.runs.evaluate import evaluate


@pytest.mark.parametrize("reduce", [name for name in REDUCTIONS if name != "none"])
def test_at_each_step_as_if_the_rest_were_silent(reduce):
    voltages = torch.randn(4, 30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = so_far(voltages, reduce)
    weight = torch.exp(-torch.arange(30) / 30).double()[:, None] if reduce == "exp_mean" else 1.0
    for n in (1, 7, 30):
        part = (voltages * weight)[:, :n]
        wanted = {"last": part[:, -1], "max": part.amax(1)}.get(reduce, part.sum(1))
        assert torch.allclose(scores[:, n - 1], wanted)


@pytest.mark.parametrize("reduce", [name for name in REDUCTIONS if name != "none"])
def test_at_the_end_it_is_the_answer(reduce):
    torch.manual_seed(0)
    data = lb.data.yin_yang(130, seed=0)
    model = nn.Sequential(lb.LIF(5, 12, dt=2.0), lb.LIReadout(12, 3, reduce=reduce, dt=2.0)).eval()
    evaluation = evaluate(model, data, "test")
    course = evaluation.course
    assert np.array_equal(np.sort(course.samples), np.arange(130))
    assert course.times[-1] == 30 * 2.0
    assert (np.diff(course.times) == 2.0).all()
    assert np.array_equal(course.answers[:, -1], evaluation.predictions("float")[course.samples])


def test_of_many_samples_some_are_listened_to():
    data = lb.data.yin_yang(700, seed=0)
    model = nn.Sequential(lb.LIF(5, 4), lb.LIReadout(4, 3)).eval()
    evaluation = evaluate(model, data, "test")
    course = evaluation.course
    assert course.answers.shape == (300, 50)
    assert (np.diff(course.samples) > 0).all()
    assert np.array_equal(course.answers[:, -1], evaluation.predictions("float")[course.samples])


def test_without_steps_there_is_nothing_to_listen_to():
    data = lb.data.yin_yang(3, seed=0)
    model = nn.Sequential(lb.LIF(5, 4, dt=None), lb.LIReadout(4, 3, dt=None))
    notes = CourseNotes(model, 3)
    notes.take([], data.batch(range(3))[0])
    assert notes.course() is None


def test_behind_a_pool():
    """Which does not count as a hidden layer, as it has no parameters."""
    torch.manual_seed(0)
    data = lb.data.yin_yang(40, seed=0)
    pool = lb.Spiking(lb.neurons.LIF(), lb.connections.SumPool2d((1, 4, 4), 2))
    model = nn.Sequential(lb.LIF(5, 16), pool, lb.LIReadout(4, 3)).eval()
    course, own = evaluate(model, data, "test").course, model(data.batch(range(40))[0]).argmax(1)
    assert np.array_equal(course.answers[:, -1], own[course.samples])
