"""dfukit compare: who is compared, at what expense, and what the table says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfukit import ConfigError, DataError, Interrupted, cli, phantom, rundir
from dfukit.comparing import read_contestants, table
from dfukit.comparing.experiment import compare
from dfukit.comparing.judging import check_smaller, judge, reduced
from dfukit.comparing.trials import Trial, train
from dfukit.device import Compute
from dfukit.images import make_split
from dfukit.pictures import load_images
from dfukit.progress import Silent
from dfukit.rundir import RunDir

Ask = Callable[..., tuple[int, str, str]]
SMOKE = "smoke"


def names(*texts: str, **shared: Any) -> list[str]:
    return [one.name for one in read_contestants(texts, preset=SMOKE, **shared)]


def test_a_contestant_is_a_generator_with_settings_of_its_own() -> None:
    plain, tuned = read_contestants(
        ["lstm_wgan", "lstm_wgan,generator.lstm_hidden=64,augmentation=wound,gan.ema=0.9"],
        preset=SMOKE,
        shared={"gan.size": 32},
    )
    assert (plain.name, plain.config.generator.settings.lstm_hidden, plain.config.augmentation.name) == (
        "lstm_wgan",
        32,
        "none",
    )
    assert tuned.name == "lstm_wgan,generator.lstm_hidden=64,augmentation=wound,gan.ema=0.9"
    assert tuned.config.generator.settings.lstm_hidden == 64
    assert (tuned.config.augmentation.name, tuned.config.gan.ema) == ("wound", 0.9)
    assert plain.config.gan.size == tuned.config.gan.size == 32


def test_a_contestant_is_a_file_or_has_a_preset_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "smoke"\n[generator]\nname = "lstm_wgan"\nlstm_hidden = 24\n')
    mine, other = read_contestants(
        [str(file), "lstm_wgan,preset=smoke"], preset="reference", shared={"data.phantom_patients": 30}
    )
    assert (mine.name, mine.config.generator.settings.lstm_hidden) == ("mine", 24)
    assert (other.name, other.config.preset) == ("lstm_wgan,preset=smoke", "smoke")
    assert other.config.data.phantom_patients == 30


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ((), "name at least one contestant"),
        (("lstm_wgna",), r'no generator is called lstm_wgna, did you mean "lstm_wgan"\?'),
        (("nowhere.toml",), "nowhere.toml: No such file"),
        (("lstm_wgan", "lstm_wgan"), "two contestants are called lstm_wgan"),
        (("lstm_wgan,gan.ema",), "gan.ema: expected section.setting=value"),
        (("lstm_wgan,run.seed=3",), "run.seed is not a contestant's own"),
        ((",gan.ema=0.5",), "a generator's name or a file of settings comes first"),
        (("lstm_wgan,gan.steps=8000",), "gan.steps is settled by --time and --pictures"),
        (("lstm_wgan", "lstm_wgan,gan.size=32"), "differ in gan.size, which must be the same for all"),
        (("lstm_wgan", "lstm_wgan,preset=demo"), r"differ in data\.phantom_pat\w+, which must be the same for all"),
    ],
)
def test_who_cannot_be_compared_is_refused(texts: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        names(*texts)


def test_pictures_are_reduced_by_means_of_squares() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    small = reduced(pixels, 2)
    assert (small.shape, small.dtype) == ((2, 2, 2, 3), np.uint8)
    assert small[1, 0, 1, 2] == round(float(pixels[1, 0:2, 2:4, 2].mean()))
    assert reduced(pixels, 1) is pixels


@pytest.mark.parametrize("width", [8, 48, 128, 256])
def test_a_width_that_does_not_divide_the_pictures_is_refused(width: int) -> None:
    with pytest.raises(ConfigError, match=f"--smaller must be a width of at least 16 that divides 128, got {width}"):
        check_smaller(width, 128)


def trial(who: str, seed: int, value: float | None, distance: float, reason: str | None = None) -> dict[str, Any]:
    """As a judged training."""
    entry = {"value": value, "interval": value and [value - 0.1, value + 0.1], "n": [30, 20], "real_vs_real": 0.01}
    halved = {} if value is None else {"at_half": value + 0.05, "n_half": 15}
    return {
        "contestant": who,
        "budget": "time",
        "seed": seed,
        "training": {
            "kept_distance": distance,
            "stopping_metric": "kd[r64]",
            "steps": 10,
            "kept_step": 8,
            "stopped": "all steps done",
            "seconds": 60.0,
            "seconds_of_evaluation": 20.0,
        },
        "parameters": {"generator": 1_500_000, "critic": 500_000},
        "scores": {"kd": {**entry, **halved, "reason": reason}},
    }


def test_the_table_holds_means_over_seeds_and_chooses_by_the_validation_part() -> None:
    contestants = read_contestants(["lstm_wgan", "lstm_wgan,gan.batch_size=16"], preset=SMOKE)
    one, other = (contestant.name for contestant in contestants)
    found = [
        trial(one, 0, 1.0, 0.5),
        trial(other, 0, 2.0, 0.4),
        trial(one, 1, 1.5, 0.5),
        {"contestant": other, "budget": "time", "seed": 1, "reason": "the critic's loss became nan"},
    ]
    result = table.result(contestants, found, {"time": "40m"}, 70, 15, 16, 0)
    entries = result["rounds"]["time"]
    pooled = entries[one]["scores"]["kd"]
    assert (pooled["value"], pooled["seeds"]) == (1.25, [1.0, 1.5])
    assert pooled["interval"] == pytest.approx([1.15, 1.35])
    assert (pooled["at_half"], pooled["n_half"]) == (pytest.approx(1.3), 15)
    assert entries[other]["failed"] == {"1": "the critic's loss became nan"}
    assert result["best"] == {"time": one}  # though the other was nearer with the seed that came to its end
    text = table.as_markdown(result)
    assert (
        f"kd[r64] to the validation part, which chooses, among those of whom every seed came to its end: {one}." in text
    )
    assert "| kd | 0.01 | 1.25 (1.15 to 1.35; seeds 1 to 1.5); at half n 1.3 | 2 (1.9 to 2.1); at half n 2.05 |" in text
    assert "| parameters, generator |  | 1.50 M | 1.50 M |" in text
    # 10 steps in the 40 s that were no evaluations, each with batches of its own.
    assert "| steps x batch |  | 10 x 8 | 10 x 16 |" in text
    assert "| pictures/s |  | 2.0 | 4.0 |" in text
    assert f"{other}, seed 1, came to no end: the critic's loss became nan" in text
    assert "Gulrajani" in text


def test_the_best_is_chosen_by_the_validation_part_and_not_by_its_figures() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("fastgan", 0, 2.0, 0.4)]
    result = table.result(contestants, found, {"time": "40m"}, 70, 15, 16, 0)
    assert result["best"] == {"time": "fastgan"}
    assert "Lowest kd[r64] to the validation part, which chooses: fastgan." in table.as_markdown(result)


def failure(who: str, seed: int, reason: str = "the critic's loss became nan") -> dict[str, Any]:
    return {"contestant": who, "budget": "time", "seed": seed, "reason": reason}


def test_where_each_contestant_failed_with_a_seed_nobody_is_the_best() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("fastgan", 1, 2.0, 0.4), failure("lstm_wgan", 1)]
    found += [failure("fastgan", 0, "killed")]
    result = table.result(contestants, found, {"time": "40m"}, 70, 15, 16, 0)
    assert result["best"] == {"time": None}
    text = table.as_markdown(result)
    assert "Nobody is the best: no contestant came to its end with every seed." in text
    for line in (
        "lstm_wgan, seed 1, came to no end: the critic's loss became nan",
        "fastgan, seed 0, came to no end: killed",
    ):
        assert f"\n\n{line}\n\n" in text  # a paragraph each


def test_a_failed_contestants_other_metric_does_not_keep_the_others_from_being_best() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("lstm_wgan", 1, 1.0, 0.5), trial("fastgan", 0, 2.0, 0.4)]
    found[2]["training"]["stopping_metric"] = "kd[inception]"
    text = table.as_markdown(table.result(contestants, [*found, failure("fastgan", 1)], {"time": "40m"}, 70, 15, 16, 0))
    assert "Nobody is the best" not in text
    assert ": lstm_wgan." in text


def test_where_no_distance_was_measured_nobody_is_the_best() -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE)
    found = trial("lstm_wgan", 0, 1.0, 0.5)
    found["training"] |= {"kept_distance": None, "stopping_metric": None}
    result = table.result(contestants, [found], {"time": "40m"}, 70, 15, 16, 0)
    assert result["best"] == {"time": None}
    words = "Nobody is the best: the distance to the validation part was not measured for all."
    assert words in table.as_markdown(result)


def test_a_figure_without_halves_leaves_the_column_of_halves_empty() -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE)
    found = trial("lstm_wgan", 0, 1.0, 0.5)
    halved = found["scores"]["kd"]
    found["scores"]["psnr"] = {key: halved[key] for key in ("value", "interval", "n", "real_vs_real", "reason")}
    result = table.result(contestants, [found], {"time": "40m"}, 70, 15, 16, 0)
    assert "| psnr |  | 1 (0.9 to 1.1) |" in table.as_markdown(result)
    pooled = result["rounds"]["time"]["lstm_wgan"]["scores"]["psnr"]
    assert pooled["real_vs_real"] == 0.01  # of the test part
    assert "at_half" not in pooled


def test_the_table_says_who_ended_before_the_time_of_the_others() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("fastgan", 0, 2.0, 0.4)]
    found += [trial("lstm_wgan", 1, 1.0, 0.5)]
    found[0]["training"] |= {"seconds": 2350.0}
    found[1]["training"] |= {"stopped": "asked to stop", "seconds": 1800.0}
    found[2]["training"] |= {"seconds": 1740.0}
    text = table.as_markdown(table.result(contestants, found, {"time": "40m"}, 70, 15, 16, 0))
    assert "\nfastgan, seed 0, ended after 30 minutes and 10 steps: asked to stop.\n" in text
    assert "\nlstm_wgan, seed 1, ended after 29 minutes and 10 steps: all steps done.\n" in text
    assert "lstm_wgan, seed 0, ended" not in text


def test_distances_of_different_metrics_choose_nobody() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("fastgan", 0, 2.0, 0.4)]
    found[1]["training"]["stopping_metric"] = "kd[inception]"
    result = table.result(contestants, found, {"time": "40m"}, 70, 15, 16, 0)
    assert result["best"] == {"time": None}
    assert "Nobody is the best: weights were chosen by kd[inception] and kd[r64]" in table.as_markdown(result)
    found[1]["contestant"] = "lstm_wgan"
    mixed = table.result(contestants[:1], found, {"time": "40m"}, 70, 15, 16, 0)["rounds"]["time"]["lstm_wgan"]
    assert mixed["validation"] == {"metric": None, "value": None}


def test_nobody_is_the_best_before_all_are_judged_and_the_table_says_how_many_are() -> None:
    contestants = read_contestants(["lstm_wgan", "fastgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("fastgan", 0, 1.0, 0.4)]
    for judged, best in ((1, None), (2, "fastgan")):
        result = table.result(contestants, found[:judged], {"time": "40m"}, 70, 15, 16, 0, planned=2)
        assert result["best"] == {"time": best}
        assert result["planned"] == 2
        text = table.as_markdown(result)
        assert ("\n\n1 of 2 trainings are judged so far.\n\n" in text) == (best is None)
        assert ("to the validation part, which chooses" in text) == (best is not None)
        assert "Nobody is the best" not in text


def test_a_long_name_is_cut_for_files_and_stays_another_one() -> None:
    long = "lstm_wgan" + ",generator.dropout=0.1" * 11
    one, other = read_contestants([f"{long},gan.ema=0.9", f"{long},gan.ema=0.8"], preset=SMOKE)
    assert len(one.stem) == len(other.stem) == 200
    assert one.stem[:190] == other.stem[:190]
    assert one.stem != other.stem


def test_a_batch_is_no_larger_than_the_training_part() -> None:
    contestants = read_contestants(["lstm_wgan,gan.batch_size=64"], preset=SMOKE)
    text = table.as_markdown(
        table.result(contestants, [trial(contestants[0].name, 0, 1.0, 0.5)], {"time": "1m"}, 28, 6, 6, 0)
    )
    assert "| steps x batch |  | 10 x 28 |" in text
    assert "| pictures/s |  | 7.0 |" in text


def test_a_table_of_those_that_are_judged_so_far_has_their_columns_alone() -> None:
    contestants = read_contestants(["lstm_wgan", "lstm_wgan,gan.ema=0.9"])
    found = [trial("lstm_wgan", 0, 0.4, 0.5)]
    text = table.as_markdown(table.result(contestants, found, {"time": "40m"}, 70, 15, 15, 0))
    assert "| kd | " in text
    assert "gan.ema" not in text


def test_a_training_that_was_killed_is_not_explained_by_what_it_said_before(tmp_path: Path) -> None:
    killed = Trial("lstm_wgan", "time", 0, tmp_path / "run", {})
    killed.log.write_text("warning: 32 pictures seem to carry a date\nError: gan.start_from: nowhere\n")
    assert killed.last_words(1) == "gan.start_from: nowhere"
    assert killed.last_words(-9) == "it was killed by signal 9"


@pytest.mark.parametrize(
    ("budget", "seconds", "stopped", "left"),
    [
        ("40m", 1747.0, "all steps done", 653.0),
        ("40m", 2290.0, "all steps done", 0.0),  # nearly all is used
        ("40m", 1747.0, "asked to stop", 0.0),
        ("1m", 50.0, "all steps done", 0.0),  # starting again would take as long
        ("", 1747.0, "all steps done", 0.0),
    ],
)
def test_a_training_has_time_left_where_its_steps_took_less(
    tmp_path: Path, budget: str, seconds: float, stopped: str, left: float
) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"gan": {"budget": budget}})
    assert trial.left == 0  # it has not begun
    ended(trial, seconds, stopped)
    assert trial.left == left


def ended(trial: Trial, seconds: float, stopped: str = "all steps done") -> None:
    """What a training leaves behind."""
    for path in (trial.run.training, trial.run.manifest, trial.run.config):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    trial.run.training.write_text(json.dumps({"seconds": seconds, "stopped": stopped}))


def test_a_training_uses_the_time_that_is_left_once_and_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"run": {"threads": 1}, "gan": {"budget": "40m"}})
    started: list[list[str]] = []
    begin = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(command[command.index("train") + 1 :])
        ended(trial, 1000.0 * len(started))  # there is time left after both
        return begin([sys.executable, "-c", ""])

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert train([trial], 1, Silent()) == {}
    first, second = started
    assert first[0] == "--config"
    assert second == ["--resume", str(trial.place), "--extend", "1400s"]
    assert train([trial], 1, Silent()) == {}
    assert len(started) == 2


def test_an_extension_that_was_interrupted_is_made_when_the_comparison_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"run": {"threads": 1}, "gan": {"budget": "40m"}})
    ended(trial, 1000.0)
    begin, started = subprocess.Popen, list[list[str]]()

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(command)
        return begin([sys.executable, "-c", f"raise SystemExit({130 if len(started) == 1 else 0})"])

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(Interrupted):
        train([trial], 1, Silent())
    assert train([trial], 1, Silent()) == {}
    assert [command[-1] for command in started] == ["1400s", "1400s"]


def test_two_comparisons_in_one_folder_are_refused(tmp_path: Path) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"run": {"threads": 1}, "gan": {"budget": "40m"}})
    words = "another comparison, or a training that one left behind, is at work in .*: wait for it, or choose another"
    with rundir.alone(tmp_path, ""), pytest.raises(ConfigError, match=words):
        train([trial], 1, Silent())


class Counting(Silent):
    """Remembers how far things are said to be."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []

    def update(self, task: str, done: int, total: int, note: str = "") -> None:
        self.seen.append((done, total, note))


