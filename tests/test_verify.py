"""What was changed is named: in a run, in a bundle, and where the sums were rewritten with it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from attrs import evolve
from conftest import Ask
from PIL import Image
from release_folder import Clinic, clinic

import dfukit
from dfukit import DataError, PluginError, lookup, manifest, provenance, registry, rundir, sums, weights
from dfukit.errors import NotInstalledError
from dfukit.export import export
from dfukit.finding import Finding
from dfukit.rundir import RunDir
from dfukit.sample import LoadedGenerator
from dfukit.verify import verify


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("DFUKIT_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, _place: None) -> Clinic:
    return clinic(tmp_path_factory.mktemp("building"))


@pytest.fixture(scope="module")
def sound(made: Clinic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run and its bundle."""
    bundle = tmp_path_factory.mktemp("outside") / "bundle"
    export(made.run, bundle, classifier=True)
    return {"run": made.run.path, "bundle": bundle}


@pytest.fixture(params=["run", "bundle"])
def folder(request: pytest.FixtureRequest, sound: dict[str, Path], tmp_path: Path) -> RunDir:
    """A copy of the run, and of the bundle, to be tampered with."""
    return RunDir(Path(shutil.copytree(sound[request.param], tmp_path / request.param)))


@pytest.fixture
def bundle(sound: dict[str, Path], tmp_path: Path) -> RunDir:
    return RunDir(Path(shutil.copytree(sound["bundle"], tmp_path / "bundle")))


def found(folder: RunDir) -> dict[tuple[str, str], Finding]:
    return {(one.file, one.figure): one for one in verify(folder.path).findings}


def rewrite_sums(folder: RunDir) -> None:
    """As somebody would who knows of them."""
    sums.write(folder.path, sums.GOES_ON if folder.config.is_file() else ())


def edit(path: Path, change: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    rundir.write_json(path, document)


def edit_rows(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    change(rows)
    manifest.write(path, columns, rows)


def first_picture(folder: RunDir) -> tuple[str, Path]:
    row = manifest.read(folder.manifest)[0]
    return f"synthetic/{row['path']}", folder.synthetic / row["path"]


def forge(folder: RunDir, pixels: np.ndarray, keep_xmp: bool = True) -> str:
    """Another picture under the name and with the marks of the first, and a manifest and sums that fit it."""
    name, path = first_picture(folder)
    with Image.open(path) as picture:
        said, text = dict(provenance.read_marks(picture)), picture.info["Description"]
    origin = provenance.Origin(*(said[key] for key in ("run", "component", "package", "version")))
    about = {key: said[key] for key in ("label", "seed", "number")}
    info = provenance.marks(text, origin, **about)
    if not keep_xmp:
        info.chunks = [chunk for chunk in info.chunks if chunk[0] != b"iTXt"]
    Image.fromarray(pixels).save(path, pnginfo=info)
    with Image.open(path) as picture:
        digests = {"sha256": provenance.file_sha256(path), "pixels_sha256": provenance.pixels_sha256(picture)}
    edit_rows(folder.manifest, lambda rows: rows[0].update(digests))
    rewrite_sums(folder)
    return name


# What is sound.


def test_what_was_not_changed_has_nothing_wrong(folder: RunDir) -> None:
    checked = verify(folder.path, expect=sums.digest(folder.path))
    assert checked.findings == ()
    assert (checked.pictures, checked.figures > 50) == (12, True)
    assert checked.as_table()["passed"] is True


def test_sha256sum_reads_the_sums(folder: RunDir) -> None:
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=folder.path, check=True)


def test_the_sums_of_a_run_leave_out_what_goes_on_being_written(made: Clinic) -> None:
    listed = {name.split("/")[0] for name in sums.read(made.run.path)}
    there = {path.name for path in made.run.path.iterdir()}
    assert there - listed == {"checkpoints", "ledger.jsonl", "metrics.jsonl", "tensorboard", "SHA256SUMS"}


def test_an_experiment_without_a_result_is_no_change_of_the_run(made: Clinic, tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(made.run.path, tmp_path / "run")))
    rundir.write_json(run.lift / "design.json", {})
    assert verify(run.path).findings == ()
    export(run, tmp_path / "bundle")
    rundir.write_json(run.lift_result, {})
    assert {one.file for one in verify(run.path).findings} == {"lift/design.json", "lift/lift.json"}


