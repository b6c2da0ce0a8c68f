"""The report and the model card: complete, self-contained, honest about what is missing, and shareable."""

from __future__ import annotations

import base64
import io
import platform
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from PIL import Image
from report_folder import SIZE, STEPS, Finished, finished_run
from report_words import Text, as_photographs, words, written

from dfukit import report, rundir
from dfukit.images import Excluded, Split, resize
from dfukit.report import numbers, page, pictures, training
from dfukit.report.facts import read_facts

URI = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


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


def test_the_page_refers_to_nothing_outside_itself(html: str) -> None:
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.search(r"url\((?!#)|@import|<script|<link", html)


def test_the_page_is_the_same_when_it_is_written_again(run: Finished) -> None:
    assert written(run) == written(run)


def test_the_first_screen_says_research_use_only(text: str) -> None:
    assert "Research use only: no diagnosis." in text


def test_a_run_on_drawings_says_that_they_show_no_patient(text: str) -> None:
    assert "are drawings made by the program: they show no patient" in text


def test_a_run_on_photographs_says_that_it_contains_real_pictures(run: Finished) -> None:
    text = words(as_photographs(run))
    assert "This page contains real pictures" in text
    assert "drawings made by the program" not in text


def test_an_interval_around_zero_reads_as_no_difference(run: Finished) -> None:
    test_patients = len(set(run.images.groups[run.split.test]))
    assert f"No difference can be seen with {test_patients} test patients ({len(run.split.test)} pictures)." in words(
        run
    )


@pytest.mark.parametrize(
    ("interval", "answer"),
    [((0.01, 0.09), "Yes: with synthetic pictures"), ((-0.09, -0.01), "No: with synthetic pictures")],
)
def test_an_interval_on_one_side_of_zero_answers_the_question(
    run: Finished, interval: tuple[float, float], answer: str
) -> None:
    content = rundir.read_json(run.folder.classification)
    content["difference"]["auroc"]["interval"] = interval
    rundir.write_json(run.folder.classification, content)
    assert answer in words(run)


def test_classifiers_no_better_than_guessing_are_called_so(run: Finished) -> None:
    content = rundir.read_json(run.folder.classification)
    for figures in content["runs"].values():
        figures["auroc"]["interval"] = [0.45, 0.9]
    rundir.write_json(run.folder.classification, content)
    assert "Neither classifier can be told from guessing" in words(run)


def test_a_difference_without_an_interval_gives_its_reason(run: Finished) -> None:
    content = rundir.read_json(run.folder.classification)
    content["difference"]["auroc"] |= {"interval": None, "reason": "one patient only: no interval"}
    rundir.write_json(run.folder.classification, content)
    assert "This run cannot say: one patient only: no interval." in words(run)


def test_one_arm_alone_answers_nothing(run: Finished) -> None:
    content = rundir.read_json(run.folder.classification)
    content["difference"] = {"auroc": None}
    content["runs"].pop("real+synthetic")
    content["arms_left_out"] = {"real+synthetic": "the synthetic set has no pictures of infected"}
    rundir.write_json(run.folder.classification, content)
    text = words(run)
    assert "only the classifier without synthetic pictures was trained" in text
    assert "The synthetic set has no pictures of infected." in text


def test_arms_that_ended_after_other_steps_are_not_said_to_have_made_as_many(run: Finished) -> None:
    assert "One classifier, one seed, equally many steps" in words(run)
    content = rundir.read_json(run.folder.classification)
    content["training"]["real"]["steps"] = 900
    rundir.write_json(run.folder.classification, content)
    assert "One classifier, one seed, 900 and 60 steps" in words(run)


def test_scores_stand_with_interval_n_and_real_vs_real(text: str) -> None:
    assert "kd[r64]@test" in text
    assert "0.5071 (0.4057 to 0.6085)" in text
    assert "0.034 (0.017 to 0.051)" in text
    assert "16 real, 16 synthetic" in text
    assert "synthetic at the same n = 8: 0.5578" in text


def test_a_score_that_could_not_be_had_names_reason_and_remedy_once(text: str) -> None:
    assert text.count("fid, fid@test: the Inception weights are not at hand: dfukit weights get inception") == 1


