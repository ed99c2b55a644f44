"""Short lines and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lambent.machine.showing import Short, counted, html_table, text_table


def test_counted() -> None:
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
    assert counted(2400, "unit") == "2,400 units"


def test_text_table_aligns_words_left_and_numbers_right() -> None:
    assert text_table(("a", "n"), [("bcd", "10"), ("e", "1")], 1) == "a     n\nbcd  10\ne     1"
    assert text_table(("a", "b"), [("cd", "e")], 2) == "a   b\ncd  e"
    assert text_table(("a",), [], 1) == "a"


def test_html_table_is_escaped_and_cut() -> None:
    page = html_table("<t>", [("a & b", "1")], ("x", "y"))
    assert "&lt;t&gt;" in page
    assert "<td>a &amp; b</td><td>1</td>" in page
    assert "<th>x</th>" in page
    long = html_table("t", [(str(i),) for i in range(100)])
    assert long.count("<tr>") == 20
    assert "and 81 more" in long
    assert html_table("t", [(str(i),) for i in range(20)]).count("<tr>") == 20


@dataclass(frozen=True)
class Base(Short):
    x: Any
    n: int = 3


@dataclass(frozen=True)
class Derived(Base):
    more: Any = None


class Own(Derived):
    def __repr__(self) -> str:
        return "mine"


def test_dataclasses_print_shapes_and_what_differs_from_defaults() -> None:
    assert repr(Base(1.5)) == "Base(x=1.5)"
    assert repr(Base(None, 4)) == "Base(x=None, n=4)"
    assert repr(Derived(torch.zeros(2, 3), more=np.zeros(4, np.int8))) == "Derived(x=float32 (2, 3), more=int8 (4,))"
    assert repr(Derived((torch.ones(()), [np.zeros(2)], {"a": torch.zeros(0)}))) == (
        "Derived(x=(1.0, [float64 (2,)], {'a': float32 (0,)}))"
    )
    assert repr(Base("text")) == "Base(x='text')"
    assert repr(Base(0, True)) == "Base(x=0, n=True)"
    assert repr(Own(1)) == "mine"
