"""Fitting the cost model to published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from lambent.hardware.loihi2.cost import Cost, Parameters, default_parameters, estimate_cost, published
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.network import Loihi2Network, Recording
from lambent.hardware.loihi2.placement.mapping import Mapping, map_to_cores


class Point(NamedTuple):
    """A network of the published workload, what happens in it, and what it was measured to cost.

    Attributes:
        figures: hidden, energy and dynamic [mJ], latency [ms].
    """

    network: Loihi2Network
    run: Recording
    mapping: Mapping
    figures: dict[str, Any]

    def cost(self, parameters: Parameters) -> Cost:
        """What the model says it costs."""
        return estimate_cost(self.network, self.run, self.mapping, parameters=parameters)


def published_points(workload: dict[str, Any] | None = None) -> list[Point]:
    """The published networks with a workload, by default the one that `cost.toml` assumes, spikes drawn at random."""
    work = published()["workload"] if workload is None else workload
    return [_point(figures, work) for figures in published()["published"]["loihi2"]]


def _point(figures: dict[str, Any], work: dict[str, Any]) -> Point:
    rng = np.random.default_rng(0)
    n_in, hidden, n_out, steps = 700, figures["hidden"], 20, work["steps"]

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape)

    layers = [
        Loihi2Layer("layer/1", "dense_rec", weights(hidden, n_in), weights(hidden, hidden)),
        Loihi2Layer("layer/2", "dense", weights(n_out, hidden)),
    ]
    network = Loihi2Network(n_in, layers)
    step, unit = (rng.random((steps, n_in)) < work["input_spikes"] / (steps * n_in)).nonzero()
    inputs = (np.searchsorted(step, np.arange(steps + 1)), unit)
    spikes = (rng.random((1, hidden, steps)) < work["spikes_per_unit"] / steps).astype(np.int8)
    run = Recording(spikes=(spikes, np.zeros((1, n_out, steps), np.int8)), inputs=(inputs,))
    return Point(network, run, map_to_cores(network), figures)


def fit(points: Sequence[Point]) -> Parameters:
    """The fitted parameters that come closest to `points` in relative least squares, the others as published.

    Dynamic energy gives `step_energy` and `event_energy_scale`, static power `chip_power` and `core_power`,
    latency `step_time`; none may be negative.
    """
    bare = replace(default_parameters(), event_energy_scale=1.0, step_energy=0.0, step_time=0.0)
    costs = [point.cost(bare) for point in points]
    energy, dynamic, latency = (np.array([p.figures[k] for p in points]) for k in ("energy", "dynamic", "latency"))
    steps = np.array([c.counts.steps for c in costs], float)
    events = np.array([c.dynamic_energy for c in costs])
    step_energy, scale = _relative([1e-6 * steps, events], dynamic)
    cores = np.array([c.counts.cores for c in costs], float)
    chip, core = _relative([np.ones(len(points)), cores], 1e3 * (energy - dynamic) / latency)
    busy = np.array([c.latency for c in costs])
    (step_time,) = nnls((1e-6 * steps / latency)[:, None], 1 - busy / latency)[0]
    return replace(
        bare,
        event_energy_scale=float(scale),
        step_energy=float(step_energy),
        step_time=float(step_time),
        chip_power=float(chip),
        core_power=float(core),
    )


def _relative(columns: Sequence[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    return nnls(np.stack(columns, 1) / wanted[:, None], np.ones(len(wanted)))[0]