def test_psnr_and_ssim_are_read_as_copy_alarm(text: str) -> None:
    audit, alarm = text.index("The audit for copies"), text.index("Copy alarm, not quality")
    assert audit < alarm < text.index("PSNR to the nearest real picture")
    assert re.search(r"17\.31 \(13\.85 to 20\.77\) ?17\.92", text)


def test_a_score_within_the_floor_says_so_beside_itself(html: str) -> None:
    of_test = html[html.index('<th scope="row">kd[r64]@test') :]
    of_train = html[html.index('<th scope="row">kd[r64]<') : html.index('<th scope="row">kd[r64]@test')]
    assert "below the measurement floor at this n" in of_test[: of_test.index("</tr>")]
    assert "below the measurement floor" not in of_train[: of_train.index("</tr>")]


def test_each_class_has_its_scores_with_n_interval_and_floor(html: str) -> None:
    table = html[html.index("Each class by itself") :]
    table = table[: table.index("</table>")]
    assert re.findall(r'<th scope="col">([^<]+)', table) == ["Score", "infected", "non_"]
    cell = "0.012 (0.3298 to 0.4948)below the measurement floor at this nreal vs real 0.012 (0.006 to 0.018)8 real, 8"
    assert cell in str(Text(table))
    assert table.count('data-label="infected"') == 3


