"""The report as a browser shows it: on a phone and on a desk, in light and in dark, and on paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from report_folder import finished_run

from dfukit import manifest, report, rundir

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (360, 1200)
SCHEMES = ("light", "dark")
SCREENS = tuple((width, scheme) for width in WIDTHS for scheme in SCHEMES)
PAPER = (703, "print")
"""A4 less its margins, at 96 dots an inch."""
LOOK = """
const frames = [...document.querySelectorAll('iframe')];
const rgba = text => {
  const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
  return {r, g, b, a: a === undefined ? 1 : a};
};
const light = c => [c.r, c.g, c.b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
function paper(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgba(view.getComputedStyle(e).backgroundColor);
    if (colour.a === 1) return colour;
  }
  return {r: 255, g: 255, b: 255, a: 1};
}
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, wide = page.documentElement.clientWidth;
  const images = [...page.querySelectorAll('img')], drawings = [...page.querySelectorAll('svg')];
  const sticking = [...page.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > wide + 1
    && !e.closest('.scroll') && e.getClientRects().length);
  const pale = [], walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = view.getComputedStyle(element);
    const ink = rgba(element.closest('svg') && style.fill !== 'none' ? style.fill : style.color);
    const [high, low] = [light(ink), light(paper(element, view))].sort((x, y) => y - x);
    if ((high + .05) / (low + .05) < 4.5) pale.push(walker.currentNode.data.trim());
  }
  return {
    width: wide,
    overflow: page.documentElement.scrollWidth - wide,
    sticking: sticking.map(e => e.outerHTML.slice(0, 120)),
    pictures: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    nameless: images.filter(i => !i.alt.trim()).length
      + drawings.filter(d => d.getAttribute('role') !== 'img' || !d.getAttribute('aria-label')).length,
    pale,
    cut: [...page.querySelectorAll('figure, tr')].filter(e => view.getComputedStyle(e).breakInside !== 'avoid').length,
    headings: [...page.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1])),
  };
}
addEventListener('load', () => {
  document.body.dataset.found = JSON.stringify(frames.map(look));
});
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here: the report is not looked at in a browser")


def browse(folder: Path, *arguments: str) -> str:
    profile = folder / "profile"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def seen(page: str, folder: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """What a script finds in copies of the page, by width and colour scheme."""
    cases = [*SCREENS, PAPER]
    frames = []
    for width, scheme in cases:
        never_or_always = "min-width: 1px" if scheme == "dark" else "max-width: 1px"
        copy = page.replace("(prefers-color-scheme: dark)", f"({never_or_always})")
        if scheme == "print":
            copy = copy.replace("@media print", "@media all")
        frames.append(f'<iframe width="{width}" height="800" style="border: 0" srcdoc="{html.escape(copy)}"></iframe>')
    file = folder / "frames.html"
    file.write_text(f'<meta charset="utf-8"><body>{"".join(frames)}<script>{LOOK}</script>', "utf-8")
    dom = browse(folder, "--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom", file.as_uri())
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found, "the script in the page did not run"
    return dict(zip(cases, json.loads(html.unescape(found.group(1))), strict=True))


@pytest.fixture(scope="module", params=(False, True), ids=("own", "shared"))
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = finished_run(tmp_path_factory.mktemp("runs"))
    report.write(run.folder, run.config, run.images, run.split, request.param)
    return run.folder.report


@pytest.fixture(scope="module")
def views(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], dict[str, Any]]:
    return seen(page.read_text("utf-8"), tmp_path_factory.mktemp("browser"))


def test_nothing_sticks_out_of_a_phone_or_a_desktop(views: dict[tuple[int, str], dict[str, Any]]) -> None:
    for (width, _), view in views.items():
        assert view["width"] == width
        assert view["overflow"] <= 0, width
        assert view["sticking"] == []


def test_every_picture_is_shown_and_has_a_text(page: Path, views: dict[tuple[int, str], dict[str, Any]]) -> None:
    for view in views.values():
        assert view["pictures"] == page.read_text("utf-8").count("<img ") >= 6
        assert (view["broken"], view["nameless"]) == (0, 0)


def test_every_text_stands_out_from_its_background(views: dict[tuple[int, str], dict[str, Any]]) -> None:
    for case, view in views.items():
        assert view["pale"] == [], case


def test_headings_go_down_one_level_at_a_time(views: dict[tuple[int, str], dict[str, Any]]) -> None:
    levels = views[1200, "light"]["headings"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_paper_cuts_no_pair_of_pictures_and_no_row_in_two(views: dict[tuple[int, str], dict[str, Any]]) -> None:
    assert views[PAPER]["cut"] == 0


def test_tables_of_many_classes_stay_on_the_page(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    classes = tuple(f"stage_{number}_of_the_wound" for number in range(12))
    labels = np.arange(len(run.images.labels)) % len(classes)
    images = evolve(run.images, classes=classes, positive=classes[0], labels=labels)
    scores = rundir.read_json(run.folder.scores)
    for entry in scores.values():
        if own := entry.get("classes"):
            entry["classes"] = dict.fromkeys(classes, own["infected"])
    rundir.write_json(run.folder.scores, scores)
    report.write(run.folder, run.config, images, run.split, False)
    for case, view in seen(run.folder.report.read_text("utf-8"), tmp_path).items():
        assert view["overflow"] <= 0, case
        assert view["sticking"] == [], case


def test_long_names_stay_on_the_page(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    flagged = run.folder.flagged / manifest.FLAGGED_FILE
    rundir.write_text(flagged, flagged.read_text("utf-8").replace("mirrored", "mirrored_and_cropped_and_brighter" * 2))
    long = ("infected_" * 6 + "a", "B" * 60)
    images = evolve(run.images, classes=long, positive=long[0])
    config = evolve(run.config, report=evolve(run.config.report, title="T" * 90))
    report.write(run.folder, config, images, run.split, False)
    for view in seen(run.folder.report.read_text("utf-8"), tmp_path).values():
        assert view["overflow"] <= 0
        assert view["sticking"] == []


def test_the_page_prints(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    browse(tmp_path, f"--print-to-pdf={file}", "--no-pdf-header-footer", page.as_uri())
    assert file.read_bytes().startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) <= 20
