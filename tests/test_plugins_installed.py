"""A stranger's afternoon: dfukit as a wheel in a fresh environment, a new plugin of each kind beside it, and all of it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen
from new_plugins import written_of_each_kind

from dfukit.component import KINDS
from dfukit.scaffold import NewPlugin

pytestmark = pytest.mark.slow
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
def plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[NewPlugin, Path]]:
    """A new plugin of each kind, and its folder."""
    made = written_of_each_kind(tmp_path_factory.mktemp("plugins"))
    return {plugin.kind: (plugin, folder) for plugin, folder in made}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, plugins: dict[str, tuple[NewPlugin, Path]]) -> Environment:
    """dfukit as a wheel and every plugin from its folder, in an environment that sees the packages of this one.

    It sees them through a file of paths, which brings the packages and not the editable dfukit among them.
    """
    pytest.importorskip("hatchling", reason="no hatchling to build with; it is among the dev extra")
    path, work = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("work")
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
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
    # Their dependencies are looked for among what is there: a wrong one would fail here.
    made.ask("pip", "install", "-q", "--no-index", "--no-build-isolation", *folders)
    return made


def test_the_wheel_is_what_is_imported(environment: Environment) -> None:
    code = "import dfukit, dfukit_wgan, torch; print(dfukit.__file__, dfukit_wgan.__file__, sep='\\n')"
    files = environment.ask("python", "-c", code).splitlines()
    assert all(Path(file).is_relative_to(environment.path) for file in files)


def test_each_is_listed(environment: Environment, plugins: dict[str, tuple[NewPlugin, Path]]) -> None:
    rows = json.loads(environment.ask("dfukit", "plugins", "list", "--json"))
    listed = {(row["kind"], row["name"], row["package"], row["version"]) for row in rows}
    assert {(kind, plugin.name, plugin.package, "0.1.0") for kind, (plugin, _) in plugins.items()} <= listed


def test_the_tests_of_each_pass(environment: Environment, plugins: dict[str, tuple[NewPlugin, Path]]) -> None:
    folders = [str(folder / "tests") for _, folder in plugins.values()]
    told = environment.ask("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders)
    assert " passed" in told
    assert " skipped" not in told


def test_each_passes_its_check(environment: Environment, plugins: dict[str, tuple[NewPlugin, Path]]) -> None:
    names = [f"{kind}/{plugin.name}" for kind, (plugin, _) in plugins.items()]
    entries = json.loads(environment.ask("dfukit", "plugins", "check", *names, "--json"))
    assert [entry["kind"] for entry in entries] == list(plugins)
    for entry in entries:
        assert {check["status"] for check in entry["checks"]} == {"passed"}, entry["name"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_uses_it(environment: Environment, plugins: dict[str, tuple[NewPlugin, Path]], kind: str) -> None:
    """On the phantom set, by the very command that `plugins new` ended with.

    A network is in its weights file; a loss and an augmentation are in the settings that the run trained by; a metric
    has its figure among the scores; an extractor is behind a distance among them.
    """
    plugin, _ = plugins[kind]
    program, *arguments = plugin.run.split()
    told = json.loads(environment.ask(program, *arguments, "--name", kind, "--json"))
    folder = environment.work / "runs" / kind
    assert (folder / "report.html").is_file(), told
    assert f"{plugin.package} 0.1.0" in json.loads((folder / "environment.json").read_text())["plugins"]
    if kind in ("generator", "critic", "classifier"):
        code = f"from safetensors import safe_open; print(safe_open('{kind}.safetensors', 'pt').metadata()['dfukit'])"
        described = json.loads(environment.ask("python", "-c", code, folder=folder))
        assert plugin.package in json.dumps(described)
    elif kind in ("metric", "extractor"):
        scores = json.loads((folder / "scores.json").read_text())
        figure = {"metric": f"{plugin.name}[r64]", "extractor": f"kd[{plugin.name}]"}[kind]
        assert scores[figure]["value"] is not None
    else:
        assert f'[{kind}]\nname = "{plugin.name}"' in (folder / "config.toml").read_text()
        assert json.loads((folder / "training.json").read_text())
