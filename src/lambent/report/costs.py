"""Energy and latency of the network beside those of other systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from lambent.report import _checks as check
from lambent.report import svg, words

COLOURS = {"modelled": svg.CHIP, "measured": svg.FLOAT, "published": svg.MUTED}
"""What a figure rests on."""
_ROOM = 12.0  # of an axis to the right of the longest bar, as a factor, for the numbers


@dataclass(frozen=True)
class CostFigure:
    """What one sample costs on one system.

    Args:
        name: of network and system, as the page calls them.
        basis: "modelled", "measured" or "published".
        latency: of one batch [ms].
        energy: of one sample [mJ], or None.
        batch: samples at once.

    Raises:
        TypeError, ValueError: naming the figure and the field at fault.
    """

    name: str
    basis: str
    latency: float
    energy: float | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        check.text("CostFigure.name", self.name)
        where = f"cost of {self.name!r}"
        if self.basis not in COLOURS:
            raise ValueError(f"{where}: basis must be one of {', '.join(COLOURS)}, got {self.basis!r}")
        check.positive(f"{where}: latency", self.latency)
        if self.energy is not None:
            check.positive(f"{where}: energy", self.energy)
        check.count(f"{where}: batch", self.batch, at_least=1)

    @property
    def energy_delay_product(self) -> float | None:
        """Energy of a sample times latency [uJ s]."""
        return None if self.energy is None else self.energy * self.latency

    @property
    def label(self) -> str:
        """The name with the batch, where it is not 1."""
        return self.name if self.batch == 1 else f"{self.name}, batch {self.batch}"


@svg.style()
def draw(costs: Sequence[CostFigure]) -> str:
    """Two panels of bars, energy and latency, as one SVG element; ratios are to the first figure."""
    figure = Figure(figsize=(10.4, 1.1 + 0.3 * len(costs)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, unit, title in zip(
        panels, ("energy", "latency"), ("mJ", "ms"), ("Energy per sample", "Latency"), strict=True
    ):
        values = [getattr(cost, key) for cost in costs]
        known = [value for value in values if value is not None]
        low = min(known, default=1.0) / 3
        axes.set_xscale("log")
        axes.set_xlim(low, max(known, default=1.0) * _ROOM)
        for i, (cost, value) in enumerate(zip(costs, values, strict=True)):
            if value is None:
                axes.text(low * 1.1, i, "not counted", va="center", fontsize=8, color=svg.MUTED)
                continue
            axes.barh(i, value - low, left=low, height=0.62, color=COLOURS[cost.basis])
            ratio = "" if i == 0 or values[0] is None else f"  {words.ratio(value / values[0])}"
            text = f"{words.significant(value)} {unit}{ratio}"
            axes.text(value * 1.12, i, text, va="center", fontsize=8, color=svg.INK)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(title, pad=20)
        axes.set_xlabel(f"{unit}, logarithmic")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(costs)), [svg.shorten(cost.label, 44) for cost in costs])
    panels[0].set_ylim(len(costs) - 0.4, -0.6)
    used = [basis for basis in COLOURS if any(cost.basis == basis for cost in costs)]
    svg.legend_above(panels[0], [Patch(color=COLOURS[basis], label=basis) for basis in used])
    return svg.inline(figure, "cost", f"Energy and latency of {len(costs)} systems; {costs[0].name} comes first")


def rows(costs: Sequence[CostFigure], missing: str) -> list[list[str]]:
    """Table rows: name, basis, energy, latency, energy-delay product, and the ratios of the three to the first."""
    first = costs[0]
    out = []
    for cost in costs:
        values = (cost.energy, cost.latency, cost.energy_delay_product)
        units = ("mJ", "ms", "µJ s")
        row = [cost.label, cost.basis]
        row += [
            missing if v is None else f"{words.significant(v)}{words.NBSP}{u}"
            for v, u in zip(values, units, strict=True)
        ]
        own = (first.energy, first.latency, first.energy_delay_product)
        row += [missing if v is None or o is None else words.ratio(v / o) for v, o in zip(values, own, strict=True)]
        out.append(row)
    return out
