"""What is published: a wheel with all of dfukit and nothing else, a source distribution that makes the same wheel."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = ("dfukit", *sorted(folder.name for folder in (ROOT / "plugins").glob("dfukit_*")))


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, cwd="/", capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is made of it."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    answer = python("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (file,) = built.glob("*.whl")
    return file


def sources(folder: Path) -> set[str]:
    """Every file of a package in the checkout, as the wheel names it."""
    return {
        file.relative_to(folder.parent).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_holds_every_file_of_every_package_and_nothing_else(wheel: Path) -> None:
    expected = sources(ROOT / "dfukit").union(*(sources(folder) for folder in (ROOT / "plugins").glob("dfukit_*")))
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert files == expected
    assert {PurePosixPath(name).parts[0] for name in files} == set(PACKAGES)
    assert "dfukit/presets/smoke.toml" in files
    assert "dfukit/scaffold/generator/generator.py.j2" in files


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_has_types(package: str) -> None:
    """The wheel holds every file of every package."""
    assert ((ROOT if package == "dfukit" else ROOT / "plugins") / package / "py.typed").is_file()


def test_the_wheel_holds_no_test_and_no_example(wheel: Path) -> None:
    for name in zipfile.ZipFile(wheel).namelist():
        path = PurePosixPath(name)
        assert not {"tests", "examples", "benchmarks", "docs"} & set(path.parts), name
        assert not path.name.startswith("test_"), name
        assert path.name != "conftest.py", name


def test_the_source_distribution_holds_what_building_testing_and_reading_take(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "pyproject.toml", "docs/plugins.md"} <= names
    tracked = [
        folder for folder in ("dfukit", "plugins", "tests", "examples", "benchmarks") if (ROOT / folder).is_dir()
    ]
    for folder in tracked:
        missing = {
            path
            for path in sources(ROOT / folder)
            if path.endswith((".py", ".toml", ".j2", ".md")) and not any(p.startswith(".") for p in Path(path).parts)
        } - names
        assert not missing, missing


def test_both_stay_below_a_megabyte(built: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in built.iterdir()}
    assert len(sizes) == 2
    assert all(size < MEGABYTE for size in sizes.values()), sizes


def test_an_index_would_take_both(built: Path) -> None:
    pytest.importorskip("twine")
    answer = python("-m", "twine", "check", "--strict", *map(str, built.iterdir()))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_wheel_brings_the_built_ins_by_their_entry_points(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import json, dfukit\n"
        "from importlib.metadata import entry_points\n"
        "from dfukit import registry\n"
        "points = [point for point in entry_points(group='dfukit') if point.dist.name == 'dfukit']\n"
        "files = [dfukit.__file__, *(point.load().__file__ for point in points)]\n"
        "kinds = sorted({offer.kind for offer in registry.load().offers if offer.package == 'dfukit'})\n"
        "print(json.dumps([sorted(point.name for point in points), files, kinds]))"
    )
    answer = python("-c", code, PYTHONPATH=str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    points, files, kinds = json.loads(answer.stdout)
    assert points == sorted(PROJECT["entry-points"]["dfukit"])
    assert all(Path(file).is_relative_to(tmp_path) for file in files)
    assert kinds == ["augmentation", "classifier", "critic", "extractor", "generator", "loss", "metric"]


def test_every_package_that_is_imported_is_declared() -> None:
    declared = {"attrs", "PIL", "sklearn", "torch_fidelity", "tomli_w"}  # names that differ from their packages'
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["heic"]]
    names = [requirement.split(">")[0].split("<")[0].strip() for requirement in requirements]
    declared |= {name.replace("-", "_") for name in names}
    imported = set()
    for folder in (ROOT / "dfukit", *(ROOT / "plugins").glob("dfukit_*")):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) - set(PACKAGES) <= declared


RUNNING = "{}.{}".format(*sys.version_info)
"""For which they were had: this is running."""


@pytest.mark.slow
@pytest.mark.parametrize("version", [one for one in ("3.11", "3.12", "3.13") if one != RUNNING])
def test_its_dependencies_can_be_had(wheel: Path, tmp_path: Path, version: str) -> None:
    dry = ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(tmp_path / "report")]
    if python(*dry, "--no-deps", "click").returncode:
        pytest.skip("no package index answers")
    target = ["--python-version", version, "--only-binary=:all:", "--target", str(tmp_path / "nowhere")]
    answer = python(*dry, *target, str(wheel))
    assert answer.returncode == 0, answer.stderr[-2000:]
    chosen = {one["metadata"]["name"].lower() for one in json.loads((tmp_path / "report").read_text())["install"]}
    assert {"dfukit", "torch", "timm", "kornia"} <= chosen
