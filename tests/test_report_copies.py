"""The report on copies: the audit, the release check, flagged pictures, how synthetic pictures are recognised."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from PIL import Image
from report_folder import SIZE, Finished, finished_run
from report_words import Text, as_photographs, words, written

from dfukit import rundir
from dfukit.errors import DataError
from dfukit.report import pictures


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(finished: Finished, tmp_path: Path) -> Finished:
    """A copy that a test may change."""
    path = tmp_path / finished.folder.name
    shutil.copytree(finished.folder.path, path)
    return evolve(finished, folder=rundir.RunDir(path))


@pytest.fixture(scope="module")
def html(finished: Finished) -> str:
    """The page of the unchanged run."""
    return written(finished)


@pytest.fixture(scope="module")
def text(html: str) -> str:
    """Its words."""
    return str(Text(html))


def test_the_audit_says_what_it_found_and_what_it_would_have_found(text: str) -> None:
    question = "Do the synthetic pictures copy training pictures?"
    assert text.index(question) < text.index("Which pictures were used?")
    for sentence in (
        "2 of 18 pictures copy a training picture; the audit finds 97% of planted copies.",
        "Flagged: 2 of 18 synthetic pictures (11.1%, 95% interval 3.1% to 32.8%). They were taken out of the set.",
        "brighter or darker91.2% (85.2% to 95.2%)16",
        "called copies by the same threshold1.2% (0.0% to 5.3%)80",
        "by chance alone 0.930 to 1.0800.981 (0.955 to 1.012)18",
        "Flagged is what lies nearer than 0.0512 (pixels) or 0.21 (features).",
    ):
        assert sentence in text


def test_an_audit_that_found_nothing_reads_as_a_good_answer(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    nothing = {"value": 0.0, "flagged": 0, "statement": "none found; the audit finds 97% of planted copies"}
    rundir.write_json(run.folder.scores, {**scores, "copies": {**scores["copies"], **nothing, "pictures": []}})
    shutil.rmtree(run.folder.flagged)
    html = written(run)
    assert '<p class="bar verdict better">None found; the audit finds 97% of planted copies.' in html
    assert "taken out" not in str(Text(html))


def test_a_run_without_an_audit_says_so_and_how_to_get_one(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    del scores["copies"]
    rundir.write_json(run.folder.scores, scores)
    unknown = {
        "passed": None,
        "checks": [],
        "pictures": 16,
        "flagged": 0,
        "reason": "copies is not among score.metrics",
    }
    rundir.write_json(run.folder.release, unknown)
    text = words(run)
    assert "its synthetic pictures were not audited" in text
    assert "dfukit score RUN RUN --metric copies" in text
    assert "Release check: not audited, so not passed (copies is not among score.metrics)." in text
    assert "not audited" in run.folder.model_card.read_text("utf-8")


def test_an_audit_that_gave_no_figure_says_why(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    reason = "needs at least 10 training pictures to set its threshold, got 8"
    scores["copies"] = {"value": None, "n": [8, 18], "interval": None, "real_vs_real": None, "reason": reason}
    rundir.write_json(run.folder.scores, scores)
    assert f"This run cannot say: {reason}." in words(run)


def held_back(run: Finished) -> Finished:
    """The run with a set that failed its release check."""
    failed = "11.1% of the pictures copy a training picture, at most 5.0% may"
    record = rundir.read_json(run.folder.release)
    check = {"name": "max_copies", "value": 2 / 18, "limit": 0.05, "passed": False, "text": failed}
    record |= {"passed": False, "reason": failed, "checks": [*record["checks"], check]}
    rundir.write_json(run.folder.release, record)
    run.folder.synthetic.rename(run.folder.held_back)
    return run


def test_a_set_that_was_held_back_is_shown_from_where_it_lies(run: Finished) -> None:
    html = written(held_back(run))
    assert "Release check: held back, because 11.1% of the pictures copy" in str(Text(html))
    assert "Failed: 11.1% of the pictures copy a training picture, at most 5.0% may." in str(Text(html))
    assert '<p class="bar verdict worse">2 of 18' in html
    assert len(re.findall(r'alt="Synthetic picture \d:', html)) == 6


def test_a_flagged_picture_stands_beside_what_it_copies(run: Finished) -> None:
    html = written(run)
    real = run.images.at(SIZE)
    first, last = run.split.train[0], run.split.train[-1]
    pair = html[html.index('alt="Flagged synthetic picture 1:') - 20 * SIZE**2 :]
    assert pictures.uri(real[first]) in pair
    assert pictures.uri(real[last]) in pair
    assert f"mirrored, distance 0.012: {run.images.paths[first]}" in str(Text(html))
    assert f"darker, distance 0.012: {run.images.paths[last]}" in str(Text(html))


def test_of_many_flagged_pictures_the_first_are_shown(run: Finished) -> None:
    table = run.folder.flagged / "flagged.csv"
    lines = table.read_text("utf-8").splitlines(keepends=True)
    rundir.write_text(table, "".join([lines[0], *lines[1:] * 20]))
    html = written(run)
    assert html.count('alt="Flagged synthetic picture') == 24
    assert "The first 24 of 40; all are in flagged/." in str(Text(html))


def test_the_page_says_how_a_synthetic_picture_is_recognised(run: Finished) -> None:
    digest = hashlib.sha256(run.folder.generator_weights.read_bytes()).hexdigest()
    html = written(run)
    text = str(Text(html))
    assert "DigitalSourceType is trainedAlgorithmicMedia" in text
    assert f"run {digest[:16]}" in text
    assert f"the SHA-256 of generator.safetensors is {digest}." in text
    assert "dfukit verify RUN" in text
    assert digest in run.folder.model_card.read_text("utf-8")


def test_pictures_of_another_generator_are_named(run: Finished) -> None:
    assert "The pictures name another generator." not in words(run)
    run.folder.generator_weights.write_bytes(b"other weights")
    assert "The pictures name another generator." in words(run)


def test_pictures_without_marks_are_named(run: Finished) -> None:
    for file in run.folder.synthetic.rglob("*.png"):
        with Image.open(file) as picture:
            picture.load()
        Image.fromarray(np.asarray(picture)).save(file)
    text = words(run)
    assert "The first picture’s file lacks these marks" in text
    assert "DigitalSourceType" not in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("release.json", '{"passed": true}'),
        ("flagged/flagged.csv", "path,label,sha256,pixels_sha256,seed,number\na,b,,,,\n"),
    ],
)
def test_a_record_that_is_none_is_named(run: Finished, name: str, content: str) -> None:
    rundir.write_text(run.folder.path / name, content)
    with pytest.raises(DataError, match=re.escape(name)):
        written(run)


def test_a_shared_page_shows_neither_flagged_pictures_nor_samples_that_nobody_audited(run: Finished) -> None:
    html = written(as_photographs(run), share=True)
    assert re.findall(r'alt="([A-Za-z ]+)', html) == ["Synthetic picture "] * 6
    assert "2 flagged pictures and what they copy are left out of a shared page" in str(Text(html))
    assert "nobody has looked for copies among samples drawn during training" in str(Text(html))


def test_a_shared_page_shows_no_picture_of_a_set_that_did_not_pass(run: Finished) -> None:
    html = written(as_photographs(held_back(run)), share=True)
    assert "<img" not in html
    assert "a shared page shows a set that passed its release check, and no other" in str(Text(html))