def test_progress_counts_the_steps_of_trainings_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"run": {"threads": 1}, "gan": {"budget": ""}}
    first, second = (Trial("lstm_wgan", "pictures", seed, tmp_path / str(seed), options) for seed in (0, 1))
    begin = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        trial = first if command[-1] == "0" else second
        trial.place.mkdir()
        trial.run.event("gan", step=60, steps=120)
        ended(trial, 1.0)
        return begin([sys.executable, "-c", "import time; time.sleep(1)"])

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr("dfukit.comparing.trials.TELL", 0.0)
    counting = Counting()
    assert train([first, second], 1, counting) == {}
    assert list(dict.fromkeys(counting.seen)) == [
        (25, 100, "0 of 2 ended, lstm_wgan 60/120"),
        (50, 100, "1 of 2 ended"),
        (75, 100, "1 of 2 ended, lstm_wgan 60/120"),
        (100, 100, "2 of 2 ended"),
    ]


@pytest.mark.parametrize(("used", "ended"), [(2400.0, False), (2600.0, True)])
def test_a_training_that_overruns_its_time_is_ended(used: float, ended: bool, tmp_path: Path) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"gan": {"budget": "40m"}})
    trial.end_in_time()  # there is nothing yet
    trial.place.mkdir()
    trial.run.event("gan", step=10, steps=20, seconds=used)
    trial.end_in_time()
    assert trial.run.stop.is_file() == ended


