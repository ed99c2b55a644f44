"""Every picture shows what it was given, on axes given or new, and refuses what it cannot draw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes

import lambent as lb
from lambent.plot.curves import KEYS

EVENTS = lb.Events.from_lists([[1.0, 2.5, 9.0], []], [[0, 3, 1], []], n_units=4, duration=10.0)


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).draw_without_rendering()  # whatever was drawn can be laid out
    pyplot.close("all")


def model(**readout: object) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(lb.LIF(4, 6, recurrent=True, delay=2.0), lb.LIReadout(6, 3, **readout))


# -- spikes -------------------------------------------------------------------------------------------


def test_raster() -> None:
    axes = lb.plot.raster(EVENTS)
    assert axes.collections[0].get_offsets().tolist() == [[1.0, 0.0], [2.5, 3.0], [9.0, 1.0]]
    assert axes.get_xlim() == (0, 10)
    assert axes.get_title() == "3 spikes of 4 units"
    assert EVENTS.plot(-1).get_title() == "0 spikes of 4 units"


def test_axes_that_are_given_are_used_and_nothing_else_changes() -> None:
    figure, (left, right) = pyplot.subplots(1, 2)
    pyplot.sca(right)
    assert lb.plot.raster(EVENTS, ax=left) is left
    assert lb.plot.weights(model()[0], left) is left
    assert pyplot.get_fignums() == [figure.number]
    assert pyplot.gca() is right


def test_many_spikes_are_an_image() -> None:
    many = lb.Events.from_dense((torch.rand(1, 1000, 3000) < 0.02).int(), 1.0)
    assert many.plot().collections[0].get_rasterized()
    assert not EVENTS.plot().collections[0].get_rasterized()


def test_spikes_with_gradients_of_any_type() -> None:
    times = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    events = lb.Events(times, torch.tensor([0, 1]), torch.tensor([0, 2]), 2, 5.0)
    assert len(events.plot().collections[0].get_offsets()) == 2


def test_animation_shows_the_spikes_so_far() -> None:
    animation = lb.plot.animate(EVENTS, seconds=1.0, fps=10)
    axes = animation._fig.axes[0]
    shown = []
    for frame in range(10):
        animation._func(frame)
        shown.append(len(axes.collections[0].get_offsets()))
    assert shown == [0, 1, 2, 2, 2, 2, 2, 2, 2, 3]
    assert "<script" in animation.to_jshtml()


def test_animation_of_nothing() -> None:
    lb.plot.animate(EVENTS, 1, seconds=0.2, fps=10).to_jshtml()


# -- states and layers --------------------------------------------------------------------------------


def test_voltages_of_a_recording_and_of_a_chip() -> None:
    run = lb.record(model(), EVENTS)
    axes = lb.plot.voltages(run)
    assert len(axes.lines) == 3
    assert axes.get_xlabel() == "time [ms]"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), run.voltage[1][0, 1])
    axes = lb.plot.voltages(run, 0, 1, state="current", units=[5, -1])
    assert axes.get_ylabel() == "current"
    assert axes.get_title() == "2 of 6 units"

    network = lb.hardware.loihi2.load_netx(_netx())
    axes = lb.plot.voltages(network.run(EVENTS), 0)
    assert axes.get_xlabel() == "step"
    assert lb.plot.voltages(network.run(EVENTS), dt=0.5).get_xlim() == (0, 5)


def _netx() -> str:
    lb.hardware.loihi2.export_netx(model(), "model.net", 8, calibration=EVENTS)
    return "model.net"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_voltages_of_arrays() -> None:
    assert len(lb.plot.voltages(np.zeros((2, 30, 50))).lines) == 10
    assert len(lb.plot.voltages(torch.zeros(7, 50)).lines) == 7
    assert not lb.plot.voltages(np.zeros((7, 50)), units=[]).lines
    lb.plot.voltages(np.zeros((7, 0)))


def test_layers() -> None:
    panels = lb.plot.layers(model(), EVENTS, torch.tensor(0), true=torch.tensor(2))
    assert [type(panel) for panel in panels] == [Axes] * 3
    assert all(panel.get_xlim() == (0, 10) for panel in panels)
    assert _texts(panels[0]) == ["input", "4 units", "3 spikes"]
    assert _texts(panels[1])[:2] == ["0: LIF", "6 units"]
    winner = int(model()(EVENTS)[0].argmax())
    assert _texts(panels[2]) == ["1: LIReadout", f"answer: {winner}", "true: 2"]
    assert len(panels[2].lines) == 3
    assert len(lb.plot.layers(model(), EVENTS, 1)) == 3  # a sample without spikes


def _texts(axes: Axes) -> list[str]:
    return [x.get_text() for x in axes.texts if x.get_text()]


def test_layers_of_models_that_do_not_end_in_voltages() -> None:
    torch.manual_seed(0)
    continuous = torch.nn.Sequential(lb.LIF(4, 6, dt=None), lb.LIReadout(6, 3, dt=None))
    panels = lb.plot.layers(continuous, EVENTS)
    assert _texts(panels[2])[0] == "scores"
    assert len(panels[2].patches) == 3
    assert len(lb.plot.layers(lb.LIF(4, 6), EVENTS)) == 2  # spikes come out
    assert _texts(lb.plot.layers(model(reduce="none"), EVENTS)[2]) == ["1: LIReadout", "voltages"]
    assert len(lb.plot.layers(lb.LIReadout(4, 2), EVENTS)) == 2


def test_layers_on_axes_that_are_given() -> None:
    _, axes = pyplot.subplots(3, 1)
    assert list(lb.plot.layers(model(), EVENTS, axes=axes)) == list(axes)
    with pytest.raises(ValueError, match=r"axes: 3 are needed \(input, 0: LIF, 1: LIReadout\), got 2"):
        lb.plot.layers(model(), EVENTS, axes=axes[:2])


# -- connections and curves ---------------------------------------------------------------------------


def test_weights_and_delays_of_every_kind() -> None:
    legend = lb.plot.weights(model()[0]).get_legend().get_texts()
    assert [x.get_text() for x in legend] == ["24 from the inputs", "36 recurrent"]
    assert lb.plot.weights(lb.connections.Sparse(4, 3, indices=[[0], [1]])).get_xlabel() == "weight"
    axes = lb.plot.delays(model()[0])
    heights, edges, _ = axes.patches[0].get_data()
    assert heights.tolist() == [0, 0, 24]
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5]
    assert lb.plot.delays(lb.LIF(4, 6, delay=0.0, dt=None)).get_xlabel() == "delay [ms]"
    nothing = lb.connections.Sparse(4, 3, indices=torch.zeros(2, 0, dtype=torch.int64))
    assert lb.plot.weights(nothing).get_legend().get_texts()[0].get_text() == "0 connections"


def test_weights_that_diverged() -> None:
    layer = lb.LIF(4, 6)
    with torch.no_grad():
        layer.weight[0, :2] = float("nan")
        layer.weight[1, 0] = float("inf")
    assert lb.plot.weights(layer).get_legend().get_texts()[0].get_text() == "24 from the inputs, 3 not finite"


HISTORY = [
    {"epoch": n, "loss": 1 / n, "val_loss": 1.1 / n, "accuracy": 0.5, "val_accuracy": 0.4, "silent": 0.1, "lr": 0.1}
    for n in range(1, 6)
]


def test_learning() -> None:
    panels = lb.plot.learning(HISTORY)
    assert [x.get_title() for x in panels] == ["Loss", "Accuracy", "Activity"]
    assert [x.get_label() for x in panels[0].lines] == ["training", "validation"]
    lists = {key: [epoch[key] for epoch in HISTORY] for key in HISTORY[0]}
    again = lb.plot.learning(lists)
    np.testing.assert_array_equal(again[0].lines[1].get_ydata(), panels[0].lines[1].get_ydata())
    only = lb.plot.learning([{"loss": 1.0}, {"loss": float("nan")}, {}])
    assert len(only) == 1
    _, ax = pyplot.subplots()
    assert lb.plot.learning({"loss": [1.0, 0.5]}, [ax])[0] is ax


def test_history_that_is_none() -> None:
    with pytest.raises(ValueError, match="history has no epochs"):
        lb.plot.learning([])
    with pytest.raises(ValueError, match=f"nothing to draw: {', '.join(KEYS)} are missing"):
        lb.plot.learning([{"lr": 0.1}])
    with pytest.raises(ValueError, match=r"lists of unequal length: {'loss': 2, 'accuracy': 1}"):
        lb.plot.learning({"loss": [1.0, 0.5], "accuracy": [0.1]})
    with pytest.raises(TypeError, match="a mapping for each epoch, or a mapping of lists"):
        lb.plot.learning([0.5, 0.4])
    with pytest.raises(TypeError, match="'loss' must be a list of one number for each epoch"):
        lb.plot.learning({"loss": 0.5})


# -- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "error", "says"),
    [
        (lambda: lb.plot.raster(EVENTS, 2), IndexError, "sample 2 of a batch of 2"),
        (lambda: lb.plot.raster(EVENTS, 0.5), TypeError, "sample must be a whole number, got 0.5"),
        (lambda: lb.plot.raster(EVENTS, [0, 1]), TypeError, "sample must be a whole number"),
        (lambda: lb.plot.raster(torch.zeros(3)), TypeError, "events must be lambent.Events, got Tensor"),
        (lambda: lb.plot.raster(EVENTS, ax="here"), TypeError, "ax must be matplotlib axes, got str"),
        (lambda: lb.plot.raster(EVENTS[[]]), IndexError, "sample 0 of a batch of 0"),
        (lambda: lb.plot.animate(EVENTS, seconds=0), ValueError, "seconds must be positive, got 0"),
        (lambda: lb.plot.animate(EVENTS, seconds=0.01), ValueError, "less than one picture"),
        (lambda: lb.plot.voltages(3), TypeError, "recording must be a recording or an array"),
        (lambda: lb.plot.voltages(np.zeros(4)), ValueError, r"must be \(batch, units, steps\)"),
        (lambda: lb.plot.voltages(np.zeros((2, 3, 4)), sample=2), IndexError, "sample 2 of 2"),
        (lambda: lb.plot.voltages(np.zeros((3, 4)), units=[3]), IndexError, "unit 3 of 3"),
        (lambda: lb.plot.voltages(lb.record(model(), EVENTS, "spikes")), ValueError, "voltage was not recorded"),
        (lambda: lb.plot.voltages(lb.hardware.loihi2.Recording()), ValueError, "voltage was not recorded"),
        (lambda: lb.plot.voltages(lb.record(model(), EVENTS), 2), IndexError, "layer 2 of 2"),
        (lambda: lb.plot.layers(torch.nn.Linear(2, 2), EVENTS), ValueError, "no spiking layer and no readout"),
        (lambda: lb.plot.layers(model(), EVENTS, true=3), ValueError, "a class that the model scores, got 3"),
        (lambda: lb.plot.layers(model(), EVENTS, 5), IndexError, "sample 5 of a batch of 2"),
        (lambda: lb.plot.weights(model()), TypeError, r"such as model\[0\], or connections, got Sequential"),
        (lambda: lb.plot.delays(model()[1]), ValueError, "the connections have no delays"),
    ],
)
def test_refusals(draw, error, says) -> None:
    with pytest.raises(error, match=says):
        draw()
    assert pyplot.get_fignums() == []
