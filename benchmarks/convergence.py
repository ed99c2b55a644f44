"""Claim: the grid's gradients converge to the exact ones, and at 1 ms are closer to them than GeNN's formula.

Recurrent layers of LIF units, a readout and cross-entropy; the gradient of all weights on a grid against the exact
engine's, for several random networks: spikes, relative error and cosine, medians. "deep" is three layers with about 10
spikes a unit; slopes before spikes are bounded alike everywhere (min_slope 0.1). "steep" is one layer with about 2, of
which none grazes the threshold (dV/dt below 0.3 threshold / tau_mem; other networks are drawn again): it shows the
order of convergence, which grazing spikes blur. "GeNN" is the same grid with the spike's jump of mlGeNN (Knight &
Nowotny 2023): slope from I and V at the end of the step, and the targets' adjoint one step after the arrival.

    python benchmarks/convergence.py [--networks 9] [--figure convergence.svg]
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import lambent as lb
from _common import arguments, show
from lambent import calibrate
from lambent.engines import engine_for
from lambent.neurons.arithmetic import maximum
from lambent.neurons.lif import LIF, LIFUnits

STEPS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.02, 0.005)
GENN_STEPS = (2.0, 1.0, 0.5, 0.25)
INPUTS, CLASSES, DURATION = 40, 5, 200.0


class Case(NamedTuple):
    """A kind of network: layers of so many units, batch, spikes a unit."""

    name: str
    layers: int
    units: int
    batch: int
    spikes: float


DEEP, STEEP = Case("deep", 3, 32, 4, 10.0), Case("steep", 1, 8, 1, 2.0)


def networks(case: Case, number: int) -> Iterator[tuple[torch.nn.Sequential, lb.Events]]:
    """So many networks of a kind, with inputs."""
    for seed in count():
        events, model = inputs(case, seed), network(case, seed)
        if case is STEEP:
            bounded = copy.deepcopy(model)
            bounded[0] = lb.LIF(INPUTS, case.units, recurrent=True, min_slope=0.3).double()
            bounded[0].load_state_dict(model[0].state_dict())
            if not torch.equal(gradient(bounded, events, None)[0], gradient(model, events, None)[0]):
                continue  # some spike is slower than that
        yield model, events
        number -= 1
        if not number:
            return


def network(case: Case, seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    sizes = [INPUTS, *[case.units] * (case.layers - 1)]
    hidden = [lb.LIF(n, case.units, recurrent=True, min_slope=0.1) for n in sizes]
    model = torch.nn.Sequential(*hidden, lb.LIReadout(case.units, CLASSES, reduce="mean")).double()
    calibrate(model, inputs(case, seed), case.spikes)
    return model


def inputs(case: Case, seed: int) -> lb.Events:
    g = torch.Generator().manual_seed(seed)
    times = torch.sort(torch.rand(case.batch, 400, generator=g, dtype=torch.float64) * DURATION * 0.9, 1).values
    units = torch.randint(0, INPUTS, (case.batch * 400,), generator=g)
    return lb.Events(times.flatten(), units, torch.arange(case.batch + 1) * 400, INPUTS, DURATION)


def gradient(
    model: torch.nn.Sequential, events: lb.Events, dt: float | None, kind: type[LIF] = LIF
) -> tuple[Tensor, int]:
    """Gradient of all weights, and the number of spikes; `kind` of neurons the hidden layers have."""
    model, x, spikes = copy.deepcopy(model), events, 0
    for layer in model[:-1]:
        own = layer.neuron
        neuron = kind(own.tau_mem, own.tau_syn, own.threshold, min_slope=own.min_slope)
        engine = engine_for(events.device, dt)
        x = engine.spikes(x, neuron, layer.connections, layer.recurrent, dt)
        spikes += len(x.times)
    model[-1].dt = dt
    labels = torch.arange(len(events)) % CLASSES
    lb.losses.readout_cross_entropy(model[-1](x), labels, scale=30.0).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), spikes


class GennUnits(LIFUnits):
    """LIF units with the adjoint of mlGeNN's kernels."""

    @staticmethod
    def marks(x, p):  # type: ignore[no-untyped-def]
        """The slope at the end of the step."""
        return (maximum((p.alpha_syn * x[0] - x[1]) / p.tau_mem, p.least),)

    @staticmethod
    def drift(arriving, a, p):  # type: ignore[no-untyped-def]
        """What moves with the spike's time enters I one step after the arrival."""
        return a[0] / p.alpha_syn * p.rate_syn - a[1] * p.rate_mem


class Genn(LIF):
    """LIF with these units."""

    def on_grid(self, dt: float, dtype: torch.dtype) -> GennUnits:
        return GennUnits(*super().on_grid(dt, dtype))


def compare(found: tuple[Tensor, int], exact: tuple[Tensor, int]) -> tuple[float, float, float]:
    """Spikes relative to the exact engine's, relative error, cosine."""
    (a, n), (b, m) = found, exact
    return n / m, float((a - b).norm() / b.norm()), float(torch.cosine_similarity(a, b, dim=0))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--networks", type=int, default=9)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    deep, steps, genn_steps = DEEP, STEPS, GENN_STEPS
    if args.smoke:
        deep, steps, genn_steps, args.networks = DEEP._replace(layers=2, units=8, batch=1), (2.0, 1.0), (2.0,), 1
    cases: dict[tuple[str, str, float], list[tuple[float, float, float]]] = {}
    for case in (deep, STEEP):
        for model, events in networks(case, args.networks):
            exact = gradient(model, events, None)
            for dt in steps:
                cases.setdefault((case.name, "lambent", dt), []).append(compare(gradient(model, events, dt), exact))
            for dt in genn_steps:
                found = gradient(model, events, dt, Genn)
                cases.setdefault((case.name, "GeNN", dt), []).append(compare(found, exact))
    rows = []
    for (name, jump, dt), values in cases.items():
        spikes, error, cosine = (statistics.median(x) for x in zip(*values, strict=True))
        row = {"network": name, "jump": jump, "dt [ms]": dt}
        rows.append(row | {"spikes / exact": spikes, "relative error": error, "cosine": cosine})
    show("convergence", rows)
    if args.figure:
        draw(rows, args.figure)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for name in ("deep", "steep"):
        for jump, style in (("lambent", "o-"), ("GeNN", "x--")):
            mine = [r for r in rows if r["jump"] == jump and r["network"] == name]
            dt = [r["dt [ms]"] for r in mine]
            axes[0].loglog(dt, [r["relative error"] for r in mine], style, label=f"{jump}, {name}")
            axes[1].semilogx(dt, [r["cosine"] for r in mine], style, label=f"{jump}, {name}")
    last = next(r["relative error"] for r in rows if r["network"] == "steep" and r["dt [ms]"] == min(STEPS))
    axes[0].loglog(STEPS, [last * x / min(STEPS) for x in STEPS], "k:", label="first order")
    for axis, label in zip(axes, ("relative error of the gradient", "cosine to the exact gradient"), strict=True):
        axis.set_xlabel("dt [ms]")
        axis.set_ylabel(label)
        axis.legend(fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
