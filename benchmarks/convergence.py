"""Claim: the grid's gradients converge to the exact ones, and at 1 ms are closer to them than GeNN's formula.

Three recurrent layers of LIF units with about 10 spikes each, a readout and cross-entropy; the gradient of all weights
on a grid against the exact engine's, for several random networks: spikes, relative error and cosine, medians. "GeNN"
is the same grid with the spike's jump of mlGeNN (Knight & Nowotny 2023): slope from I and V at the end of the step, and
the targets' adjoint one step after the arrival.

    python benchmarks/convergence.py [--networks 5] [--figure convergence.svg]
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

import lambent as lb
from _common import show
from lambent.engines import reference
from lambent.neurons.lif import LIFNeuron, Synapses
from lambent.training import calibrate

STEPS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.02)
GENN_STEPS = (2.0, 1.0, 0.5, 0.25)  # its dense reference is slow
INPUTS, HIDDEN, CLASSES, BATCH, DURATION, SPIKES = 40, 32, 5, 8, 200.0, 10.0


def network(seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    layers = [lb.LIF(n, HIDDEN, recurrent=True, min_slope=0.1) for n in (INPUTS, HIDDEN, HIDDEN)]
    model = torch.nn.Sequential(*layers, lb.LIReadout(HIDDEN, CLASSES, reduce="mean")).double()
    calibrate(model, inputs(seed), SPIKES)
    return model


def inputs(seed: int) -> lb.Events:
    g = torch.Generator().manual_seed(seed)
    times = torch.sort(torch.rand(BATCH, 400, generator=g, dtype=torch.float64) * DURATION * 0.9, 1).values
    units = torch.randint(0, INPUTS, (BATCH * 400,), generator=g)
    return lb.Events(times.flatten(), units, torch.arange(BATCH + 1) * 400, INPUTS, DURATION)


def gradient(model: torch.nn.Sequential, events: lb.Events, dt: float | None, engine: Any = None) -> tuple[Tensor, int]:
    """Gradient of all weights, and the number of spikes."""
    model, x, spikes = copy.deepcopy(model), events, 0
    for layer in model[:-1]:
        layer.dt = dt
        if engine is None:
            x = layer(x)
        else:
            neuron = LIFNeuron(layer.tau_mem, layer.tau_syn, layer.threshold, layer.reset, layer.min_slope)
            x = engine.lif(x, neuron, Synapses(layer.weight), Synapses(layer.recurrent_weight), dt)
        spikes += len(x.times)
    model[-1].dt = dt
    labels = torch.arange(BATCH) % CLASSES
    lb.losses.readout_cross_entropy(model[-1](x), labels, scale=30.0).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), spikes


class _GennSpike(reference._Spike):
    """The spike of the reference with the slope at the end of the step."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, i: Tensor, neuron: LIFNeuron) -> tuple[Tensor, Tensor, Tensor]:
        return reference_spike.forward(ctx, v, i * torch.exp(-_GennSpike.dt / neuron.tau_syn.detach()), neuron)

    backward = staticmethod(reference._Spike.backward)
    dt = 1.0


reference_spike, reference_deliver = reference._Spike, reference._deliver


def _genn_deliver(
    current: Any, voltage: Any, n: int, spikes: Tensor, shift: Tensor, synapses: Synapses, *taus: Any
) -> None:
    """Delivery of the reference, but what moves with the spike's time enters I one step after the arrival."""
    reference_deliver(current, voltage, n, spikes, torch.zeros_like(shift), synapses, *taus)
    moved, (tau_mem, tau_syn, _) = shift @ synapses.weight, taus
    if n + 2 < len(current):
        current[n + 2] = current[n + 2] + moved / tau_syn
        voltage[n + 1] = voltage[n + 1] - moved / tau_mem


@contextmanager
def genn(dt: float) -> Iterator[Any]:
    """The reference engine with GeNN's jump."""
    _GennSpike.dt = dt
    reference._Spike, reference._deliver = _GennSpike, _genn_deliver  # type: ignore[misc]
    try:
        yield reference
    finally:
        reference._Spike, reference._deliver = reference_spike, reference_deliver  # type: ignore[misc]


def compare(found: tuple[Tensor, int], exact: tuple[Tensor, int]) -> tuple[float, float, float]:
    """Spikes relative to the exact engine's, relative error, cosine."""
    (a, n), (b, m) = found, exact
    return n / m, float((a - b).norm() / b.norm()), float(torch.cosine_similarity(a, b, dim=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    cases: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for seed in range(args.networks):
        model, events = network(seed), inputs(seed)
        exact = gradient(model, events, None)
        for dt in STEPS:
            cases.setdefault(("lambent", dt), []).append(compare(gradient(model, events, dt), exact))
        for dt in GENN_STEPS:
            with genn(dt) as engine:
                cases.setdefault(("GeNN", dt), []).append(compare(gradient(model, events, dt, engine), exact))
    rows = []
    for (name, dt), values in cases.items():
        spikes, error, cosine = (statistics.median(x) for x in zip(*values, strict=True))
        rows.append({"jump": name, "dt [ms]": dt, "spikes / exact": spikes, "relative error": error, "cosine": cosine})
    show("convergence", rows)
    if args.figure:
        draw(rows, args.figure)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for name in ("lambent", "GeNN"):
        mine = [r for r in rows if r["jump"] == name]
        dt = [r["dt [ms]"] for r in mine]
        axes[0].loglog(dt, [r["relative error"] for r in mine], "o-", label=name)
        axes[1].semilogx(dt, [r["cosine"] for r in mine], "o-", label=name)
    dt = list(STEPS)
    last = next(r["relative error"] for r in rows if r["dt [ms]"] == min(STEPS))
    axes[0].loglog(dt, [last * x / min(STEPS) for x in dt], "k:", label="first order")
    for axis, label in zip(axes, ("relative error of the gradient", "cosine to the exact gradient"), strict=True):
        axis.set_xlabel("dt [ms]")
        axis.set_ylabel(label)
        axis.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
