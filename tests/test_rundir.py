"""Run folders: a name that is taken gets a number, files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfukit import ConfigError, DataError, rundir
from dfukit.rundir import RunDir


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    made = [rundir.create(tmp_path, "trial", ()).name for _ in range(3)]
    assert made == ["trial", "trial-2", "trial-3"]


def test_a_run_without_a_name_is_called_by_time_and_components(tmp_path: Path) -> None:
    assert rundir.create(tmp_path, "", ("lstm_wgan", "effv2s_lstm")).name.endswith("Z-lstm_wgan-effv2s_lstm")


@pytest.mark.parametrize("name", ["..", "a/b", "/tmp/x", "-x", "a\nb"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        rundir.create(tmp_path, name, ())


def test_an_unwritable_parent_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=r"--out .*file: cannot write there"):
        rundir.create(file, "trial", ())


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    rundir.write_json(path, {"fid": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        rundir.write_json(path, {"fid": float("nan")})
    assert rundir.read_json(path) == {"fid": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_latest_is_the_run_that_began_last(tmp_path: Path) -> None:
    import os

    for age, name in enumerate(("new", "old")):
        run = rundir.create(tmp_path, name, ())
        rundir.write_toml(run.config, {})
        os.utime(run.config, (1000 - age, 1000 - age))
    assert rundir.open_run("latest", tmp_path).name == "new"
    assert rundir.open_run("old", tmp_path).name == "old"


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        rundir.open_run(tmp_path)
    with pytest.raises(DataError, match="no run in"):
        rundir.open_run("latest", tmp_path)


def test_a_torn_last_event_is_left_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.event("gan", step=1)
    with run.metrics.open("a") as file:
        file.write('{"phase": "gan", "st')
    assert [event["step"] for event in run.events()] == [1]


@pytest.mark.parametrize("content", ['{"a": NaN}', "[-Infinity]", '{"a": [1e999]}', "{", "[" * 100_000])
def test_what_is_no_json_is_named_with_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(DataError, match=r"scores\.json is not valid JSON: "):
        rundir.read_json(tmp_path / "scores.json")


def test_a_run_has_its_name_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = rundir.create(tmp_path, "trial", ())
    rundir.write_toml(run.config, {})
    run.samples.mkdir()
    monkeypatch.chdir(run.path)
    assert rundir.open_run(".").name == "trial"
    monkeypatch.chdir(run.samples)
    assert rundir.open_run("..").name == "trial"


def test_what_killed_writes_left_is_swept_away(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    (tmp_path / ".scores.json.7.tmp").touch()
    (tmp_path / ".bundle.7.tmp" / "samples").mkdir(parents=True)
    for folder in (run.samples, run.features, run.synthetic, run.checkpoints):
        folder.mkdir()
        (folder / ".half.7.tmp").touch()
        (folder / "whole").touch()
    rundir.sweep(run)
    assert not list(tmp_path.rglob(".*"))
    assert len(list(tmp_path.rglob("whole"))) == 4
