"""The ledger of looks at test parts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfukit import images, ledger
from dfukit.cli import group
from dfukit.errors import DataError
from dfukit.ledger import record
from dfukit.rundir import RunDir

PART = ("a" * 64, "b" * 64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run_folder(tmp_path: Path, name: str) -> RunDir:
    (tmp_path / name).mkdir()
    return RunDir(tmp_path / name)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (14, "14th"),
        (21, "21st"),
        (22, "22nd"),
        (23, "23rd"),
        (111, "111th"),
        (112, "112th"),
        (121, "121st"),
    ],
)
def test_ordinals_are_said_rightly(number: int, words: str) -> None:
    assert ledger.ordinal(number) == words


def test_each_new_classifier_is_another_look(tmp_path: Path) -> None:
    looks = [record(run_folder(tmp_path, name), PART, [name], "run") for name in ("one", "two", "three")]
    assert [look.text for look in looks] == ["first look", "2nd look", "3rd look"]


def test_the_same_weights_again_are_the_same_look(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "one")
    first = record(run, PART, ["x", "y"], "run")
    record(run_folder(tmp_path, "two"), PART, ["z"], "run")
    assert record(run, reversed(PART), ["y", "x"], "classify") == first
    assert len(run.ledger.read_text().splitlines()) == 1


def test_another_part_has_its_own_count(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "one")
    record(run, PART, ["x"], "run")
    assert record(run, PART[:1], ["x"], "evaluate").number == 1
    assert record(run, PART, ["y"], "classify").number == 2


def test_a_line_names_no_file_and_no_picture(tmp_path: Path, cache: Path) -> None:
    run = run_folder(tmp_path, "one")
    look = record(run, PART, ["x"], "run")
    (ledger_file,) = (cache / "ledger").iterdir()
    assert ledger_file.read_text() == run.ledger.read_text()
    line = json.loads(run.ledger.read_text())
    assert set(line) == {"time", "command", "run", "weights", "part"}
    assert (line["command"], line["run"], line["part"]) == ("run", "one", look.part)
    assert not set(PART) & set(line.values())


def test_a_run_brings_its_looks_to_another_machine(tmp_path: Path, cache: Path) -> None:
    run = run_folder(tmp_path, "one")
    for weights in ("x", "y"):
        record(run, PART, [weights], "classify")
    shutil.rmtree(cache)
    assert record(run, PART, ["z"], "classify").number == 3
    assert record(None, PART, ["elsewhere"], "evaluate").number == 2


def test_a_damaged_line_is_no_look_and_hides_no_other(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "one")
    record(run, PART, ["x"], "run")
    with run.ledger.open("a") as file:
        file.write('{"time": "2026\n[]\nnull\n')
    assert record(run, PART, ["y"], "run").number == 2


def test_a_ledger_that_cannot_be_written_is_an_error_with_its_remedy(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"the ledger .* cannot be (written|read) .*"):
        record(None, PART, ["x"], "evaluate")


def test_clearing_the_cache_leaves_the_ledger(tmp_path: Path) -> None:
    record(None, PART, ["x"], "evaluate")
    answer = CliRunner().invoke(group, ["data", "clear"])
    assert f"the ledger of looks at test parts stays: {images.ledger_dir()}" in answer.output
    assert record(None, PART, ["y"], "evaluate").number == 2


def test_processes_at_once_lose_no_look(tmp_path: Path) -> None:
    code = "import sys; from dfukit.ledger import record\n"
    code += "for look in range(20): record(None, ['a'], [sys.argv[1] + str(look)], 'run')"
    commands = [[sys.executable, "-c", code, str(process)] for process in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda command: subprocess.run(command, check=True), commands))
    assert record(None, ["a"], ["last"], "run").number == 81
