"""What units hold while time passes: voltages, currents and other states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lambent.plot.axes import DASHED, GREY, axes_or_new, ink, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UNITS = 10  # that are drawn unless told otherwise


def voltages(
    recording: Any,
    layer: int = -1,
    sample: int = 0,
    ax: Axes | None = None,
    *,
    state: str = "voltage",
    units: Sequence[int] | None = None,
    dt: float | None = None,
) -> Axes:
    """The course of a state of some units of one layer in one sample, a line for each unit.

    Args:
        recording: what `lambent.record` or a network on a chip returned, or an array (batch, units, steps) or
            (units, steps), of which then `layer`, and in the second case also `sample`, chooses nothing.
        layer: which layer; the last one where left out.
        sample: which sample of the batch.
        ax: where to draw; a new figure where left out.
        state: "voltage", "current" or whatever was recorded.
        units: which units; the first ten where left out.
        dt: length of a step [ms]; the recording's own where left out. Without either time is counted in steps.

    Raises:
        TypeError: there is no such thing as a recording or an array.
        ValueError: that state was not recorded, or the layer has no such state.
        IndexError: there is no such layer, sample or unit.

    Example:
        >>> lb.plot.voltages(torch.rand(2, 3, 50), sample=1).get_xlabel()
        'step'
    """
    x, own_dt = _array(recording, layer, state)
    if x.ndim == 3:
        x = x[_index("sample", sample, len(x))]
    if x.ndim != 2:
        raise ValueError(f"{state} must be (batch, units, steps) or (units, steps), got shape {x.shape}")
    if not len(x):
        raise ValueError(f"layer {layer} has no {state}")
    chosen = range(min(len(x), _UNITS)) if units is None else [_index("unit", u, len(x)) for u in units]
    dt = own_dt if dt is None else dt
    time = np.arange(1, x.shape[1] + 1) * (dt or 1.0)
    ax = axes_or_new(ax)
    for u in chosen:
        ax.plot(time, x[u], linewidth=1.2, label=f"unit {u}")
    ax.set(xlabel="step" if dt is None else "time [ms]", ylabel=state, xlim=(0, time[-1] if len(time) else None))
    ax.set_title(f"{len(chosen):,} of {len(x):,} units" if len(chosen) < len(x) else "")
    if 0 < len(chosen) <= _UNITS:
        ax.legend(fontsize="small", ncols=2)
    return ax


def _array(recording: Any, layer: int, state: str) -> tuple[np.ndarray, float | None]:
    """The states of a layer, and its step [ms] where known."""
    if isinstance(recording, Tensor):
        return recording.detach().cpu().numpy(), None
    if isinstance(recording, (np.ndarray, list)):
        return np.asarray(recording), None
    try:
        recorded = getattr(recording, state)
    except AttributeError as error:
        if not hasattr(recording, "spikes"):
            raise TypeError(
                f"recording must be a recording or an array (batch, units, steps), got {type(recording).__name__}"
            ) from None
        raise ValueError(str(error)) from None
    if not recorded:
        raise ValueError(f"{state} was not recorded")
    at = _index("layer", layer, len(recorded))
    dt = getattr(recording, "dt", None)
    return recorded[at], dt[at] if isinstance(dt, tuple) else dt


def _index(what: str, index: Any, n: int) -> int:
    """`index` from 0 on."""
    at = whole(what, index)
    if not -n <= at < n:
        raise IndexError(f"{what} {at} of {n}")
    return at % n


def class_traces(
    axes: Axes, time: np.ndarray, volts: np.ndarray, winner: int | None, true: int | None, color: Any
) -> None:
    """Voltages (steps, classes) of a readout, thin but for the winner's; those of the true class dashed."""
    for c in range(volts.shape[1]):
        if c not in (true, winner):
            axes.plot(time, volts[:, c], color=GREY, linewidth=0.6, alpha=0.55)
    if true not in (winner, None):
        axes.plot(time, volts[:, true], color=ink(), linewidth=1.4, linestyle=DASHED)
    if winner is not None:
        axes.plot(time, volts[:, winner], color=color, linewidth=1.8)