# Files.


def test_a_changed_a_missing_and_an_added_file_are_named(folder: RunDir) -> None:
    folder.report.write_text("other")
    folder.model_card.unlink()
    (folder.path / "synthetic" / "notes.txt").write_text("new")
    differing = found(folder)
    assert differing["report.html", "sha256"].found == provenance.file_sha256(folder.report)
    assert differing["README.md", "sha256"].found == "absent"
    assert differing["synthetic/notes.txt", "sha256"].stated == "absent"
    assert len(differing) == 3


def test_a_link_is_no_file_of_the_bundle(bundle: RunDir, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (bundle.path / "linked").symlink_to(tmp_path / "elsewhere")
    assert found(bundle)["linked", "sha256"].found == "a symbolic link"


def test_sums_that_are_gone_or_torn_are_named(folder: RunDir) -> None:
    folder.sums.write_text("no sum\n")
    assert ("SHA256SUMS", "content") in found(folder)
    folder.sums.unlink()
    assert set(found(folder)) == {("SHA256SUMS", "file")}


def test_whoever_rewrites_everything_is_caught_by_the_number_that_was_kept_elsewhere(bundle: RunDir) -> None:
    before = sums.digest(bundle.path)
    edit(bundle.scores, lambda scores: scores["kd[r64]"].update(value=0.001))
    rewrite_sums(bundle)
    assert verify(bundle.path).findings == ()  # a bundle holds no features
    (finding,) = verify(bundle.path, expect=before).findings
    assert (finding.file, finding.stated, finding.found) == ("SHA256SUMS", before, sums.digest(bundle.path))


# Pictures.


def test_a_changed_picture_is_named(folder: RunDir) -> None:
    name, path = first_picture(folder)
    Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)
    differing = found(folder)
    assert {(name, "sha256"), (name, "sha256 in the manifest"), (name, "pixels_sha256 in the manifest")} <= set(
        differing
    )
    assert {file for file, _ in differing} == {name}


