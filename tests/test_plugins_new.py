"""`dfukit plugins new` writes packages that work as they are: a component of each kind, with its settings and tests."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from new_plugins import installed, written, written_of_each_kind

from dfukit import ConfigError, registry, scaffold
from dfukit.cli.options import configure
from dfukit.cli.run_commands import run
from dfukit.component import KINDS, ImageSpec
from dfukit.config import RunConfig
from dfukit.scaffold import NewPlugin
from dfukit.testing import SUITES, Suite

ROOT = Path(__file__).resolve().parents[1]
Install = Callable[..., tuple[NewPlugin, Path]]
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a plugin and make it an installed one, here and in processes that a check starts."""

    def make(kind: str, name: str = "") -> tuple[NewPlugin, Path]:
        plugin, folder = written(tmp_path, kind, name)
        installed(plugin, folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        registry.load.cache_clear()
        return plugin, folder

    yield make
    registry.load.cache_clear()
    for module in [module for module in sys.modules if module.startswith("dfukit_fresh")]:
        del sys.modules[module]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)


def configured(*options: str) -> RunConfig:
    """What `dfukit run` makes of its options."""
    return configure(run.make_context("run", list(options)).params)


def loaded(file: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_of_a_package_is_there(tmp_path: Path, kind: str) -> None:
    plugin, folder = written(tmp_path, kind)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"dfukit_fresh_{kind}/__init__.py",
        f"dfukit_fresh_{kind}/{kind}.py",
        f"dfukit_fresh_{kind}/py.typed",
        f"tests/test_fresh_{kind}.py",
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"dfukit-fresh-{kind}"
    assert project["entry-points"] == {"dfukit": {f"fresh_{kind}": f"dfukit_fresh_{kind}"}}
    for file in ("README.md", ".github/workflows/test.yml"):
        text = (folder / file).read_text()
        assert plugin.check in text
        assert plugin.run in text
    assert "${{ matrix.python }}" in (folder / ".github/workflows/test.yml").read_text()


def test_dfukit_is_said_and_made_to_be_installed_first_as_no_index_has_it(tmp_path: Path) -> None:
    _, folder = written(tmp_path, "generator")
    before, _, _ = (folder / "README.md").read_text().partition("```")
    assert "Install dfukit first, from its repository" in before
    before, _, _ = (folder / ".github/workflows/test.yml").read_text().partition("pip install -e")
    assert '- run: pip install "dfukit @ git+${{ vars.DFUKIT }}"' in before


@pytest.mark.parametrize(("kind", "name"), [("metric", "kd"), ("metric", "copies"), ("extractor", "r64")])
def test_the_command_that_is_shown_for_a_metric_or_an_extractor_keeps_the_audit(ask: Ask, kind: str, name: str) -> None:
    _, _, used = ask("plugins", "show", f"{kind}/{name}")[1].partition("used by: dfukit run ")
    metrics = configured(*used.split()).score.metrics
    assert "copies" in metrics
    assert len(metrics) == len(set(metrics))


def test_every_package_is_clean_to_ruff_however_long_its_name(tmp_path: Path) -> None:
    for kind in KINDS:
        for length in (1, 8, 15, 22, scaffold.LONGEST):
            written(tmp_path / kind, kind, "q" * length)
    for command in (["check", "--no-cache", "--output-format=concise"], ["format", "--no-cache", "--check"]):
        answer = subprocess.run(["ruff", *command, str(tmp_path)], capture_output=True, text=True, env=with_tools())
        assert answer.returncode == 0, answer.stdout[-2000:]


def with_tools() -> dict[str, str]:
    """An environment in which the programs beside this Python are found, whether or not it is activated."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@pytest.mark.slow
def test_every_package_is_clean_to_mypy_strict(tmp_path: Path, mypy_cache: Path) -> None:
    checked, roots = [], []
    for plugin, folder in written_of_each_kind(tmp_path):
        assert tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["mypy"]["strict"]
        checked += [str(folder / plugin.module), str(folder / "tests")]
        roots.append(str(folder))
    # dfukit is found where it is installed: its own files are none of the author's business.
    options = ["--strict", "--python-version=3.11", f"--cache-dir={mypy_cache}"]
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", *options, *checked],
        env={**os.environ, "MYPYPATH": os.pathsep.join(roots)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-1000:]


@pytest.mark.parametrize("kind", KINDS)
def test_the_facts_that_a_package_tests_hold(install: Install, kind: str) -> None:
    plugin, folder = install(kind)
    tests = loaded(folder / "tests" / f"test_{plugin.name}.py")
    facts = [fact for name, fact in vars(tests).items() if name.startswith("test_")]
    (suite,) = (
        value
        for name, value in vars(tests).items()
        if name.startswith("Test") and isinstance(value, type) and issubclass(value, Suite)
    )
    assert issubclass(suite, SUITES[kind])
    assert facts
    for fact in facts:  # those of its suite: test_plugins_installed
        fact()


@pytest.mark.parametrize("kind", KINDS)
def test_a_component_is_listed_and_a_run_would_use_it(install: Install, ask: Ask, kind: str) -> None:
    plugin, _ = install(kind)
    rows = json.loads(ask("plugins", "list", "--json")[1])
    (row,) = (row for row in rows if row["name"] == plugin.name)
    assert (row["kind"], row["package"], row["version"]) == (kind, plugin.package, "0.1.0")
    assert row["summary"]
    assert row["settings"]
    command, *options = plugin.run.split()[1:]
    assert command == "run"
    table = configured(*options).as_table()
    assert "copies" in table["score"]["metrics"]
    chosen = {"metric": table["score"]["metrics"], "extractor": [table[part]["extractor"] for part in ("gan", "score")]}
    assert plugin.name in (chosen[kind] if kind in chosen else [table[kind]["name"]])


def test_a_generator_and_its_settings_take_forty_lines_and_are_options_at_once(
    install: Install, ask: Ask, tmp_path: Path
) -> None:
    plugin, folder = install("generator", "fresh")
    lines = 0
    for file in (folder / plugin.module).glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                lines += (node.end_lineno or 0) - first + 1
    assert lines <= 40

    file = tmp_path / "run.toml"
    file.write_text('[generator]\nname = "fresh"\nwidth = 64\n')
    for options in (["--generator", "fresh", "--set", "generator.width=64"], ["--config", str(file)]):
        chosen = configured("--preset", "smoke", *options).generator
        network = chosen.build(ImageSpec(16, 3, ("clean", "infected"), "infected"))
        assert network.draw[-2].in_channels == 64

    code, _, err = ask("run", "--generator", "fresh", "--set", "generator.width=two", "--dry-run")
    assert code == 2
    assert "generator.width must be a whole number" in err


def test_the_command_names_its_files_and_what_to_do_next(ask: Ask) -> None:
    code, out, _ = ask("plugins", "new", "dfukit-small-unet", "--kind", "generator")
    assert code == 0
    assert "dfukit-small-unet/dfukit_small_unet/generator.py" in out
    assert out.endswith(
        "  cd dfukit-small-unet\n"
        "  pip install -e '.[dev]'\n"
        "  pytest\n"
        "  dfukit plugins check generator/small_unet\n"
        "  dfukit run --preset smoke --generator small_unet\n"
    )


def test_the_command_as_json_is_one_document(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    made = json.loads(ask("plugins", "new", "small", "--kind", "metric", "--out", out, "--json")[1])
    assert made["package"] == "dfukit-small"
    assert all(Path(file).is_file() for file in made["files"])
    assert made["next"][0] == f"cd '{out}'"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Small", "small letters"),
        ("9lives", "a letter first"),
        ("a--b", "single hyphens"),
        ("../up", "cannot name a plugin"),
        ("q" * 31, "30 at most"),
        ("auto", "a meaning of its own"),
        ("lstm_wgan", "generator lstm_wgan of dfukit"),
        ("lstm-wgan", "generator lstm_wgan of dfukit"),
        ("wgan", "module dfukit_wgan is there already"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_in_one_line(ask: Ask, name: str, reason: str) -> None:
    code, out, err = ask("plugins", "new", name, "--kind", "critic")
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_an_unknown_kind_is_refused_with_those_there_are(ask: Ask) -> None:
    code, _, err = ask("plugins", "new", "small", "--kind", "backbone")
    assert code == 2
    assert all(kind in err for kind in KINDS)


def test_an_installed_plugin_is_not_written_again(install: Install) -> None:
    plugin, _ = install("loss", "fresh")
    with pytest.raises(ConfigError, match=r"fresh is the name of loss fresh of dfukit-fresh 0\.1\.0"):
        scaffold.new_plugin(plugin.name, "critic", registry.load())


def test_a_folder_with_something_in_it_is_left_alone(ask: Ask, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    code, _, err = ask("plugins", "new", "small", "--kind", "loss", "--out", taken)
    assert code == 2
    assert "is not empty: name another folder with --out" in err
    assert [file.name for file in taken.iterdir()] == ["mine.txt"]
    code, _, err = ask("plugins", "new", "small", "--kind", "loss", "--out", taken / "mine.txt")
    assert code == 2
    assert "cannot write there" in err


def test_a_fresh_repository_counts_as_empty(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    assert ask("plugins", "new", "small", "--kind", "loss", "--out", tmp_path / "clone")[0] == 0
