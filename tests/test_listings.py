"""Every console listing of the README, the quick start, the tutorial and the how-tos does what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from listings import Command, commands, listings, matches

from dfukit import phantom

ROOT = Path(__file__).resolve().parents[1]

FAST = "--classifier timm_lstm --set classifier.backbone=test_resnet --set classifier.pretrained=false"
SMALL = f"--preset smoke {FAST}"
"""A run in seconds, large enough that its audit for copies finds what it must."""
NARROW = f"{SMALL} --set generator.width=8 --set critic.width=64"
"""The same with a `fastgan` of a quarter of its widths."""

EXEMPT = ""
SUBSTITUTES: dict[str, dict[str, str]] = {
    "README.md": {
        # Installing is what continuous integration does, and the suite is what this test is part of.
        "python -m venv .venv && . .venv/bin/activate": EXEMPT,
        "pip install -e '.[dev]' && pytest -n 2 --dist loadfile": EXEMPT,
        "pip install . && dfukit run --generator lstm_wgan --classifier effv2s_lstm": (
            "dfukit run --generator lstm_wgan --classifier effv2s_lstm"
            " --preset smoke --set data.phantom_patients=60 --set classifier.input_size=32"
        ),
        "dfukit run --data photographs/ --positive infected --patients patients.csv --generator fastgan": (
            f"dfukit run --data photographs/ --positive infected --patients patients.csv --generator fastgan {NARROW}"
        ),
        "dfukit sample latest --count 500 --label infected --out more/": (
            "dfukit sample latest --count 60 --label infected --out more/"
        ),
        "dfukit compare lstm_wgan fastgan --data photographs/ --time 2h": (
            "dfukit compare lstm_wgan fastgan --data photographs/ --pictures 16 --preset smoke --metric psnr"
        ),
        "dfukit lift latest": "dfukit lift latest --folds 2 --seeds 1 --set lift.steps=2 --set lift.arms=[]",
        "tensorboard --logdir runs/": "tensorboard --logdir runs/ --inspect",  # else it serves until it is stopped
    },
    "docs/quickstart.md": {
        "python -m venv .venv && . .venv/bin/activate": EXEMPT,
        "pip install .": EXEMPT,
        "dfukit run --name first": f"dfukit run --name first --set data.phantom_patients=60 {SMALL}",
    },
    "docs/how-to/another-camera.md": {},
    "docs/how-to/another-project.md": {},
    "docs/how-to/clusters.md": {
        "dfukit run --data photographs/ --positive infected --generator fastgan --device cuda:0": (
            f"dfukit run --data photographs/ --positive infected --generator fastgan --device cpu {NARROW}"
        ),
        "torchrun --nproc-per-node 2 -m dfukit run --data photographs/ --positive infected --generator fastgan"
        " --set gan.batch_size=32": (
            "torchrun --nproc-per-node 2 -m dfukit run --data photographs/ --positive infected --generator fastgan"
            f" --set gan.batch_size=32 {NARROW}"
        ),
    },
    "docs/how-to/data-protection.md": {},
    "docs/how-to/offline.md": {
        "pip wheel --quiet --wheel-dir wheelhouse .": "pip wheel --quiet --no-deps --wheel-dir wheelhouse ./dfukit",
        "dfukit weights add weights-inception-2015-12-05-6726825d.pth": EXEMPT,  # a download
    },
    "docs/how-to/own-pictures.md": {},
    "docs/how-to/reference-configuration.md": {
        "dfukit run --data photographs/ --positive infected --preset reference --generator lstm_wgan"
        " --classifier effv2s_lstm": (
            "dfukit run --data photographs/ --positive infected --preset reference --generator lstm_wgan"
            " --classifier effv2s_lstm --dry-run"
        ),
    },
    "docs/tutorial.md": {},
    "docs/why/psnr.md": {},
}
"""What is typed in place of a command of a page; nothing where it is exempt. All other commands run as they stand."""

PYTHON = {"README.md", "docs/how-to/another-project.md"}
"""Pages whose Python listings run too, with `settings={"gan.steps": 2000}` as below."""
SMALL_SETTINGS = 'settings={"classifier.backbone": "test_resnet"}, classifier="timm_lstm", preset="smoke"'

AFTER_A_RUN = {"docs/how-to/another-camera.md": "latest", "docs/how-to/data-protection.md": "wounds"}
"""Pages that begin where there is a run already, and its name."""
PHANTOMS = {"README.md": 60, "docs/quickstart.md": 60, "docs/tutorial.md": 24}
"""Pages with a run on the phantom set, and its patients."""


def console(page: str) -> list[Command]:
    return [one for block in listings(ROOT / page) if block.language == "console" for one in commands(block.text)]


class Shell:
    """A folder with pictures, and a shell in which dfukit is installed and packages can be."""

    def __init__(self, folder: Path, mypy_cache: Path) -> None:
        self.folder = folder
        environment = folder / ".venv"
        venv.create(environment, with_pip=False)
        site = next((environment / "lib").glob("python*/site-packages"))
        here = [path for path in sys.path if path and Path(path).is_dir() and path != str(ROOT / "tests")]
        (site / "here.pth").write_text("\n".join(here))
        modules = {"dfukit": "dfukit", "pip": "pip", "pytest": "pytest", "mypy": "mypy"}
        modules |= {"tensorboard": "tensorboard.main", "torchrun": "torch.distributed.run"}
        for name, module in modules.items():
            script = environment / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {environment}/bin/python -m {module} "$@"\n')
            script.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DFUKIT_CACHE_DIR": str(folder / ".cache"),
            "DFUKIT_OFFLINE": "1",
            "MYPY_CACHE_DIR": str(mypy_cache),
            "COLUMNS": "120",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # the option's own way of saying no
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def type(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )

    def follow(self, command: Command, substitutes: dict[str, str]) -> None:
        """Run a command; it must end and print as shown."""
        typed = substitutes.get(command.text, command.text)
        if typed == EXEMPT:
            return
        done = self.type(typed)
        told = f"$ {typed}\n{done.stdout}{done.stderr}"
        assert (done.returncode != 0) == command.fails, told
        if command.shown:
            printed = done.stdout + (done.stderr if command.fails else "")
            assert matches(command.shown, printed.splitlines()), "\n".join([told, "but the page shows", *command.shown])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader would have: photographs, a table of their patients, another place's, and a new one."""
    folder = tmp_path_factory.mktemp("reader")
    phantom.write_folder(folder / "photographs", patients=40, pictures=3, seed=0, size=128)
    phantom.write_folder(folder / "other_hospital", patients=12, pictures=2, seed=9, size=128)
    shutil.copytree(folder / "other_hospital", folder / "other_camera")
    paths = sorted(path.relative_to(folder / "photographs") for path in (folder / "photographs").glob("*/*.png"))
    table = "".join(f"{path},{path.stem[:-2]}\n" for path in paths)
    (folder / "patients.csv").write_text(f"path,patient\n{table}")
    (folder / "new_photograph.jpg").write_bytes((folder / "photographs" / paths[0]).read_bytes())
    return folder