def test_a_forged_picture_is_named_because_the_generator_draws_another(folder: RunDir) -> None:
    name = forge(folder, np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    assert set(found(folder)) == {(name, "pixels")}


def test_a_picture_without_xmp_is_named(folder: RunDir) -> None:
    _, path = first_picture(folder)
    name = forge(folder, np.asarray(Image.open(path)), keep_xmp=False)
    assert set(found(folder)) == {(name, "DigitalSourceType")}


def test_a_changed_manifest_is_named(folder: RunDir) -> None:
    def swap(rows: list[dict[str, str]]) -> None:
        rows[0]["label"], rows[1]["number"] = "healthy", "77"

    names = [f"synthetic/{row['path']}" for row in manifest.read(folder.manifest)]
    edit_rows(folder.manifest, swap)
    assert ("synthetic/manifest.csv", "sha256") in found(folder)
    rewrite_sums(folder)
    differing = found(folder)
    assert differing[names[0], "label in the manifest"].stated == "healthy"
    assert differing[names[1], "number in the manifest"].stated == "77"


def test_a_picture_that_the_manifest_does_not_list_is_named(folder: RunDir) -> None:
    name, _ = first_picture(folder)
    edit_rows(folder.manifest, lambda rows: rows.pop(0))
    rewrite_sums(folder)
    assert {(name, "row in manifest.csv"), ("release.json", "pictures")} <= set(found(folder))


def test_a_manifest_that_leaves_its_folder_is_named_and_not_followed(bundle: RunDir, tmp_path: Path) -> None:
    edit_rows(bundle.manifest, lambda rows: rows[0].update(path="../../secret.png"))
    rewrite_sums(bundle)
    assert "outside of its folder" in found(bundle)["synthetic/manifest.csv", "content"].found


# Weights.


def test_another_generator_is_named_though_the_sums_fit_it(folder: RunDir) -> None:
    network, description = weights.read(folder.generator_weights, "generator")
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    weights.write(folder.generator_weights, network, description)
    assert ("generator.safetensors", "sha256") in found(folder)
    rewrite_sums(folder)
    (finding,) = found(folder).values()
    assert (finding.file, finding.figure) == ("generator.safetensors", "run")
    assert finding.found == provenance.file_sha256(folder.generator_weights)[:16]


def test_another_classifier_is_named_though_the_sums_fit_it(folder: RunDir) -> None:
    network, description = weights.read(folder.classifier_weights, "classifier")
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    weights.write(folder.classifier_weights, network, description)
    rewrite_sums(folder)
    assert set(found(folder)) == {("classifier.safetensors", "sha256 in classification.json")}


def test_weights_that_are_not_what_they_are_called_are_named(folder: RunDir) -> None:
    shutil.copy(folder.classifier_weights, folder.generator_weights)
    rewrite_sums(folder)
    assert "holds a classifier" in found(folder)["generator.safetensors", "weights"].found
    folder.classifier_weights.write_bytes(b"no weights")
    assert ("classifier.safetensors", "weights") in found(folder)


def test_weights_of_a_package_that_is_not_installed_are_said_not_to_be_looked_into(folder: RunDir) -> None:
    for path, kind in ((folder.generator_weights, "generator"), (folder.classifier_weights, "classifier")):
        network, description = weights.read(path, kind)
        elsewhere = {**description.as_table(), "component": "unheard", "package": "dfukit-unheard", "version": "2.1"}
        weights.write(path, network, cast(Any, SimpleNamespace(as_table=lambda table=elsewhere: table)))
    rewrite_sums(folder)
    checked = verify(folder.path)
    assert {one.figure for one in checked.findings} == {"run", "sha256 in classification.json"}  # other files they are
    for name in (folder.generator_weights.name, folder.classifier_weights.name):
        needed = rf"{name} could not be looked into: .*pip install dfukit-unheard==2\.1"
        assert any(re.search(needed, note) for note in checked.notes), checked.notes
    with pytest.raises(NotInstalledError):
        weights.describe(folder.generator_weights)


def test_a_generator_that_cannot_be_loaded_is_known_again_by_what_its_pictures_say(
    folder: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = registry.load()
    left = evolve(installed, offers=tuple(one for one in installed.offers if one.component.name != "lstm_wgan"))
    monkeypatch.setattr(registry, "load", lambda: left)
    checked = verify(folder.path)
    assert checked.findings == ()
    assert any("generator.safetensors could not be looked into" in note for note in checked.notes)
    with folder.generator_weights.open("ab") as file:
        file.write(b"more")
    rewrite_sums(folder)
    assert ("generator.safetensors", "run") in found(folder)


def test_a_generator_that_fails_to_draw_is_a_note(folder: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*arguments: object) -> None:
        raise PluginError("generator lstm_wgan of dfukit failed: no luck")

    monkeypatch.setattr(LoadedGenerator, "draw", draw)
    checked = verify(folder.path)
    assert checked.findings == ()
    (note,) = [note for note in checked.notes if "drawn once more" in note]
    assert note.endswith("could not be drawn once more: generator lstm_wgan of dfukit failed: no luck")


# Figures.


def test_a_changed_figure_of_the_classifiers_is_named_with_what_it_should_be(folder: RunDir) -> None:
    true = json.loads(folder.classification.read_text())["runs"]["real"]["auroc"]["value"]
    edit(folder.classification, lambda told: told["runs"]["real"]["auroc"].update(value=0.99))
    assert ("classification.json", "sha256") in found(folder)
    rewrite_sums(folder)
    (finding,) = found(folder).values()
    assert finding == Finding("classification.json", "runs.real.auroc.value", 0.99, true)
    assert finding.as_text() == f"classification.json: runs.real.auroc.value: stated 0.99, found {true}"


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("runs.real.brier.interval[0]", lambda told: told["runs"]["real"]["brier"].update(interval=[0.01, 0.9])),
        ("confusion.real.true_positive", lambda told: told["confusion"]["real"].update(true_positive=99)),
        ("runs.real.operating_point.threshold", lambda told: _point(told).update(threshold=0.2)),
        ("runs.real.operating_point.figures.tpr.n", lambda told: _point(told)["figures"]["tpr"].update(n=99)),
        ("difference.auroc.value", lambda told: told["difference"]["auroc"].update(value=0.3)),
        ("training.real.temperature", lambda told: told["training"]["real"].update(temperature=7.5)),
        ("training.real.validation_loss", lambda told: told["training"]["real"].update(validation_loss=0.01)),
        ("chosen", lambda told: told.update(chosen={"real": "real+synthetic"}.get(told["chosen"], "real"))),
        ("content", lambda told: told.update(runs=3, training=[])),
    ],
)  # fmt: skip
def test_each_kind_of_figure_is_computed_again(bundle: RunDir, figure: str, change: Callable[[Any], object]) -> None:
    edit(bundle.classification, change)
    rewrite_sums(bundle)
    assert ("classification.json", figure) in found(bundle)