def test_a_training_that_has_ended_is_not_ended_again(tmp_path: Path) -> None:
    trial = Trial("lstm_wgan", "time", 0, tmp_path / "run", {"gan": {"budget": "40m"}})
    trial.place.mkdir()
    trial.run.event("gan", step=10, steps=20, seconds=2600.0)
    trial.run.training.write_text("{}")
    trial.end_in_time()
    assert not trial.run.stop.exists()


def test_a_figure_that_nobody_has_is_no_row_but_a_reason() -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, None, 0.5, reason="8 test pictures are too few")]
    text = table.as_markdown(table.result(contestants, found, {"time": "40m"}, 70, 15, 8, 0))
    assert "| kd |" not in text
    assert "- kd: 8 test pictures are too few" in text


def test_a_figure_without_an_interval_has_its_reason_below_the_table() -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE)
    found = [trial("lstm_wgan", 0, 1.0, 0.5), trial("lstm_wgan", 1, 1.0, 0.5, reason="one patient only: no interval")]
    found[1]["scores"]["kd"]["interval"] = None
    text = table.as_markdown(table.result(contestants, found, {"time": "40m"}, 70, 15, 8, 0))
    assert "| kd | 0.01 | 1; at half n 1.05 |" in text
    assert "\n- kd: one patient only: no interval\n" in text


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, Any]]:
    """A comparison of two, one of which fails; its folder, its command, and what it printed."""
    folder = tmp_path_factory.mktemp("compare") / "out"
    command = [sys.executable, "-m", "dfukit", "compare", "lstm_wgan", "lstm_wgan,gan.start_from=nowhere"]
    command += ["--pictures", "32", "--preset", SMOKE, "--metric", "ssim", "--metric", "fid", "--metric", "psnr"]
    command += ["--out", str(folder), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_OFFLINE", "1")  # figures of other names stand in for fid
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, command, json.loads(done.stdout)


def test_all_see_equally_many_pictures_and_one_that_fails_does_not_end_the_others(
    compared: tuple[Path, list[str], dict[str, Any]],
) -> None:
    folder, _, printed = compared
    sound, failing = printed["rounds"]["pictures"].values()
    assert sound["steps"] == [4]  # 32 pictures in batches of 8, one critic step each
    assert sound["scores"]["psnr"]["value"] is not None
    assert failing["seeds"] == []
    assert failing["failed"]["0"].startswith("nowhere/")
    evaluated = [
        event["step"] for event in RunDir(folder / "pictures" / "lstm_wgan-seed0").events() if "diversity" in event
    ]
    assert evaluated == [1, 2, 3, 4]  # twenty times, or after each step
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "compare.json",
        "pictures",
        "samples-equal-pictures.png",
    }


