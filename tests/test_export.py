"""What leaves the building: whole, usable, and nothing of the photographs."""

from __future__ import annotations

import base64
import csv
import io
import json
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import pytest
from conftest import Ask
from PIL import Image
from release_folder import SETTINGS, Clinic, clinic

import dfukit
from dfukit import ConfigError, DataError, ReleaseCheckError, pipeline, rundir, sums
from dfukit.export import export
from dfukit.images import resize
from dfukit.progress import Lines, Silent
from dfukit.rundir import RunDir
from dfukit.verify import verify

URI = re.compile(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)")
USER, HOST = "mvandenberg", "podiatry-workstation-17"


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("DFUKIT_OFFLINE", "1")
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            patch.setenv(name, USER)
        for module, name in ((platform, "node"), (socket, "gethostname")):
            patch.setattr(module, name, lambda: HOST)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, _place: None) -> Clinic:
    return clinic(tmp_path_factory.mktemp("building"))


@pytest.fixture(scope="module")
def bundle(made: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / "bundle"
    export(made.run, folder, classifier=True)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pictures(folder: Path) -> Iterator[Image.Image]:
    """Every picture of a bundle, those inside the report too."""
    for path in files(folder):
        if path.suffix == ".png":
            yield Image.open(path)
    for content in URI.findall((folder / "report.html").read_text("utf-8")):
        yield Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_bundle_holds_what_it_should_and_no_more(bundle: Path) -> None:
    names = {path.relative_to(bundle).as_posix() for path in files(bundle) if path.suffix != ".png"}
    assert names == {
        "generator.safetensors",
        "classifier.safetensors",
        "synthetic/manifest.csv",
        "scores.json",
        "classification.json",
        "predictions.csv",
        "release.json",
        "README.md",
        "report.html",
        "SHA256SUMS",
    }
    assert len(list(bundle.glob("synthetic/*/synthetic_*.png"))) == 12


def test_nothing_in_a_bundle_names_a_patient_a_file_or_a_place(bundle: Path, made: Clinic) -> None:
    private = [word.lower().encode() for word in (*made.private, USER, HOST, str(Path.home()))]
    for path in files(bundle):
        for content in (path.read_bytes().lower(), str(path.relative_to(bundle)).lower().encode()):
            for word in private:
                assert word not in content, (path.name, word)


def test_the_search_for_private_words_finds_them_in_the_run_itself(made: Clinic) -> None:
    """The search above means something only because the same words do lie in what stays at home."""
    at_home = b"".join(str(path).encode() + path.read_bytes() for path in files(made.run.path)).lower()
    for word in (HOST, "Vandermeer", "Vandermeer-visit-00-left", "Vandermeer born 1940", str(made.photographs)):
        assert word.lower().encode() in at_home, word
    for word in ("Rosenqvist Anna 1950.jpg", "Rosenqvist Bea 1961/2.jpg", "folder on its way is a symbolic link"):
        assert word.lower().encode() in at_home, word


def test_no_picture_of_a_bundle_is_a_photograph(bundle: Path, made: Clinic) -> None:
    photographs = [np.asarray(Image.open(path)) for path in sorted(made.photographs.rglob("*.jpg"))]
    real = resize(np.stack(photographs), 16).astype(float)
    for picture in pictures(bundle):
        shown = np.asarray(picture.convert("RGB"), float)
        assert shown.shape == real.shape[1:]
        assert np.abs(real - shown).mean((1, 2, 3)).min() > 10


def test_no_picture_of_a_bundle_carries_exif(bundle: Path) -> None:
    shown = list(pictures(bundle))
    assert len(shown) > 12
    for picture in shown:
        assert not picture.getexif()
        allowed = {"Description", "Software", "XML:com.adobe.xmp", "xmp", "dfukit"}
        assert set(picture.info) <= (
            allowed if picture.format == "PNG" else {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        )


def test_a_bundle_verifies_and_every_figure_of_the_classifiers_comes_out_again(bundle: Path, made: Clinic) -> None:
    checked = verify(bundle)
    assert checked.findings == ()
    assert checked.pictures == 12
    assert checked.figures > 50
    assert checked.digest == sums.digest(bundle)
    assert any("scores.json: not recomputed" in note for note in checked.notes)
    for name in ("runs", "difference", "confusion"):
        stated = json.loads((bundle / "classification.json").read_text())
        assert stated[name] == rundir.read_json(made.run.classification)[name]


def test_patients_are_numbers_in_the_order_of_the_bootstrap(bundle: Path, made: Clinic) -> None:
    def rows(path: Path) -> list[dict[str, str]]:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    told, known = rows(bundle / "predictions.csv"), rows(made.run.predictions)
    assert set(told[0]) == {"patient", "label", "part", "arm", "raw_score", "calibrated_score", "positive"}
    expected = np.unique([int(row["group"]) for row in known], return_inverse=True)[1]
    assert [int(row["patient"]) for row in told] == expected.tolist()
    assert [row["calibrated_score"] for row in told] == [row["calibrated_score"] for row in known]


def test_the_card_of_a_bundle_shows_how_its_classifier_is_loaded(bundle: Path) -> None:
    card = (bundle / "README.md").read_text("utf-8")
    assert "- `classifier.safetensors`: timm_lstm" in card
    assert 'load_classifier("classifier.safetensors")' in card


def test_a_bundle_can_be_used_as_a_run_can(bundle: Path, made: Clinic, tmp_path: Path) -> None:
    mine, theirs = dfukit.load_generator(made.run.path), dfukit.load_generator(bundle)
    assert np.array_equal(theirs.sample(2, seed=1).pixels, mine.sample(2, seed=1).pixels)
    picture = np.zeros((32, 32, 3), np.uint8)
    assert (
        dfukit.load_classifier(bundle).predict([picture])[0].score
        == dfukit.load_classifier(made.run.path).predict([picture])[0].score
    )
    command = [sys.executable, "-m", "dfukit", "sample", str(bundle), "--count", "2", "--out", str(tmp_path / "more")]
    subprocess.run(command, check=True, capture_output=True)
    assert len(list((tmp_path / "more").rglob("*.png"))) == 2


def test_the_classifier_stays_where_nobody_asked_for_it(made: Clinic, tmp_path: Path) -> None:
    made_of = export(made.run, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "classifier.safetensors").exists()
    card = (tmp_path / "bundle" / "README.md").read_text("utf-8")
    assert "| classifier.safetensors | not in this bundle |" in card
    assert (card.count("classifier.safetensors"), card.count("load_classifier")) == (1, 0)
    assert "| test part |" in card  # its figures are here
    assert made_of.pictures == 12
    assert verify(tmp_path / "bundle", expect=made_of.digest).findings == ()


def test_the_run_itself_is_left_as_it_was(made: Clinic, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in files(made.run.path)}
    export(made.run, tmp_path / "bundle")
    assert {path: path.read_bytes() for path in files(made.run.path)} == before


@pytest.fixture
def again(made: Clinic, tmp_path: Path) -> RunDir:
    """A copy of the run that a test may change."""
    shutil.copytree(made.run.path, tmp_path / "copy")
    return RunDir(tmp_path / "copy")


def record(run: RunDir, **said: object) -> None:
    """As if the run had ended with another record of its release check."""
    rundir.write_json(run.release, {**rundir.read_json(run.release), **said})
    sums.record(run)


def test_a_run_that_was_held_back_is_not_exported(again: RunDir, tmp_path: Path) -> None:
    again.synthetic.rename(again.held_back)
    record(again, passed=False, reason="33.3% of the pictures copy a training picture")
    with pytest.raises(ReleaseCheckError, match=r"held back .* 33\.3% of the pictures copy") as raised:
        export(again, tmp_path / "bundle")
    assert raised.value.exit_code == 6
    assert not (tmp_path / "bundle").exists()


def test_a_run_that_was_not_audited_is_not_exported(again: RunDir, tmp_path: Path) -> None:
    record(again, passed=None, reason="copies is not among score.metrics")
    with pytest.raises(ReleaseCheckError, match=r"not audited.*not among score\.metrics.*--metric copies"):
        export(again, tmp_path / "bundle")
    again.release.unlink()
    sums.record(again)
    with pytest.raises(ReleaseCheckError, match=r"not audited.*--metric copies"):
        export(again, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["generator.safetensors", "scores.json", "report.html", "SHA256SUMS"])
def test_a_run_that_is_not_finished_is_not_exported(again: RunDir, tmp_path: Path, name: str) -> None:
    (again.path / name).unlink()
    with pytest.raises(DataError, match=rf"not finished \(it has no {name}\): dfukit run --resume"):
        export(again, tmp_path / "bundle")


def test_a_run_that_was_changed_since_it_ended_is_not_exported(again: RunDir, tmp_path: Path) -> None:
    rundir.write_json(again.release, {**rundir.read_json(again.release), "pictures": 11})
    with pytest.raises(DataError, match=r"release\.json was changed since"):
        export(again, tmp_path / "bundle")


def test_what_was_added_to_a_run_stays_at_home_and_verify_names_it(again: RunDir, tmp_path: Path) -> None:
    for folder in (again.path, again.synthetic):
        (folder / ".DS_Store").write_bytes(b"of a desktop")
    export(again, tmp_path / "bundle")
    assert not list((tmp_path / "bundle").rglob(".DS_Store"))
    assert [one.file for one in verify(again.path).findings] == [".DS_Store", "synthetic/.DS_Store"]


def test_a_record_that_was_added_to_a_run_does_not_let_it_out(again: RunDir, tmp_path: Path) -> None:
    passed = again.release.read_bytes()
    again.release.unlink()
    sums.record(again)
    again.release.write_bytes(passed)
    with pytest.raises(DataError, match=r"release\.json was added since the run ended"):
        export(again, tmp_path / "bundle")


def test_a_file_that_is_gone_from_a_run_is_named(again: RunDir, tmp_path: Path) -> None:
    again.skin_tones.unlink()
    with pytest.raises(DataError, match=r"skin-tones\.json is gone since the run ended"):
        export(again, tmp_path / "bundle")


def test_a_card_that_was_edited_by_hand_is_made_anew_with_a_word(
    again: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with again.model_card.open("a", encoding="utf-8") as card:
        card.write("\nAsk Dr Quillfeather.\n")
    export(again, tmp_path / "bundle", progress=Lines())
    assert "README.md was edited by hand" in capsys.readouterr().err
    assert "Quillfeather" not in (tmp_path / "bundle" / "README.md").read_text("utf-8")
    (finding,) = verify(again.path).findings
    assert finding.file == "README.md"
    assert f"give its words with `dfukit report {again.path} --licence TEXT`" in finding.as_text()


def test_a_licence_stands_in_the_cards_as_it_was_given(made: Clinic, again: RunDir, tmp_path: Path) -> None:
    licence = f"CC BY 4.0 of {made.photographs.name} & co; see clinic.csv, https://example.org/a_b.csv?of=<you>"
    pipeline.execute_report(again, share=True, progress=Silent(), licence=licence)
    export(again, tmp_path / "bundle")
    for folder in (again.path, tmp_path / "bundle"):
        assert f"\n## Licence\n\n{licence}\n" in (folder / "README.md").read_text("utf-8")
        page = (folder / "report.html").read_text("utf-8")
        assert f'<th scope="row">report.licence</th><td>{escape(licence)}</td>' in page


def test_a_configuration_that_was_changed_is_taken_in_by_the_next_report(
    again: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever moved the photographs has to write their new place into it."""
    again.config.write_text(again.config.read_text("utf-8") + "\n# moved\n", "utf-8")
    with pytest.raises(DataError, match=r"config\.toml was changed .*; where that was you: dfukit report"):
        export(again, tmp_path / "bundle")
    pipeline.execute_report(again, share=True, progress=Lines())
    assert "config.toml was changed since the run ended" in capsys.readouterr().err
    assert export(again, tmp_path / "bundle").pictures == 12
    assert verify(again.path).findings == ()


def test_what_was_flagged_can_be_drawn_again_and_the_export_says_so(
    again: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(again, flagged=2)
    export(again, tmp_path / "bundle", progress=Lines())
    assert "2 pictures were taken out as copies, and the generator" in capsys.readouterr().err
    assert "2 pictures were taken out of this set" in (tmp_path / "bundle" / "README.md").read_text("utf-8")


def test_a_folder_that_exists_is_not_written_into(made: Clinic, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out .* exists"):
        export(made.run, tmp_path)


def test_a_bundle_lies_neither_in_its_run_nor_among_the_photographs(
    made: Clinic, again: RunDir, tmp_path: Path, ask: Ask
) -> None:
    def refused(out: Path, why: str) -> None:
        code, _, told = ask("export", again.path, "--out", out)
        assert (code, told.count("\n"), out.exists()) == (2, 1, False)
        assert why in told

    refused(again.path / "bundle", f"lies in the run {again.path}")
    photographs = tmp_path / "by label"
    shutil.copytree(made.photographs, photographs, ignore=shutil.ignore_patterns("manifest.csv"))
    text = again.config.read_text("utf-8")
    again.config.write_text(text.replace(str(made.photographs), str(photographs)), "utf-8")
    sums.record(again)
    refused(photographs / "bundle", f"lies in data.path {photographs}")
    assert {path.name for path in photographs.iterdir()} == {"healing", "infected"}


def test_an_export_that_fails_leaves_nothing(again: RunDir, tmp_path: Path) -> None:
    rundir.write_text(again.predictions, "sha256,patient\n1,2\n")
    sums.record(again)
    place = tmp_path / "outside"
    with pytest.raises(DataError, match=r"predictions\.csv was not written by this version"):
        export(again, place / "bundle")
    assert not place.exists() or list(place.iterdir()) == []


def test_the_audits_list_of_photographs_stays_at_home(again: RunDir, tmp_path: Path) -> None:
    scores = rundir.read_json(again.scores)
    found = [{"path": "healing/synthetic_000001.png", "of": "healing/Okonkwo.jpg", "how": "exact", "distance": 0.0}]
    where = f"none found; nearest is Vandermeer-visit-00-left.jpg in {tmp_path}"
    scores["copies"] |= {"statement": where, "pictures": found}
    rundir.write_json(again.scores, scores)
    sums.record(again)
    export(again, tmp_path / "bundle")
    entry = json.loads((tmp_path / "bundle" / "scores.json").read_text())["copies"]
    assert "pictures" not in entry
    assert entry["statement"] == "none found; nearest is [left out].jpg in [left out]"
    assert entry["n"] == scores["copies"]["n"]


def test_a_classifier_that_holds_the_critic_is_not_exported(made: Clinic, tmp_path: Path) -> None:
    settings = {
        name: value for name, value in SETTINGS.items() if name not in ("classifier.backbone", "classifier.pretrained")
    }
    run = dfukit.run(
        made.photographs, preset="smoke", classifier="critic_lstm", settings=settings, out=tmp_path, name="built"
    ).folder
    sums.record(run)
    with pytest.raises(ReleaseCheckError, match="critic_lstm holds the critic"):
        export(run, tmp_path / "bundle", classifier=True)
    assert not (tmp_path / "bundle").exists()