def _point(told: Any) -> Any:
    return told["runs"]["real"]["operating_point"]


def test_figures_of_subgroups_are_computed_again_where_the_run_lies(sound: dict[str, Path], tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(sound["run"], tmp_path / "run")))
    true = json.loads(run.classification.read_text())["subgroups"]["treatment site"]["Northgate Ward"]["real"]["n"]
    edit(run.classification, lambda told: told["subgroups"]["treatment site"]["Northgate Ward"]["real"].update(n=77))
    rewrite_sums(run)
    name = "subgroups.treatment site.Northgate Ward.real.n"
    assert found(run) == {("classification.json", name): Finding("classification.json", name, 77, true)}


def test_a_bundle_tells_no_subgroups_but_the_skin_tone(bundle: RunDir) -> None:
    told = json.loads(bundle.classification.read_text())
    assert set(told["subgroups"]) == {"estimated_skin_tone"}
    assert "subgroups not recomputed" in " ".join(verify(bundle.path).notes)


def test_changed_predictions_are_named_by_the_figures_that_they_no_longer_give(folder: RunDir) -> None:
    def flatter(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["part"] == "test":
                row["calibrated_score"] = "0.99" if row["label"] == row["positive"] else "0.01"

    edit_rows(folder.predictions, flatter)
    rewrite_sums(folder)
    differing = found(folder)
    assert ("predictions.csv", "calibrated_score") in differing
    assert differing["classification.json", "runs.real.auroc.value"].found == 1.0


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        (lambda told: told["checks"][0].update(passed=False), "checks.max_copies.passed"),
        (lambda told: told["checks"][1].update(value=1.0), "checks.min_power.value"),
        (lambda told: told["checks"][2].update(passed=False), "checks.min_nearest_ratio.passed"),
        (lambda told: told.update(flagged=3), "flagged"),
        (lambda told: told.update(pictures=13), "pictures"),
    ],
)
def test_a_release_check_that_does_not_follow_from_the_audit_is_named(
    folder: RunDir, change: Callable[[Any], object], figure: str
) -> None:
    edit(folder.release, change)
    rewrite_sums(folder)
    assert ("release.json", figure) in found(folder)


def test_a_check_that_a_bundle_does_not_hold_by_its_own_limit_is_named(bundle: RunDir) -> None:
    edit(bundle.release, lambda told: told["checks"][1].update(limit=1.0))
    rewrite_sums(bundle)
    assert {("release.json", "passed"), ("release.json", "checks.min_power.passed")} == set(found(bundle))


def test_limits_other_than_those_of_the_run_are_named(sound: dict[str, Path], tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(sound["run"], tmp_path / "run")))
    edit(run.release, lambda told: told["checks"][0].update(limit=1.0))
    rewrite_sums(run)
    assert list(found(run).values()) == [Finding("release.json", "checks.max_copies.limit", 1.0, 0.05)]


