"""The page holds what it was given, escaped, and nothing else; what is missing leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from report_sections import SECTIONS

from lambent.report import (
    CoreUse,
    Hearing,
    LayerSize,
    RasterLayer,
    ReportData,
    SampleTrace,
    Spread,
    html,
    render,
    write,
)

Build = Callable[..., ReportData]
NAN, INF = float("nan"), float("inf")
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags, ids, references and texts of a page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            value = value or ""
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "action", "data", "srcset", "poster"):
                self.links.append(value)
            self.references.update(re.findall(r"url\(#([^)]*)\)", value))
            if name == "href" and value.startswith("#"):
                self.references.add(value[1:])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open[-1:] != ["style"]:
            self.texts.append(data.strip())

    @property
    def sections(self) -> list[str]:
        return [name for name in self.ids if name in SECTIONS]


def test_full_page_has_every_section(full_page: str) -> None:
    page = Page(full_page)
    assert page.sections == SECTIONS
    assert page.tags.count("h1") == 1
    assert page.tags.count("h2") == len(SECTIONS)
    assert page.tags.count("svg") == 2 + 1 + 10 + 1 + 3 + 1 + 1 + 3 + 2 + 4 + 2 + 1 + 1
    assert page.tags.count("figure") == page.tags.count("figcaption") == 13
    text = " ".join(page.texts)
    assert "Spoken digits, 700-256-256-10" in text
    for expected in ("0.190\N{NO-BREAK SPACE}mJ", "×\N{NO-BREAK SPACE}20", "Modelled figures are estimates"):
        assert expected in text, expected
    for expected in ("92.0\N{NO-BREAK SPACE}%", "14 of 600 differ", "271.9\N{NO-BREAK SPACE}KiB", "312,832"):
        assert expected in text, expected
    assert "8, 4, 3 bits a weight; 1.2\N{NO-BREAK SPACE}MiB in float" in text
    assert "−2.2 points against float" in text
    assert "lambent 0.1.0 · torch 2.13.0" in text
    assert "lambent train 'a b.h5' --out words\nlambent evaluate words test.h5" in text
    assert "seven/a.wav: seven, called zero." in text
    assert "20 speakers" in text


def test_the_page_needs_nothing_else(full_page: str) -> None:
    page = Page(full_page)
    assert "http://" not in full_page
    assert "https://" not in full_page
    assert not re.search(r"@import|\ssrc\s*=|<script", full_page)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert set(re.findall(r"url\((.)", full_page)) == {"#"}
    assert "default-src 'none'" in full_page


def test_ids_are_unique_and_every_reference_has_its_target(full_page: str) -> None:
    page = Page(full_page)
    assert len(page.ids) == len(set(page.ids))
    assert page.references
    assert page.references <= set(page.ids)


def test_the_same_data_give_the_same_page_whatever_the_settings(full: Build, full_page: str) -> None:
    with mpl.rc_context({"svg.fonttype": "path", "axes.facecolor": "red", "font.size": 30}):
        assert render(full()) == full_page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", full_page).lower()


def test_minimal_page_has_no_empty_parts(minimal: Build) -> None:
    text = render(minimal())
    page = Page(text)
    assert page.sections == ["result", "confusion"]
    assert page.tags.count("h2") == 2
    assert page.tags.count("table") == 2
    assert not re.search(r"\bchip\b", " ".join(page.texts), re.IGNORECASE)
    assert len(text) < 30_000


def test_without_any_mistake_there_is_no_table_of_mistakes(minimal: Build) -> None:
    page = Page(render(minimal(accuracy={}, predictions_float=[0, 1, 2, 0, 1, 2])))
    assert page.tags.count("table") == 1
    assert page.tags.count("figure") == 1


def test_texts_are_escaped(full: Build) -> None:
    names = tuple(f'<i>&"{i}" $x$' for i in range(10))
    nasty = "<script>alert('&')</script>"
    sizes = [LayerSize(nasty, "<b>", 1, 4, 1)]
    names = (nasty, *names[1:])
    files = [f"{nasty} {i}.wav" for i in range(600)]
    lines = [f"lambent train {nasty}"]
    data = full(
        title=nasty, class_names=names, facts={nasty: nasty}, versions={nasty: "1"}, sizes=sizes, files=files,
        commands=lines, on_chip={nasty: nasty}, spreads=[Spread(nasty, "<b>", np.arange(4.0))],
    )  # fmt: skip
    page = Page(render(data))
    assert not {"i", "b", "script"} & set(page.tags)
    assert page.texts.count(nasty) >= 8
    assert lines[0] in page.texts
    assert any(text in files for text in page.texts)
    assert names[3] in page.texts


def test_names_beyond_the_figure_font_are_kept(minimal: Build) -> None:
    page = Page(render(minimal(class_names=["零", "一", "🎵"])))
    assert page.texts.count("🎵") >= 3


def test_long_names_are_shortened_where_they_differ_least(minimal: Build) -> None:
    names = [f"a rather long class name, number {i}" for i in range(3)]
    page = Page(render(minimal(class_names=names)))
    short = {text for text in page.texts if "…" in text}
    assert len(short) == 3
    assert max(map(len, short)) == 14


def test_a_class_that_is_never_answered_or_never_tested_is_reported(minimal: Build) -> None:
    labels, answers = [0, 0, 1, 1, 2, 2], [0, 0, 2, 0, 2, 2]
    names = ["yin", "yang", "dot", "unseen"]
    page = Page(render(minimal(class_names=names, accuracy={}, labels=labels, predictions_float=answers)))
    caption = next(text for text in page.texts if "The float network never answers" in text)
    assert caption.endswith("never answers yang.")
    row = page.texts.index("unseen", page.texts.index("Recall and precision by class"))
    assert page.texts[row : row + 4] == ["unseen", "0", "–", "–"]
    yang = page.texts.index("yang", page.texts.index("Recall and precision by class"))
    assert page.texts[yang : yang + 4] == ["yang", "2", "0.0\N{NO-BREAK SPACE}%", "–"]


def test_many_classes_and_spikes_stay_small(many_classes: ReportData) -> None:
    text = render(many_classes)
    assert Page(text).sections == SECTIONS
    assert len(text.encode()) < 2_000_000


def test_silent_layers_and_a_sample_without_voltages(minimal: Build) -> None:
    empty, units = np.empty(0), np.empty(0, dtype=int)
    layers = [RasterLayer("in", 2, empty, units), RasterLayer("hidden", 1, empty, units, empty, units)]
    sample = SampleTrace(layers, 30.0, 1, 0)
    page = Page(render(minimal(traces=[sample], examples=[sample])))
    assert page.sections == ["result", "confusion", "samples", "examples"]
    assert page.texts.count("0 spikes") == 3
    assert not any("readout" in text for text in page.texts)


@pytest.mark.parametrize(
    ("history", "drawings", "remark"),
    [
        ([], 0, ""),
        ([{"lr": 1e-3}], 0, ""),
        ([{"loss": 2.0}], 1, ""),
        ([{"loss": 0.0, "accuracy": 1.0, "spikes_per_unit": 0.0, "silent": 0.0}], 3, ""),
        ([{"silent": 0.5}, {"silent": None}], 1, ""),
        ([{"loss": 2.0}, {"loss": NAN}, {"loss": -INF}], 1, "loss was not finite in epochs 2 and 3"),
    ],
)
def test_histories_with_gaps(minimal: Build, history: list[dict], drawings: int, remark: str) -> None:
    page = Page(render(minimal(history=history)))
    assert page.tags.count("svg") == 1 + drawings
    assert ("learning" in page.sections) == (drawings > 0)
    assert remark in " ".join(page.texts)


def test_the_epoch_that_was_kept_is_marked(minimal: Build) -> None:
    def texts() -> str:
        return " ".join(Page(render(minimal(history=history))).texts)

    history = [{"epoch": e, "accuracy": a} for e, a in enumerate([0.5, 0.9, 0.6, 0.7, 0.4], 1)]
    assert "kept" not in texts()
    history[-1]["best_epoch"] = 4
    assert "kept, epoch 4" in texts()
    assert "weights quantised" not in texts()
    history[2:] = [m | {"aware": 1.0} for m in history[2:]]
    assert "kept, epoch 4" in texts()
    assert "weights quantised" in texts()
    history[-1]["best_epoch"] = 2
    assert "weights quantised: kept as here" in texts()
    history[:2] = []
    assert "weights quantised: kept as here" in texts()


def test_write_leaves_only_the_page(minimal: Build, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    write(minimal(), target)
    assert target.read_text(encoding="utf-8") == render(minimal())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_keeps_the_old_page(minimal: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(html.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(minimal(), target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_write_into_a_missing_folder(minimal: Build, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        write(minimal(), tmp_path / "missing" / "report.html")


def test_no_word_for_recognised_that_a_class_may_be_called(full_page: str) -> None:
    """Speech commands have a class "right"; who reads "right: 12" must not wonder."""
    style = re.compile(r"<style>.*?</style>", re.DOTALL)
    said = " ".join([*Page(full_page).texts, *re.findall(r'aria-label="([^"]*)"', style.sub("", full_page))])
    assert not re.search(r"\b(right|wrong|correct|incorrect|yes)\b", said, re.IGNORECASE)


def test_speakers_that_tell_nothing_have_no_section(minimal: Build) -> None:
    for speakers in ([3] * 6, range(6)):
        assert "speakers" not in Page(render(minimal(speakers=np.array(speakers)))).ids
    page = Page(render(minimal(speakers=np.array([-1, -1, 7, 7, 7, 7]))))
    assert page.texts[page.texts.index("Speaker") :][3:9] == ["7", "4", "75.0\N{NO-BREAK SPACE}%", "-1", "2",
                                                             "100.0\N{NO-BREAK SPACE}%"]  # fmt: skip


def test_the_surest_mistakes_come_first(minimal: Build) -> None:
    answers = {"accuracy": {}, "predictions_float": [0, 2, 2, 0, 0, 0], "confidence_float": [0.9, 0.4, 1, 1, 0.8, 0.6]}
    page = Page(render(minimal(**answers)))
    start = page.texts.index("Confidence", page.texts.index("The surest mistakes, float"))
    assert page.texts[start + 1 : start + 13 : 4] == ["sample 4", "sample 5", "sample 1"]
    named = Page(render(minimal(**answers, files=list("abcdef")))).texts
    assert named[named.index("File") + 4] == "e"


def test_one_class_and_one_sample(minimal: Build) -> None:
    layers = [RasterLayer("in", 1, np.array([3.0]), np.array([0]))]
    sample = SampleTrace(layers, 30.0, 0, 0, readout_float=np.ones((1, 1)))
    data = minimal(
        accuracy={}, class_names=["on"], n_test=1, labels=[0], predictions_float=[0], confidence_float=[1.0],
        hearing=Hearing(np.array([30.0]), np.array([1.0]), 1), traces=[sample], examples=[sample],
        spreads=[Spread("one", "units", np.array([0.0]), np.array([1.0]), 1.0)],
    )  # fmt: skip
    wanted = ["result", "confusion", "samples", "examples", "confidence", "hearing", "spreads"]
    assert Page(render(data)).sections == wanted


def test_values_that_are_all_the_same_are_no_histogram(minimal: Build) -> None:
    same = Spread("membranes", "units", np.full(3, 20.0))
    page = Page(render(minimal(spreads=[same])))
    assert page.tags.count("svg") == 1
    assert page.texts[-4:-1] == ["membranes", "3", "20\N{NO-BREAK SPACE}ms"]
    moved = Spread("membranes", "units", np.full(3, 20.0), np.full(3, 10.0))
    assert Page(render(minimal(spreads=[moved]))).tags.count("svg") == 2


@pytest.mark.parametrize(("n", "at_a_router"), [(1, 1), (9, 4), (60, 7)])
def test_maps_of_few_and_many_cores(minimal: Build, n: int, at_a_router: int) -> None:
    held = [CoreUse(i // at_a_router, 0, {f"layer <{i % 9}>": 1000 + i}, i / n) for i in range(n)]
    page = Page(render(minimal(cores=held)))
    assert page.sections == ["result", "confusion", "on-chip"]
    assert ("1,000" in page.texts) == (n <= 40)
    assert "layer <0>" in page.texts