def test_a_critic_with_more_steps_to_a_turn_makes_fewer_turns_at_equal_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Trial] = []

    def stop(trials: list[Trial], *others: object) -> None:
        planned.extend(trials)
        raise Interrupted("seen enough")

    monkeypatch.setattr("dfukit.comparing.trials.train", stop)
    few = {"data.phantom_patients": 12, "data.phantom_pictures": 1}
    contestants = read_contestants(["lstm_wgan", "lstm_wgan,loss.critic_steps=2"], preset=SMOKE, shared=few)
    with pytest.raises(Interrupted):
        compare(contestants, tmp_path, pictures=32)
    assert [trial.settings["gan"]["steps"] for trial in planned] == [4, 2]


def test_what_is_in_the_place_of_the_table_is_not_written_over(tmp_path: Path) -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE, shared={"data.path": str(empty(tmp_path))})
    for name in ("README.md", "compare.json"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        (folder / name).write_text("# The card of a run")
        with pytest.raises(ConfigError, match=f"has a {name}, and no training of a comparison: name another folder"):
            compare(contestants, folder, pictures=32)
        assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "# The card of a run")]


@pytest.mark.parametrize("budget", ["time", "pictures"])
def test_a_comparison_that_has_a_table_already_goes_on(tmp_path: Path, budget: str) -> None:
    contestants = read_contestants(["lstm_wgan"], preset=SMOKE, shared={"data.path": str(empty(tmp_path))})
    folder = tmp_path / "out"
    (folder / budget).mkdir(parents=True)
    for path in (folder / "README.md", folder / "compare.json", folder / budget / "lstm_wgan-seed0.toml"):
        path.touch()
    with pytest.raises(DataError, match="holds no file"):  # it has begun to read
        compare(contestants, folder, pictures=32)


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_comparison_below_a_file_is_one_line_before_any_picture_is_read(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["dfukit", "compare", "lstm_wgan", "--pictures", "8", "--preset", SMOKE, "--data", str(empty(tmp_path))]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert f"--out {tmp_path / out}: cannot write there" in said


def empty(tmp_path: Path) -> Path:
    """A folder of photographs without any: an error of its own as soon as they are read."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def rows_of(folder: Path) -> list[str]:
    """Heads of the rows of its table."""
    lines = (folder / "README.md").read_text().splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("|")]


def test_what_is_finished_is_not_made_again(
    compared: tuple[Path, list[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, command, printed = compared
    weights = folder / "pictures" / "lstm_wgan-seed0" / "generator.safetensors"
    before, rows = weights.stat().st_mtime_ns, rows_of(folder)
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    again = subprocess.run(command[:5] + command[6:], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "judging" not in again.stderr
    assert weights.stat().st_mtime_ns == before
    told = json.loads(again.stdout)
    assert told["rounds"]["pictures"]["lstm_wgan"] == printed["rounds"]["pictures"]["lstm_wgan"]
    assert rows_of(folder) == rows
    assert rows.index("ssim") < rows.index("psnr")  # as asked
    assert any(row.startswith("fd[") for row in rows)


def test_another_first_seed_judges_anew(
    compared: tuple[Path, list[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halvings are drawn by the first seed of the command."""
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    folder = shutil.copytree(compared[0], tmp_path / "out") / "pictures" / "lstm_wgan-seed0"
    trained = Trial("lstm_wgan", "pictures", 0, folder, {})
    shared = {"score.metrics": ["ssim"], "score.extractor": "r64"}
    said: list[str] = []

    class Hearing(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    compute = Compute(torch.device("cpu"), bf16=False)
    for seed, judged in ((0, 1), (0, 0), (1, 1), (1, 0)):
        config = read_contestants(["lstm_wgan"], preset=SMOKE, shared={**shared, "run.seed": seed})[0].config
        images = load_images(config, Silent())
        judge(trained, config, images, make_split(images, config.data), 0, compute, Hearing())
        assert said.count("judging lstm_wgan, seed 0, equal pictures") == judged
        said.clear()


def test_other_settings_need_another_folder(ask: Ask, compared: tuple[Path, list[str], dict[str, Any]]) -> None:
    _, command, _ = compared
    code, _, err = ask(*command[3:5], *command[6:], "--set", "gan.ema=0.25")
    assert code == 2
    assert "holds other settings than these for lstm_wgan, seed 0, equal pictures: choose another --out" in err


def test_pictures_that_came_later_are_not_mixed_with_those_that_were_trained_on(tmp_path: Path) -> None:
    for name, seed in (("photos", 0), ("others", 1)):
        phantom.write_folder(tmp_path / name, 24, 1, seed, 32)
    (tmp_path / "photos" / "manifest.csv").unlink()  # which lists what belongs to the set
    command = [sys.executable, "-m", "dfukit", "compare", "lstm_wgan", "--pictures", "8", "--preset", SMOKE]
    command += ["--data", str(tmp_path / "photos"), "--metric", "psnr", "--out", str(tmp_path / "out")]
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == 0
    shutil.copy(next((tmp_path / "others").glob("infected/*.png")), tmp_path / "photos" / "infected" / "later.png")
    again = subprocess.run([*command, "--seeds", "2"], capture_output=True, text=True, timeout=300)
    assert again.returncode == 3
    assert "infected/later.png is new since lstm_wgan-seed0 was made" in again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say what is the same for all: --time 40m, or --pictures 20000, or both"),
        (("--time", "soon"), "--time soon: expected a duration such as 40m or 1h30m"),
        (("--time", "0s"), "--time 0s: expected a duration such as 40m or 1h30m"),
        (("--time", "1m", "--seeds", "0"), "--seeds and --together must be at least 1, got 0"),
    ],
)
def test_a_wrong_expense_is_one_line(ask: Ask, options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, _, err = ask("compare", "lstm_wgan", "--preset", SMOKE, *options, "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dfukit", "compare", "lstm_wgan", "lstm_wgan,gan.ema=0.9", "--pictures", "800"]
    command += ["--preset", SMOKE, "--metric", "psnr", "--together", "2"]
    command += ["--out", str(tmp_path)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    folders = [RunDir(tmp_path / "pictures" / name) for name in ("lstm_wgan-seed0", "lstm_wgan-gan.ema-0.9-seed0")]
    while not all(any(event.get("step", 0) > 2 for event in folder.events()) for folder in folders):
        assert running.poll() is None
        time.sleep(0.1)
    running.terminate()
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert said.splitlines()[-1].startswith("Error: interrupted; go on with: dfukit compare lstm_wgan")
    assert all(any(folder.checkpoints.iterdir()) for folder in folders)
    assert not any(folder.training.is_file() for folder in folders)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)["rounds"]["pictures"].values()
    assert [entry["steps"] for entry in entries] == [[100], [100]]
    for folder in folders:  # what was done before the interruption was not done again
        assert re.search("going on after step [1-9]", folder.path.with_name(f"{folder.path.name}.log").read_text())