def test_a_bundle_says_which_of_its_limits_are_looser_than_usual(bundle: RunDir) -> None:
    assert "release.json: min_nearest_ratio was 0, looser than the usual 0.8" in verify(bundle.path).notes
    edit(bundle.release, lambda told: told["checks"][0].update(limit=0.5))
    rewrite_sums(bundle)
    checked = verify(bundle.path)
    assert checked.findings == ()
    assert "release.json: max_copies was 0.5, looser than the usual 0.05" in checked.notes


def test_a_bundle_that_did_not_pass_is_named(bundle: RunDir) -> None:
    def hold_back(told: Any) -> None:
        told["checks"][1].update(limit=1.0, passed=False)
        told.update(passed=False)

    edit(bundle.release, hold_back)
    rewrite_sums(bundle)
    assert list(found(bundle).values()) == [Finding("release.json", "passed", "true in every bundle", False)]


@pytest.mark.parametrize("gone", [("release.json",), ("scores.json", "release.json")])
def test_a_bundle_without_the_record_of_its_release_check_is_named(bundle: RunDir, gone: tuple[str, ...]) -> None:
    for name in gone:
        (bundle.path / name).unlink()
    rewrite_sums(bundle)
    assert list(found(bundle)) == [(name, "file") for name in gone]


def test_a_run_without_that_record_is_a_note(sound: dict[str, Path], tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(sound["run"], tmp_path / "run")))
    run.release.unlink()
    rewrite_sums(run)
    checked = verify(run.path)
    assert checked.findings == ()
    assert "there is no release.json: nothing says that the set may leave" in checked.notes


def test_an_audit_that_does_not_fit_the_pictures_is_named(folder: RunDir) -> None:
    edit(folder.scores, lambda scores: scores["copies"].update(value=0.5))
    rewrite_sums(folder)
    assert ("scores.json", "copies.value") in found(folder)


@pytest.mark.parametrize("name", ["scores.json", "classification.json", "release.json", "predictions.csv"])
@pytest.mark.parametrize("content", ["", "[1, 2]", "{}", '"text"', "\0"])
def test_a_file_that_has_lost_its_shape_is_no_traceback(bundle: RunDir, name: str, content: str) -> None:
    (bundle.path / name).write_text(content)
    assert (name, "sha256") in found(bundle)


def test_figures_of_another_version_of_dfukit_are_found_as_ever_and_their_version_is_named(folder: RunDir) -> None:
    assert not any("made by dfukit" in note for note in verify(folder.path).notes)

    def made_elsewhere(told: Any) -> None:
        told["dfukit"] = "0.0.7"
        told["runs"]["real"]["auroc"].update(value=0.99)

    edit(folder.classification, made_elsewhere)
    rewrite_sums(folder)
    checked = verify(folder.path)
    assert [finding.figure for finding in checked.findings] == ["runs.real.auroc.value"]
    (note,) = [note for note in checked.notes if "made by dfukit" in note]
    assert note.startswith("figures here were made by dfukit 0.0.7, this is ")
    assert note.endswith("which may compute them otherwise: check with 0.0.7")


def test_a_changed_score_of_a_run_is_named_with_what_it_should_be(sound: dict[str, Path], tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(sound["run"], tmp_path / "run")))
    true = json.loads(run.scores.read_text())["kd[r64]"]["value"]
    edit(run.scores, lambda scores: scores["kd[r64]"].update(value=true / 2))
    assert ("scores.json", "sha256") in found(run)
    rewrite_sums(run)
    assert found(run) == {("scores.json", "kd[r64].value"): Finding("scores.json", "kd[r64].value", true / 2, true)}


# Finding a picture.


@pytest.fixture
def picture(sound: dict[str, Path]) -> Path:
    return first_picture(RunDir(sound["bundle"]))[1]


