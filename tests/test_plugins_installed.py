"""dfukit as a wheel in a fresh environment, a new plugin of each kind installed beside it, and each of them used."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen
from new_plugins import written_of_each_kind
from safetensors import safe_open

from dfukit.component import KINDS
from dfukit.scaffold import NewPlugin

pytestmark = pytest.mark.slow
Plugins = dict[str, tuple[NewPlugin, Path]]
ROOT = Path(__file__).resolve().parents[1]


@frozen
class Environment:
    """A virtual environment, and a folder to work in."""

    path: Path
    work: Path

    def ask(self, program: str, *arguments: str, folder: Path | None = None) -> str:
        """What a program of the environment prints; it must succeed."""
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        answer = subprocess.run(
            [str(self.path / "bin" / program), *arguments],
            env={**clean, "DFUKIT_CACHE_DIR": str(self.work / "cache"), "DFUKIT_OFFLINE": "1"},
            cwd=folder or self.work,
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, (
            f"{program} {' '.join(arguments)}\n{answer.stdout[-2000:]}{answer.stderr[-2000:]}"
        )
        return answer.stdout


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """A new plugin of each kind, and its folder."""
    made = written_of_each_kind(tmp_path_factory.mktemp("plugins"))
    return {plugin.kind: (plugin, folder) for plugin, folder in made}


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, plugins: Plugins, fresh_cache: Callable[..., Path]
) -> Environment:
    """dfukit as a wheel and every plugin from its folder, in an environment that sees the packages of this one.

    It sees them through a file of paths, which brings the packages and not the editable dfukit among them.
    """
    pytest.importorskip("hatchling", reason="no hatchling to build with; it is among the dev extra")
    path, work = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("work")
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
    fresh_cache(work / "cache")
    made = Environment(path, work)
    wheels = work / "wheels"
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = wheels.glob("dfukit-*.whl")
    made.ask("pip", "install", "-q", "--no-index", "--no-deps", str(wheel))
    (packages,) = path.glob("lib/python*/site-packages")
    heavy = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    (packages / "of_the_tests.pth").write_text("\n".join(heavy))
    folders = [str(folder) for _, folder in plugins.values()]
    # Where the environment came with a setuptools, it would hide the newer one that torch asks for.
    made.ask("pip", "uninstall", "-q", "-y", "setuptools")
    # What they depend on is looked for among all that is there: a wrong requirement, of dfukit's too, fails here.
    made.ask("pip", "install", "-q", "--no-index", "--no-build-isolation", *folders)
    return made


def test_the_wheel_is_what_is_imported(environment: Environment) -> None:
    code = "import dfukit, dfukit_wgan, torch; print(dfukit.__file__, dfukit_wgan.__file__, sep='\\n')"
    files = environment.ask("python", "-c", code).splitlines()
    assert all(Path(file).is_relative_to(environment.path) for file in files)


def test_each_is_listed(environment: Environment, plugins: Plugins) -> None:
    rows = json.loads(environment.ask("dfukit", "plugins", "list", "--json"))
    listed = {(row["kind"], row["name"], row["package"], row["version"]) for row in rows}
    assert {(kind, plugin.name, plugin.package, "0.1.0") for kind, (plugin, _) in plugins.items()} <= listed


def test_the_tests_of_each_pass(environment: Environment, plugins: Plugins) -> None:
    folders = [str(folder / "tests") for _, folder in plugins.values()]
    told = environment.ask("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders)
    assert " passed" in told
    assert " skipped" not in told


def test_each_passes_its_check(environment: Environment, plugins: Plugins) -> None:
    names = [f"{kind}/{plugin.name}" for kind, (plugin, _) in plugins.items()]
    entries = json.loads(environment.ask("dfukit", "plugins", "check", *names, "--json"))
    assert [entry["kind"] for entry in entries] == list(plugins)
    for entry in entries:
        assert {check["status"] for check in entry["checks"]} == {"passed"}, entry["name"]


@pytest.fixture(scope="module")
def run_of(environment: Environment, plugins: Plugins) -> Callable[[str], Path]:
    """The folder of the run on the phantom set that `plugins new` proposes for a kind; each run is made once.

    The new classifier, which is quick, stands in all of them.
    """

    @functools.cache
    def make(kind: str) -> Path:
        program, *arguments = plugins[kind][0].run.split()
        quick = () if kind == "classifier" else ("--classifier", plugins["classifier"][0].name)
        environment.ask(program, *arguments, *quick, "--name", kind, "--json")
        return environment.work / "runs" / kind

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_uses_it(run_of: Callable[[str], Path], plugins: Plugins, kind: str) -> None:
    """A network is in its weights file; an extractor and a metric have their figure among the scores; with a loss or an
    augmentation the generator comes out otherwise than without."""
    plugin, run = plugins[kind][0], run_of(kind)
    assert (run / "report.html").is_file()
    if kind in ("generator", "critic", "classifier"):
        with safe_open(run / f"{kind}.safetensors", "pt") as weights:
            described = json.loads(weights.metadata()["dfukit"])
        assert (described["component"], described["package"]) == (plugin.name, plugin.package)
    elif kind in ("extractor", "metric"):
        figure = {"extractor": f"kd[{plugin.name}]", "metric": f"{plugin.name}[r64]"}[kind]
        assert json.loads((run / "scores.json").read_text())[figure]["value"] is not None
    else:
        assert tomllib.loads((run / "config.toml").read_text())[kind]["name"] == plugin.name
        usual = run_of("metric")  # a metric leaves the training as it is
        assert (run / "generator.safetensors").read_bytes() != (usual / "generator.safetensors").read_bytes()
