"""The packages in examples/ pass the suites of their kinds, and are as short as their texts say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from third_party import EXAMPLES, installed, python_path

from dfukit import registry
from dfukit.testing import SUITES
from dfukit.testing.checking import names

SETTINGS = {"tiny": {"width": 8}, "convnext": {"input_size": 32}}
PACKAGES = {"tiny": "dfukit-tiny", "convnext": "dfukit-convnext"}


@pytest.fixture(scope="module")
def _examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        paths = [path for name in PACKAGES.values() for path in installed(name, tmp_path_factory.mktemp(name))]
        patch.setattr(sys, "path", [*paths, *sys.path])
        patch.setenv("PYTHONPATH", python_path(paths))
        registry.load.cache_clear()
        yield
    registry.load.cache_clear()


def checks() -> Iterator[object]:
    for kind, component in (("generator", "tiny"), ("classifier", "convnext")):
        for name in names(SUITES[kind]):
            yield pytest.param(kind, component, name, id=f"{component}-{name.removeprefix('test_')}")


@pytest.mark.usefixtures("_examples")
@pytest.mark.parametrize(("kind", "component", "name"), checks())
def test_an_example_passes_the_suite_of_its_kind(kind: str, component: str, name: str) -> None:
    under_test = SUITES[kind]()
    under_test.component, under_test.settings = component, SETTINGS[component]
    getattr(under_test, name)()


def lines(package: str) -> int:
    return sum(
        len(path.read_text("utf-8").splitlines())
        for path in (EXAMPLES / package).rglob("*.py")
        if "tests" not in path.parts
    )


def test_a_classifier_on_another_librarys_network_takes_under_60_lines() -> None:
    assert lines("dfukit-convnext") < 60


def test_a_generator_and_its_settings_take_at_most_40_lines() -> None:
    folder = EXAMPLES / "dfukit-tiny" / "dfukit_tiny"
    network = (folder / "network.py").read_text("utf-8").splitlines()
    offered = (folder / "__init__.py").read_text("utf-8").splitlines()
    start = offered.index("@frozen")
    settings = offered[start : offered.index("@hookimpl") - 1]
    assert len([line for line in network + settings if line.strip()]) <= 40


@pytest.mark.slow
def test_annotations_of_examples_hold_under_strict_mypy() -> None:
    scripts = sorted(str(path) for path in EXAMPLES.glob("*.py"))
    packages = [str(EXAMPLES / name / name.replace("-", "_")) for name in ("dfukit-mobilenet", *PACKAGES.values())]
    environment = {**os.environ, "MYPYPATH": python_path([str(Path(path).parent) for path in packages])}
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *scripts, *packages]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_run_uses_both(tmp_path: Path, cache: Path) -> None:
    paths = [path for name in PACKAGES.values() for path in installed(name, tmp_path / name)]
    environment = {
        **os.environ,
        "PYTHONPATH": python_path(paths),
        "DFUKIT_CACHE_DIR": str(cache),
        "DFUKIT_OFFLINE": "1",
    }
    settings = ["generator.width=8", "classifier.input_size=32"]
    command = [sys.executable, "-m", "dfukit", "run", "--preset", "smoke", "--generator", "tiny"]
    command += ["--classifier", "convnext", "--json", *(word for text in settings for word in ("--set", text))]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, 6), result.stderr  # the few steps of `smoke` may fail the release check
    assert list(tmp_path.glob("runs/*tiny-convnext/classifier.safetensors"))