@pytest.mark.parametrize("place", ["run", "bundle"])
def test_a_renamed_picture_is_found_by_its_bytes(
    sound: dict[str, Path], picture: Path, tmp_path: Path, place: str
) -> None:
    shutil.copy(picture, tmp_path / "holiday.png")
    match = lookup.find(sound[place], tmp_path / "holiday.png")
    assert (match.found, match.by) == (first_picture(RunDir(sound[place]))[0], "bytes")


@pytest.mark.parametrize("name", ["plain.png", "plain.tiff", "plain.bmp"])
def test_a_picture_saved_again_without_its_metadata_is_found_by_its_pixels(
    sound: dict[str, Path], picture: Path, tmp_path: Path, name: str
) -> None:
    Image.fromarray(np.asarray(Image.open(picture))).save(tmp_path / name)
    assert "dfukit" not in Image.open(tmp_path / name).info
    match = lookup.find(sound["bundle"], tmp_path / name)
    assert (match.found, match.by) == (first_picture(RunDir(sound["bundle"]))[0], "pixels")


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((17, 17)),
        lambda picture: picture.crop((0, 0, 15, 15)),
        lambda picture: Image.open(_jpeg(picture)),
        lambda picture: picture.rotate(180),
    ],
    ids=["resized", "cropped", "recompressed", "turned"],
)
def test_a_picture_with_other_pixels_is_said_not_to_be_found(
    sound: dict[str, Path], picture: Path, tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    change(Image.open(picture)).convert("RGB").save(tmp_path / "other.png")
    match = lookup.find(sound["bundle"], tmp_path / "other.png")
    assert (match.found, match.by) == (None, None)
    assert "resized, cropped or saved with loss has other pixels and cannot be found" in match.text


def _jpeg(picture: Image.Image) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file


def test_a_flagged_picture_is_found_among_those_that_were_taken_out(sound: dict[str, Path], tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(sound["run"], tmp_path / "run")))
    copied = dfukit.load_generator(run.path).sample(3, seed=5).take([2])
    why = {"of": "healing/a.jpg", "how": "mirrored", "distance": 0.1}
    copied.save_flagged(run.flagged, [{"path": copied.paths[0], **why}])
    match = lookup.find(run.path, run.flagged / copied.paths[0])
    assert match.found == f"flagged/{copied.paths[0]}"
    assert "taken out of the set as a copy" in match.text


