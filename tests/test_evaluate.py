"""A classifier on the labelled pictures of another place."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_classifier import Clinic

from dfukit import clinical, images, phantom, rundir, sums, weights
from dfukit.cli import main
from dfukit.errors import ConfigError, DataError
from dfukit.evaluate import evaluate
from dfukit.interfaces import Step
from dfukit.pipeline import execute_report
from dfukit.predict import load_classifier
from dfukit.progress import Silent
from dfukit.report import judging
from dfukit.rundir import RunDir
from dfukit.sections import DataSettings


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield Clinic(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(autouse=True)
def nobody_looked_yet(clinic: Clinic) -> None:
    shutil.rmtree(images.ledger_dir(), ignore_errors=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    phantom.write_folder(folder, patients=10, pictures=2, seed=1, size=64)
    (folder / "manifest.csv").unlink()
    return folder


@pytest.fixture
def hospital(drawn: Path, tmp_path: Path) -> Path:
    """Photographs of another place, in label folders; the patient is in their names."""
    return shutil.copytree(drawn, tmp_path / "hospital")


@pytest.fixture
def run(clinic: Clinic, tmp_path: Path) -> RunDir:
    """A run folder of one's own, with the sums of a finished run."""
    shutil.copytree(clinic.run.path, tmp_path / "judged")
    sums.record(RunDir(tmp_path / "judged"))
    return RunDir(tmp_path / "judged")


PATTERN = r"(patient_\d+)_"


def from_training(clinic: Clinic, part: str = "train") -> Path:
    place = int(getattr(clinic.split, part)[0])
    return clinic.photographs / clinic.images.paths[place]


def test_a_run_in_which_another_command_is_at_work_is_left_alone(run: RunDir, hospital: Path) -> None:
    with rundir.at_work(run), pytest.raises(ConfigError, match="another dfukit is at work"):
        evaluate(run.path, hospital, patient_pattern=PATTERN)
    assert not (run.path / "evaluation-hospital.json").exists()


def test_the_figures_can_be_computed_again_from_the_written_scores(run: RunDir, hospital: Path) -> None:
    evaluation = evaluate(run.path, hospital, patient_pattern=PATTERN)
    assert evaluation.file == run.path / "evaluation-hospital.json"
    table = rundir.read_json(evaluation.file)
    assert table == json.loads(json.dumps(evaluation.as_table()))
    assert (table["pictures"], table["patients"], table["positive"]) == (20, 10, "infected")
    with evaluation.file.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    again = clinical.figures(
        np.array([row["label"] == "infected" for row in rows]),
        np.array([float(row["calibrated_score"]) for row in rows]),
        np.array([int(row["group"]) for row in rows]),
        np.random.default_rng(Step(table["seed"], 0).seed_of("figures")),
        table["bootstrap"],
        table["threshold"],
    )
    (figures,) = table["runs"].values()
    assert {name: figures[name] for name in again} == json.loads(json.dumps(again))


def test_the_scores_are_those_of_predict(run: RunDir, hospital: Path) -> None:
    file = evaluate(run.path, hospital).file
    assert file is not None
    with file.with_suffix(".csv").open(newline="") as table:
        written = [float(row["calibrated_score"]) for row in csv.DictReader(table)]
    predicted = [one.score for one in load_classifier(run.path).predict([hospital])]
    np.testing.assert_allclose(written, predicted, atol=1e-5)


def test_a_finished_run_is_still_what_its_sums_say(run: RunDir, hospital: Path) -> None:
    evaluate(run.path, hospital)
    assert not list(sums.check(run.path, sums.GOES_ON))
    assert "evaluation-hospital.json" in sums.read(run.path)


def test_an_evaluation_hides_no_change_of_the_run(run: RunDir, hospital: Path) -> None:
    run.classification.write_text("{}")
    evaluate(run.path, hospital)
    assert [finding.file for finding in sums.check(run.path, sums.GOES_ON)] == ["classification.json"]


