"""Matplotlib figures as SVG elements inside a page: small, deterministic, in the page's own colours.

A figure is drawn with the colours below. On the way into the page `INK`, `MUTED`, `GRID` and `STRONG` become
CSS variables, so that one drawing suits the light and the dark scheme. Lines and areas in the data colours
are legible on both and stay as they are; text in them, which needs more contrast, becomes a variable too.
Readers with any common colour blindness can tell the data colours apart.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lambent.plot.axes import BLUE, GREY, ORANGE

_DIGITS = re.compile(r"(\.\d\d)\d+")

FLOAT, CHIP, MUTED = BLUE, ORANGE, GREY
INK = "#1a1d21"
GRID = "#d9dde2"
STRONG = "#fefefe"  # text on a filled cell
SHARED = "#8a63b8"  # what float and chip have in common
PALETTE = (FLOAT, CHIP, SHARED, "#2e8b57", "#b8860b", "#c2417c", "#3aa0a8", "#7a6a53")
"""Of things of one kind, such as layers or runs."""
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", STRONG: "var(--strong)"}
_TEXT_VARIABLES = {FLOAT: "var(--float-text)", CHIP: "var(--chip-text)", SHARED: "var(--shared-text)"}

_STYLE = {
    "figure.dpi": 72,  # that of SVG, so that text measures the same wherever it is laid out
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "lambent",
}
_PIXELS_PER_INCH = 96
_RASTER_DPI = 220
_LINKS = ("href", "clip-path")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of the report, whatever the user's matplotlib settings; also a decorator."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of `width` by `height` [inch] with one axes, laid out so that nothing is clipped."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_above(axes: Axes, handles: list[Any] | None = None, columns: int = 3) -> None:
    """A legend between the axes and its title, of `handles` or of all that has a label, `columns` beside each other."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    axes.set_title(axes.get_title(loc="left"), pad=8 + 12 * -(-len(handles) // columns))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.1,
        borderpad=0.2,
        handlelength=1.6,
        columnspacing=1.1,
        handletextpad=0.5,
    )


def shorten(text: str, length: int) -> str:
    """`text` in at most `length` characters, with an ellipsis in the middle where something was cut.

    The end stays, because that is often where names differ.
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


@style()
def inline(figure: Figure, key: str, label: str) -> str:
    """`figure` as one ``<svg>`` element.

    Args:
        figure: what to draw; it scales with the page up to a quarter above its own size.
        key: unique on the page; every id inside begins with it.
        label: what a screen reader says instead of the drawing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's browser has it
        _settle_layout(figure)
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, dpi=_RASTER_DPI, metadata=metadata)
    root = ET.fromstring(buffer.getvalue())
    _strip_namespaces(root)
    for child in list(root):
        if child.tag == "metadata" or child.find("style") is not None:
            root.remove(child)
    _prefix_ids(root, key)
    _slim(root)
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _page_style(element))
        if element.tag == "image":
            element.set("href", "".join(element.get("href", "").split()))
    box = root.get("viewBox", "")
    width = 1.25 * _PIXELS_PER_INCH * figure.get_figwidth()
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": label, "style": f"max-width: {width:.0f}px"})
    return re.sub(r"\s*\n\s*", " ", ET.tostring(root, encoding="unicode"))


def _settle_layout(figure: Figure) -> None:
    """Lay out once and round: the solver's last digits depend on addresses, and the page must not."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(tuple(round(x, 5) for x in axes.get_position(original=True).bounds))


def _strip_namespaces(root: ET.Element) -> None:
    """Inside HTML the parser knows `svg`, and a plain href links; no address of a name space is needed."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            if "}" in name:
                element.set(name.rpartition("}")[2], element.attrib.pop(name))


def _prefix_ids(root: ET.Element, key: str) -> None:
    """Put `key` before the ids that something refers to, and drop the others."""
    used = set()
    for element in root.iter():
        for name in _LINKS:
            match = re.fullmatch(r"(url\()?#([\w.]+)\)?", element.get(name, ""))
            if match:
                used.add(match[2])
                element.set(name, element.attrib[name].replace("#", f"#{key}-"))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{key}-{own}")


def _slim(root: ET.Element) -> None:
    """Drop what nobody sees: digits beyond a hundredth of a point, empty groups, what all dots of a group repeat."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag == "g" and not len(child) and not child.text:
                parent.remove(child)
        looks = {(child.tag, child.get("style")) for child in parent}
        if len(looks) == 1 and (only := looks.pop())[0] == "use" and only[1] and parent.get("style") is None:
            parent.set("style", only[1])
            for child in parent:
                del child.attrib["style"]
        for name in ("d", "x", "y"):
            if name in parent.attrib:
                parent.set(name, _DIGITS.sub(r"\1", parent.attrib[name]))


def _page_style(element: ET.Element) -> str:
    """The element's style with the page's variables for colours and without matplotlib's choice of font."""
    css = element.get("style", "")
    for colour, variable in (_VARIABLES | (_TEXT_VARIABLES if element.tag == "text" else {})).items():
        css = css.replace(colour, variable)
    return re.sub(r"font-family: [^;]*(; |$)", "", css)