@pytest.fixture
def shell(pictures: Path, tmp_path: Path, mypy_cache: Path) -> Shell:
    subprocess.run(["cp", "-r", f"{pictures}/.", str(tmp_path)], check=True)
    (tmp_path / "dfukit").symlink_to(ROOT)
    return Shell(tmp_path, mypy_cache)


@pytest.mark.slow
@pytest.mark.parametrize("page", SUBSTITUTES)
def test_the_listings_of_a_page_do_what_they_show(page: str, shell: Shell, fresh_cache: Callable[..., Path]) -> None:
    if page in PHANTOMS:
        fresh_cache(shell.folder / ".cache", phantom_patients=PHANTOMS[page])
    if page in AFTER_A_RUN:
        done = shell.type(f"dfukit run --data photographs/ --positive infected --name {AFTER_A_RUN[page]} {SMALL}")
        assert done.returncode == 0, done.stderr
    for block in listings(ROOT / page):
        if block.language == "console":
            for command in commands(block.text):
                shell.follow(command, SUBSTITUTES[page])
        elif block.language == "python" and page in PYTHON:
            code = block.text.replace('settings={"gan.steps": 2000}', SMALL_SETTINGS)
            done = shell.type(f"python - <<'END'\n{code}END")
            assert done.returncode == 0, done.stderr
        elif block.language in ("python", "toml") and block.file:
            (shell.folder / block.file).write_text(block.text)


@pytest.mark.parametrize("page", SUBSTITUTES)
def test_only_commands_of_the_page_are_substituted(page: str) -> None:
    assert set(SUBSTITUTES[page]) <= {command.text for command in console(page)}


def test_every_page_for_beginners_is_covered() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "how-to").glob("*.md")}
    assert {"README.md", "docs/quickstart.md", "docs/tutorial.md", *pages} <= set(SUBSTITUTES)


def test_a_how_to_that_trains_on_photographs_names_a_generator() -> None:
    pages = set((ROOT / "docs" / "how-to").glob("*.md")) - {ROOT / "docs" / "how-to" / "reference-configuration.md"}
    lines = [line for page in pages for block in listings(page) for line in block.text.splitlines()]
    training = [line for line in lines if re.search(r"dfukit( run| train|\.run\().*photographs/", line)]
    assert len(training) > 3
    assert [line for line in training if "generator" not in line] == []


def test_the_files_of_the_tutorial_are_those_of_its_package() -> None:
    shown = {
        block.file: block.text
        for block in listings(ROOT / "docs" / "tutorial.md")
        if block.file.startswith("dfukit-tiny/") and block.language != "console"
    }
    package = ROOT / "examples" / "dfukit-tiny"
    files = {path for path in package.rglob("*") if path.suffix in (".py", ".toml") and path.stat().st_size}
    assert shown == {f"dfukit-tiny/{path.relative_to(package)}": path.read_text("utf-8") for path in files}


def test_output_matches_where_dots_stand_for_the_rest() -> None:
    assert matches(("first", "…", "n = …"), ["first", "a", "b", "n = 3"])
    assert not matches(("first", "n = …"), ["first", "a", "n = 3"])
    assert not matches(("first",), ["first", "second"])
