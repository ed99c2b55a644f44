"""How values print: in short lines, tables of text, and small tables in notebooks."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import fields
from html import escape
from typing import Any

_ROWS = 20  # of a table in a notebook


def counted(n: int, thing: str, things: str = "") -> str:
    """ "1 unit", "2,400 units"; `things` where the plural is not `thing` with an s."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def printable(text: str) -> str:
    """`text` with a mark in place of what no page can hold, such as control characters in names of files."""
    shown = "".join("\N{REPLACEMENT CHARACTER}" if unprintable(c) else c for c in text)
    return shown if shown.strip() else "\N{REPLACEMENT CHARACTER}"


def unprintable(character: str) -> bool:
    """Whether this is a control character, half of a pair or none, which neither SVG nor HTML can hold."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], words_in: int) -> str:
    """A table as lines of text; the first `words_in` columns are aligned left, the others, of numbers, right."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = "<" * words_in + ">" * (len(head) - words_in)
    lines = [(f"{cell:{side}{w}}" for cell, side, w in zip(row, sides, widths, strict=True)) for row in table]
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def html_table(title: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A small table for a notebook, which brings its own looks; texts are escaped here, and long tables cut."""
    caption = f'<caption style="text-align: left"><b>{escape(title)}</b></caption>'
    titles = f"<thead><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr></thead>" if head else ""
    shown = [*rows] if len(rows) <= _ROWS else [*rows[: _ROWS - 1], (f"and {len(rows) - _ROWS + 1:,} more",)]
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in shown)
    return f"<table>{caption}{titles}<tbody>{body}</tbody></table>"


class Short:
    """A base of dataclasses, which then print shapes in place of arrays, and only what was given.

    Also of those that are derived from one, for which `dataclass` would otherwise write another `__repr__`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _short  # type: ignore[method-assign]


def _short(value: Any) -> str:
    shown = []
    for field in fields(value):
        x = getattr(value, field.name)
        if field.init and not (type(x) is type(field.default) and x == field.default):
            shown.append(f"{field.name}={_shapes(x)!r}")
    return f"{type(value).__qualname__}({', '.join(shown)})"


class _Said(str):
    """What prints as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _shapes(value: Any) -> Any:
    """`value`, but types and shapes in place of tensors and arrays, in tuples, lists and dictionaries too."""
    if hasattr(value, "dtype") and hasattr(value, "ndim"):  # known by that, so that settings print without torch
        return _Said(f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}") if value.ndim else value.item()
    if type(value) is dict:
        return {key: _shapes(x) for key, x in value.items()}
    return type(value)(map(_shapes, value)) if type(value) in (tuple, list) else value
