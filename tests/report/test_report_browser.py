"""The page in a real browser: every section is there, nothing is fetched, the console stays silent."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest
from report_sections import SECTIONS

from lambent.report import ReportData, render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on PATH")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--hide-scrollbars",
]


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Load `page` in a fresh headless browser that resolves no host."""
    assert BROWSER is not None
    profile = page.parent / "profile"
    command = [
        BROWSER,
        *OPTIONS,
        f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        *options,
        page.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result


def console(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page wrote to the console, errors and blocked requests included."""
    return [line for line in result.stderr.splitlines() if ":CONSOLE" in line]


@needs_browser
def test_every_section_is_in_the_dom(full_page: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(full_page, encoding="utf-8")
    result = browse(page, "--dump-dom")
    assert console(result) == []
    assert re.findall(r'<section id="([\w-]+)"', result.stdout) == SECTIONS
    assert result.stdout.count("<svg ") == 32
    assert result.stdout.rstrip().endswith("</html>")


@needs_browser
@pytest.mark.parametrize("width", [420, 1280])
def test_the_page_is_never_wider_than_the_window(full_page: str, tmp_path: Path, width: int) -> None:
    """Measured in a frame, as windows have a least width; the page's own ban on scripts is of the frame alone."""
    measure = "document.title = this.contentDocument.documentElement.scrollWidth"
    inside = escape(full_page.replace("Spoken", "Spoken" * 40))
    page = tmp_path / "report.html"
    frame = f'<iframe style="border: 0; width: {width}px; height: 900px" onload="{measure}" srcdoc="{inside}"></iframe>'
    page.write_text(f"<!DOCTYPE html><title></title>{frame}", encoding="utf-8")
    result = browse(page, "--dump-dom", "--window-size=1400,900")
    assert re.findall(r"<title>(.*?)</title>", result.stdout)[0] == str(width)


@needs_browser
def test_a_page_that_reaches_out_would_be_noticed(minimal: Callable[..., ReportData], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outside = '<img src="http://lambent.invalid/a.png"><script>1</script>'
    page.write_text(render(minimal()).replace("</main>", f"{outside}</main>"), encoding="utf-8")
    noticed = "\n".join(console(browse(page, "--dump-dom")))
    assert "lambent.invalid" in noticed
    assert "inline script" in noticed


@needs_browser
def test_screenshots_in_both_schemes(full_page: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(full_page, encoding="utf-8")
    pictures = []
    for options in ([], ["--blink-settings=preferredColorScheme=0"]):
        picture = tmp_path / f"report-{len(pictures)}.png"
        result = browse(page, "--window-size=1280,9000", f"--screenshot={picture}", *options)
        assert console(result) == []
        pictures.append(picture.read_bytes())
        assert struct.unpack(">II", pictures[-1][16:24]) == (1280, 9000)
        assert len(pictures[-1]) > 300_000, "the page looks empty"
    assert pictures[0] != pictures[1], "dark looks like light"
