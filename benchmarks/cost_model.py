"""Claim: the cost model, fitted to all published Loihi 2 networks but one, predicts that one.

    python benchmarks/cost_model.py

JSON lines and tables: the published figures, those of the model fitted to all three networks, and
those of the model fitted to the other two; then the fitted parameters, which `cost.toml` holds; then how much the
left-out error depends on the workload, which is assumed. Nothing here is measured: all of it is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from _common import arguments, show
from lambent.hardware.loihi2.calibration import Point, fit, published_points
from lambent.hardware.loihi2.cost import Parameters, published

WORKLOADS: dict[str, dict[str, float]] = {
    "as assumed": {},
    "half the spikes": {"input_spikes": 0.5, "spikes_per_unit": 0.5},
    "twice the spikes per unit": {"spikes_per_unit": 2.0},
    "steps of 2 ms": {"steps": 0.5},
    "1.4 s": {"steps": 1.4},
}
FITTED = ("event_energy_scale", "step_energy", "step_time", "chip_power", "core_power")


def figures(point: Point, parameters: Parameters) -> dict[str, float]:
    """Energy and dynamic energy [mJ] and latency [ms] that the model gives."""
    cost = point.cost(parameters)
    return {"energy": cost.energy, "dynamic": cost.dynamic_energy, "latency": cost.latency}


def left_out(points: list[Point]) -> Iterable[tuple[Point, dict[str, float]]]:
    """Every network with its figures from a model that has not seen it."""
    for point in points:
        yield point, figures(point, fit([other for other in points if other is not point]))


def compare(points: list[Point]) -> list[dict[str, Any]]:
    """Published, fitted and predicted figures, network by network."""
    everything = fit(points)
    rows: list[dict[str, Any]] = []
    for point, predicted in left_out(points):
        fitted = figures(point, everything)
        for key, unit in (("energy", "mJ"), ("dynamic", "mJ"), ("latency", "ms")):
            given = point.figures[key]
            rows.append(
                {
                    "network": f"700-{point.figures['hidden']}-20, {point.mapping.n_cores} cores",
                    "figure": f"{key}, {unit}",
                    "published": given,
                    "model fitted to all": fitted[key],
                    "to the others": predicted[key],
                    "error of that": f"{100 * (predicted[key] / given - 1):+.1f} %",
                }
            )
    return rows


def sensitivity() -> list[dict[str, Any]]:
    """Largest left-out errors under other workloads."""
    rows = []
    for name, factors in WORKLOADS.items():
        work = dict(published()["workload"])
        for key, factor in factors.items():
            work[key] = round(work[key] * factor)
        found = list(left_out(published_points(work)))
        row: dict[str, Any] = {"workload": name}
        for key in ("energy", "dynamic", "latency"):
            worst = max(abs(predicted[key] / point.figures[key] - 1) for point, predicted in found)
            row[f"{key}, worst error"] = f"{100 * worst:.1f} %"
        rows.append(row)
    return rows


def main() -> None:
    """Compare and print."""
    arguments(__doc__).parse_args()  # with or without --smoke: all of it takes seconds
    points = published_points()
    parameters = fit(points)
    show("cost_model", compare(points))
    show("cost_model parameters", [{name: getattr(parameters, name) for name in FITTED}])
    show("cost_model workload", sensitivity())


if __name__ == "__main__":
    main()
