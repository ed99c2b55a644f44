"""One sample on its way through a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lambent.events import Events
from lambent.layers.readout import LIReadout
from lambent.layers.recording import Call, run_layers
from lambent.machine.showing import counted
from lambent.plot.axes import BLUE, GREY, label, note, one_sample, several_axes, spikes_of, whole
from lambent.plot.spikes import dots
from lambent.plot.states import class_traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 7.2, 1.05  # inch, of a panel


def layers(
    model: nn.Module, events: Events, sample: int = 0, axes: Sequence[Axes] | None = None, *, true: int | None = None
) -> np.ndarray:
    """One sample in all layers of a model: the spikes that go in, those of every layer, and the answer.

    The answer is the course of the readout's voltages, the winner's in colour and that of the true class dashed; of
    models that end in something else, or in continuous time, the scores.

    Args:
        model: any module with spiking layers or readouts.
        events: a batch.
        sample: which of it.
        axes: one for each panel; a new figure where left out.
        true: the class that the sample is of, if known.

    Returns:
        The axes, one for each panel from top to bottom.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the model has no layers or no such class, or there are more or fewer axes than panels.
        IndexError: there is no such sample.

    Example:
        >>> model = torch.nn.Sequential(lb.LIF(3, 8), lb.LIReadout(8, 2))
        >>> events = lb.Events.from_lists([[1.0, 2.0]], [[0, 2]], n_units=3, duration=20.0)
        >>> len(lb.plot.layers(model, events))
        3
    """
    chosen = one_sample(events, sample)
    with torch.no_grad():
        output, calls = run_layers(model, chosen)
    trains = [("input", chosen), *((_title(call), call.out) for call in calls if isinstance(call.out, Events))]
    scores = _scores(output)
    winner = None if scores is None else int(scores.argmax())
    if true is not None:
        true = whole("true", true)
        if scores is None or true not in range(len(scores)):
            raise ValueError(f"true must be a class that the model scores, got {true}")
    readouts = [(call, x) for call in calls if isinstance(x := call.layer, LIReadout) and x.dt is not None]
    shown = None if readouts else scores
    names = [*(name for name, _ in trains), *(_title(call) for call, _ in readouts), *["scores"] * (shown is not None)]

    def new() -> Any:
        from matplotlib import pyplot

        size = (_WIDTH, _HEIGHT * len(names) + 0.5)
        return pyplot.subplots(len(names), 1, figsize=size, layout="constrained", squeeze=False)[1]

    found = several_axes(axes, new, names)
    right = "" if true is None else f"true: {true}"
    for ax, (name, train) in zip(found, trains, strict=False):
        dots(ax, *spikes_of(train), train.n_units, BLUE)
        _panel(ax, name, counted(train.n_units, "unit"), counted(len(train.times), "spike"))
    for ax, (call, readout) in zip(found[len(trains) :], readouts, strict=False):
        volts = readout.voltages(call.events)[0].detach().cpu().numpy()
        # of the last readout the model's answer is known, if that is what it returned
        own = winner if call is readouts[-1][0] and scores is not None and len(scores) == volts.shape[1] else None
        time = np.arange(1, len(volts) + 1) * float(readout.dt or 0.0)
        class_traces(ax, time, volts, own, true if true is not None and true < volts.shape[1] else None, BLUE)
        _panel(ax, _title(call), "voltages" if own is None else f"answer: {own}", right)
    timed = found[: len(trains) + len(readouts)]
    for ax in timed:
        ax.set_xlim(0, chosen.duration)
        ax.tick_params(labelbottom=ax is timed[-1])
    timed[-1].set_xlabel("time [ms]")
    if shown is not None:
        _draw_scores(found[-1], shown, winner)
        _panel(found[-1], "scores", f"answer: {winner}", right)
    return found


def _title(call: Call) -> str:
    kind = type(call.layer).__name__
    return kind if call.name == kind else f"{call.name}: {kind}"


def _scores(output: Any) -> np.ndarray | None:
    """(classes,) what a model answers to one sample, if that is what it returned."""
    if isinstance(output, Tensor) and output.ndim == 2 and output.shape[1]:
        return output[0].detach().cpu().double().numpy()
    return None


def _panel(ax: Axes, name: str, first: str, second: str) -> None:
    ax.set_yticks([])
    label(ax, name)
    note(ax, first, second)


def _draw_scores(ax: Axes, scores: np.ndarray, winner: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.bar(np.arange(len(scores)), scores, color=[BLUE if c == winner else GREY for c in range(len(scores))])
    ax.set_xlabel("output")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
