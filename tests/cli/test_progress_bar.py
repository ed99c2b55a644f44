"""Commands that take a while say how far they are, also where nothing can be drawn over."""

from __future__ import annotations

from lambent.cli import _common


def test_lines_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(_common, "pace", lambda: lambda: True)
    with _common.progress_bar("encoding") as progress:
        progress(1000, 2400)
    with _common.progress_bar("encoding") as progress:
        progress(2400, 2400)
    assert capsys.readouterr().out == "encoding: 1,000 of 2,400\nencoding: 2,400 of 2,400\n"


def test_not_too_many_of_them(capsys):
    with _common.progress_bar("encoding") as progress:
        for done in range(100):
            progress(done, 100)
    assert capsys.readouterr().out == ""


def test_the_time_left_is_said():
    now = 100.0
    left = _common.time_left(lambda: now)
    assert left(50, 2450) == ""  # what an earlier call has done says nothing of the speed
    now = 160.0
    assert left(50, 2450) == ""
    assert left(650, 2450) == ", 0:03:00 left"
    now = 4060.0
    assert left(1250, 2450) == ", 1:06:00 left"
    assert left(2450, 2450) == ""
