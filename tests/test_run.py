"""A whole run: complete, repeatable, and usable from Python."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import Ask
from PIL import Image
from report_folder import LIFT

import dfukit
from dfukit import phantom, pipeline, registry, report, rundir, sums
from dfukit.config import resolve
from dfukit.lift import lift_run
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.verify import verify

QUICK = {"run.threads": 1, "run.precision": "fp32", "classifier.lstm_hidden": 16, "classifier.lstm_layers": 1}


pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dfukit.Run:
    """One small run on the phantom set, shared by the tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(cache))
        patch.setenv("DFUKIT_OFFLINE", "1")
        out = tmp_path_factory.mktemp("runs")
        return dfukit.run(preset="smoke", classifier="critic_lstm", settings=QUICK, out=out, name="first")


def test_the_run_folder_is_complete(run: dfukit.Run) -> None:
    folder = RunDir(run.path)
    for path in (
        folder.config,
        folder.environment,
        folder.data,
        folder.split,
        folder.metrics,
        folder.tensorboard,
        folder.sample_grid(4),
        folder.generator_weights,
        folder.critic_weights,
        folder.classifier_weights,
        folder.real_classifier_weights,
        folder.manifest,
        folder.predictions,
        folder.scores,
        folder.classification,
        folder.training,
        folder.report,
        folder.model_card,
    ):
        assert path.exists(), path.name
    with folder.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    for row in rows:
        with Image.open(folder.synthetic / row["path"]) as picture:
            assert picture.size == (16, 16)
            assert "shows no patient" in picture.info["Description"]


def test_the_same_seed_gives_the_same_scores_and_the_same_bytes(run: dfukit.Run, tmp_path: Path) -> None:
    again = dfukit.run(preset="smoke", classifier="critic_lstm", settings=QUICK, out=tmp_path, name="second")
    for name in (
        "scores.json",
        "classification.json",
        "predictions.csv",
        "split.csv",
        "generator.safetensors",
        "critic.safetensors",
        "classifier.safetensors",
        "classifier-real.safetensors",
        "synthetic/manifest.csv",
    ):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name


def test_the_configuration_of_a_run_repeats_it(run: dfukit.Run, tmp_path: Path) -> None:
    again = dfukit.run(config=run.path / "config.toml", out=tmp_path)
    assert (again.path / "scores.json").read_bytes() == (run.path / "scores.json").read_bytes()
    assert (again.path / "config.toml").read_bytes() == (run.path / "config.toml").read_bytes()


def test_another_seed_gives_another_generator_on_the_same_split(run: dfukit.Run, tmp_path: Path) -> None:
    other = dfukit.run(preset="smoke", classifier="critic_lstm", settings=QUICK, out=tmp_path, seed=1)
    assert (other.path / "split.csv").read_bytes() == (run.path / "split.csv").read_bytes()
    assert (other.path / "generator.safetensors").read_bytes() != (run.path / "generator.safetensors").read_bytes()


def test_evaluating_more_often_does_not_change_training(run: dfukit.Run, tmp_path: Path) -> None:
    settings = {**QUICK, "gan.evaluate_every": 1, "gan.patience": 0}
    often = dfukit.run(preset="smoke", classifier="critic_lstm", settings=settings, out=tmp_path)
    last = [event for event in RunDir(often.path).events() if event.get("step") == 4 and "critic_loss" in event]
    same = [event for event in RunDir(run.path).events() if event.get("step") == 4 and "critic_loss" in event]
    assert last[0]["critic_loss"] == same[0]["critic_loss"]
    assert last[0]["generator_loss"] == same[0]["generator_loss"]


def test_no_patient_is_on_both_sides_of_the_written_split(run: dfukit.Run) -> None:
    with RunDir(run.path).split.open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["patient"], set()).add(row["part"])
    assert len(rows) == 48
    assert all(len(found) == 1 for found in parts.values())
    assert json.loads(RunDir(run.path).data.read_text())["patients_on_both_sides"] == 0


def test_the_generator_draws_the_same_pictures_for_the_same_seed(run: dfukit.Run) -> None:
    generator = dfukit.load_generator(run.path)
    samples = generator.sample(5, label="infected", seed=3)
    assert samples.pixels.shape == (5, 16, 16, 3)
    assert samples.pixels.dtype == np.uint8
    assert np.array_equal(samples.pixels, run.generator().sample(5, label="infected", seed=3).pixels)
    assert not np.array_equal(samples.pixels, generator.sample(5, label="infected", seed=4).pixels)
    assert len(samples.pictures()) == 5
    with pytest.raises(dfukit.ConfigError, match="infected, non_infected"):
        generator.sample(1, label="infectd")


def test_a_generator_whose_numbers_are_not_finite_draws_nothing(run: dfukit.Run) -> None:
    generator = dfukit.load_generator(run.path)
    with torch.no_grad():
        next(generator.network.parameters()).fill_(float("nan"))
    with pytest.raises(dfukit.PluginError, match="drew numbers that are not finite"):
        generator.sample(2)


