"""The documentation: links lead somewhere, tables are complete, generated pages are current, the site builds."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner

import dfukit
from dfukit import config, interfaces, registry, rundir, testing

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in ROOT.rglob("*.md") if not {".venv", "build", "runs"} & {*path.relative_to(ROOT).parts})
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_the_pages_are_found_wherever_the_repository_lies() -> None:
    assert {ROOT / "README.md", DOCS / "index.md"} <= set(PAGES)


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(prose(page)):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_is_reached_by_links_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        paths = [unquote(parts.path) for link in LINK.findall(prose(page)) if not (parts := urlsplit(link)).scheme]
        linked = {(page.parent / path).resolve() for path in paths if path.endswith(".md")}
        waiting += linked - reached
    assert [page for page in DOCS.rglob("*.md") if page not in reached] == []


def test_every_page_is_in_the_navigation() -> None:
    contents = re.findall(
        r"^```\{toctree\}\n(.*?)^```$", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    named = {line for block in contents for line in block.splitlines() if line and not line.startswith(":")}
    assert named == {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "command-line.md"])
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == generator().pages()[name], "run: python docs/generate.py"


@pytest.mark.parametrize(("told", "code"), [("--help", 0), ("settings.md", 2)])
def test_the_generator_of_pages_writes_nothing_unless_it_is_called_plainly(
    tmp_path: Path, told: str, code: int
) -> None:
    module = generator()
    module.DOCS = tmp_path
    assert CliRunner().invoke(module.write, [told]).exit_code == code
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(module.write, []).exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"settings.md", "command-line.md"}


def rows(page: str) -> dict[str, list[str]]:
    """The cells of a page's table rows, by each name between backquotes in the first cell."""
    found = {}
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("| `") or line.startswith("| … `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)
    return found


def test_every_hook_is_documented_with_its_interface() -> None:
    table = rows("hooks.md")
    assert set(table) == set(registry.HOOKS.values())
    for kind, hook in registry.HOOKS.items():
        assert f"`{testing.SUITES[kind].interface.__name__}`" == table[hook][2]


@pytest.mark.parametrize("preset", config.PRESETS)
def test_what_of_gan_a_preset_sets_for_every_generator_is_said_to_plugins(preset: str) -> None:
    told = config.read_preset(preset)["gan"]
    assert set(re.findall(r"`(\w+)`", rows("plugins.md")[preset][1])) == {
        key for key, value in told.items() if not isinstance(value, dict)
    }


def test_every_metric_and_extractor_is_documented_and_which_way_it_counts() -> None:
    table = rows("metrics.md")
    for offer in registry.load().offers:
        if offer.package == "dfukit" and offer.kind in ("metric", "extractor"):
            cells = table[offer.component.name]
        if offer.package == "dfukit" and offer.kind == "metric":
            module, _, name = offer.component.target.partition(":")
            assert cells[3] == getattr(importlib.import_module(module), name).better, offer.component.name


def test_every_file_of_a_run_is_documented() -> None:
    documented = {name.rstrip("/").split("/")[0] for name in rows("run-folder.md")}
    run = rundir.RunDir(Path("run"))
    values = [getattr(run, name) for name, value in vars(rundir.RunDir).items() if isinstance(value, property)]
    paths = {value.relative_to("run").parts[0] for value in values if isinstance(value, Path) and value != run.path}
    assert paths <= documented


def test_everything_public_is_on_a_page_of_its_interface() -> None:
    pages = {name: (DOCS / name).read_text("utf-8") for name in ("python.md", "interfaces.md", "testing.md")}
    errors = {
        name for name in dfukit.__all__ if isinstance(getattr(dfukit, name), type) and name in vars(dfukit.errors)
    }
    for name in set(dfukit.__all__) - errors - {"__version__"}:
        assert re.search(rf"auto\w+:: {name}$|`{name}`", pages["python.md"], re.MULTILINE), name
    own = {n for n, v in vars(interfaces).items() if isinstance(v, type) and v.__module__ == "dfukit.interfaces"}
    for name in own:
        assert f"autoclass:: {name}\n" in pages["interfaces.md"], name
    for name in set(testing.__all__) - {"SUITES"}:
        assert re.search(rf":: {name}$", pages["testing.md"], re.MULTILINE), name


class Anchors(HTMLParser):
    """What a page of the site links to, and what can be linked to in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        self.names |= {value for key in ("id", "name") if (value := told.get(key))}
        if tag in ("a", "img") and (link := told.get("href") or told.get("src")):
            self.links.append(link)


def lost_links(site: Path) -> Iterator[str]:
    pages = {page: Anchors(page) for page in site.rglob("*.html")}
    for page, content in pages.items():
        for link in content.links:
            parts = urlsplit(link)
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if parts.scheme or link == "#":
                continue
            if not target.exists() or (
                parts.fragment and target in pages and parts.fragment not in pages[target].names
            ):
                yield f"{page.relative_to(site)}: {link}"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_links_resolve(tmp_path: Path) -> None:
    for tool in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(tool, reason=f"{tool} is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "trees")]
    built = subprocess.run([*command, str(DOCS), str(tmp_path / "site")], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert list(lost_links((tmp_path / "site").resolve())) == []
