"""Plugins that raise, hang, end the process or promise nonsense: commands work, and the culprit is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hostile import GOOD, HOSTILE, codes, distribution, install, package

from dfukit import registry

SECONDS = "8"
LISTED = ("good", "chatty", "moves", "undeclared", "demanding", "exit_0", "raises")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All plugins, and a distribution whose entry points cannot be read."""
    folder = install(tmp_path_factory.mktemp("everything"), codes(*HOSTILE, *GOOD))
    distribution(folder, "third_unreadable", b"[dfukit]\nunreadable = \xff\xfe\n")
    return folder


def dfukit(installed: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a user who has these distributions installed."""
    path = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "dfukit", *arguments],
        env={**os.environ, "PYTHONPATH": path, "DFUKIT_PLUGIN_TIMEOUT": SECONDS, "DFUKIT_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def counted(code: str, count: Path) -> str:
    """The code of a plugin that leaves a mark each time it is loaded."""
    return f"with open({str(count)!r}, 'a') as file:\n    file.write('x')\n{code}"


def loads(count: Path) -> int:
    """How often it was loaded."""
    return len(count.read_text()) if count.is_file() else 0


@pytest.fixture(scope="module")
def examined(everything: Path) -> dict[str, Any]:
    """What doctor finds."""
    answer = dfukit(everything, "doctor", "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.fixture(scope="module")
def listed(everything: Path) -> subprocess.CompletedProcess[str]:
    """What `plugins list --json` answers where some are restricted to."""
    return dfukit(everything, "plugins", "list", "--json", DFUKIT_PLUGINS=",".join(LISTED))


def test_help_does_not_look_at_plugins(tmp_path: Path) -> None:
    folder = install(tmp_path / "one", {"counted": counted(codes("good")["good"], tmp_path / "count")})
    answer = dfukit(folder, "--help", DFUKIT_CACHE_DIR=str(tmp_path / "cache"))
    assert answer.returncode == 0
    assert "Commands" in answer.stdout
    assert loads(tmp_path / "count") == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_doctor_names_the_culprit_and_the_remedy(examined: dict[str, Any], name: str) -> None:
    (line,) = [line for line in examined["plugin_complaints"] if line.startswith(f"broken: plugin {name} of ")]
    assert f"plugin {name} of {package(name)} 0.5: " in line
    assert HOSTILE[name][1] in line
    assert f"pip uninstall {package(name)}" in line


def test_doctor_names_a_package_whose_entry_points_cannot_be_read(examined: dict[str, Any]) -> None:
    assert any("of third-unreadable 0.5: its entry points cannot be read" in one for one in examined["broken_plugins"])


def test_doctor_says_how_to_leave_the_broken_ones_out(examined: dict[str, Any]) -> None:
    (line,) = [line for line in examined["plugin_complaints"] if "DFUKIT_PLUGINS=" in line]
    assert set(line.partition("DFUKIT_PLUGINS=")[2].split(",")) == set(GOOD)


@pytest.mark.parametrize(
    ("name", "note"),
    [("heavy", "imports torch"), ("moves", "changes the working directory"), ("chatty", "prints when it is loaded")],
)
def test_doctor_warns_of_what_a_plugin_should_not_do(examined: dict[str, Any], name: str, note: str) -> None:
    assert any(
        f"warning: plugin {name} of {package(name)} 0.5 {note}" in line for line in examined["plugin_complaints"]
    ), examined["plugin_complaints"]


def test_doctor_names_both_sides_of_a_clash(examined: dict[str, Any]) -> None:
    clash = "clash: generator twin is offered by third-twin-one 0.5 and third-twin-two 0.5; uninstall one"
    assert clash in examined["plugin_complaints"]


def test_the_list_is_one_document_with_the_built_ins_and_what_is_sound(
    listed: subprocess.CompletedProcess[str],
) -> None:
    assert listed.returncode == 0, listed.stderr
    names = {(row["package"], row["name"]) for row in json.loads(listed.stdout)}
    assert {("dfukit", "lstm_wgan"), ("dfukit", "conv"), ("dfukit", "fid")} <= names
    assert {found for found, _ in names} == {"dfukit", *(package(name) for name in LISTED if name in GOOD)}


def test_the_list_names_each_culprit_on_standard_error(listed: subprocess.CompletedProcess[str]) -> None:
    assert "broken: plugin exit_0 of third-exit-0 0.5: " in listed.stderr
    assert "broken: plugin raises of third-raises 0.5: " in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_setting_that_is_not_declared_is_listed_as_such(listed: subprocess.CompletedProcess[str]) -> None:
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == "undeclared"]
    assert row["settings"] == [{"name": "width", "type": "undeclared", "default": 8, "help": ""}]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return install(tmp_path / "few", codes("good", "undeclared", "demanding", "twin_one", "twin_two", "exit_0"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--generator", "good"], 4, ["generator good of third-good 0.5", "cannot import nowhere:Network"]),
        (["--generator", "twin"], 2, ["offered by", "third-twin-one 0.5", "third-twin-two 0.5"]),
        (["--generator", "demanding"], 4, ["settings of generator demanding of third-demanding 0.5 cannot be made"]),
        (["--generator", "undeclared", "--set", "generator.width=4"], 4, ["generator.width cannot be set"]),
        (["--generator", "xyz"], 4, ["no generator is called xyz", "third-exit-0 0.5", "pip uninstall"]),
        (["--generator", "lstm_wgn"], 2, ['did you mean "lstm_wgan"']),
    ],
)
def test_a_run_that_names_a_broken_component_ends_with_one_line(
    few: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    answer = dfukit(few, "run", "--preset", "smoke", "--dry-run", *arguments)
    assert answer.returncode == code, answer.stderr
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last
    assert "Traceback" not in answer.stderr


def test_a_verdict_is_remembered_until_the_plugin_changes(tmp_path: Path) -> None:
    count = tmp_path / "count"
    folder = install(tmp_path / "one", {"good": counted(codes("good")["good"], count)})
    fresh = {"DFUKIT_CACHE_DIR": str(tmp_path / "cache")}

    def more() -> int:
        before = loads(count)
        assert '"good"' in dfukit(folder, "plugins", "show", "good", "--json", **fresh).stdout
        return loads(count) - before

    assert more() == 2  # tried, then imported
    assert more() == 1
    (folder / "plugin_good.py").write_text((folder / "plugin_good.py").read_text() + "\n# changed\n")
    assert more() == 2
    install(folder, codes("twin_one"))
    assert more() == 2  # another package came


def test_a_plugin_that_hangs_is_tried_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    folder = install(tmp_path / "one", {"hang": counted(codes("hang")["hang"], count)})
    environment = {"DFUKIT_CACHE_DIR": str(tmp_path / "cache"), "DFUKIT_PLUGIN_TIMEOUT": "3"}
    for _ in range(2):
        assert dfukit(folder, "plugins", "show", "lstm_wgan", **environment).returncode == 0
        assert loads(count) == 1


@pytest.mark.parametrize("executable", ["", "/bin/false", "/nowhere/python"])
def test_where_no_other_python_can_be_had_plugins_are_loaded_untried(
    executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path / "one", codes("good", "import_error"))))
    monkeypatch.setattr(sys, "executable", executable)
    registry.load.cache_clear()
    known = registry.load()
    registry.load.cache_clear()
    assert known.find("generator", "good").package == "third-good"
    assert [culprit.plugin for culprit in known.broken] == ["import_error"]


def test_a_time_limit_that_is_no_number_is_a_wrong_configuration(few: Path) -> None:
    answer = dfukit(few, "plugins", "list", DFUKIT_PLUGIN_TIMEOUT="soon")
    assert answer.returncode == 2
    assert "DFUKIT_PLUGIN_TIMEOUT must be a number of seconds above 0, got 'soon'" in answer.stderr


def test_a_plugin_leaves_nothing_running(tmp_path: Path) -> None:
    """What a plugin starts while it is tried ends with the trial."""
    pid = tmp_path / "pid"
    code = (
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\ntime.sleep(1000)\n"
    )
    folder = install(tmp_path / "one", {"parent": code})
    dfukit(folder, "plugins", "list", DFUKIT_PLUGIN_TIMEOUT="3", DFUKIT_CACHE_DIR=str(tmp_path / "cache"))
    waited_until = time.monotonic() + 5
    while Path(f"/proc/{pid.read_text()}").exists() and time.monotonic() < waited_until:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
