"""A map of the chip: what lies on which core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.patches import Patch, Rectangle

from lambent.report import _checks as check
from lambent.report import svg, words

_NUMBERED = 40  # of more cores none is labelled with its units


@dataclass(frozen=True)
class CoreUse:
    """What a core holds.

    Args:
        row, column: of the router that it is at, from 0; several cores may be at one.
        units: how many of each layer, by its name.
        memory: share of the core's synaptic memory that is in use, in 0..1.

    Raises:
        TypeError, ValueError: naming the field at fault.
    """

    row: int
    column: int
    units: Mapping[str, int]
    memory: float

    def __post_init__(self) -> None:
        check.count("CoreUse.row", self.row)
        check.count("CoreUse.column", self.column)
        check.share("CoreUse.memory", self.memory)
        if not self.units:
            raise ValueError("CoreUse.units is empty")
        for name, n in self.units.items():
            check.text("a name in CoreUse.units", name)
            check.count(f"CoreUse.units[{name!r}]", n, at_least=1)


@svg.style()
def draw(cores: Sequence[CoreUse]) -> str:
    """A square for each router, its cores side by side in it, coloured by layer, deeper the fuller their memory."""
    colours = {name: svg.PALETTE[i % len(svg.PALETTE)] for i, name in enumerate(layers(cores))}
    at_router = Counter((core.row, core.column) for core in cores)
    side = 1 if max(at_router.values()) == 1 else 2 if max(at_router.values()) <= 4 else 4
    rows, columns = 1 + max(core.row for core in cores), 1 + max(core.column for core in cores)
    inch = min(0.9, 7.0 / columns)
    figure, axes = svg.new_axes(max(4.8, inch * columns + 0.3), inch * rows + 0.5)
    placed: Counter[tuple[int, int]] = Counter()
    cell = 0.88 / side
    for core in cores:
        place = (core.row, core.column)
        down, right = divmod(placed[place], side)
        placed[place] += 1
        x, y = core.column + 0.06 + right * cell, core.row + 0.06 + down * cell
        main = max(core.units, key=lambda name: core.units[name])
        box = Rectangle(
            (x, y), 0.94 * cell, 0.94 * cell, color=colours[main], alpha=0.3 + 0.7 * core.memory, linewidth=0
        )
        axes.add_patch(box)
        if len(cores) <= _NUMBERED:
            text = words.integer(sum(core.units.values()))
            ink = svg.STRONG if core.memory > 0.5 else svg.INK
            axes.text(x + 0.47 * cell, y + 0.47 * cell, text, ha="center", va="center", fontsize=6.5, color=ink)
    for row, column in at_router:
        outline = Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, fill=False, edgecolor=svg.MUTED, linewidth=0.7)
        axes.add_patch(outline)
    axes.set_xlim(0, max(columns, 1))
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal", anchor="W")
    axes.set_axis_off()
    svg.legend_above(axes, [Patch(color=colour, label=svg.shorten(name, 18)) for name, colour in colours.items()][:8])
    return svg.inline(figure, "cores", f"Map of {len(cores)} cores and the layers on them")


def layers(cores: Sequence[CoreUse]) -> list[str]:
    """The layers that lie on the cores, in order."""
    return list(dict.fromkeys(name for core in cores for name in core.units))


def rows(cores: Sequence[CoreUse]) -> list[list[str]]:
    """Of each layer: its name, its cores, its units, those on a core at most, the fullest core's memory."""
    out = []
    for name in layers(cores):
        own = [core for core in cores if name in core.units]
        units = [core.units[name] for core in own]
        fullest = words.percent(max(core.memory for core in own))
        out.append([name, *map(words.integer, (len(own), sum(units), max(units))), fullest])
    return out
