"""dfukit monitor: what a run's folder tells, whatever state it is in, in a terminal of any size."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dfukit import DataError, rundir
from dfukit.monitor import Monitor, Series, State, draw, sparkline
from dfukit.rundir import RunDir

NOW = 1_800_000_000.0
CONFIG = """
[gan]
patience = 10
steps = 0
epochs = 50
[classify]
patience = 15
[generator]
name = "lstm_wgan"
[classifier]
name = "effv2s_lstm"
"""


def logged(step: int, when: float = NOW, **more: Any) -> dict[str, Any]:
    return {
        "time": when,
        "phase": "gan",
        "step": step,
        "steps": 10_000,
        "epoch": step / 160,
        "critic_loss": -3.25,
        "critic_penalty": 0.41,
        "generator_loss": 0.52,
        "wasserstein": 3.62,
        "pictures_per_second": 412.4,
        "seconds_left": 4300.0,
        "memory_gib": 3.2,
        "skipped": 2,
        "rate": 0.5,
        **more,
    }


def evaluated(step: int, distance: float | None, waited: int, when: float = NOW) -> dict[str, Any]:
    return {
        "time": when,
        "phase": "gan",
        "step": step,
        "diversity": 31.2,
        "critic_overfitting": 0.12,
        "distance": distance,
        "distance_name": "kd[r64]",
        "evaluations_without_improvement": waited,
    }


def classified(step: int, when: float = NOW, arm: str = "real", **more: Any) -> dict[str, Any]:
    return {"time": when, "phase": "classifier", "arm": arm, "step": step, "steps": 60, "epoch": 1, "loss": 0.6, **more}


GAN = [
    logged(5_000, NOW - 20),
    evaluated(5_000, 0.0612, 0, NOW - 19),
    evaluated(5_750, 0.0117, 0, NOW - 12),
    {"time": NOW, "phase": "alarm", "step": 5_800, "alarm": "collapse", "text": "the pictures grow alike"},
    {"time": NOW, "phase": "note", "step": 5_900, "text": "3 steps without finite numbers: back to step 5750"},
    evaluated(6_200, 0.0123, 7, NOW - 2),
    logged(6_200, NOW - 1),
]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    folder = RunDir(tmp_path / "runs" / "weekend")
    folder.path.mkdir(parents=True)
    folder.config.write_text(CONFIG)
    return folder


def write(run: RunDir, events: list[Any], end: str = "", when: float = NOW) -> None:
    lines = "".join((event if isinstance(event, str) else json.dumps(event)) + "\n" for event in events)
    run.metrics.write_text(lines + end)
    os.utime(run.metrics, (when, when))


def append(run: RunDir, *events: dict[str, Any]) -> None:
    with run.metrics.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def touch(path: Path, content: Any, when: float) -> None:
    path.write_text(json.dumps(content))
    os.utime(path, (when, when))


def read(run: RunDir, *events: Any) -> State:
    write(run, list(events))
    return Monitor(run).refresh()


def shown(state: State, width: int = 80, height: int | None = None, now: float = NOW) -> list[str]:
    """The lines as a terminal of that width gets them."""
    console = Console(width=width, record=True, file=io.StringIO(), legacy_windows=False)
    for line in draw(state, now, width, height):
        console.print(line, no_wrap=True)
    return console.export_text().splitlines()


# What the folder tells.


def test_figures_are_the_latest_of_their_kind(run: RunDir) -> None:
    table = read(run, *GAN).as_table(NOW)
    gan = table["gan"]
    assert (table["status"], table["phase"]) == ("running", "gan")
    assert (gan["step"], gan["steps"], gan["share"]) == (6_200, 10_000, 0.62)
    assert (gan["critic_loss"], gan["wasserstein"], gan["skipped"]) == (-3.25, 3.62, 2)
    assert (gan["distance"], gan["lowest_distance"], gan["lowest_distance_step"]) == (0.0123, 0.0117, 5_750)
    assert (gan["evaluations_without_improvement"], gan["patience"]) == (7, 10)
    assert gan["seconds_left"] == pytest.approx(4299)
    assert table["alarms"] == [{"step": 5_800, "alarm": "collapse", "text": "the pictures grow alike"}]
    assert [note["step"] for note in table["notes"]] == [5_900]


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "[1, 2]",
        "null",
        "7",
        '{"phase": "gan", "st',
        "\x00\x00\x00",
        "[" * 100_000,
        '{"phase": "gan"}\udcff',
    ],
)
def test_a_line_that_is_no_event_is_counted_and_left_out(run: RunDir, line: str) -> None:
    content = "\n".join([json.dumps(logged(10)), line, json.dumps(logged(20)), ""])
    run.metrics.write_bytes(content.encode("utf-8", "surrogateescape"))
    state = Monitor(run).refresh()
    assert (state.gan.step, state.events, state.unreadable) == (20, 2, 1)
    assert any("left out, being no events: 1 of the lines in metrics.jsonl" in text for text in shown(state))


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"phase": "gan"},
        {"phase": "classifier"},
        {"phase": "alarm"},
        {"phase": "note"},
        {"phase": 3, "step": "x"},
        {"phase": "sunrise", "step": 1},
        dict.fromkeys(logged(1)) | {"phase": "gan"},
        dict.fromkeys(logged(1), "text") | {"phase": "gan"},
        dict.fromkeys(logged(1), 10**400) | {"phase": "gan"},
        dict.fromkeys(logged(1), -1e299) | {"phase": "gan"},
        dict.fromkeys(logged(1), True) | {"phase": "gan"},
        {key: [1] for key in logged(1)} | {"phase": "gan"},
        {key: float("nan") for key in logged(1)} | {"phase": "gan"},
        {key: float("inf") for key in evaluated(1, 0.1, 0)} | {"phase": "gan"},
        dict.fromkeys(evaluated(1, 0.1, 0)) | {"phase": "gan"},
        {key: {} for key in classified(1)} | {"phase": "classifier"},
        {"phase": "classifier", "arm": "", "step": 0, "steps": 0, "validation_loss": None},
        {"phase": "alarm", "step": None, "alarm": None, "text": 7},
    ],
)
def test_an_odd_event_is_neither_an_error_nor_bad_json(run: RunDir, odd: dict[str, Any]) -> None:
    for events in ([odd], [logged(10), odd], [odd, logged(10)], [odd, odd, odd]):
        state = read(run, *events)
        json.dumps(state.as_table(NOW), allow_nan=False)
        for width in (20, 40, 140):
            assert all(len(line) <= width for line in shown(state, width))


def test_a_figure_that_is_not_known_is_shown_as_such(run: RunDir) -> None:
    state = read(run, logged(10), logged(20, critic_loss=None))
    assert state.as_table(NOW)["gan"]["critic_loss"] is None
    assert next(line for line in shown(state) if line.startswith("critic loss")).endswith(" –")


def test_text_of_an_event_cannot_steer_the_terminal(run: RunDir) -> None:
    state = read(run, {"phase": "alarm", "alarm": "x", "text": "a\x1b[2Jb\nc\x07"}, {"phase": "note", "text": "\udcff"})
    assert "ALARM x: a[2Jb c" in shown(state)
    assert not any(ord(letter) < 32 for line in shown(state) for letter in line)


def test_a_torn_last_line_is_read_once_it_is_whole(run: RunDir) -> None:
    line = json.dumps(logged(20))
    write(run, [logged(10)], end=line[:30])
    monitor = Monitor(run)
    assert (monitor.refresh().gan.step, monitor.state.unreadable) == (10, 0)
    with run.metrics.open("a") as file:
        file.write(line[30:] + "\n")
    assert (monitor.refresh().gan.step, monitor.state.unreadable, monitor.state.events) == (20, 0, 2)


def test_only_what_is_new_is_read(run: RunDir) -> None:
    """What lies before the place of the last reading is not looked at again, so that it can be large."""
    write(run, [logged(step) for step in range(10, 500, 10)])
    monitor = Monitor(run)
    monitor.refresh()
    with run.metrics.open("r+b") as file:  # behind the reader's back, in the same file
        file.write(b"X")
    append(run, logged(500))
    state = monitor.refresh()
    assert (state.gan.step, state.events, state.unreadable) == (500, 50, 0)


def test_a_replaced_log_is_read_anew(run: RunDir) -> None:
    write(run, [logged(10), logged(20), logged(30)])
    monitor = Monitor(run)
    monitor.refresh()
    run.keep_events(lambda event: event["step"] <= 10)
    assert (monitor.refresh().gan.step, monitor.state.events) == (10, 1)
    append(run, logged(20))
    assert (monitor.refresh().gan.step, monitor.state.events) == (20, 2)


def test_a_log_rewritten_in_place_is_read_anew_though_it_grew(run: RunDir) -> None:
    write(run, [logged(10)])
    monitor = Monitor(run)
    monitor.refresh()
    write(run, [logged(1_234, NOW + 9), logged(6), logged(7)])
    assert (monitor.refresh().gan.step, monitor.state.events, monitor.state.unreadable) == (7, 3, 0)


def test_a_log_replaced_by_one_that_ends_alike_is_read_anew(run: RunDir) -> None:
    alike = [logged(step) for step in (10, 20, 30)]
    write(run, [{"phase": "note", "text": "before"}, *alike])
    monitor = Monitor(run)
    monitor.refresh()
    other = RunDir(run.path.parent)
    write(other, [{"phase": "note", "text": "behind"}, *alike])
    other.metrics.replace(run.metrics)
    assert [note.text for note in monitor.refresh().notes] == ["behind"]


def test_a_log_that_goes_away_leaves_a_run_that_waits(run: RunDir) -> None:
    write(run, [logged(10)])
    monitor = Monitor(run)
    monitor.refresh()
    run.metrics.unlink()
    assert monitor.refresh().status(NOW) == "waiting"


def test_a_folder_that_goes_away_is_a_clear_error(run: RunDir) -> None:
    monitor = Monitor(run)
    monitor.refresh()
    run.path.rename(run.path.with_name("elsewhere"))
    with pytest.raises(DataError, match="weekend is gone"):
        monitor.refresh()


def test_before_the_first_event_it_waits(run: RunDir) -> None:
    os.utime(run.config, (NOW - 9, NOW - 9))
    state = Monitor(run).refresh()
    assert state.status(NOW) == "waiting"
    assert any("waiting for the first event, 9 s after its start" in line for line in shown(state))


@pytest.mark.parametrize("broken", ["[gan\n", "gan = 3\n", "", '[gan]\nsteps = "x"\npatience = "y"\nepochs = 0.5\n'])
def test_settings_that_cannot_be_read_are_not_known(run: RunDir, broken: str) -> None:
    run.config.write_text(broken)
    event = logged(10)
    del event["steps"]
    state = read(run, event, evaluated(10, 0.1, 3))
    assert (state.gan.steps, state.patience("gan")) == (None, 0)
    assert any("step 10" in line for line in shown(state))


def test_steps_that_the_log_does_not_say_follow_from_the_settings(run: RunDir) -> None:
    event = logged(800)
    del event["steps"]
    assert read(run, event).gan.steps == 8_000  # 50 epochs of 160 steps


def test_the_time_left_that_the_log_does_not_say_follows_from_its_pace(run: RunDir) -> None:
    events = [logged(step, NOW - 100 + step, seconds_left=None) for step in range(10, 101, 10)]
    # The break of a run that was resumed does not count.
    events = [dict(event, time=event["time"] - 9e5) if event["step"] < 50 else event for event in events]
    assert read(run, *events).gan.seconds_left(NOW) == pytest.approx(9_900)


# Whether it lives.


def test_silence_means_something_after_a_minute_and_three_usual_gaps(run: RunDir) -> None:
    def trained(seconds: float) -> State:
        """Ten events of ten steps each, and an evaluation a second after each."""
        steps = range(10, 101, 10)
        at = {step: NOW - (100 - step) * seconds for step in steps}
        return read(
            run, *(event for step in steps for event in (logged(step, at[step]), evaluated(step, 0.1, 0, at[step])))
        )

    quick, slow = trained(1), trained(10)
    assert [quick.status(NOW + after) for after in (0, 59, 61)] == ["running", "running", "silent"]
    assert [slow.status(NOW + after) for after in (61, 299, 301)] == ["running", "running", "silent"]


NOTE = {"time": NOW - 200, "phase": "note", "step": 0, "text": "budget 8h: 480 steps of 60 s"}


@pytest.mark.parametrize(
    "events",
    [
        [NOTE],
        [NOTE, logged(10, NOW - 200)],
        [logged(step, NOW - 200) for step in (10, 20)],  # and now its first evaluation
        [evaluated(10, 0.1, 0, NOW - 200)],
    ],
)
def test_a_training_whose_first_events_come_minutes_apart_is_running(run: RunDir, events: list[dict[str, Any]]) -> None:
    write(run, events, when=NOW - 200)
    state = Monitor(run).refresh()
    assert [state.status(now) for now in (NOW, NOW + 900)] == ["running", "silent"]


def test_a_run_whose_process_holds_its_folder_is_not_called_dead(run: RunDir) -> None:
    state = read(run, *GAN)
    with rundir.at_work(run):
        assert state.status(NOW + 9e5) == "running"
        run.stop.touch()
        assert Monitor(run).refresh().status(NOW + 9e5) == "stopping"
    assert state.status(NOW + 9e5) == "silent"
    with rundir.at_work(run):  # to have looked is not to hold it
        pass


def test_an_evaluation_that_usually_takes_long_is_no_silence(run: RunDir) -> None:
    events = []
    when = NOW - 1000.0
    for step in range(10, 101, 10):
        events += [logged(step, when + 1), evaluated(step, 0.1, 0, when + 100)]
        when += 100
    assert read(run, *events).status(NOW + 250) == "running"


def test_no_sign_of_life_says_how_to_go_on(run: RunDir) -> None:
    text = " ".join(line.strip() for line in shown(read(run, *GAN), 140, now=NOW + 720))
    assert "NO SIGN OF LIFE" in text
    assert "no sign of life for 12 min" in text
    assert f"dfukit run --resume {run.path}" in text
    assert " left" not in text


def test_rewriting_the_log_is_a_sign_of_life(run: RunDir) -> None:
    state = read(run, logged(10, NOW - 9e5))
    assert state.status(NOW) == "running"


def test_a_trained_gan_that_nothing_follows_is_no_alarm(run: RunDir) -> None:
    touch(run.training, {"steps": 6_200, "stopped": "no better for 10 evaluations", "kept_step": 5_750}, NOW)
    state = read(run, *GAN)
    assert (state.phase, state.status(NOW), state.status(NOW + 900)) == ("scores", "running", "trained")
    lines = shown(state, now=NOW + 900)
    assert any("no better for 10 evaluations" in line for line in lines)
    assert any("those of step 5,750 are kept" in line for line in lines)


def test_classifiers_that_no_report_follows_are_no_alarm(run: RunDir) -> None:
    touch(run.training, {"steps": 6_200}, NOW)
    touch(run.classification, {}, NOW + 1)
    state = read(run, *GAN, classified(60, NOW))
    assert (state.phase, state.status(NOW), state.status(NOW + 900)) == ("report", "running", "classified")
    text = " ".join(line.strip() for line in shown(state, 140, now=NOW + 900))
    assert "CLASSIFIERS DONE" in text
    assert f"dfukit report {run.path} writes one" in text


@pytest.mark.parametrize("ahead", [-120, 0, 120])
def test_a_finished_run_is_finished_whatever_the_times_of_its_files(run: RunDir, ahead: float) -> None:
    touch(run.training, {"steps": 6_200}, NOW)
    write(run, [*GAN, classified(60, NOW)], when=NOW + ahead)
    touch(run.classification, {}, NOW + 1 + ahead)
    monitor = Monitor(run)
    assert monitor.refresh().phase == "report"
    touch(run.report, "", NOW + 5 + ahead)
    assert monitor.refresh().status(NOW + 6) == "running"  # the sums come last
    touch(run.sums, "", NOW + 6 + ahead)
    assert monitor.refresh().status(NOW + 9e5) == "finished"


def test_a_run_that_is_made_anew_is_at_work_until_its_sums_are_there_again(run: RunDir) -> None:
    touch(run.training, {"steps": 6_200}, NOW)
    for path in (run.report, run.sums):
        touch(path, "", NOW + 5)
    monitor = Monitor(run)
    write(run, GAN)
    assert monitor.refresh().status(NOW + 6) == "finished"
    run.sums.unlink()
    append(run, {"time": NOW + 50, "phase": "note", "step": 6_200, "text": "what follows the GAN is made anew"})
    os.utime(run.metrics, (NOW + 50, NOW + 50))
    assert monitor.refresh().status(NOW + 51) == "running"
    touch(run.report, "", NOW + 70)
    assert monitor.refresh().status(NOW + 71) == "running"
    touch(run.sums, "", NOW + 72)
    assert monitor.refresh().status(NOW + 9e5) == "finished"


def test_a_run_that_is_extended_trains_again_beside_its_old_report(run: RunDir) -> None:
    touch(run.report, "", NOW + 5)
    assert read(run, *GAN).status(NOW + 6) == "running"


def test_a_stop_that_was_asked_for_is_shown_while_the_gan_trains(run: RunDir) -> None:
    run.stop.touch()
    state = read(run, *GAN)
    assert state.status(NOW) == "stopping"
    assert "asked to stop training now and to go on to the report" in shown(state)


# The view.


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_view_holds_the_figures_of_the_gan(run: RunDir, width: int) -> None:
    lines = shown(read(run, *GAN), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for figure in (
        "weekend",
        "RUNNING",
        "62 %",
        "step 6,200 of 10,000",
        "epoch 38.75",
        "412.4 pictures/s",
        "1 h 11 min left",
        "lowest 0.01170 at step 5,750",
        "no better for 7 of 10 evaluations",
        "memory 3.2 GiB",
        "learning rate factor 0.5",
        "2 steps skipped",
        "ALARM step 5,800, collapse: the pictures",
        "note step 5,900, 3 steps without",
    ):
        assert figure in text
    for name, value in (
        ("kd[r64]", "0.01230"),
        ("critic loss", "-3.250"),
        ("generator loss", "0.5200"),
        ("penalty", "0.4100"),
        ("real - fake", "3.620"),
    ):
        assert any(re.fullmatch(rf"{re.escape(name)} +[▁-█]+ +{value}", line) for line in lines)


def test_a_stopping_metric_that_could_not_be_measured_counts_towards_the_end(run: RunDir) -> None:
    text = "\n".join(shown(read(run, logged(100), evaluated(100, None, 3)), 80))
    assert "the kd[r64] could not be measured" in text
    assert "no better for 3 of 10 evaluations" in text
    assert "no stopping metric" not in text


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_view_holds_the_figures_of_a_classifier(run: RunDir, width: int) -> None:
    touch(run.training, {"steps": 6_200}, NOW)
    events = [*GAN, classified(60, NOW - 5, validation_loss=0.55, pictures_per_second=8.0)]
    for step in (10, 20, 30):
        validation = {"validation_loss": 0.5 + step / 1000, "pictures_per_second": 21.5}
        events.append(classified(step, NOW - 4 + step / 10, "real+synthetic", **validation))
    lines = shown(read(run, *events), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for figure in ("step 30 of 60", "21.50 pictures/s", "lowest 0.5100 at step 10", "no better for 2 of 15 epochs"):
        assert figure in text
    assert any(re.fullmatch(r"real +━+ +done", line) for line in lines)
    assert any(re.fullmatch(r"real\+synthetic +━+─+ +50 %", line) for line in lines)
    assert any(re.fullmatch(r"validation loss +[▁-█]+ +0.5300", line) for line in lines)


def test_no_terminal_is_too_small(run: RunDir) -> None:
    touch(run.training, {"steps": 6_200}, NOW)
    for state in (read(run, *GAN), read(run, *GAN, classified(3))):
        for width in (1, 2, 3, 5, 8, 13, 26, 39, 59, 60, 100, 101, 300):
            for height in (1, 2, 3, 5, 8, 24, 100):
                lines = shown(state, width, height)
                assert len(lines) <= height
                assert all(len(line) <= width for line in lines)


def test_a_short_terminal_keeps_the_bar_and_the_alarm(run: RunDir) -> None:
    state = read(run, *GAN)
    assert shown(state, 80, 1)[0].startswith("GAN ")
    first, second = shown(state, 80, 2)
    assert first.startswith("GAN ")
    assert second.startswith("ALARM")
    assert not any(line == "" for line in shown(state, 80, 10))


def test_where_there_is_no_unicode_there_is_ascii(run: RunDir) -> None:
    for state in (read(run, *GAN), read(run, logged(10, steps=None, critic_loss=None))):
        for width in (10, 40, 80):
            lines = draw(state, NOW, width, ascii_only=True)
            assert all(line.plain.isascii() for line in lines)


def test_a_sparkline_shows_the_course_and_not_the_first_value() -> None:
    assert sparkline([0.0, 7.0], 2) == "▁█"
    assert sparkline([], 10) == ""
    assert sparkline([3.0] * 5, 5) == "▄▄▄▄▄"
    course = sparkline([1000.0, *(float(value) for value in range(40, 0, -1))], 41)
    assert len(set(course)) == 8  # and not one high block before a flat line


def test_a_long_series_stays_small_and_keeps_its_lowest_value_and_its_end() -> None:
    series = Series()
    for step in range(100_000):
        series.add(5.0 if step == 77_777 else 10.0 + step, step)
    assert len(series.points) <= 512
    assert (series.lowest, series.lowest_step, series.since_lowest) == (5.0, 77_777, 22_222)
    assert series.points[0] < 400
    assert series.points[-1] > 99_000


# The command.


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "dfukit", "monitor", *map(str, arguments)]


def answer(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=env, timeout=60)


def test_without_a_terminal_it_prints_the_view_once_as_plain_text(run: RunDir) -> None:
    write(run, [dict(event, time=time.time()) for event in GAN], when=time.time())
    said = answer("latest", "--log-dir", run.path.parent, COLUMNS="40")
    assert (said.returncode, said.stderr) == (0, "")
    assert "step 6,200 of 10,000" in said.stdout
    assert "\x1b" not in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 40


def test_json_is_one_document_and_never_nan(run: RunDir) -> None:
    write(run, [*GAN, '{"phase": "gan", "step": 6300, "critic_loss": NaN}'])
    run.training.write_text('{"best_distance": NaN}')
    said = answer("weekend", "--log-dir", run.path.parent, "--json")
    table = json.loads(said.stdout, parse_constant=pytest.fail)
    assert (table["run"], table["gan"]["step"], table["gan"]["critic_loss"]) == ("weekend", 6_300, None)


def test_no_run_exits_3_with_one_line(tmp_path: Path) -> None:
    said = answer("latest", "--log-dir", tmp_path)
    assert (said.returncode, said.stdout) == (3, "")
    assert (
        said.stderr
        == f"Error: no run in {tmp_path}: name a run folder, or where the runs lie (--out; --log-dir of monitor)\n"
    )


class Terminal:
    """A program in a terminal of its own, and what it wrote there."""

    def __init__(self, arguments: list[str], width: int = 80, height: int = 30) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.written = ""
        """Everything so far."""
        self._seen = 0

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        env |= {"TERM": "xterm-256color", "COLUMNS": "30", "LINES": "8"}  # what a shell once exported
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave)
        self.process = subprocess.Popen(arguments, **ends, env=env, preexec_fn=own_terminal)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def take(self, seconds: float = 0.05) -> None:
        while select.select([self.master], [], [], seconds)[0]:
            self.written += os.read(self.master, 65_536).decode("utf-8", "replace")

    def until(self, what: str | Callable[[str], bool], seconds: float = 30.0) -> None:
        """Wait for something to be written after what was waited for before."""
        found = (lambda text: what in text) if isinstance(what, str) else what
        limit = time.monotonic() + seconds
        while not found(plain(self.written[self._seen :])):
            assert time.monotonic() < limit, f"{what} did not come: {plain(self.written)[-2000:]}"
            self.take()
        self._seen = len(self.written)

    def end(self) -> int:
        code = self.process.wait(30)
        self.take()
        return code

    @property
    def restored(self) -> bool:
        return bool(termios.tcgetattr(self.slave) == self.before)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.fixture
def terminal(run: RunDir) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(folder: Path = run.path) -> Terminal:
        started.append(Terminal(command(folder)))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.master)
        os.close(one.slave)


def assert_left_as_found(one: Terminal) -> None:
    assert one.restored
    assert one.written.rfind("\x1b[?1049l") > one.written.rfind("\x1b[?1049h")  # the other screen is left
    assert one.written.rfind("\x1b[?25h") > one.written.rfind("\x1b[?25l")  # the cursor is shown


def now(step: int, **more: Any) -> dict[str, Any]:
    return logged(step, time.time(), **more)


def test_in_a_terminal_events_appear_until_q(run: RunDir, terminal: Callable[..., Terminal]) -> None:
    one = terminal()
    one.until("waiting for the first event")
    append(run, now(6_200))
    one.until("step 6,200 of 10,000")
    assert not one.restored  # single keys, without echo
    with run.metrics.open("a") as file:
        file.write('{"phase": "gan", "step": 7')
    append(run, now(6_210))  # lands in the torn line, which is then no event
    append(run, now(6_220))
    one.until("step 6,220 of 10,000")

    # A window that is resized gets lines of its new width.
    one.until(lambda text: bars(text)[-1:] == [80 - 26])
    one.resize(44, 20)
    one.process.send_signal(signal.SIGWINCH)
    one.until(lambda text: bars(text)[-1:] == [44 - 26])

    # A resume rewrites the log.
    run.metrics.with_suffix(".new").write_text(json.dumps(now(6_100)) + "\n")
    run.metrics.with_suffix(".new").replace(run.metrics)
    one.until("step 6,100 of 10,000")

    # An arrow key is not the letters that it is made of.
    one.type("x\x1b[A\x1bOq")
    append(run, now(6_110))
    one.until("step 6,110 of 10,000")
    one.type("xq")
    assert one.end() == 0
    assert_left_as_found(one)


def bars(text: str) -> list[int]:
    return [len(bar) for bar in re.findall("[━─]+", text)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_with_0(run: RunDir, terminal: Callable[..., Terminal], number: int) -> None:
    append(run, now(10))
    one = terminal()
    one.until("step 10 of 10,000")
    if number == signal.SIGINT:
        one.type("\x03")
    else:
        one.process.send_signal(number)
    assert one.end() == 0
    assert_left_as_found(one)
    assert "Error" not in plain(one.written)


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(run: RunDir, terminal: Callable[..., Terminal]) -> None:
    append(run, now(10))
    one = terminal()
    one.until("step 10 of 10,000")
    one.type("\x1a")
    _, status = os.waitpid(one.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    one.take()
    assert_left_as_found(one)
    append(run, now(20))
    one.process.send_signal(signal.SIGCONT)
    one.until("step 20 of 10,000")
    one.type("q")
    assert one.end() == 0
    assert_left_as_found(one)


def test_a_folder_that_vanishes_exits_3_with_one_line(run: RunDir, terminal: Callable[..., Terminal]) -> None:
    append(run, now(10))
    one = terminal()
    one.until("step 10 of 10,000")
    run.path.rename(run.path.with_name("elsewhere"))
    assert one.end() == 3
    assert_left_as_found(one)
    last = plain(one.written[one.written.rindex("\x1b[?1049l") :]).strip()
    assert last == f"Error: {run.path} is gone: it was moved or deleted while it was watched"


def test_a_slip_of_the_finger_stops_nothing_and_two_s_do(run: RunDir, terminal: Callable[..., Terminal]) -> None:
    append(run, now(10))
    one = terminal()
    one.until("s stop training now")
    one.type("s")
    one.until("press s again to stop training now and go on to the report")
    one.type("x")
    one.until("q leave   s stop training now")
    for _ in range(10):  # a key that is held down
        one.type("s")
        time.sleep(0.05)
    one.until("press s again")
    append(run, now(20))
    one.until("step 20 of 10,000")
    assert not run.stop.exists()
    time.sleep(1)
    one.type("s")
    one.until("asked to stop training now")
    assert run.stop.exists()


def test_s_does_nothing_where_no_gan_trains(run: RunDir, terminal: Callable[..., Terminal]) -> None:
    """A file `stop` would wait for the run to be resumed, and stop it at once."""
    append(run, logged(10, time.time() - 9e5))
    os.utime(run.metrics, (time.time() - 9e5,) * 2)
    one = terminal()
    one.until("no sign of life")
    one.type("s")
    time.sleep(1)
    one.type("s")
    append(run, now(20))
    one.until("step 20 of 10,000")
    assert not run.stop.exists()


SHOWN = """
from dfukit.cli.options import showing
with showing() as progress:
    progress.update("Reading pictures", 1, 1)