def test_samples_without_a_label_keep_the_shares_of_the_classes(run: dfukit.Run) -> None:
    data = json.loads(RunDir(run.path).data.read_text())["parts"]["train"]
    share = data["labels"]["infected"] / data["pictures"]
    drawn = dfukit.load_generator(run.path).sample(60, seed=0)
    assert abs((drawn.labels == 0).mean() - share) <= 1 / 60


def test_the_classifier_scores_pictures(run: dfukit.Run) -> None:
    pictures, _ = phantom.draw_patient(seed=5, patient=0, pictures=2)
    predictions = dfukit.load_classifier(run.path).predict(list(pictures))
    assert [prediction.positive for prediction in predictions] == ["infected", "infected"]
    assert all(0 <= prediction.score <= 1 for prediction in predictions)


def test_the_positive_class_is_written_into_every_artefact(run: dfukit.Run) -> None:
    folder = RunDir(run.path)
    assert run.classification["positive"] == "infected"
    assert json.loads(folder.data.read_text())["positive"] == "infected"
    assert dfukit.load_classifier(run.path).positive == "infected"
    assert run.generator().image.positive == "infected"


def test_every_artefact_of_the_phantom_set_says_that_it_shows_no_patient(run: dfukit.Run) -> None:
    assert run.generator().description.facts["phantom"] is True
    assert dfukit.load_classifier(run.path).description.facts["phantom"] is True
    assert json.loads(RunDir(run.path).data.read_text())["phantom"] is True
    assert "no patient" in RunDir(run.path).report.read_text()
    assert "no patient" in RunDir(run.path).model_card.read_text()


def test_without_inception_weights_the_scores_say_why_and_a_distance_is_there(run: dfukit.Run) -> None:
    kid = run.scores["kid"]
    assert kid["value"] is None
    assert "dfukit weights add" in kid["reason"]
    assert run.scores["kd[r64]"]["value"] is not None
    assert {"value", "n", "interval", "real_vs_real", "reason"} <= set(kid)


def test_more_pictures_of_a_run_are_others_than_its_synthetic_set(run: dfukit.Run) -> None:
    again = {picture.tobytes() for picture in run.generator().sample(24).pixels}
    folder = RunDir(run.path).synthetic
    stored = {np.asarray(Image.open(path).convert("RGB")).tobytes() for path in folder.rglob("*.png")}
    assert len(stored) == 24
    assert not again & stored


def test_a_training_part_without_a_class_is_refused_before_the_gan_is_trained(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    phantom.write_folder(folder, patients=12, pictures=1, seed=0, size=32)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {"infected": ["test"], "non_infected": ["train", "validation", "test"]}
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "split"])
        table.writeheader()
        for place, row in enumerate(rows):
            table.writerow({**row, "split": parts[row["label"]][place % len(parts[row["label"]])]})
    with pytest.raises(dfukit.DataError, match="the training part has no pictures of infected"):
        dfukit.run(folder, preset="smoke", settings=QUICK, out=tmp_path / "runs", name="one")
    assert not RunDir(tmp_path / "runs" / "one").metrics.exists()


def test_weights_of_the_classifier_that_cannot_be_had_end_a_run_before_its_gan_is_trained(tmp_path: Path) -> None:
    insists = {**QUICK, "classifier.backbone": "mobilenetv3_small_050", "classifier.pretrained": "true"}
    with pytest.raises(dfukit.WeightsError, match=r"classifier\.pretrained = true"):
        dfukit.run(preset="smoke", classifier="timm_lstm", settings=insists, out=tmp_path, name="one")
    assert not RunDir(tmp_path / "one").metrics.exists()


