"""How values print: short lines, tables as text, and small tables in notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from typing import Any

import numpy as np
import torch


def counted(n: int, thing: str, things: str = "") -> str:
    """ "1 unit", "2,400 units"; `things` where the plural is not `thing` with an s."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], words_in: int) -> str:
    """A table as lines of text; the first `words_in` columns are aligned left, the others, of numbers, right."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = "<" * words_in + ">" * (len(head) - words_in)
    lines = [(f"{cell:{side}{w}}" for cell, side, w in zip(row, sides, widths, strict=True)) for row in table]
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def html_table(title: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A small table for a notebook, which brings its own looks; texts are escaped here."""
    caption = f'<caption style="text-align: left"><b>{escape(title)}</b></caption>'
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{caption}{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def shapes(value: Any) -> Any:
    """`value`, with tensors and arrays as their type and shape, in tuples, lists and mappings too."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return _As(f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}") if value.ndim else value.item()
    if isinstance(value, Mapping):
        return {key: shapes(x) for key, x in value.items()}
    if type(value) in (tuple, list):
        return type(value)(shapes(x) for x in value)
    return value


class _As:
    """What prints as this text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def short_repr(value: Any) -> str:
    """A dataclass as its constructor has it, but shapes in place of arrays, and without what is left at its default."""
    shown = []
    for field in fields(value):
        x = getattr(value, field.name)
        if field.repr and not (type(x) is type(field.default) and x == field.default):
            shown.append(f"{field.name}={shapes(x)!r}")
    return f"{type(value).__qualname__}({', '.join(shown)})"