def test_a_class_that_could_not_be_scored_gives_the_reason(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    scores["kd[r64]"]["classes"]["infected"] |= {
        "value": None,
        "interval": None,
        "reason": "needs at least 10 pictures",
    }
    rundir.write_json(run.folder.scores, scores)
    assert "–needs at least 10 pictures" in words(run)


def test_the_split_is_checked_on_the_page_itself(run: Finished) -> None:
    assert "Patients on both sides of the split: 0, checked." in words(run)
    leaky = Split(run.split.train, run.split.validation, np.sort(np.append(run.split.test, run.split.train[0])))
    assert "Patients on both sides of the split: 1, checked." in words(evolve(run, split=leaky))


def test_equal_files_on_both_sides_are_counted(run: Finished) -> None:
    sha256 = list(run.images.sha256)
    sha256[int(run.split.test[0])] = sha256[int(run.split.train[0])]
    assert page.leak(evolve(run.images, sha256=sha256), run.split).files == 1


def test_six_real_and_six_synthetic_pictures_stand_on_the_page_unselected(run: Finished) -> None:
    text = written(run)
    assert len(re.findall(r'alt="Drawing \d of the test part', text)) == min(6, len(run.split.test))
    assert len(re.findall(r'alt="Synthetic picture \d:', text)) == 6
    first = pictures.uri(np.asarray(Image.open(run.folder.synthetic / "infected" / "synthetic_000001.png")))
    assert first in text
    assert "Nobody chose them." in text


def test_every_picture_has_a_text(html: str) -> None:
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", html))
    assert all(re.search(r'role="img" aria-label="[^"]+"', tag) for tag in re.findall(r"<svg[^>]*>", html))


def test_the_stage_at_which_training_stopped_is_told_with_its_reason(text: str) -> None:
    assert "stopped after 300 of 400 planned steps (150.0 epochs, 4 min): no better for 10 evaluations." in text
    assert "The weights of step 200 are kept: there the kd[r64] to the validation part was smallest (0.4123)." in text


def test_alarms_and_warnings_are_listed(text: str) -> None:
    assert "Alarm: collapse at step 250: the pictures of a fixed batch grow alike" in text
    assert "a date identifies" in text


def test_excluded_files_are_listed_with_their_reasons(text: str) -> None:
    assert "infected/broken_scan.jpg truncated JPEG" in text.replace("broken_scan.jpgt", "broken_scan.jpg t")


def test_citations_of_components_metrics_and_extractors_are_named(text: str) -> None:
    assert "Gulrajani et al." in text
    assert "Binkowski et al." in text
    assert "Naeem et al." in text


def test_curves_confusion_roc_and_reliability_are_drawn(html: str) -> None:
    assert html.count("<svg") == 5 + 2 + 1 + 2
    assert html.count('<table class="confusion">') == 2


def test_each_sample_of_the_kept_step_stands_beside_its_nearest_training_picture(run: Finished) -> None:
    grid = np.array(Image.open(run.folder.sample_grid(200)))
    copied = int(run.split.train[3])
    grid[:SIZE, :SIZE] = run.images.at(SIZE)[copied]
    Image.fromarray(grid).save(run.folder.sample_grid(200))
    found = pictures.neighbours(run.folder, run.images, run.split, SIZE, 200)
    assert found is not None
    assert len(found.pairs) == 64
    assert found.pairs[0].caption == "identical"
    assert found.pairs[0].nearest is not None
    assert found.pairs[0].nearest.uri == pictures.uri(run.images.at(SIZE)[copied])
    assert "identical" in words(run)


def test_the_nearest_picture_has_the_smallest_mean_squared_error() -> None:
    rng = np.random.default_rng(0)
    candidates = rng.integers(0, 256, (600, 8, 8, 3), np.uint8)
    some = rng.integers(0, 256, (5, 8, 8, 3), np.uint8)
    rows = np.arange(0, 600, 2)
    errors = ((some[:, None].astype(float) - candidates[rows]) ** 2).mean((2, 3, 4))
    assert pictures.nearest(some, candidates, rows).tolist() == errors.argmin(1).tolist()


@pytest.mark.parametrize(
    ("name", "gone", "instead"),
    [
        ("training.json", "The weights of step 200 are kept", "The run folder holds no record of the GAN's training."),
        ("scores.json", "kd[r64]@test", "The run folder holds no scores."),
        (
            "classification.json",
            "AUROC difference",
            "This run cannot say: no classifier was trained in this run",
        ),
        ("metrics.jsonl", "Losses of generator and critic", "Nothing was logged (metrics.jsonl)."),
        ("environment.json", "numpy", "Made by dfukit."),
        ("data.json", "2 files could not be used.", ""),
        ("predictions.csv", "Reliability, real", ""),
        ("samples", "The same latents in every grid", "No sample grids lie in the run folder."),
        ("synthetic", "Synthetic: the first", "The run folder holds no synthetic pictures."),
        ("release.json", "Release check: passed", "Release check: the run folder has no record of one."),
        ("flagged", "They were taken out of the set.", "Flagged: 2 of 18 synthetic pictures"),
        ("generator.safetensors", "the SHA-256 of generator.safetensors is", ""),
    ],
)
def test_a_missing_part_of_the_run_leaves_a_page_without_it(
    run: Finished, text: str, name: str, gone: str, instead: str
) -> None:
    path = run.folder.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    left = words(run)
    assert gone in text
    assert gone not in left
    assert instead in left
    assert "Research use only" in left


def test_a_run_folder_that_holds_nothing_yet_gives_a_page_that_says_so(run: Finished, tmp_path: Path) -> None:
    empty = rundir.RunDir(tmp_path / "empty")
    text = words(evolve(run, folder=empty))
    for sentence in (
        "no record of the GAN's training",
        "no scores",
        "no synthetic pictures",
        "no classifier was trained",
    ):
        assert sentence in text


def test_one_class_is_said_to_answer_nothing(run: Finished) -> None:
    run.folder.classification.unlink()
    run.folder.predictions.unlink()
    labels = np.zeros_like(run.images.labels)
    one = evolve(run.images, classes=("infected",), positive=None, labels=labels)
    assert "there is one class only (infected), so no classifier was trained" in words(evolve(run, images=one))


def test_markup_in_texts_of_the_run_is_shown_and_not_obeyed(run: Finished) -> None:
    data = rundir.read_json(run.folder.data)
    data["warnings"] = ["<script>alert(1)</script>"]
    rundir.write_json(run.folder.data, data)
    assert "&lt;script&gt;" in written(run)


def test_class_names_are_shown_and_not_obeyed(run: Finished) -> None:
    classes = ("<img src=x>", "$a_b$ & c")
    html = written(evolve(run, images=evolve(run.images, classes=classes, positive=classes[0])))
    assert "<img src=x>" not in html
    assert "&lt;img src=x&gt;" in html


def test_a_step_that_was_done_again_counts_once(run: Finished) -> None:
    before = training.curves(read_facts(run.folder, run.images))
    lines = run.folder.metrics.read_text("utf-8")
    rundir.write_text(run.folder.metrics, lines + lines)
    after = training.curves(read_facts(run.folder, run.images))
    assert [chart.svg for chart in after] == [chart.svg for chart in before]


def test_no_chart_promises_a_wasserstein_distance_which_other_losses_do_not_estimate(run: Finished) -> None:
    (chart,) = (one for one in training.curves(read_facts(run.folder, run.images)) if "wgan_gp" in one.note)
    assert chart.title == "Critic's scores, real less synthetic"
    assert "Wasserstein" not in chart.svg


def test_a_stopping_distance_that_was_never_measured_is_not_laid_to_the_size_of_the_validation_part(
    run: Finished,
) -> None:
    told = rundir.read_json(run.folder.training)
    rundir.write_json(run.folder.training, {**told, "kept_distance": None, "best_distance": None})
    text = words(run)
    assert "The weights of step 200 are kept, the latest: the kd[r64] to the validation part could not be" in text
    assert "the validation part is too small" not in text


def test_groups_of_near_duplicates_are_not_called_patients(run: Finished) -> None:
    unknown = evolve(run, images=evolve(run.images, patients_known=False, phantom=False))
    text = words(unknown)
    assert "Groups on both sides of the split: 0, checked." in text
    assert re.search(r"No difference can be seen with \d+ test groups", text)
    assert "interval, over groups and not over seeds" in text
    assert "16 training pictures against those of other groups" in text


def decoded(text: str) -> list[np.ndarray]:
    found = [Image.open(io.BytesIO(base64.b64decode(content))) for content in URI.findall(text)]
    return [np.asarray(one.convert("RGB")) for one in found]


def test_a_shared_page_holds_no_real_pixels(run: Finished) -> None:
    real = run.images.at(SIZE).astype(float)
    open_page = [one for one in decoded(written(as_photographs(run))) if one.shape == (SIZE, SIZE, 3)]
    shared = [one for one in decoded(written(as_photographs(run), share=True)) if one.shape == (SIZE, SIZE, 3)]

    def nearest_error(some: list[np.ndarray]) -> float:
        return min(float(((real - one) ** 2).mean((1, 2, 3)).min()) for one in some)

    assert nearest_error(open_page) < 30
    assert nearest_error(shared) > 100
    assert "Real picture" not in written(as_photographs(run), share=True)


def test_render_gives_what_write_writes_and_writes_nothing(run: Finished) -> None:
    for file in (run.folder.report, run.folder.model_card):
        file.unlink(missing_ok=True)
    html, card = report.render(run.folder, run.config, run.images, run.split, True)
    assert not any(file.exists() for file in (run.folder.report, run.folder.model_card))
    assert html == written(run, share=True)
    assert card == run.folder.model_card.read_text("utf-8")


def test_a_shared_page_holds_no_path_file_patient_or_host(run: Finished, tmp_path: Path) -> None:
    archive = tmp_path / "clinic_archive"
    config = evolve(
        run.config,
        data=evolve(
            run.config.data, path=str(archive), patients=str(archive / "visits.csv"), patient_pattern=r"p(\d+)_"
        ),
    )
    data = rundir.read_json(run.folder.data)
    data["warnings"] += [
        f"patient 'patient_0002' of {archive} on {platform.node()} lies in two folders, see patient_0003_1",
        "pictures in clinic_archive/old are small",
    ]
    data["excluded"].append({"path": "x.jpg", "reason": f"cannot open {archive}/infected/x.jpg: see visit_notes.jpg"})
    rundir.write_json(run.folder.data, data)
    record = rundir.read_json(run.folder.release)
    record["checks"][0]["text"] += f", in {archive}/infected/x.jpg of patient 'patient_0003'"
    rundir.write_json(run.folder.release, record)
    scores = rundir.read_json(run.folder.scores)
    scores["copies"]["statement"] += f" of {run.images.paths[0]}"
    scores["kid"] = {
        "value": None,
        "n": [1, 1],
        "interval": None,
        "real_vs_real": None,
        "reason": f"no file {Path.home()}/w.bin",
    }
    rundir.write_json(run.folder.scores, scores)
    photographs = evolve(as_photographs(run), config=config)
    text = written(photographs, share=True)
    card = run.folder.model_card.read_text("utf-8")
    private = {
        *(str(archive), "clinic_archive", str(run.folder.path), f"{Path.home()}/"),
        *("broken_scan", "visit_notes", "visits.csv", r"p(\d+)_"),
        *run.images.paths,
        *(Path(path).name for path in run.images.paths),
        *run.images.patients,
    }
    text_without_pictures = URI.sub("", text)
    for word in private:
        assert word not in text_without_pictures, word
        assert word not in card, word
    host = re.compile(rf"(?<!\w){re.escape(platform.node())}(?!\w)")
    assert not host.search(str(Text(text)))
    assert not host.search(card)


def test_a_data_folder_called_data_leaves_the_shared_page_readable(run: Finished) -> None:
    config = evolve(run.config, data=evolve(run.config.data, path="data"))
    text = words(evolve(as_photographs(run), config=config), share=True)
    assert "data.fit" in text
    assert "data.path[left out]" in text


def test_a_shared_page_says_that_it_is_one(run: Finished) -> None:
    assert "Made to be shared" in words(run, share=True)


def test_a_web_address_in_a_remedy_survives_sharing(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    scores["fid"]["reason"] = "get https://example.org/a/weights.pth, then: dfukit weights add weights.pth"
    rundir.write_json(run.folder.scores, scores)
    assert "get https://example.org/a/weights.pth, then: dfukit weights add weights.pth" in words(run, share=True)


def test_a_number_is_no_patient_unless_the_text_says_so(run: Finished) -> None:
    patients = [str(number + 40) for number in range(len(run.images.patients))]
    images = evolve(run.images, patients=patients)
    private = report.Redaction.of_run(run.folder, run.config, images)
    assert private.free_text("41 pictures of patient 42 are small") == "41 pictures of patient [left out] are small"


def test_the_name_of_what_is_not_used_is_taken_out_of_texts(run: Finished) -> None:
    left_out = (Excluded("infected/Vandermeer Anna 1950", "a symbolic link"), Excluded("old/Ng Li/1.jpg", "empty file"))
    images = evolve(run.images, check=evolve(run.images.check, excluded=left_out))
    private = report.Redaction.of_run(run.folder, run.config, images)
    told = "infected/Vandermeer Anna 1950 is new; so is Ng Li, of infected, a patient"
    assert private.free_text(told) == "[left out] is new; so is [left out], of infected, a patient"


def test_a_folder_with_the_name_of_a_side_leaves_texts_readable(run: Finished) -> None:
    images = evolve(run.images, paths=[f"infected/left/{Path(path).name}" for path in run.images.paths])
    private = report.Redaction.of_run(run.folder, run.config, images)
    assert private.free_text("see patient_0001 in left") == "see [left out] in [left out]"


def test_the_model_card_says_what_how_and_for_what(run: Finished) -> None:
    written(run)
    card = run.folder.model_card.read_text("utf-8")
    for part in (
        "Research use only",
        "show no patient",
        "load_generator",
        "load_classifier",
        "To be filled in",
        "| kd[r64]@test | 0.5071, below the measurement floor at this n | 0.4057 to 0.6085 | 0.034 (0.017 to 0.051) |",
        "the audit finds 97% of planted copies",
        "| cropped | 93.8% | 87.8% to 97.8% | 16 |",
        "Release check: passed.",
        "| AUROC | 0.800 (0.700 to 0.900)",
        "## Intended use",
        "## Limits",
        "a high value is bad",
    ):
        assert part in card


def test_the_model_card_says_why_a_score_has_no_interval(run: Finished) -> None:
    scores = rundir.read_json(run.folder.scores)
    scores["kd[r64]"] |= {"interval": None, "reason": "hardly more than one patient: no interval"}
    rundir.write_json(run.folder.scores, scores)
    written(run)
    assert ", hardly more than one patient: no interval | – |" in run.folder.model_card.read_text("utf-8")


def test_tables_of_the_model_card_have_equal_columns_in_every_row(run: Finished) -> None:
    written(run)
    rows = re.findall(r"(?:^\|.*\n)+", run.folder.model_card.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 6
    for table in rows:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_model_card_of_one_class_offers_no_classifier(run: Finished) -> None:
    run.folder.classification.unlink()
    written(run)
    card = run.folder.model_card.read_text("utf-8")
    assert "No classifier." in card
    assert "load_classifier" not in card


def test_grids_are_thinned_out_evenly(run: Finished) -> None:
    for step in range(400, 2100, 100):
        shutil.copy(run.folder.sample_grid(STEPS[0]), run.folder.sample_grid(step))
    captions = [shown.caption for shown in pictures.sample_grids(run.folder)]
    assert captions == ["step 100", "step 500", "step 900", "step 1,200", "step 1,600", "step 2,000"]


def test_classes_and_ways_between_pictures_are_shown_where_they_were_drawn(run: Finished) -> None:
    heading = "Classes, and ways between pictures"
    page = written(run)
    assert heading in page
    shapes = [one.shape for one in decoded(page)]
    assert (2 * SIZE, 8 * SIZE, 3) in shapes
    assert (4 * SIZE, 8 * SIZE, 3) in shapes
    assert heading not in written(run, share=True)
    run.folder.class_sheet.unlink()
    run.folder.interpolation_sheet.unlink()
    assert heading not in written(run)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.41234, "0.4123"), (28.1234, "28.12"), (1234.5, "1,234"), (-0.5, "−0.5"), (0.0, "0"), (1.23e-7, "1.230e−07")],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert numbers.figure(value) == text


def test_pictures_at_the_gan_size_are_what_the_generator_saw(run: Finished) -> None:
    shown = pictures.real_pictures(run.images, run.split, SIZE)
    first = resize(run.images.pixels[run.split.test[:1]], SIZE)[0]
    assert pictures.uri(first) in {one.uri for one in shown}


# In a clinic.


def test_the_operating_point_stands_with_its_prevalence_and_what_it_rests_on(text: str) -> None:
    assert "Chosen on the validation part to reach a sensitivity of 90.0%." in text
    assert "PPV and NPV at a prevalence of 20.0%, stated in the settings." in text
    assert "0.310 and above; it reached 91.7% of 12 positive validation pictures" in text


def test_subgroups_stand_with_their_n_from_light_to_dark(html: str, text: str) -> None:
    assert "none of these pictures is negative" in text
    assert "4 pictures of 2 patients" in text
    assert "fewer than 10 patients" in text
    table = html[html.index("Skin tone, estimated") :]
    assert table.index("very light") < table.index(">dark") < table.index("no estimate")
    assert "Northgate" in text


def test_a_shared_page_shows_the_skin_tone_alone(finished: Finished) -> None:
    shared = str(Text(written(finished, share=True)))
    assert "Skin tone, estimated" in shared
    assert "Northgate" not in shared
    assert not re.search(r"\bward\b", shared)
    assert "Figures by 1 further column of the manifest stand on the page that is not made to be shared." in shared


def test_what_the_generator_draws_too_seldom_is_said(text: str) -> None:
    assert text.count("fewer than in training") == 1
    assert "100 training pictures of 50 patients and 16 synthetic pictures with an estimate, of 104 and 16" in text


def test_scores_that_run_backwards_are_said_on_the_page(text: str) -> None:
    assert "the scores run backwards" in text


def test_a_run_without_these_figures_has_no_such_section(run: Finished) -> None:
    run.folder.skin_tones.unlink()
    content = rundir.read_json(run.folder.classification)
    del content["subgroups"]
    for figures in content["runs"].values():
        del figures["operating_point"]
    rundir.write_json(run.folder.classification, content)
    assert "In a clinic" not in written(run)


# The experiment with folds and seeds.


def test_the_answer_of_the_experiment_stands_with_what_it_covers(text: str) -> None:
    assert "Too few patients to tell." in text
    assert "AUROC +0.012 (−0.038 to +0.062), 12 patients; about 34 patients would settle it (margin 0.03)" in text
    assert "The interval covers the patients who happen to be here, and the seeds of the trainings" in text
    assert "no test patient touched it" in text
    assert "1 of 24 real pictures look mislabelled" in text


def test_the_answer_of_the_experiment_stands_on_the_first_screen(text: str) -> None:
    first, second = text.index("Do the synthetic pictures help?"), text.index("Which pictures were used?")
    assert first < text.index("Too few patients to tell.") < second


def test_a_shared_page_names_no_picture_that_looks_mislabelled(finished: Finished, text: str) -> None:
    named = "patient_0001_1.png: looks like non_infected"
    assert named in text
    assert named not in str(Text(written(finished, share=True)))


def test_without_the_experiment_there_is_no_section_of_it(run: Finished) -> None:
    run.folder.lift_result.unlink()
    assert 'id="lift"' not in written(run)