def test_a_step_done_again_keeps_the_split_or_names_what_changed(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    phantom.write_folder(folder, patients=12, pictures=2, seed=0, size=32)
    settings = {**QUICK, "gan.steps": 1}
    made = dfukit.run(folder, preset="smoke", classifier="critic_lstm", settings=settings, out=tmp_path / "runs")
    before = (made.path / "split.csv").read_bytes()
    run = RunDir(made.path)
    run.report.write_text("a report of the classifiers before")
    pipeline.execute_classify(run, Silent())
    assert "Research use only" in run.report.read_text()
    assert not report.is_shared(run)
    pipeline.execute_report(run, share=True, progress=Silent())
    pipeline.execute_classify(run, Silent())
    assert report.is_shared(run)  # real pixels do not come back unasked
    pipeline.execute_report(run, share=False, progress=Silent())
    assert not report.is_shared(run)
    assert (made.path / "split.csv").read_bytes() == before
    phantom.write_folder(folder, patients=13, pictures=2, seed=0, size=32)
    with pytest.raises(dfukit.DataError, match=r"patient_0013_1\.png is new since .* start a new run"):
        pipeline.execute_classify(RunDir(made.path), Silent())
    with pytest.raises(dfukit.DataError, match="start a new run"):
        pipeline.execute_report(RunDir(made.path), share=False, progress=Silent())


def test_the_model_card_keeps_the_licence_it_was_given(run: dfukit.Run, tmp_path: Path, ask: Ask) -> None:
    folder = RunDir(Path(shutil.copytree(run.path, tmp_path / "run")))
    pipeline.execute_report(folder, share=True, progress=Silent())
    assert "To be filled in" in folder.model_card.read_text("utf-8")
    assert ask("report", folder.path, "--licence", "CC BY 4.0, ethics approval 12/2025")[0] == 0
    assert report.is_shared(folder)  # real pixels do not come back unasked
    pipeline.execute_report(folder, share=False, progress=Silent())
    assert "\n## Licence\n\nCC BY 4.0, ethics approval 12/2025\n" in folder.model_card.read_text("utf-8")
    assert ask("verify", folder.path)[0] == 0


@pytest.fixture
def copy(run: dfukit.Run, tmp_path: Path) -> RunDir:
    """The run in a folder that a test may change."""
    return RunDir(Path(shutil.copytree(run.path, tmp_path / "run")))


def wrong(run: RunDir) -> list[str]:
    return [finding.file for finding in verify(run.path).findings if finding.figure == "sha256"]


@pytest.mark.parametrize("command", ["report", "report --licence CC0", "classify"])
def test_a_file_changed_by_hand_is_still_named_after(command: str, copy: RunDir, ask: Ask) -> None:
    copy.scores.write_text(copy.scores.read_text("utf-8") + " ", "utf-8")
    (copy.path / "notes.txt").write_text("added")
    copy.class_sheet.unlink()
    name, *options = command.split()
    assert ask(name, copy.path, *options)[0] == 0
    assert wrong(copy) == ["notes.txt", "samples/classes.png", "scores.json"]


@pytest.mark.parametrize(("where", "name"), [(report, "put"), (sums, "add")])
def test_a_report_that_was_interrupted_is_mended_by_the_next_one(
    where: ModuleType, name: str, copy: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.execute_report(copy, share=True, progress=Silent(), licence="CC0")
    assert "report.html" in wrong(copy)
    pipeline.execute_report(copy, share=True, progress=Silent())
    assert wrong(copy) == []
    assert not copy.edited_model_card.exists()


def test_a_report_takes_in_a_new_experiment_and_no_change_of_it(copy: RunDir) -> None:
    rundir.write_json(copy.lift / "design.json", {})
    rundir.write_json(copy.lift_result, LIFT)
    assert wrong(copy) == ["lift/design.json", "lift/lift.json"]
    pipeline.execute_report(copy, share=True, progress=Silent())
    assert wrong(copy) == []
    rundir.write_json(copy.lift / "design.json", {"folds": 3})
    pipeline.execute_report(copy, share=True, progress=Silent())
    assert wrong(copy) == ["lift/design.json"]
    shutil.rmtree(copy.lift)  # as `dfukit lift` says where another one is asked for
    pipeline.execute_report(copy, share=True, progress=Silent())
    assert wrong(copy) == []


def test_an_experiment_in_the_folder_of_a_run_is_covered_by_its_sums(copy: RunDir) -> None:
    tiny = {"lift.folds": 2, "lift.seeds": 1, "lift.steps": 2, "lift.bootstrap": 100, "lift.arms": []}
    for title in ("first", "given again"):  # which is in its settings.toml
        told = resolve(registry.load(), file=copy.config, settings={**tiny, "report.title": title})
        lift_run(copy, told, copy.lift, Silent())
        assert wrong(copy) == []
    assert "lift/lift.json" in sums.read(copy.path)


def test_words_written_into_the_model_card_by_hand_survive_a_report(copy: RunDir, ask: Ask) -> None:
    for words in ("Ethics approval 12/2025.", "Ask before you publish."):
        copy.model_card.write_text(f"{copy.model_card.read_text('utf-8')}\n{words}\n", "utf-8")
        code, _, told = ask("report", copy.path)
        assert code == 0
        assert "README.edited.md keeps what was there" in told
        assert words not in copy.model_card.read_text("utf-8")
        assert wrong(copy) == []
    kept = copy.edited_model_card.read_text("utf-8")
    assert (kept.count("Ethics approval 12/2025."), kept.count("Ask before you publish.")) == (1, 1)


def test_one_class_trains_a_gan_and_skips_the_classifier(tmp_path: Path) -> None:
    pixels, _, _ = phantom.draw_set(patients=30, pictures=1, seed=0, size=32)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:02d}.png")
    made = dfukit.run(folder, preset="smoke", settings={"run.threads": 1}, out=tmp_path / "runs")
    assert made.classification == {}
    assert made.scores["psnr"]["value"] is not None
    assert "one class" in RunDir(made.path).report.read_text()
