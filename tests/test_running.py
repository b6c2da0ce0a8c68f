"""A run that is given a time, more steps, other weights, or a disk that takes no more."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_gan
import torch
from attrs import evolve
from conftest import Ask
from small_gan import Signal

import dfukit
from dfukit import (
    ConfigError,
    DataError,
    DfukitError,
    Interrupted,
    WeightsError,
    absent,
    checkpoint,
    classify,
    cli,
    extension,
    pipeline,
    registry,
    report,
    rundir,
    schedule,
    weights,
)
from dfukit.config import RunConfig
from dfukit.interrupt import continued_by
from dfukit.monitor import Monitor
from dfukit.progress import Lines, Silent
from dfukit.rundir import RunDir
from dfukit.sections import GanSettings
from dfukit.world import ALONE

TINY = {"run.threads": 1, "run.precision": "fp32", "classifier.lstm_hidden": 16, "gan.steps": 8, "gan.patience": 0}


pytestmark = pytest.mark.usefixtures("offline")


def begin(out: Path, name: str = "run", **settings: object) -> dfukit.Run:
    return dfukit.run(preset="smoke", classifier="critic_lstm", settings={**TINY, **settings}, out=out, name=name)


def settings_of(run: RunDir) -> dict[str, object]:
    return tomllib.loads(run.config.read_text())["gan"]


def test_a_budget_becomes_steps_that_are_recorded_and_repeat_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[dict[str, object]] = []
    write = report.write

    def noting(folder: RunDir, config: RunConfig, *others: Any) -> None:
        reported.append(config.as_table()["gan"])
        write(folder, config, *others)

    monkeypatch.setattr(report, "write", noting)
    run = begin(tmp_path, **{"gan.budget": "4s"}).folder
    told = settings_of(run)
    assert reported == [told]
    assert told["budget"] == ""
    summary = json.loads(run.training.read_text())
    assert summary["steps"] == told["steps"]
    assert told["steps"] % told["evaluate_every"] == 0
    (note,) = (event["text"] for event in run.events() if event["phase"] == "note")
    assert re.fullmatch(
        rf"budget 4s: {told['steps']} steps of .* s = .* over the training part, an evaluation .*", note
    )
    again = dfukit.run(config=run.config, out=tmp_path, name="again").folder
    for name in ("generator.safetensors", "critic.safetensors", "scores.json"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name


def test_the_steps_of_the_measurement_leave_no_trace(tmp_path: Path) -> None:
    """A run whose budget became N steps has the bytes of one that was told N steps."""
    small_gan.train(tmp_path / "budget", **{"gan.budget": "3s", "gan.evaluate_every": 0})
    told = settings_of(RunDir(tmp_path / "budget"))
    told_settings = {f"gan.{name}": told[name] for name in ("steps", "evaluate_every", "ema")}
    small_gan.train(tmp_path / "steps", **told_settings)
    for name in ("generator.safetensors", "critic.safetensors"):
        assert (tmp_path / "budget" / name).read_bytes() == (tmp_path / "steps" / name).read_bytes(), name


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDir:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        patch.setenv("DFUKIT_OFFLINE", "1")
        return begin(tmp_path_factory.mktemp("short")).folder


def copied(run: RunDir, where: Path) -> RunDir:
    shutil.copytree(run.path, where / "run")
    return RunDir(where / "run")


def contents(run: RunDir) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_an_extended_run_has_the_bytes_of_one_that_was_longer_from_the_start(short: RunDir, tmp_path: Path) -> None:
    longer = begin(tmp_path, "longer", **{"gan.steps": 14}).folder
    extended = dfukit.run(resume=copied(short, tmp_path).path, extend=6).folder
    assert json.loads(extended.training.read_text())["steps"] == 14
    assert settings_of(extended)["steps"] == 14
    for name in ("generator.safetensors", "critic.safetensors", "scores.json", "classification.json"):
        assert (extended.path / name).read_bytes() == (longer.path / name).read_bytes(), name


def test_a_run_is_extended_by_a_time(short: RunDir, tmp_path: Path) -> None:
    extended = dfukit.run(resume=copied(short, tmp_path).path, extend="2s").folder
    assert json.loads(extended.training.read_text())["steps"] > 8
    assert settings_of(extended)["budget"] == ""


def test_an_extension_by_a_time_has_all_of_it_however_long_the_run_took_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_gan.train(tmp_path, **{"gan.steps": 2})
    checkpoints = RunDir(tmp_path).checkpoints
    last = checkpoint.newest(checkpoints, lambda text: pytest.fail(text))
    assert last is not None
    a_day = 86_400.0
    checkpoint.write(checkpoints, evolve(last, judge={**last.judge, "elapsed": a_day}))
    told: list[float] = []

    def fit(settings: GanSettings, done: int, left: float, step: float, evaluation: float) -> GanSettings:
        told.append(left)
        return evolve(settings, steps=done + 1, budget="")

    monkeypatch.setattr(schedule, "fit", fit)
    monkeypatch.setattr("dfukit.gan.WARM_UP_SECONDS", 0.0)
    assert small_gan.train(tmp_path, **{"gan.budget": "1h"}).summary["steps"] == 3
    assert told == [pytest.approx(3600, abs=600)]  # less what the measurement took


def test_a_run_that_was_asked_to_stop_trains_on_when_it_is_extended(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    summary = small_gan.train(tmp_path, Signal(3, run.stop.touch)).summary
    assert (summary["steps"], summary["stopped"]) == (3, "asked to stop")
    rundir.write_json(run.training, summary)
    run.stop.touch()  # asked once more when it had ended
    made = extension.extend(small_gan.small(), run, "4", ALONE)
    assert not run.stop.exists()
    assert small_gan.train(tmp_path, **{"gan.steps": made.gan.steps}).summary["steps"] == 3 + 4


def test_an_extended_run_keeps_no_pictures_of_the_generator_before(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    with pytest.raises(Interrupted, match=r"go on with: dfukit\.run\(resume='.*run'\)$"):
        dfukit.run(resume=run.path, extend=5, progress=Signal(9, lambda: signal.raise_signal(signal.SIGINT)))
    assert not run.manifest.exists()


def test_a_training_that_is_extended_has_no_figures_of_the_generator_before(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    run.lift.mkdir()
    extended = pipeline.execute_train(absent.resume(run, registry.load()), run, Silent(), extend="2")
    assert (extended.scores, extended.classification, extended.release) == ({}, {}, None)
    assert extended.as_text() == f"{'run folder':24} {run.path}"
    assert json.loads(run.training.read_text())["steps"] == 10
    left = {path.name for path in run.path.iterdir()}
    made = {"checkpoints", "samples", "synthetic", "tensorboard"}
    made |= {"critic.safetensors", "generator.safetensors", "metrics.jsonl", "training.json"}
    assert left == made | {"config.toml", "data.json", "environment.json", "split.csv", "ledger.jsonl", "lift"}


def test_a_shared_report_stays_shared_when_a_run_goes_on(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    pipeline.execute_report(run, share=True, progress=Silent())
    pipeline.execute(absent.resume(run, registry.load()), run, Silent())
    assert report.is_shared(run)
    with pytest.raises(Interrupted):
        dfukit.run(resume=run.path, extend=2, progress=Signal(9, lambda: signal.raise_signal(signal.SIGINT)))
    assert not run.report.exists()
    dfukit.run(resume=run.path)
    assert report.is_shared(run)


class Watching(Silent):
    """Asks the monitor with every word and every bar."""

    def __init__(self, run: RunDir) -> None:
        self.monitor = Monitor(run)
        self.seen: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        self.seen.append((self.monitor.refresh().status(time.time()), text))

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        self.say(task)


@pytest.mark.parametrize(("command", "before"), [("run", "the GAN of run is trained"), ("classify", "no --data")])
def test_a_run_is_not_finished_while_it_is_made_anew(
    short: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, before: str
) -> None:
    run = copied(short, tmp_path)
    watching, compare_arms = Watching(run), classify.compare_arms

    def compare(*given: Any) -> dict[str, Any]:
        watching.say("the first classifier begins")  # which takes long until its first event
        return compare_arms(*given)

    monkeypatch.setattr(classify, "compare_arms", compare)
    if command == "run":
        pipeline.execute(absent.resume(run, registry.load()), run, watching)
    else:
        pipeline.execute_classify(run, watching)
    finished = [text for status, text in watching.seen if status == "finished"]
    assert finished == [text for _, text in watching.seen[: len(finished)]]
    assert finished[-1].startswith(before)
    assert {status for status, _ in watching.seen[len(finished) :]} == {"running"}
    assert watching.monitor.refresh().status(time.time()) == "finished"


@pytest.mark.parametrize("change", [{"run": {"device": "cuda:63"}}, {"data": {"path": "/nowhere"}}])
def test_an_extension_that_cannot_begin_leaves_the_run_as_it_was(
    short: RunDir, tmp_path: Path, change: dict[str, dict[str, str]]
) -> None:
    run = copied(short, tmp_path)
    table = tomllib.loads(run.config.read_text())
    rundir.write_toml(run.config, {**table, **{name: {**table[name], **values} for name, values in change.items()}})
    before = contents(run)
    with pytest.raises(dfukit.DfukitError):
        dfukit.run(resume=run.path, extend=5)
    assert contents(run) == before


def test_an_extractor_that_was_named_and_cannot_be_had_ends_a_run_before_anything_is_read_or_lost(
    short: RunDir, tmp_path: Path, ask: Ask
) -> None:
    lacks, empty = "dfukit weights add", tmp_path / "pictures"
    empty.mkdir()
    code, _, err = ask("run", "--set", "gan.extractor=inception", "--data", empty, "--out", tmp_path / "runs")
    assert (code, lacks in err) == (3, True)
    run = copied(short, tmp_path)
    table = tomllib.loads(run.config.read_text())
    rundir.write_toml(run.config, {**table, "gan": {**table["gan"], "extractor": "inception"}})
    before = contents(run)
    code, _, err = ask("train", "--resume", run.path, "--extend", 5)
    assert (code, lacks in err, contents(run) == before) == (3, True, True)
    assert ask("train", "--resume", run.path)[0] == 0  # the GAN has ended, and needs it no longer


class Impatient(Silent):
    """A user who ends it with the first word."""

    def say(self, text: str) -> None:
        raise KeyboardInterrupt


def test_an_extension_that_was_interrupted_before_it_began_is_asked_for_again(
    short: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(short, tmp_path)
    with pytest.raises(Interrupted, match=r"go on with: dfukit\.run\(resume='.*run', extend='5'\)$"):
        dfukit.run(resume=run.path, extend=5, progress=Impatient())
    assert run.training.is_file()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "execute", interrupted)
    monkeypatch.setattr(sys, "argv", ["dfukit", "run", "--resume", str(run.path), "--extend", "30m"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip().endswith(f"go on with: dfukit run --resume {run.path} --extend 30m")


@pytest.mark.parametrize("moment", ["_forget", "write_toml", "unlink"])
def test_an_extension_interrupted_at_its_beginning_reaches_its_steps_by_the_line_that_it_prints(
    short: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask, moment: str
) -> None:
    """While it removes the pictures, and before and after the settings are written."""
    run = copied(short, tmp_path)
    pipeline.execute_report(run, share=True, progress=Silent())

    def interrupted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *others: Any, **named: Any) -> None:
            if moment in ("_forget", "write_toml") or path == run.training:
                if moment == "_forget":
                    run.sums.unlink()
                    shutil.rmtree(run.synthetic)
                raise KeyboardInterrupt
            real(path, *others, **named)

        return call

    with monkeypatch.context() as patch:
        home = {"_forget": extension, "write_toml": rundir, "unlink": Path}[moment]
        patch.setattr(home, moment, interrupted(getattr(home, moment)))
        code, _, err = ask("train", "--resume", run.path, "--extend", 5)
    assert code == 130
    line = err.strip().splitlines()[-1].split("go on with: ")[1]
    assert ask(*shlex.split(line)[1:])[0] == 0
    assert json.loads(run.training.read_text())["steps"] == settings_of(run)["steps"] == 8 + 5
    assert tomllib.loads(run.config.read_text())["report"]["share"]  # real pixels do not come back unasked
    assert not run.report.exists()


def test_training_that_has_ended_leaves_an_audited_set_as_it_is(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    *left, last = run.manifest.read_text().splitlines(keepends=True)
    run.manifest.write_text("".join(left))  # as if the audit had flagged the last one
    (run.synthetic / last.split(",")[0]).unlink()
    before = {path: path.read_bytes() for path in (*run.synthetic.rglob("*.*"), run.release)}
    pipeline.execute_train(absent.resume(run, registry.load()), run, Silent())
    assert {path: path.read_bytes() for path in (*run.synthetic.rglob("*.*"), run.release)} == before


@pytest.mark.parametrize("command", ["classify", "report"])
def test_a_full_disk_is_one_line_in_the_commands_that_do_a_step_anew(
    short: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "there")

    monkeypatch.setattr(pipeline, f"execute_{command}", full)
    monkeypatch.setattr(sys, "argv", ["dfukit", command, str(short.path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("Error: there cannot be written (No space left on device)")
    assert said.endswith(f"go on with: dfukit {command} {short.path}")


@pytest.fixture
def no_room_for_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rundir, "sync", full)


@pytest.mark.usefixtures("no_room_for_checkpoints")
@pytest.mark.parametrize("command", ["run", "train"])
def test_a_checkpoint_for_which_there_is_no_room_ends_with_the_command_that_was_given(
    short: RunDir, tmp_path: Path, ask: Ask, command: str
) -> None:
    run = copied(short, tmp_path)
    code, _, err = ask(command, "--resume", run.path, "--extend", 5)
    assert code == 1
    assert err.strip().splitlines()[-1] == (
        f"Error: {run.checkpoints / '00000008'} cannot be written (No space left on device); earlier checkpoints are "
        f"untouched: make room or give leave to write, then go on with: dfukit {command} --resume {run.path} --extend 5"
    )


@pytest.mark.usefixtures("no_room_for_checkpoints")
def test_a_checkpoint_for_which_there_is_no_room_ends_with_the_call_that_goes_on(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    with pytest.raises(DfukitError, match=r"go on with: dfukit\.run\(resume='.*run', extend='5'\)$"):
        dfukit.run(resume=run.path, extend=5)


# Says when it is at work in a run folder, and stays there.
AT_WORK = """
import sys
from dfukit import rundir
with rundir.at_work(rundir.open_run(sys.argv[1])):
    print(flush=True)
    input()
