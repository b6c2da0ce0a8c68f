"""Training a classifier, comparing two arms, and predicting."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from dfukit import clinical, comparison, config, fitting, phantom, registry, rundir, weights
from dfukit.classify import compare_arms
from dfukit.clinical import skin
from dfukit.comparison import Judged, Rules
from dfukit.component import Chosen, ImageSpec
from dfukit.config import RunConfig
from dfukit.device import Compute
from dfukit.errors import ConfigError, DataError, DivergedError, WeightsError
from dfukit.fitting import Batches, Pictures, Trained, train
from dfukit.images import ImageSet, Split, make_split, resize
from dfukit.images.columns import Column, Columns
from dfukit.interfaces import Critic, Parts
from dfukit.predict import load_classifier
from dfukit.predictions import About
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.sample import Samples
from dfukit.sections import ClassifySettings
from dfukit.weights import Description

CPU = Compute(torch.device("cpu"), bf16=False)
IMAGE = ImageSpec(16, 3, ("other", "infected"), "infected")
TINY = {"backbone": "resnet10t.c3_in1k", "pretrained": "false", "input_size": 32, "lstm_hidden": 16}


def made_up(n: int, seed: int = 0, signal: int = 60) -> Pictures:
    """Noise; the positive pictures are redder. Two pictures for each patient."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) // 2 % 2
    pixels = rng.integers(0, 190, (n, 16, 16, 3))
    pixels[..., 0] += signal * labels[:, None, None]
    return Pictures(pixels.astype(np.uint8), labels, np.arange(n) // 2 + 1000 * seed)


def chosen(**changed: Any) -> Chosen:
    return registry.load().choose("classifier", "timm_lstm", {**TINY, **changed})


def fit(settings: ClassifySettings, training: Pictures, validation: Pictures, **others: Any) -> tuple[Trained, list]:
    events: list[dict[str, Any]] = []
    arguments: dict[str, Any] = {"synthetic": None, "seed": 0, "compute": CPU, "chosen": chosen()}
    trained = train(
        image=IMAGE,
        settings=settings,
        augmentation=registry.load().choose("augmentation", "wound", {}).build(IMAGE),
        training=training,
        validation=validation,
        parts=Parts(),
        report=events.append,
        **(arguments | others),
    )
    return trained, events


# Training.


def test_a_visible_difference_is_learnt() -> None:
    trained, events = fit(ClassifySettings(batch_size=8, epochs=6, lr=3e-3), made_up(32), made_up(16, seed=1))
    test = made_up(24, seed=2)
    assert roc_auc_score(test.labels, fitting.logits(trained.network, test.pixels, CPU)) > 0.95
    assert [event["step"] for event in events] == list(range(1, 25))
    assert sum("validation_loss" in event for event in events) == 6


def test_training_is_a_function_of_the_seed_and_leaves_the_global_random_state_alone() -> None:
    settings, training, validation = ClassifySettings(batch_size=8, epochs=1), made_up(16), made_up(8, seed=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, _ = fit(settings, training, validation)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    second, _ = fit(settings, training, validation)
    third, _ = fit(settings, training, validation, seed=1)
    states = [one.network.state_dict() for one in (first, second, third)]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not all(torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())


def test_the_best_weights_by_validation_loss_come_back() -> None:
    validation = made_up(16, seed=1, signal=0)
    trained, _ = fit(ClassifySettings(batch_size=8, epochs=5, lr=3e-3), made_up(16, signal=0), validation)
    again = fitting.cross_entropy(fitting.logits(trained.network, validation.pixels, CPU), validation.labels == 1)
    assert again == pytest.approx(min(trained.validation_losses))
    assert trained.validation_losses[trained.best_epoch - 1] == trained.validation_loss
    assert not trained.network.training


def test_it_stops_when_the_validation_loss_has_not_fallen_for_the_patience() -> None:
    backwards = made_up(16, seed=1)
    validation = attrs.evolve(backwards, labels=1 - backwards.labels)  # the more it learns, the worse it gets
    trained, _ = fit(ClassifySettings(batch_size=8, epochs=50, patience=2, lr=3e-3), made_up(16), validation)
    assert len(trained.validation_losses) == trained.best_epoch + 2 < 50
    assert trained.stopped == "no lower validation loss for 2 epochs"


@pytest.mark.parametrize(
    ("losses", "epochs", "best_epoch"),
    [
        ([3, 2, 1, 0.5], 4, 4),  # an improvement at the last epoch
        ([3, 2, 2, 2, 1], 4, 2),  # equal is no improvement
        ([3, 4, 2, 4, 4, 1], 5, 3),  # an improvement starts the count anew
        ([1, 2, 3, 0], 3, 1),  # the first was the best
    ],
)
def test_the_count_of_patience_starts_anew_with_each_lower_loss(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], epochs: int, best_epoch: int
) -> None:
    told = iter(losses)
    monkeypatch.setattr(fitting, "cross_entropy", lambda *ignored: next(told, 0))  # and of the best weights
    settings = ClassifySettings(batch_size=8, epochs=len(losses), patience=2)
    trained, _ = fit(settings, made_up(16), made_up(8, seed=1))
    assert (len(trained.validation_losses), trained.best_epoch) == (epochs, best_epoch)


def test_out_of_memory_halves_the_portions_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    loss = torch.nn.functional.binary_cross_entropy_with_logits

    def full(logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        sizes.append(len(logit))
        if len(logit) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(logit, target)

    monkeypatch.setattr(torch.nn.functional, "binary_cross_entropy_with_logits", full)
    said: list[str] = []
    fit(ClassifySettings(batch_size=8, epochs=1), made_up(16), made_up(8, seed=1), say=said.append)
    assert sizes == [8, 4, 4, 4, 4]
    assert said == ["out of memory: training the classifier goes on with 4 pictures at a time"]


def test_without_patience_every_epoch_is_made() -> None:
    trained, _ = fit(ClassifySettings(batch_size=8, epochs=3, patience=0), made_up(16), made_up(8, seed=1))
    assert len(trained.validation_losses) == 3
    assert trained.stopped == "classify.epochs reached"


def test_steps_end_training_within_an_epoch_and_are_judged() -> None:
    trained, _ = fit(ClassifySettings(batch_size=8, epochs=3, steps=3), made_up(32), made_up(8, seed=1))
    assert (trained.steps, trained.best_epoch, len(trained.validation_losses)) == (3, 1, 1)
    assert trained.stopped == "classify.steps reached"


def test_no_epoch_gives_the_initial_weights() -> None:
    trained, events = fit(ClassifySettings(batch_size=8, epochs=0), made_up(16), made_up(8, seed=1))
    assert (trained.steps, trained.best_epoch, events) == (0, 0, [])
    assert np.isfinite(trained.validation_loss)


def test_a_loss_that_is_no_longer_finite_ends_training() -> None:
    settings = ClassifySettings(batch_size=8, epochs=9, lr=1.0)
    broken = chosen().build(IMAGE)

    class Exploding(type(broken)):  # type: ignore[misc]
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * float("nan")

    exploding = attrs.evolve(chosen(), component=attrs.evolve(chosen().component, target=f"{__name__}:_explode"))
    globals()["_explode"] = lambda settings, image: Exploding(settings, image, TINY["backbone"])
    with pytest.raises(DivergedError, match=r"loss became nan at step 1: lower classify\.lr"):
        fit(settings, made_up(16), made_up(8, seed=1), chosen=exploding)


def test_parts_that_cannot_be_trained_on_are_refused() -> None:
    settings, good = ClassifySettings(batch_size=8), made_up(16)
    empty = Pictures(good.pixels[:0], good.labels[:0], good.groups[:0])
    one_class = attrs.evolve(good, labels=np.zeros(16, np.int64))
    with pytest.raises(DataError, match="the validation part has no picture"):
        fit(settings, good, empty)
    with pytest.raises(DataError, match="the training part has no picture"):
        fit(settings, empty, good)
    with pytest.raises(DataError, match="the training part has no pictures of infected"):
        fit(settings, one_class, good)
    with pytest.raises(DataError, match="expects"):
        fit(settings, attrs.evolve(good, pixels=np.zeros((16, 8, 8, 3), np.uint8)), good)
    with pytest.raises(ConfigError, match="positive"):
        fitting.positives(ImageSpec(16, 3, ("a", "b"), "c"), good)


@pytest.mark.slow
def test_ulcers_are_told_from_skin_after_four_epochs_from_scratch(shared: Path) -> None:
    with (shared / "data" / "patches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:600]
    groups = np.unique([row["group"] for row in rows], return_inverse=True)[1]
    full = np.stack([np.asarray(Image.open(shared / "data" / row["path"]).convert("RGB")) for row in rows])
    everything = Pictures(resize(full, 64), np.array([int(row["label"] == "ulcer") for row in rows]), groups)

    def part(low: float, high: float) -> Pictures:
        inside = (groups >= low * groups.max()) & (groups < high * groups.max())
        return Pictures(everything.pixels[inside], everything.labels[inside], groups[inside])

    network = registry.load().choose("classifier", "effv2s_lstm", {"pretrained": "false", "input_size": 64})
    trained = train(
        chosen=network,
        image=ImageSpec(64, 3, ("skin", "ulcer"), "ulcer"),
        settings=ClassifySettings(batch_size=24, epochs=4),
        augmentation=registry.load().choose("augmentation", "wound", {}).build(ImageSpec(64, 3, ("a", "b"), "a")),
        training=part(0.0, 0.5),
        validation=part(0.5, 0.7),
        synthetic=None,
        parts=Parts(),
        seed=0,
        compute=CPU,
        report=lambda event: None,
    )
    test = part(0.7, 1.1)
    assert roc_auc_score(test.labels, fitting.logits(trained.network, test.pixels, CPU)) > 0.9
    assert trained.validation_losses[-1] < trained.validation_losses[0]


# Batches.


def test_every_real_picture_is_seen_once_before_any_is_seen_again() -> None:
    numbered = made_up(24)
    numbered.pixels[:, 0, 0, 0] = np.arange(24)
    batches = Batches(IMAGE, ClassifySettings(batch_size=8), numbered, None, 0)
    for start in (0, 3):
        seen = np.concatenate([batches.at(step)[0][:, 0, 0, 0] for step in range(start, start + 3)])
        assert sorted(seen) == list(range(24))


def test_being_synthetic_says_nothing_about_the_class() -> None:
    real, synthetic = made_up(30), made_up(40, seed=1)
    real = attrs.evolve(real, labels=(np.arange(30) < 6).astype(np.int64))
    real.pixels[:], synthetic.pixels[:] = 0, 255
    batches = Batches(IMAGE, ClassifySettings(batch_size=10, synthetic_ratio=1.5), real, synthetic, 0)
    pixels, targets = (np.concatenate(both) for both in zip(*map(batches.at, range(30)), strict=True))
    is_synthetic = pixels[:, 0, 0, 0] == 255
    assert is_synthetic.sum() == 180
    assert targets[is_synthetic].mean() == pytest.approx(0.2)
    assert targets[~is_synthetic].mean() == pytest.approx(0.2)


def test_synthetic_pictures_take_turns() -> None:
    real, synthetic = made_up(16), made_up(12, seed=1)
    synthetic.pixels[:, 0, 0, 0] = 200 + np.arange(12)
    real.pixels[:, 0, 0, 0] = 0
    batches = Batches(IMAGE, ClassifySettings(batch_size=8), real, synthetic, 0)
    seen = np.concatenate([batches.at(step)[0][:, 0, 0, 0] for step in range(12)])
    counts = np.bincount(seen[seen >= 200] - 200, minlength=12)
    assert counts.tolist() == [4] * 12


def test_a_synthetic_set_without_a_class_is_refused() -> None:
    one_class = attrs.evolve(made_up(8), labels=np.ones(8, np.int64))
    with pytest.raises(DataError, match="give the label away"):
        Batches(IMAGE, ClassifySettings(batch_size=8), made_up(16), one_class, 0)


# Both arms.


class Finished:
    """A comparison on the phantom set, made once."""

    def __init__(self, folder: Path) -> None:
        tables = {"classifier": {"name": "critic_lstm", "lstm_hidden": 16}, "critic": {"width": 4}}
        self.config: RunConfig = config.resolve(registry.load(), preset="smoke", flags=tables)
        drawn: ImageSet = phantom.image_set(self.config.data)
        site = Column(("not given", "north", "south"), (1 + drawn.groups % 2).astype(np.int8))
        self.images = attrs.evolve(drawn, columns=Columns({"site": site}, {"age": "more than 12 values"}))
        self.split: Split = make_split(self.images, self.config.data)
        self.image = ImageSpec(self.config.gan.size, 3, self.images.classes, self.images.positive)
        self.critic_description = Description(self.config.critic, self.image)
        torch.manual_seed(0)
        self.critic = self.critic_description.build()
        self.samples = Samples(
            self.images.at(self.image.size)[self.split.train],
            self.images.labels[self.split.train],
            self.images.classes,
            0,
            "made by a test",
        )
        self.run, self.result = self.compare(folder)

    def compare(self, folder: Path, samples: bool = True, **changed: Any) -> tuple[RunDir, dict[str, Any]]:
        assert isinstance(self.critic, Critic)
        run = rundir.create(folder, "", ("test",))
        result = compare_arms(
            self.config,
            run,
            changed.get("compute", CPU),
            changed.get("images", self.images),
            changed.get("split", self.split),
            changed.get("image", self.image),
            changed.get("drawn", self.samples) if samples else None,
            self.critic,
            self.critic_description,
            Silent(),
        )
        return run, result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Finished]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        yield Finished(tmp_path_factory.mktemp("runs"))


def test_a_comparison_has_the_documented_shape(finished: Finished) -> None:
    written = rundir.read_json(finished.run.classification)
    assert written == json.loads(json.dumps(finished.result))
    assert written["positive"] == "infected"
    assert set(written["runs"]) == {"real", "real+synthetic"}
    assert written["chosen"] in written["runs"]
    for figures in written["runs"].values():
        assert set(figures) == {*clinical.FIGURES, "operating_point"}
        assert {"value", "interval", "n"} <= set(figures["auroc"])
        assert figures["auroc"]["n"] == len(finished.split.test)
    assert {"value", "interval", "n"} <= set(written["difference"]["auroc"])
    for arm, counts in written["confusion"].items():
        assert sum(counts.values()) == len(finished.split.test), arm


def test_both_arms_make_equally_many_steps(finished: Finished) -> None:
    steps = {arm: about["steps"] for arm, about in finished.result["training"].items()}
    assert steps == {"real": 2, "real+synthetic": 2}
    events = finished.run.events()
    assert [(event["phase"], event["arm"], event["step"]) for event in events] == [
        ("classifier", arm, step) for arm in steps for step in (1, 2)
    ]


def test_the_chosen_arm_has_the_lower_validation_loss_and_is_the_runs_classifier(finished: Finished) -> None:
    training = finished.result["training"]
    assert finished.result["chosen"] == min(training, key=lambda arm: training[arm]["validation_loss"])
    facts = weights.describe(finished.run.classifier_weights).facts
    assert facts["arm"] == finished.result["chosen"]
    assert facts["positive"] == "infected"
    assert facts["phantom"] is True
    assert weights.describe(finished.run.real_classifier_weights).facts["arm"] == "real"


def test_every_figure_can_be_computed_again_from_the_predictions(finished: Finished) -> None:
    with finished.run.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == {"validation", "test"}
    sha256 = {finished.images.sha256[place] for place in finished.split.test}
    judged: dict[str, dict[str, Judged]] = {"validation": {}, "test": {}}
    for arm, part in ((arm, part) for arm in finished.result["runs"] for part in judged):
        said = [row for row in rows if row["arm"] == arm and row["part"] == part]
        labels = np.array([row["label"] == row["positive"] for row in said])
        judged[part][arm] = Judged(np.empty(0), np.array([float(row["calibrated_score"]) for row in said]), labels)
    assert {row["sha256"] for row in said} == sha256
    groups, columns = np.array([int(row["group"]) for row in said]), About.read(said).columns()
    again = comparison.compared(judged["validation"], judged["test"], groups, columns, Rules.read(finished.result))
    assert set(again) == {"runs", "difference", "confusion", "subgroups", "warnings"}
    for name, stated in again.items():
        assert stated == finished.result[name], name


def test_the_operating_point_is_chosen_on_validation_and_travels_with_the_weights(finished: Finished) -> None:
    point = finished.result["runs"][finished.result["chosen"]]["operating_point"]
    with finished.run.predictions.open(newline="") as file:
        said = [row for row in csv.DictReader(file) if row["arm"] == finished.result["chosen"]]
    validation = [row for row in said if row["part"] == "validation" and row["label"] == "infected"]
    reached = np.mean([float(row["calibrated_score"]) >= point["threshold"] for row in validation])
    assert point["validation"] == {"sensitivity": reached, "n": len(validation)}
    assert reached >= point["target_sensitivity"] == 0.9
    assert set(point["figures"]) == {"tpr", "fpr", "ppv", "npv"}
    assert point["prevalence"] == np.mean([row["label"] == "infected" for row in said if row["part"] == "test"])
    facts = weights.describe(finished.run.classifier_weights).facts
    assert (facts["operating_threshold"], facts["target_sensitivity"]) == (point["threshold"], 0.9)


def test_subgroups_are_the_manifests_columns_and_the_estimated_skin_tone(finished: Finished) -> None:
    subgroups = finished.result["subgroups"]
    assert set(subgroups) == {"site", skin.COLUMN}
    assert set(subgroups["site"]) == {"north", "south"}
    for column in subgroups.values():
        for arm in finished.result["runs"]:
            assert sum(value[arm]["n"] for value in column.values()) == len(finished.split.test)
    assert finished.result["columns_left_out"] == {"age": "more than 12 values"}
    assert finished.result["covers"] == "patients"


# What would turn a figure around.


def test_swapped_class_names_are_refused(finished: Finished, tmp_path: Path) -> None:
    swapped = attrs.evolve(finished.image, classes=finished.image.classes[::-1])
    with pytest.raises(DataError, match=r"the classes of the pictures are infected, non_infected .*non_infected, inf"):
        finished.compare(tmp_path, image=swapped)
    other = attrs.evolve(finished.image, positive="non_infected")
    with pytest.raises(DataError, match=r"\(positive: infected\), those of the classifier .*positive: non_infected"):
        finished.compare(tmp_path, image=other)


def test_a_synthetic_set_with_swapped_class_names_is_refused(finished: Finished, tmp_path: Path) -> None:
    right = finished.samples
    try:
        finished.samples = attrs.evolve(right, classes=right.classes[::-1])
        with pytest.raises(DataError, match="the classes of the synthetic set are non_infected, infected"):
            finished.compare(tmp_path)
    finally:
        finished.samples = right


def test_a_patient_on_two_sides_is_refused_by_name(finished: Finished, tmp_path: Path) -> None:
    leaked = int(finished.split.test[0])
    split = attrs.evolve(finished.split, train=np.append(finished.split.train, finished.split.test[1]))
    patient = finished.images.patients[finished.images.groups[leaked]]
    with pytest.raises(DataError, match=rf"patient '{patient}' lies in the train and the test part"):
        finished.compare(tmp_path, split=split)


def test_a_photograph_on_two_sides_is_refused_by_name(finished: Finished, tmp_path: Path) -> None:
    sha256 = list(finished.images.sha256)
    sha256[finished.split.test[0]] = sha256[finished.split.train[0]]
    path = finished.images.paths[finished.split.test[0]]
    with pytest.raises(DataError, match=rf"the content of {path} lies in the train and the test part"):
        finished.compare(tmp_path, images=attrs.evolve(finished.images, sha256=sha256))


def test_scores_that_are_no_numbers_are_refused_with_the_arm(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = fitting.logits
    count = len(finished.split.test)

    def broken(network: torch.nn.Module, pixels: Any, compute: Compute) -> np.ndarray:
        found = told(network, pixels, compute)
        return np.where(np.arange(len(found)) < 2, np.nan, found) if len(found) == count else found

    assert count != len(finished.split.validation)
    monkeypatch.setattr(fitting, "logits", broken)
    with pytest.raises(DivergedError, match=rf"trained on real gives 2 of {count} pictures of the test part a score"):
        finished.compare(tmp_path)


def judged(labels: np.ndarray, score: np.ndarray) -> dict[str, Judged]:
    return {"real": Judged(np.empty(0), score, labels)}


RULES = Rules(seed=0, bootstrap=100, threshold=0.5, target_sensitivity=0.9, prevalence=0.2)


def test_a_test_part_of_one_class_is_flagged() -> None:
    both, one = np.arange(30) % 2 == 0, np.zeros(30, bool)
    score = np.linspace(0, 1, 30)
    found = comparison.compared(judged(both, score), judged(one, score), np.arange(30), {}, RULES)
    assert found["warnings"] == ["real: no AUROC on the test part, these pictures have one class only"]
    assert found["runs"]["real"]["operating_point"]["figures"]["tpr"]["value"] is None


def test_a_validation_part_without_positives_gives_no_operating_point_and_says_why() -> None:
    both, one = np.arange(30) % 2 == 0, np.zeros(30, bool)
    score = np.linspace(0, 1, 30)
    found = comparison.compared(
        judged(one, score), judged(both, score), np.arange(30), {"site": ["a"] * 15 + ["b"] * 15}, RULES
    )
    point = found["runs"]["real"]["operating_point"]
    assert (point["threshold"], point["figures"]) == (None, {})
    assert "the validation part has no positive picture" in point["reason"]
    assert found["subgroups"]["site"]["a"]["real"]["threshold"] == 0.5


def test_scores_that_run_backwards_are_flagged() -> None:
    labels = np.arange(60) % 2 == 0
    score = np.where(labels, 0.3, 0.7) + np.linspace(-0.25, 0.25, 60)
    found = comparison.compared(judged(labels, score), judged(~labels, score), np.arange(60), {}, RULES)
    assert found["warnings"] == []
    found = comparison.compared(judged(labels, score), judged(labels, score), np.arange(60), {}, RULES)
    (warning,) = found["warnings"]
    assert warning.startswith("real: the scores run backwards")
    assert "look whether labels are swapped" in warning


def test_the_same_comparison_twice_gives_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    again, _ = finished.compare(tmp_path)
    for name in ("classifier_weights", "real_classifier_weights", "predictions", "classification"):
        assert getattr(again, name).read_bytes() == getattr(finished.run, name).read_bytes(), name


def test_without_samples_only_the_real_arm_is_trained(finished: Finished, tmp_path: Path) -> None:
    run, result = finished.compare(tmp_path, samples=False)
    assert set(result["runs"]) == {"real"}
    assert result["chosen"] == "real"
    assert result["difference"]["auroc"] is None
    assert run.classifier_weights.read_bytes() == run.real_classifier_weights.read_bytes()


def test_samples_that_lack_a_class_leave_the_real_arm_alone_and_the_run_says_so(
    finished: Finished, tmp_path: Path
) -> None:
    others = finished.samples.labels != finished.samples.classes.index("infected")
    drawn = attrs.evolve(
        finished.samples, pixels=finished.samples.pixels[others], labels=finished.samples.labels[others]
    )
    _, result = finished.compare(tmp_path, drawn=drawn)
    assert set(result["runs"]) == {"real"}
    reason = "the synthetic set has no pictures of infected, and being synthetic would give the label away"
    assert result["arms_left_out"] == {"real+synthetic": reason}


# Predicting.


def test_a_loaded_classifier_gives_the_scores_of_the_run(finished: Finished, tmp_path: Path) -> None:
    classifier = load_classifier(finished.run.path)
    place = int(finished.split.test[0])
    pixels = np.asarray(finished.images.pixels[place])
    Image.fromarray(pixels).save(tmp_path / "foot.png")
    predictions = classifier.predict([tmp_path / "foot.png", Image.fromarray(pixels), pixels])
    with finished.run.predictions.open(newline="") as file:
        (expected,) = (
            float(row["calibrated_score"])
            for row in csv.DictReader(file)
            if row["sha256"] == finished.images.sha256[place] and row["arm"] == finished.result["chosen"]
        )
    assert [one.score for one in predictions] == pytest.approx([expected] * 3, abs=1e-6)
    assert {one.positive for one in predictions} == {"infected"}
    assert predictions[0].path == str(tmp_path / "foot.png")
    assert set(predictions[0].as_table()) == {
        "path",
        "positive",
        "score",
        "call",
        "unlike",
        "distance",
        "milliseconds",
    }


def test_what_was_trained_in_bfloat16_is_judged_in_the_precision_of_its_predictions(
    finished: Finished, tmp_path: Path
) -> None:
    run, result = finished.compare(tmp_path, compute=Compute(torch.device("cpu"), bf16=True))
    places = finished.split.validation
    predicted = load_classifier(run.path).predict([np.asarray(finished.images.pixels[place]) for place in places])
    with run.predictions.open(newline="") as file:
        written = {
            row["sha256"]: float(row["calibrated_score"])
            for row in csv.DictReader(file)
            if row["part"] == "validation" and row["arm"] == result["chosen"]
        }
    expected = [written[finished.images.sha256[place]] for place in places]
    assert [one.score for one in predicted] == pytest.approx(expected, abs=1e-6)


def test_a_picture_in_memory_goes_the_way_of_a_file(finished: Finished, tmp_path: Path) -> None:
    classifier = load_classifier(finished.run.path)
    rng = np.random.default_rng(0)
    wide = Image.fromarray(rng.integers(0, 255, (30, 47, 4), np.uint8), "RGBA").resize((470, 300))
    wide.save(tmp_path / "wide.png")
    from_file, from_memory = classifier.predict([tmp_path / "wide.png", wide])
    assert from_memory.score == from_file.score


def test_an_unusable_picture_is_named_with_its_reason(finished: Finished, tmp_path: Path) -> None:
    classifier = load_classifier(finished.run.path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.jpg: not a picture"):
        classifier.predict([tmp_path / "broken.jpg"])
    with pytest.raises(DataError, match="uint8"):
        classifier.predict([np.zeros((9, 9), np.float32)])
    with pytest.raises(DataError, match="too small"):
        classifier.predict([Image.new("RGB", (3, 3))])


def test_a_missing_or_foreign_classifier_is_refused(tmp_path: Path, finished: Finished) -> None:
    with pytest.raises(DataError, match="is not there"):
        load_classifier(tmp_path)
    torch.manual_seed(0)
    weights.write(tmp_path / "critic.safetensors", finished.critic, finished.critic_description)
    with pytest.raises(WeightsError, match="holds a critic"):
        load_classifier(tmp_path / "critic.safetensors")


# No shortcut by resolution.


def test_sharpness_by_the_gans_resolution_tells_nothing_of_the_class() -> None:
    """Synthetic pictures of one class that are real ones through the GAN's size are, to a classifier, real ones.

    The blur is there in the full pictures: read at their own size, sharpness alone would tell the classes apart.
    """
    rng = np.random.default_rng(0)
    photographs = rng.integers(0, 256, (24, 256, 256, 3)).astype(np.uint8)
    generated = resize(photographs, 64)
    blown_up = resize(generated, 256)
    sharpness = [np.abs(np.diff(full.astype(float), axis=1)).mean(axis=(1, 2, 3)) for full in (photographs, blown_up)]
    assert sharpness[0].min() > 1.5 * sharpness[1].max()

    image = ImageSpec(64, 3, ("other", "infected"), "infected")
    torch.manual_seed(0)
    network = chosen().build(image).eval()
    # Without the one path, the network would see the blur.
    sharp, blurred = (fitting.logits(network, full, CPU) for full in (photographs, blown_up))
    assert np.abs(sharp - blurred).max() > 1e-6
    real, synthetic = (fitting.logits(network, resize(full, 64), CPU) for full in (photographs, generated))
    np.testing.assert_array_equal(real, synthetic)
