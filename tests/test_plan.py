"""What a dry run says that a run would cost."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_gan import CPU, IMAGE, small

from dfukit import config, plan, registry
from dfukit.errors import ConfigError


@pytest.mark.parametrize(("epochs", "steps"), [(3, 0), (3, 2)])
def test_the_estimate_counts_each_gan_step_and_each_picture_of_both_classifiers(
    monkeypatch: pytest.MonkeyPatch, epochs: int, steps: int
) -> None:
    monkeypatch.setattr(plan, "gan_step", lambda *told: 0.5)
    monkeypatch.setattr(plan, "classifier_step", lambda *told: 1.0 * plan.SMALL_BATCH)  # a second for each picture
    settings = {"classify.epochs": epochs, "classify.steps": steps, "run.device": "cpu"}
    told = {**settings, "classifier.name": "critic_lstm"}
    made = config.resolve(registry.load(), preset="smoke", settings=told)
    estimate = plan.describe(made)["estimate"]
    training = int(estimate["pictures"] * made.data.train)
    assert estimate["gan_seconds"] == 0.5 * estimate["gan_steps"] > 0
    seen = steps * made.classify.batch_size if steps else epochs * training
    assert estimate["classifier_seconds"] == 2 * seen


def folder(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["infected/1.jpg", "infected/2.jpg", "other/1.png", "other/list.csv", "other/.DS_Store"], (3, 2)),
        (["wounds/1.jpg", "wounds/deep/2.jpg"], (2, 1)),
        (["1.jpg", "2.jpg", "notes.txt"], (2, 1)),
    ],
)
def test_pictures_and_classes_are_counted_without_opening_a_picture(
    tmp_path: Path, files: list[str], found: tuple[int, int]
) -> None:
    settings = {"data.path": str(folder(tmp_path, *files))}
    assert plan.count(config.resolve(registry.load(), preset="smoke", settings=settings)) == found


def test_what_the_manifest_leaves_out_is_not_counted(tmp_path: Path) -> None:
    folder(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "manifest.csv").write_text("path,label\na.jpg,infected\nb.jpg,other\nlost.jpg,other\n")
    made = config.resolve(registry.load(), preset="smoke", settings={"data.path": str(tmp_path)})
    assert plan.count(made) == (2, 2)


def test_a_positive_class_that_the_run_would_refuse_is_refused(tmp_path: Path) -> None:
    def count(**settings: str) -> tuple[int, int]:
        told = {f"data.{key}": value for key, value in settings.items()}
        return plan.count(config.resolve(registry.load(), preset="smoke", settings=told))

    data = str(folder(tmp_path, "ill/1.jpg", "worse/2.jpg", "worst/3.jpg"))
    assert count(path=data, positive="worst") == (3, 3)
    with pytest.raises(ConfigError, match=r"data\.positive 'bad' is not a label; the labels are: ill, worse, worst"):
        count(path=data, positive="bad")
    with pytest.raises(ConfigError, match="name the positive class with --positive, one of ill, worse, worst"):
        count(path=data)
    with pytest.raises(ConfigError, match=r"data\.positive 'bad' is not a label"):
        count(positive="bad")


def test_no_classifier_is_estimated_where_there_is_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "gan_step", lambda *told: 0.5)
    settings = {"data.path": str(folder(tmp_path, "wounds/1.jpg", "wounds/2.jpg"))}
    document = plan.describe(config.resolve(registry.load(), preset="smoke", settings=settings))
    assert document["estimate"]["classifier_seconds"] == 0
    assert "# no classifiers: there is one class only" in plan.as_text(document)


def test_on_a_cpu_a_gan_step_is_measured_on_a_small_batch_and_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(plan, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # each step takes a second
    assert plan.gan_step(small(), IMAGE, CPU, 3 * plan.SMALL_BATCH) == 3.0