"""


@pytest.mark.parametrize(("after", "bars"), [("", True), ("& wait", False)])
def test_only_a_program_in_the_foreground_of_its_terminal_draws_bars(after: str, bars: bool) -> None:
    one = Terminal(["sh", "-mc", f"{shlex.join([sys.executable, '-c', SHOWN])} {after}"])
    one.until("Reading pictures")
    assert one.end() == 0
    assert ("\x1b" in one.written) == bars
    os.close(one.master)
    os.close(one.slave)


@pytest.mark.slow
def test_a_real_run_is_watched_from_waiting_to_its_report(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
    env = {**os.environ, "DFUKIT_CACHE_DIR": str(tmp_path / "cache"), "DFUKIT_OFFLINE": "1"}
    arguments = ["run", "--preset", "smoke", "--classifier", "critic_lstm", "--name", "weekend", "--out", str(tmp_path)]
    folder = RunDir(tmp_path / "weekend")
    with (tmp_path / "log").open("w") as log:
        trains = subprocess.Popen([sys.executable, "-m", "dfukit", *arguments], env=env, stdout=log, stderr=log)
    try:
        while not folder.config.is_file():
            assert trains.poll() is None
            time.sleep(0.05)
        one = terminal(folder=folder.path)
        for sight in ("WAITING", "4 steps", "real+synthetic", "FINISHED"):
            one.until(sight, seconds=600)
        one.type("q")
        assert one.end() == 0
        assert_left_as_found(one)
        assert trains.wait(60) == 0
    finally:
        trains.kill()
        trains.wait()
    table = Monitor(folder).refresh().as_table(time.time())
    assert (table["status"], table["gan"]["step"]) == ("finished", 4)
    assert set(table["classifiers"]) == {"real", "real+synthetic"}