def test_a_file_that_is_no_picture_is_refused(sound: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png cannot be read as a picture"):
        lookup.find(sound["bundle"], tmp_path / "text.png")
    with pytest.raises(DataError, match="holds no synthetic set"):
        lookup.find(tmp_path, tmp_path / "text.png")


# The command line.


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dfukit", *map(str, arguments)], capture_output=True, text=True)


def test_verify_prints_what_is_wrong_and_exits_with_3(bundle: RunDir) -> None:
    digest = sums.digest(bundle.path)
    bundle.report.write_text("other")
    done = run_command("verify", bundle.path, "--expect", digest, "--json")
    assert done.returncode == 3
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["file"] == "report.html"
    assert "is not what it says it is (1 wrong)" in done.stderr


@pytest.mark.parametrize(
    ("name", "key", "number"),
    [
        ("classification.json", "value", "NaN"),
        ("classification.json", "value", "1" + 400 * "0"),
        ("classification.json", "prevalence", "1e308"),
        ("scores.json", "flagged", "NaN"),
        ("release.json", "limit", "-Infinity"),
        ("release.json", "value", "1e999"),
    ],
)
def test_a_bundle_whose_figures_are_no_numbers_is_told_in_json(
    bundle: RunDir, ask: Ask, name: str, key: str, number: str
) -> None:
    text = (bundle.path / name).read_text("utf-8")
    changed = re.sub(rf'"{key}": [\d.]+', f'"{key}": {number}', text, count=1)
    (bundle.path / name).write_text(changed)
    rewrite_sums(bundle)
    code, out, err = ask("verify", bundle.path, "--json")
    assert (code, changed != text) == (3, True), err
    assert json.loads(out, parse_constant=pytest.fail)["findings"]


def test_looking_for_pictures_exits_with_3_where_one_is_not_found(bundle: RunDir, tmp_path: Path) -> None:
    name, path = first_picture(bundle)
    same = run_command("verify", bundle.path, "--picture", path, "--json")
    assert (same.returncode, json.loads(same.stdout)[0]["found"]) == (0, name)
    Image.new("RGB", (16, 16)).save(tmp_path / "black.png")
    other = run_command("verify", bundle.path, "--picture", path, "--picture", tmp_path / "black.png")
    assert other.returncode == 3
    assert f"{name} (byte for byte): label" in other.stdout
    assert "cannot be found" in other.stdout
    assert "1 of 2 pictures not found" in other.stderr


def test_a_picture_is_looked_up_in_what_was_expected_alone(bundle: RunDir, tmp_path: Path, ask: Ask) -> None:
    name, path = first_picture(bundle)
    kept = sums.digest(bundle.path)
    code, out, _ = ask("verify", bundle.path, "--picture", path, "--expect", kept.upper())
    assert (code, out.startswith(f"{path}: {name} (byte for byte)")) == (0, True)

    # Somebody puts a picture of their own into the manifest.
    Image.new("RGB", (16, 16)).save(tmp_path / "mine.png")
    edit_rows(bundle.manifest, lambda rows: rows[0].update(sha256=provenance.file_sha256(tmp_path / "mine.png")))
    code, out, err = ask("verify", bundle.path, "--picture", tmp_path / "mine.png", "--expect", kept)
    assert (code, out) == (3, "")
    assert "manifest.csv is not the one that SHA256SUMS covers" in err
    rewrite_sums(bundle)
    code, out, err = ask("verify", bundle.path, "--picture", tmp_path / "mine.png", "--expect", kept)
    assert (code, out) == (3, "")
    assert f"is {sums.digest(bundle.path)}, and not {kept} as --expect says" in err


def test_a_file_that_cannot_be_opened_leaves_the_other_pictures_their_answers(
    bundle: RunDir, tmp_path: Path, ask: Ask
) -> None:
    name, path = first_picture(bundle)
    (tmp_path / "text.png").write_text("no picture")
    places = [tmp_path / "absent.png", tmp_path / "text.png", path]
    asked = ("verify", bundle.path, *(word for place in places for word in ("--picture", place)))
    code, out, err = ask(*asked)
    assert code == 3
    first, second, third = out.splitlines()
    assert first == f"{places[0]}: No such file or directory"
    assert second == f"{places[1]}: cannot be read as a picture: not a whole picture file"
    assert third.startswith(f"{path}: {name} (byte for byte)")
    assert "2 of 3 pictures not found" in err
    code, out, _ = ask(*asked, "--json")
    assert (code, [one["found"] for one in json.loads(out)]) == (3, [None, None, name])


def test_a_folder_that_sample_wrote_can_be_verified(sound: dict[str, Path], tmp_path: Path) -> None:
    dfukit.load_generator(sound["bundle"]).sample(3).save(tmp_path / "more")
    checked = verify(tmp_path / "more")
    assert (checked.findings, checked.pictures, checked.digest) == ((), 3, None)


@pytest.mark.parametrize("name", ["healing/added.png", "added.png", "infected/deeper/added.jpg"])
def test_a_picture_that_was_added_to_a_folder_that_sample_wrote_is_named(
    sound: dict[str, Path], tmp_path: Path, name: str
) -> None:
    dfukit.load_generator(sound["bundle"]).sample(3).save(tmp_path / "more")
    (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "more" / name)
    (finding,) = verify(tmp_path / "more").findings
    assert finding == Finding(name, "row in manifest.csv", "absent", "a picture")


def test_export_prints_where_the_bundle_lies(sound: dict[str, Path], tmp_path: Path) -> None:
    done = run_command("export", sound["run"], "--out", tmp_path / "new", "--json")
    assert json.loads(done.stdout) == {
        "folder": str(tmp_path / "new"),
        "pictures": 12,
        "digest": sums.digest(tmp_path / "new"),
    }
    refused = run_command("export", tmp_path / "new")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
