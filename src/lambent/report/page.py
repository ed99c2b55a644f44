"""What every page is made of: the frame, sections, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template


def page(title: str, created: str, sections: Sequence[str], versions: Mapping[str, str]) -> str:
    """A whole page of `sections`, empty ones left out."""
    here = resources.files("lambent.report")
    made_with = " · ".join(f"{name} {version}" for name, version in versions.items())
    frame = Template(here.joinpath("page.html").read_text(encoding="utf-8"))
    return frame.substitute(
        title=escape(title),
        created=escape(created),
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        sections="\n".join(section for section in sections if section),
        versions=escape(made_with or "lambent"),
    )


def section(name: str, heading: str, *parts: str) -> str:
    """A section with its heading; nothing where all its parts are empty."""
    body = "\n".join(part for part in parts if part)
    if not body:
        return ""
    title = f'<h2 id="{name}-h">{escape(heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-h">{title}\n{body}\n</section>'


def figure(drawings: Sequence[str], caption: str, kind: str) -> str:
    """Drawings side by side (`kind` is a class of page.css that says how wide each is) over one caption."""
    if not drawings:
        return ""
    cell = '<div class="scroll" tabindex="0">' if kind == "wide" else "<div>"
    cells = "".join(f"{cell}{drawing}</div>" for drawing in drawings)
    return f'<figure><div class="{kind}">{cells}</div><figcaption>{escape(caption)}</figcaption></figure>'


def beside(*parts: str) -> str:
    """Parts next to each other where there is room, else one under the other."""
    return f'<div class="tables">{"".join(parts)}</div>'


def tiles(values: Sequence[tuple[str, str, str, str]]) -> str:
    """Large figures: of each what it is, the value, a note and the kind of network that it is of, or none."""
    items = "".join(
        f'<div class="tile {kind}"><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd>'
        f'<dd class="note">{escape(note)}</dd></div>'
        for name, value, note, kind in values
    )
    columns = len(values) if len(values) <= 4 else 3
    return f'<dl class="tiles" style="--columns: {columns}">{items}</dl>'
