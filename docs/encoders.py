"""Draw docs/encoders.png: every encoder on one value or signal. Run it from anywhere; it writes beside itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.signal import firwin

from lambent import Events, encode

VALUES = torch.linspace(0, 1, 9)[None]
STEPS, DT = 200, 0.5  # ms
KERNEL = torch.from_numpy(firwin(24, 0.08))
INK, UP, DOWN = "#3b4252", "#c2410c", "#1d4ed8"


def signal() -> torch.Tensor:
    """A smooth bump and a fast ripple, (1, 1, steps)."""
    t = torch.arange(STEPS) * DT
    smooth = torch.exp(-(((t - 35) / 14) ** 2)) + 0.5 * torch.exp(-(((t - 75) / 6) ** 2))
    return (0.05 + 0.75 * smooth)[None, None]


def raster(axes: Any, events: Events, title: str) -> None:
    """Spikes of an encoded row of values, one line per unit."""
    axes.eventplot(_trains(events), colors=INK, linewidths=1.0, linelengths=0.7)
    axes.set(title=title, xlim=(-1, events.duration), ylim=(-0.7, events.n_units - 0.3), xlabel="time [ms]")
    axes.set_yticks(
        [0, events.n_units - 1], ["0", "1"] if events.n_units == 9 else ["field 1", f"field {events.n_units}"]
    )


def trace(axes: Any, events: Events, title: str, back: torch.Tensor | None) -> None:
    """A signal, what its spikes decode to, and the spikes."""
    t = np.arange(STEPS) * DT
    axes.plot(t, signal()[0, 0], color="#9ca3af", linewidth=2.5)
    if back is not None:
        axes.step(t, back[0, 0], where="post", color=INK, linewidth=1)
    trains = _trains(events)
    colours = [UP, DOWN][: len(trains)]
    offsets = [-0.12, -0.28][: len(trains)]
    axes.eventplot(trains, colors=colours, lineoffsets=offsets, linelengths=0.12, linewidths=0.9)
    axes.set(title=title, xlim=(0, STEPS * DT), ylim=(-0.4, 0.95), xlabel="time [ms]", yticks=[0, 0.8])


def _trains(events: Events) -> list[np.ndarray]:
    return [events.times[events.units == u].numpy() for u in range(events.n_units)]


def main() -> None:
    """Write the figure."""
    style = {"font.size": 8, "axes.titlesize": 9, "axes.spines.top": False, "axes.spines.right": False,
              "figure.constrained_layout.use": True}  # fmt: skip
    s = signal()
    up_down = encode.delta(s, DT, 0.1)
    follows = encode.step_forward(s, DT, 0.04)
    window = encode.moving_window(s, DT, 0.06, 8)
    filtered = encode.bsa(s.double(), DT, KERNEL)
    generator = torch.Generator().manual_seed(0)
    with mpl.rc_context(style):
        figure, grid = plt.subplots(2, 5, figsize=(12, 4.6))
        rows = grid.ravel()
        raster(rows[0], encode.latency(VALUES, 60.0, 50.0), "latency")
        raster(rows[1], encode.rate(VALUES, 60.0, 250.0, generator=generator), "rate, Poisson")
        raster(rows[2], encode.rate(VALUES, 60.0, 250.0, regular=True), "rate, regular")
        raster(rows[3], encode.phase(VALUES, 60.0, bits=8, dt=3.0), "phase")
        raster(rows[4], encode.burst(VALUES, 60.0), "burst")
        raster(rows[5], encode.population(torch.tensor([[0.4]]), 60.0, 50.0, fields=8), "population, value 0.4")
        trace(rows[6], up_down, "delta", encode.decode_delta(up_down, DT, 0.1, s[..., 0]))
        trace(rows[7], follows, "step-forward", encode.decode_step_forward(follows, DT, 0.04, s[..., 0]))
        trace(rows[8], window, "moving window", None)
        trace(rows[9], filtered, "Ben's spiker", encode.decode_bsa(filtered, DT, KERNEL))
        grid[0, 0].set_ylabel("value")
        figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
