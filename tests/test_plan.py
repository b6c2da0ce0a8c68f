"""What a dry run says that a run would cost."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_gan import CPU, IMAGE, small

from dfukit import config, plan, registry
from dfukit.errors import ConfigError, DfukitError


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for a step of the GAN, two for an evaluation and three more for the first; one for a picture."""
    monkeypatch.setattr(plan, "gan_step", lambda *told: 0.5)
    monkeypatch.setattr(plan, "evaluation", lambda *told: (2.0, 3.0))
    monkeypatch.setattr(plan, "classifier_step", lambda *told: 1.0 * plan.SMALL_BATCH)


def estimated(**settings: object) -> dict[str, Any]:
    told = {"run.device": "cpu", "classifier.name": "critic_lstm", **settings}
    estimate: dict[str, Any] = plan.describe(config.resolve(registry.load(), preset="smoke", settings=told))["estimate"]
    return estimate


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize(("every", "evaluations"), [(0, 1), (10, 2), (8, 3), (5, 4)])
def test_the_estimate_counts_each_step_and_each_evaluation_of_the_gan(every: int, evaluations: int) -> None:
    estimate = estimated(**{"gan.steps": 20, "gan.evaluate_every": every})
    assert (estimate["gan_steps"], estimate["gan_evaluations"]) == (20, evaluations)
    assert estimate["gan_seconds"] == 20 * 0.5 + evaluations * 2 + 3
    assert estimate["gan_passes"] == 20 / (int(48 * 0.7) // 8)


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize(("epochs", "steps", "made"), [(3, 0, 15), (3, 7, 7), (3, 99, 15)])
def test_the_estimate_counts_each_picture_of_both_classifiers(epochs: int, steps: int, made: int) -> None:
    estimate = estimated(**{"classify.epochs": epochs, "classify.steps": steps})
    training, validation = int(48 * 0.7), int(48 * 0.15)
    # After each epoch of five batches, the statistics of training pictures and the loss of all validation pictures.
    looks = {15: 3, 7: 2}[made] * (validation + training)
    assert estimate["classifier_seconds"] == pytest.approx(2 * (made * 8 + looks / 3), abs=0.1)


@pytest.mark.usefixtures("seconds")
def test_a_budget_promises_no_more_steps_than_it_has_time_for() -> None:
    estimate = estimated(**{"gan.budget": "10m", "gan.evaluate_every": 0})
    assert 0.9 * 600 < estimate["gan_seconds"] <= 600 - 2 * 2  # the measurement looks twice
    assert estimate["gan_evaluations"] > 4


@pytest.mark.usefixtures("seconds")
def test_the_memory_of_each_part_grows_with_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 2**30

    def memory(**settings: int) -> float:
        peaks = iter([1 * gib, 2 * gib, 2 * gib, 5 * gib])  # before, of the GAN, of its evaluation, of the classifier
        monkeypatch.setattr(plan, "_memory", lambda compute: next(peaks))
        held: float = estimated(**settings)["memory_gib"]
        return held

    assert memory(**{"gan.batch_size": 8, "classify.batch_size": 8}) == 1 + 1 + 3
    assert memory(**{"gan.batch_size": 24, "classify.batch_size": 8}) == 1 + 3 + 3
    assert memory(**{"gan.batch_size": 8, "classify.batch_size": 24}) == 1 + 1 + 9


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize("preset", config.PRESETS)
def test_what_a_dry_run_prints_is_the_configuration(preset: str, tmp_path: Path) -> None:
    settings = {"metric.kd.subsets": 7, "score.metrics": ["kd", "psnr"], "extractor.r64.size": 32}
    made = config.resolve(registry.load(), preset=preset, settings={"run.device": "cpu", **settings})
    file = tmp_path / "a.toml"
    file.write_text(plan.as_text(plan.describe(made)))
    assert config.resolve(registry.load(), file=file) == made
    for line in ("subsets = 7 ", "size = 32 "):
        assert f"{line:40} # --set" in file.read_text()


def test_an_evaluation_is_measured_on_few_pictures_and_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(plan, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # each look takes a second
    made = small(**{"gan.evaluate_pictures": 128, "extractor.r64.size": 32})
    assert plan.evaluation(made, IMAGE, CPU, 5 * plan.SMALL_BATCH) == (16, 5)
    assert plan.evaluation(made, IMAGE, CPU, 999_999) == (16, 250)  # it reads so many at most


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


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("data.patients", "lost.csv", "lost.csv cannot be read: No such file"),
        ("data.patient_pattern", "P[0-9]+", "has no group"),
        ("gan.start_from", "runs/lost", "runs/lost/generator.safetensors"),
    ],
)
def test_a_file_or_pattern_that_the_run_would_refuse_is_refused(
    tmp_path: Path, key: str, value: str, reason: str
) -> None:
    settings = {"data.path": str(folder(tmp_path, "ill/1.jpg", "infected/2.jpg")), key: value}
    with pytest.raises(DfukitError, match=reason):
        plan.describe(config.resolve(registry.load(), preset="smoke", settings=settings))


@pytest.mark.usefixtures("seconds")
def test_no_classifier_is_estimated_where_there_is_one_class(tmp_path: Path) -> None:
    settings = {"data.path": str(folder(tmp_path, "wounds/1.jpg", "wounds/2.jpg"))}
    document = plan.describe(config.resolve(registry.load(), preset="smoke", settings=settings))
    assert document["estimate"]["classifier_seconds"] == 0
    assert "# no classifiers: there is one class only" in plan.as_text(document)


def test_on_a_cpu_a_gan_step_is_measured_on_a_small_batch_and_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(plan, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # each step takes a second
    assert plan.gan_step(small(), IMAGE, CPU, 3 * plan.SMALL_BATCH) == 3.0
