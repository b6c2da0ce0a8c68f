"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dfukit import cli, config, phantom
from dfukit.sections import DataSettings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else each of several processes computes on all cores

Ask = Callable[..., tuple[int, str, str]]
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and weights beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared: real pictures and weights are not at hand")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _the_users_cache_stays_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test leaves undone, it decodes, scores and looks at test parts in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache of all")))
        yield


@pytest.fixture(scope="session")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a cache for a test: new, but for the phantom set of the preset smoke.

    To draw its pictures takes seconds; all tests, in whatever process, copy those that the first of them drew.
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # of all workers

    def make(folder: Path, **settings: int) -> Path:
        told = DataSettings(**{**config.read_preset("smoke")["data"], **settings})
        drawn = place / f"drawn {told.phantom_patients} x {told.phantom_pictures}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DFUKIT_CACHE_DIR", str(drawn))
            phantom.image_set(told)
        return shutil.copytree(drawn, folder, dirs_exist_ok=True)

    return make


@pytest.fixture
def mypy_cache(tmp_path: Path) -> Path:
    """A cache for mypy: where it has checked this repository, a copy of what it knows of that, and of torch."""
    known, folder = Path(__file__).resolve().parents[1] / ".mypy_cache", tmp_path / ".mypy_cache"
    if known.is_dir():
        shutil.copytree(known, folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, fresh_cache: Callable[..., Path]) -> Path:
    return fresh_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache for the module, and no internet."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(cache))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a `dfukit` command; its exit code, standard output and standard error come back."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfukit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return run
