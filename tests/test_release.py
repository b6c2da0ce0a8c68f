"""What leaves a run: pictures that copy are taken out, and a set that fails the release check is held back."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dfukit
from dfukit import classify, phantom, pipeline, release, synthetic
from dfukit import registry as registries
from dfukit.config import RunConfig, resolve
from dfukit.device import Compute
from dfukit.errors import ReleaseCheckError
from dfukit.gan import TrainedGan
from dfukit.images import Split, make_split
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.sample import Samples, read_samples
from dfukit.sections import ReleaseSettings

QUICK = {
    "run.threads": 1,
    "run.precision": "fp32",
    "classifier.lstm_hidden": 16,
    "classifier.lstm_layers": 1,
    "score.metrics": ["copies", "psnr"],
    "gan.size": 32,
}


@pytest.fixture(scope="module", autouse=True)
def offline(cache: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        patch.setenv("DFUKIT_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, offline: None) -> tuple[RunDir, Samples, release.Release]:
    """A run whose synthetic set is half noise, half training pictures, mirrored; after its audit."""
    config = resolve(registries.load(), preset="smoke", settings=QUICK)
    images = phantom.image_set(config.data)
    split = make_split(images, config.data)
    folder = RunDir(tmp_path_factory.mktemp("runs") / "planted")
    folder.path.mkdir()
    rng = np.random.default_rng(0)
    copies = images.at(32)[split.train[:6]][:, :, ::-1]
    made = np.concatenate([copies, rng.integers(0, 256, (18, 32, 32, 3))]).astype(np.uint8)
    labels = np.concatenate([images.labels[split.train[:6]], np.arange(18) % 2])
    samples = Samples(made, labels, images.classes, 1, "synthetic")
    compute = Compute(torch.device("cpu"), bf16=False)
    left, verdict = synthetic.score_samples(config, folder, compute, images, split, samples, Silent())
    release.settle(folder, verdict)
    return folder, left, verdict


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_flagged_pictures_leave_the_set_and_name_what_they_copy(
    planted: tuple[RunDir, Samples, release.Release],
) -> None:
    folder, left, _ = planted
    flagged = rows(folder.flagged / "flagged.csv")
    assert {int(row["number"]) for row in flagged} == set(range(6))
    assert all((folder.flagged / row["path"]).is_file() for row in flagged)
    assert {row["how"] for row in flagged} == {"mirrored"}
    audit = json.loads(folder.scores.read_text())["copies"]
    assert {(one["path"], one["of"]) for one in audit["pictures"]} == {(row["path"], row["of"]) for row in flagged}
    config = resolve(registries.load(), preset="smoke", settings=QUICK)
    images = phantom.image_set(config.data)
    split = make_split(images, config.data)
    assert [row["of"] for row in flagged] == [images.paths[i] for i in split.train[:6]]
    assert left.numbers.tolist() == list(range(6, 24))


def test_other_scores_are_those_of_the_pictures_that_are_left(planted: tuple[RunDir, Samples, release.Release]) -> None:
    scores = json.loads(planted[0].scores.read_text())
    assert scores["copies"]["n"][1] == 24
    assert scores["psnr"]["n"][1] == 18
    assert scores["psnr"]["value"] < 25


def test_a_set_with_many_copies_is_held_back_and_the_record_says_why(
    planted: tuple[RunDir, Samples, release.Release],
) -> None:
    folder, left, verdict = planted
    assert verdict.passed is False
    assert not folder.synthetic.exists()
    manifest = rows(folder.held_back / "manifest.csv")
    assert len(manifest) == len(left) == 18
    assert all(float(row["nearest_training_distance"]) > 0.1 for row in manifest)
    assert release.read(folder) == verdict
    record = json.loads(folder.release.read_text())
    assert (record["passed"], record["flagged"], record["pictures"]) == (False, 6, 18)
    assert [check["name"] for check in record["checks"] if check["passed"] is False] == ["max_copies"]
    with pytest.raises(ReleaseCheckError, match=r"25\.0% of the pictures copy .* \(release\.max_copies\)"):
        release.insist(folder)


def test_a_set_that_was_held_back_can_still_be_classified_with(
    planted: tuple[RunDir, Samples, release.Release],
) -> None:
    folder, left, _ = planted
    assert len(read_samples(folder, left.classes)) == 18


def test_a_generator_that_knows_nothing_but_its_training_pictures_leaves_a_report_and_no_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_heart(config: RunConfig, folder: RunDir, trained: TrainedGan, split: Split) -> Samples:
        images = phantom.image_set(config.data)
        some = split.train[:20]
        return Samples(images.at(config.gan.size)[some], images.labels[some], images.classes, 1, "synthetic")

    monkeypatch.setattr(pipeline, "draw_samples", by_heart)
    settings = {**QUICK, "score.metrics": ["copies", "kd", "psnr"]}
    run = dfukit.run(preset="smoke", classifier="critic_lstm", settings=settings, out=tmp_path, name="by-heart")
    assert run.release is not None
    assert (run.release.passed, run.release.pictures, run.release.flagged) == (False, 0, 20)
    assert run.scores["kd[r64]"]["reason"] == "needs at least 10 pictures in each set, got 34 real and 0 synthetic"
    assert run.classification["runs"].keys() == {classify.REAL}
    assert "20 of 20 pictures copy a training picture" in run.folder.report.read_text("utf-8")


def audit(value: float, power: float, ratio: float | None = None) -> dict[str, Any]:
    nearest = None if ratio is None else {"value": ratio, "interval": [ratio, ratio], "n": 10, "expected": [0.75, 1.3]}
    return {"value": value, "flagged": 0, "power": {"all": {"value": power}}, "nearest_ratio": nearest, "reason": None}


@pytest.mark.parametrize(
    ("entry", "failed"),
    [
        (audit(0.0, 1.0, 1.0), []),
        (audit(0.05, 0.8, 0.8), []),
        (audit(0.06, 1.0), ["max_copies"]),
        (audit(0.0, 0.7), ["min_power"]),
        (audit(0.0, 1.0, 0.76), []),  # below the limit, but no lower than by chance
        (audit(0.0, 1.0, 0.7), ["min_nearest_ratio"]),
        (audit(0.5, 0.1, 0.1), ["max_copies", "min_power", "min_nearest_ratio"]),
    ],
)
def test_each_limit_holds_a_set_back(entry: dict[str, Any], failed: list[str]) -> None:
    verdict = release.judge(ReleaseSettings(), entry, 10)
    assert [check.name for check in verdict.checks if check.passed is False] == failed
    assert verdict.passed is not bool(failed)
    assert all(f"release.{name}" in (verdict.reason or "") for name in failed)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (audit(0.0502, 1.0), "5.02% of the pictures copy a training picture, at most 5.00% may"),
        (audit(0.05004, 1.0), "5.004% of the pictures copy a training picture, at most 5.000% may"),
        (audit(0.0, 0.797), "the audit finds 79.7% of planted copies, and must find 80.0%"),
        (audit(0.0, 1.0, 0.7499), "lie 0.7499 times as far from training as from held-out pictures, at least 0.8000"),
    ],
)
def test_what_failed_does_not_read_as_its_limit(entry: dict[str, Any], said: str) -> None:
    verdict = release.judge(ReleaseSettings(), entry, 1000)
    assert verdict.passed is False
    assert said in (verdict.reason or "")


def test_a_condition_that_could_not_be_measured_is_named() -> None:
    entry = {**audit(0.0, 1.0), "nearest_ratio_reason": "7 held-out pictures, at least 10 are needed"}
    verdict = release.judge(ReleaseSettings(), entry, 10)
    (check,) = [check for check in verdict.checks if check.passed is None]
    assert (verdict.passed, check.name, check.value) == (True, "min_nearest_ratio", None)
    assert verdict.as_text() == (
        "passed: 10 synthetic pictures; the ratio of nearest distances was not measured "
        "(7 held-out pictures, at least 10 are needed)"
    )


@pytest.mark.parametrize("entry", [None, {"value": None, "reason": "too few"}])
def test_without_an_audit_nothing_passed(entry: dict[str, Any] | None) -> None:
    verdict = release.judge(ReleaseSettings(), entry, 10)
    assert verdict.passed is None
    assert verdict.as_text().startswith("not audited: ")


def test_the_command_ends_with_exit_6_after_everything_is_written(tmp_path: Path) -> None:
    settings = {**QUICK, "release.min_power": 1.0, "metric.copies.planted": 60, "gan.size": 16}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = [sys.executable, "-m", "dfukit", "run", "--preset", "smoke", "--classifier", "critic_lstm", *words]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--name", "held", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 6, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: the synthetic set is held back")
    told = json.loads(done.stdout)
    assert told["release"]["passed"] is False
    run = dfukit.Run(RunDir(tmp_path / "held"))
    assert run.folder.report.is_file()
    assert run.classification["runs"].keys() == {classify.REAL, classify.BOTH}
    assert run.release is not None
    assert "held back" in run.as_text()