def test_weights_alone_write_nothing_and_say_that_overlap_is_unknown(
    run: RunDir, hospital: Path, tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(run.classifier_weights, tmp_path / "alone")
    evaluation = evaluate(tmp_path / "alone" / "classifier.safetensors", hospital)
    assert evaluation.file is None
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["classifier.safetensors"]
    assert any("whether it learnt from these cannot be told" in line for line in evaluation.table["warnings"])


# Pictures that it learnt from.


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_picture_that_it_learnt_from_is_refused_by_name(
    clinic: Clinic, run: RunDir, hospital: Path, part: str
) -> None:
    leaked = from_training(clinic, part)
    shutil.copy(leaked, hospital / "infected" / "renamed.png")
    with pytest.raises(DataError, match=rf"1 of 21 pictures .*infected/renamed\.png the same file as .*{leaked.name}"):
        evaluate(run.path, hospital)
    with pytest.raises(DataError, match=r"infected/renamed\.png the same file as"):
        evaluate(run.classifier_weights, hospital)


def recompressed(picture: Image.Image) -> Image.Image:
    return picture.resize((200, 200)).rotate(90)


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.mark.parametrize("change", [recompressed, mirrored])
def test_a_near_duplicate_of_one_that_it_learnt_from_is_refused_by_name(
    clinic: Clinic, run: RunDir, hospital: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    leaked = from_training(clinic)
    change(Image.open(leaked)).save(hospital / "infected" / "changed.jpg", quality=70)
    with pytest.raises(DataError, match=rf"infected/changed\.jpg looks like .*{leaked.name}"):
        evaluate(run.path, hospital)


def test_the_runs_own_test_pictures_are_allowed_and_named(clinic: Clinic, run: RunDir, hospital: Path) -> None:
    place = int(clinic.split.test[0])
    shutil.copy(from_training(clinic, "test"), hospital / clinic.images.classes[clinic.images.labels[place]] / "x.png")
    evaluation = evaluate(run.path, hospital)
    assert evaluation.table["overlap"] == {"checked": ["content", "near-duplicates"], "in_test": 1}
    assert "1 of these pictures are in the run's own test part" in evaluation.table["warnings"]


def test_without_the_runs_pictures_near_duplicates_are_not_looked_for_and_that_is_said(
    clinic: Clinic, run: RunDir, hospital: Path, tmp_path: Path
) -> None:
    gone = run.config.read_text().replace(str(clinic.photographs), str(tmp_path / "gone"))
    run.config.write_text(gone)
    evaluation = evaluate(run.path, hospital)
    assert evaluation.table["overlap"]["checked"] == ["content"]
    assert any("near-duplicates of training pictures were not looked for" in w for w in evaluation.table["warnings"])


def test_patients_who_are_called_like_patients_of_the_training_are_named(run: RunDir, hospital: Path) -> None:
    # Both places number their patients alike.
    warnings = evaluate(run.path, hospital, patient_pattern=PATTERN).table["warnings"]
    assert any("are called like patients of the training (patient_00" in warning for warning in warnings)
    assert not any("are called like" in warning for warning in evaluate(run.path, hospital).table["warnings"])


# Names of classes.


def test_labels_that_are_none_of_the_classes_are_refused_with_all_names(run: RunDir, hospital: Path) -> None:
    (hospital / "infected").rename(hospital / "Infected")
    with pytest.raises(
        DataError, match=r"has the label Infected, and the classifier's classes are infected, non_infected \(infected"
    ):
        evaluate(run.path, hospital)


def test_swapped_names_are_told_by_scores_that_run_backwards(run: RunDir, hospital: Path) -> None:
    """The folder says of every picture the opposite of what the classifier says."""
    scores = [one.score for one in load_classifier(run.path).predict([hospital])]
    files = sorted(hospital.rglob("*.png"))
    middle = float(np.median(scores))
    swapped = hospital.parent / "swapped"
    for score, path in zip(scores, files, strict=True):
        label = "non_infected" if score > middle else "infected"
        (swapped / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, swapped / label)
    warnings = evaluate(run.path, swapped, patient_pattern=PATTERN).table["warnings"]
    assert any("look whether the labels infected and non_infected are swapped" in warning for warning in warnings)


@pytest.mark.parametrize("label", ["infected", "non_infected"])
def test_a_folder_of_one_class_is_named_and_has_no_auroc(run: RunDir, hospital: Path, label: str) -> None:
    for other in hospital.iterdir():
        if other.name != label:
            shutil.rmtree(other)
    table = evaluate(run.path, hospital).table
    assert f"all pictures are {label}: figures that need both classes are empty" in table["warnings"]
    (figures,) = table["runs"].values()
    assert figures["auroc"]["value"] is None
    assert figures["auroc"]["reason"] == "these pictures have one class only"
    assert (figures["tpr"]["value"] is None) == (label == "non_infected")


# What it says where patients are not known, and what it does not say.


def test_groups_are_called_groups_where_patients_are_not_known(run: RunDir, hospital: Path) -> None:
    evaluation = evaluate(run.path, hospital)
    text = evaluation.as_text()
    assert not evaluation.table["patients_known"]
    assert text.startswith(f"hospital: 20 pictures of {evaluation.table['patients']} groups (")
    assert " patients" not in "".join(line for line in text.splitlines() if not line.startswith("warning: "))
    (place,) = judging.places(run)
    assert place.who == "group"
    assert all("patient" not in cell.about for _, cell in place.figures)
    execute_report(run, share=False, progress=Silent())
    assert f"20 pictures of {place.patients} groups, first look." in run.report.read_text("utf-8")
    assert "of 10 patients (" in evaluate(run.path, hospital, patient_pattern=PATTERN).as_text()


def test_warnings_about_a_training_are_left_out(run: RunDir, hospital: Path) -> None:
    loaded = images.load(DataSettings(path=str(hospital)))
    about_training = ("a generator that copies", "both sides of the split")
    assert all(any(text in warning for warning in loaded.check.warnings) for text in about_training)
    warnings = evaluate(run.path, hospital).table["warnings"]
    assert not any(text in warning for text in about_training for warning in warnings)
    assert "label 'infected' has 8 pictures, fewer than 50" in warnings
    assert any(warning.startswith("not every picture's patient is known") for warning in warnings)
    known = evaluate(run.path, hospital, patient_pattern=PATTERN).table["warnings"]
    assert not any("patient is known" in warning for warning in known)


# The ledger, the name, the command.


def test_each_classifier_on_the_same_pictures_is_a_look(run: RunDir, hospital: Path) -> None:
    assert evaluate(run.path, hospital).table["look"]["text"] == "first look"
    assert evaluate(run.path, hospital).table["look"]["text"] == "first look"
    network, description = weights.read(run.classifier_weights, "classifier")
    next(network.parameters()).data.mul_(1.01)
    weights.write(run.classifier_weights, network, description)
    assert evaluate(run.path, hospital).table["look"]["text"] == "2nd look"


def test_figures_of_an_earlier_classifier_are_called_so(run: RunDir, hospital: Path) -> None:
    evaluate(run.path, hospital)
    assert judging.EARLIER not in judging.places(run)[0].warnings
    network, description = weights.read(run.classifier_weights, "classifier")
    next(network.parameters()).data.mul_(1.01)
    weights.write(run.classifier_weights, network, description)
    assert judging.EARLIER in judging.places(run)[0].warnings


def test_another_folder_of_the_same_name_does_not_overwrite(run: RunDir, hospital: Path) -> None:
    evaluate(run.path, hospital)
    next((hospital / "infected").iterdir()).unlink()
    with pytest.raises(ConfigError, match=r"evaluation-hospital\.json holds the figures of other pictures.*--name"):
        evaluate(run.path, hospital)
    assert evaluate(run.path, hospital, name="second visit").file == run.path / "evaluation-second_visit.json"


def test_the_command_prints_what_it_found(
    run: RunDir, hospital: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dfukit", "evaluate", str(run.path), str(hospital), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, printed, _ = ask("--patient-pattern", PATTERN)
    assert code == 0
    assert printed.startswith("hospital: 20 pictures of 10 patients (")
    assert "first look at these pictures" in printed
    code, printed, _ = ask("--json")
    table: dict[str, Any] = json.loads(printed)
    assert {"positive", "runs", "look", "overlap", "warnings", "unlike"} <= set(table)
    assert 0 <= table["unlike"]["value"] <= 1


def test_the_report_says_which_look_it_was_and_shows_the_other_place(run: RunDir, hospital: Path) -> None:
    assert rundir.read_json(run.classification)["look"]["text"] == "first look"
    evaluate(run.path, hospital, patient_pattern=PATTERN)
    (place,) = judging.places(run)
    assert (place.name, place.pictures, place.patients, place.look) == ("hospital", 20, 10, "first look")
    assert "AUROC" in dict(place.figures)
    execute_report(run, share=False, progress=Silent())
    page = run.report.read_text("utf-8")
    assert "this was the <strong>first look</strong> at this test part" in page
    assert "On other pictures: hospital" in page
    execute_report(run, share=True, progress=Silent())
    assert "On other pictures" not in run.report.read_text("utf-8")