"""


def test_a_folder_in_which_another_dfukit_is_at_work_is_left_as_it_is_until_that_one_ends(
    short: RunDir, tmp_path: Path, ask: Ask
) -> None:
    run = copied(short, tmp_path)
    before = contents(run)
    command = [sys.executable, "-c", AT_WORK, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        line = (
            f"Error: another dfukit is at work in {run.path}: wait for it, or watch it with `dfukit monitor {run.path}`"
        )
        for words in (("run", "--resume"), ("train", "--resume"), ("classify",), ("report",), ("lift",)):
            code, out, err = ask(*words, run.path)
            assert (code, out, err.strip().splitlines()[-1]) == (2, "", line), words
        with pytest.raises(ConfigError, match="another dfukit is at work"):
            dfukit.run(resume=run.path)
        assert contents(run) == before
        assert ask("monitor", "--once", run.path)[0] == 0  # it only reads
        other.kill()
    assert ask("report", run.path)[0] == 0


def test_of_the_processes_of_torchrun_the_first_alone_locks_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path)
    with rundir.at_work(run):
        monkeypatch.setenv("RANK", "1")
        with rundir.at_work(run):
            pass
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(ConfigError, match="another dfukit is at work"), rundir.at_work(run):
            pass


def test_a_folder_is_moved_and_deleted_while_a_run_is_at_work_in_it(tmp_path: Path) -> None:
    run = rundir.create(tmp_path, "run", ())
    with rundir.at_work(run):
        assert not list(run.path.iterdir())  # nothing that sums or a bundle could take in
        run.path.rename(tmp_path / "moved")
        shutil.rmtree(tmp_path / "moved")


def test_where_folders_cannot_be_locked_a_run_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # NFS, of a folder

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with rundir.at_work(RunDir(tmp_path)), rundir.at_work(RunDir(tmp_path)):
        pass


def test_measuring_a_budget_counts_as_time_of_the_training(tmp_path: Path) -> None:
    began = time.monotonic()
    summary = small_gan.train(tmp_path, **{"gan.budget": "3s", "gan.evaluate_every": 0}).summary
    assert 2 < summary["seconds_of_evaluation"] < summary["seconds"] < time.monotonic() - began + 1


def test_a_run_that_lost_its_patience_has_it_again_when_it_is_extended(tmp_path: Path) -> None:
    class Worse:
        name = "worse"

        def __init__(self) -> None:
            self.value = 0.0

        def measure(self, fake: object) -> tuple[float, float]:
            self.value += 1
            return self.value, 0.0

    told = {"gan.steps": 30, "gan.patience": 2}
    made, run = small_gan.small(**told), RunDir(tmp_path)
    first = small_gan.train(tmp_path, None, Worse(), **told).summary
    assert (first["steps"], first["stopped"]) == (6, "no better for 2 evaluations")
    rundir.write_json(run.training, first)
    extended = extension.extend(made, run, "8", ALONE)
    assert extended.gan == evolve(made.gan, steps=14)
    assert not run.training.exists()
    second = small_gan.train(tmp_path, None, Worse(), **{**told, "gan.steps": 14}).summary
    assert (second["steps"], second["stopped"]) == (10, "no better for 2 evaluations")


@pytest.mark.parametrize("more", ["-5", "soon", "1h30", "0", "0s", " "])
def test_what_is_neither_steps_nor_a_time_extends_nothing(short: RunDir, tmp_path: Path, more: str) -> None:
    run = copied(short, tmp_path)
    with pytest.raises(ConfigError, match=r"--extend must be generator steps such as 2000, or a time such as 30m, got"):
        dfukit.run(resume=run.path, extend=more)
    assert run.training.is_file()


def test_an_extension_takes_a_time_as_the_setting_does(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    rundir.write_json(run.training, small_gan.train(tmp_path, **{"gan.steps": 2}).summary)
    assert extension.extend(small_gan.small(), run, "1h 30m", ALONE).gan.budget == "1h30m"


def test_only_a_training_that_has_ended_is_extended(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    run.training.unlink()
    with pytest.raises(ConfigError, match=r"has not ended: --resume alone goes on with it"):
        dfukit.run(resume=run.path, extend=5)
    with pytest.raises(ConfigError, match=r"extend is for a run that has ended: name it with resume"):
        dfukit.run(extend=5)


def test_a_run_without_its_checkpoints_cannot_be_extended(short: RunDir, tmp_path: Path) -> None:
    run = copied(short, tmp_path)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(DataError, match=r"holds no whole checkpoint of step 8: this run cannot be extended"):
        dfukit.run(resume=run.path, extend=5)


def test_a_run_starts_from_the_weights_of_another(short: RunDir, tmp_path: Path) -> None:
    told = {"gan.start_from": str(short.path), "gan.steps": 1, "gan.lr_generator": 1e-12, "gan.lr_critic": 1e-12}
    run = begin(tmp_path, **told)
    theirs = dfukit.load_generator(short.path).network.state_dict()
    for name, parameter in run.generator().network.named_parameters():
        assert torch.allclose(parameter, theirs[name], atol=1e-6), name
    assert json.loads(run.folder.training.read_text())["steps"] == 1


def test_a_critic_starts_from_the_weights_of_another_too(tmp_path: Path) -> None:
    small_gan.train(tmp_path / "other", **{"gan.steps": 2})
    still = {"gan.steps": 1, "gan.lr_generator": 1e-12, "gan.lr_critic": 1e-12}
    mine = small_gan.train(tmp_path / "mine", **{"gan.start_from": str(tmp_path / "other"), **still}).critic
    theirs = dict(weights.read(RunDir(tmp_path / "other").critic_weights, "critic")[0].named_parameters())
    for name, parameter in mine.named_parameters():
        assert torch.allclose(parameter, theirs[name], atol=1e-6), name


def test_a_run_that_started_from_another_no_longer_needs_it(short: RunDir, tmp_path: Path) -> None:
    other = copied(short, tmp_path / "other")
    told = {"gan.start_from": str(other.path), "gan.evaluate_every": 2}
    whole = begin(tmp_path, "whole", **told)
    progress = Signal(3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(dfukit.Interrupted):
        dfukit.run(
            preset="smoke",
            classifier="critic_lstm",
            settings={**TINY, **told},
            out=tmp_path,
            name="cut",
            progress=progress,
        )
    other.generator_weights.unlink()
    cut = dfukit.run(resume=tmp_path / "cut")
    assert cut.folder.generator_weights.read_bytes() == whole.folder.generator_weights.read_bytes()


def test_weights_of_another_shape_are_refused_as_a_start(short: RunDir, tmp_path: Path) -> None:
    told = {"gan.start_from": str(short.path), "generator.lstm_hidden": 48}
    with pytest.raises(WeightsError, match=r"gan\.start_from: .*generator\.safetensors does not fit this run's"):
        begin(tmp_path, **told)
    with pytest.raises(WeightsError, match=r"absent.*generator\.safetensors: No such file"):
        begin(tmp_path, **{"gan.start_from": str(tmp_path / "absent")})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("no leave to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("ballast", [5_500, 6_000, 6_500, 7_000, 7_500])  # KiB: full at another moment each time
def test_a_full_disk_is_one_error_and_the_run_goes_on_once_there_is_room(small_disk: Path, ballast: int) -> None:
    full = small_disk / "ballast"
    full.write_bytes(bytes(ballast * 1024))
    run = RunDir(small_disk / "run")
    run.path.mkdir()
    words = r"No space left on device.*earlier checkpoints are untouched.*make room"

    def fill() -> None:
        for step in range(8, 400, 8):
            with continued_by(lambda: "the same line"):
                small_gan.train(run.path, **{"gan.steps": step})
                (small_disk / str(step)).write_bytes(bytes(100_000))

    with pytest.raises(DfukitError, match=words) as ended:
        fill()
    assert ended.value.exit_code == 1
    assert "\n" not in str(ended.value)
    reached = checkpoint.newest(run.checkpoints, lambda text: pytest.fail(text))
    for file in [full, *small_disk.glob("[0-9]*")]:
        file.unlink()
    trained = small_gan.train(run.path, **{"gan.steps": (reached.step if reached else 0) + 8})
    assert trained.summary["steps"] == (reached.step if reached else 0) + 8


def test_a_folder_without_leave_to_write_is_one_error(tmp_path: Path) -> None:
    small_gan.train(tmp_path / "run", **{"gan.steps": 2})
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    parent, child = os.pipe()
    if (process := os.fork()) == 0:
        try:
            if os.getuid() == 0:  # who may write everywhere
                os.setuid(65534)
            with continued_by(lambda: "the same line"):
                small_gan.train(tmp_path / "run", **{"gan.steps": 4})
        except BaseException as error:
            os.write(child, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(child)
    said = os.read(parent, 10_000).decode()
    os.waitpid(process, 0)
    assert said.startswith("DfukitError: ")
    assert "cannot be written (Permission denied)" in said
    assert said.endswith("go on with: the same line")


def start(*arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dfukit", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_signal_at_any_moment_exits_130_with_the_line_to_continue(tmp_path: Path, seed: int) -> None:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    arguments = ["--preset", "smoke", "--classifier", "critic_lstm", *settings, "--set", "gan.steps=60"]
    one = start("run", *arguments, "--out", str(tmp_path), "--name", "run")
    while not (tmp_path / "run" / "config.toml").is_file() and one.poll() is None:
        time.sleep(0.002)
    time.sleep(random.Random(seed).random() * 8)
    one.send_signal((signal.SIGINT, signal.SIGTERM)[seed % 2])
    _, err = one.communicate(timeout=120)
    assert "Traceback" not in err
    if one.returncode != 0:  # it had not ended before
        assert one.returncode == 130
        last = err.strip().splitlines()[-1]
        assert last.startswith("Error: interrupted")
        assert last.endswith(f"go on with: dfukit run --resume {tmp_path / 'run'}")
    again = start("run", "--resume", str(tmp_path / "run"))
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="no Ctrl-\\ on this system")
def test_ctrl_backslash_ends_the_training_and_goes_on_to_the_report(tmp_path: Path) -> None:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    arguments = ["--preset", "smoke", "--classifier", "critic_lstm", *settings, "--set", "gan.steps=100000"]
    one = start("run", *arguments, "--out", str(tmp_path), "--name", "run")
    run = RunDir(tmp_path / "run")
    while not run.checkpoints.is_dir() and one.poll() is None:
        time.sleep(0.01)
    one.send_signal(signal.SIGQUIT)
    _, err = one.communicate(timeout=300)
    assert one.returncode == 0, err
    summary = json.loads(run.training.read_text())
    assert (summary["stopped"], summary["steps_planned"]) == ("asked to stop", 100000)
    assert run.report.is_file()


def test_the_time_left_of_a_resumed_task_is_counted_from_where_it_was_resumed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 20.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    lines = Lines()
    lines.update("GAN steps", 5000, 5400)
    lines.update("GAN steps", 5010, 5400)
    assert capsys.readouterr().err == "GAN steps: 5010/5400, 13 min left\n"  # 2 s a step
