"""Do the synthetic pictures help? The experiment: what it answers, its folds, what it refuses, and how it goes on."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import lift_cases
import numpy as np
import pytest
from attrs import evolve
from lift_cases import CPU, IMAGE, Made, ask, copies, rare_class, settings, shuffled_labels, true_program
from PIL import Image
from sklearn.metrics import roc_auc_score

from dfukit import cli, config, phantom, pipeline, registry, rundir
from dfukit import labels as audits
from dfukit.config import RunConfig, read_toml
from dfukit.errors import ConfigError, DataError, DivergedError, Interrupted
from dfukit.finished import Run
from dfukit.images import make_split, write_split
from dfukit.lift import arms, experiment
from dfukit.lift.folds import Fold, Real, check_folds, make_folds
from dfukit.lift.records import LiftDir
from dfukit.lift.sources import Given, Retrained, Synthetic, given, read_labelled
from dfukit.lift.table import Lift
from dfukit.progress import Silent
from dfukit.rundir import RunDir
from dfukit.sections import SampleSettings

QUICK: dict[str, Any] = {"lift.steps": 6, "lift.seeds": 1, "lift.bootstrap": 100}
SCARCE: dict[str, Any] = {"lift.training_share": 0.1, "lift.steps": 100}
"""Three patients of the positive class to train on, and forty to test on, in each fold."""


# Answers.


def test_a_generator_that_is_the_true_program_helps_where_a_class_is_rare(tmp_path: Path) -> None:
    result = ask(tmp_path, 0, true_program, **SCARCE)
    assert result["answer"] == "better"
    low, high = result["difference"]["interval"]
    assert 0 < low < result["difference"]["value"] < high


def test_shuffled_labels_harm(tmp_path: Path) -> None:
    result = ask(tmp_path, 0, shuffled_labels)
    assert result["answer"] == "worse"
    assert result["labels"]["synthetic"]["set_aside"] == [0, 0]  # too many to be repaired: judged as they came


def test_copies_of_the_training_pictures_change_nothing(tmp_path: Path) -> None:
    result = ask(tmp_path, 0, copies)
    assert result["answer"] in ("no difference larger than 0.03", "too few patients to tell")
    if result["answer"].startswith("too few"):
        assert result["patients_needed"] > lift_cases.PATIENTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "changed", "right", "never"),
    [
        (true_program, SCARCE, ("better",), "worse"),
        (shuffled_labels, {}, ("worse",), "better"),
        (copies, {}, ("no difference larger than 0.03", "too few patients to tell"), None),
    ],
)
def test_of_twenty_experiments_at_least_seventeen_answer_right_and_none_the_opposite(
    tmp_path: Path, source: Any, changed: dict[str, Any], right: tuple[str, ...], never: str | None
) -> None:
    answers = [ask(tmp_path / str(seed), seed, source, **changed)["answer"] for seed in range(20)]
    assert sum(one in right for one in answers) >= 17, answers
    assert never not in answers


# The experiment.


def test_a_result_has_the_documented_shape_and_can_be_computed_again_from_the_predictions(tmp_path: Path) -> None:
    changed = {**QUICK, "lift.arms": ["real+augmentation", "synthetic"], "lift.exploratory": ["1"]}
    result = ask(tmp_path, 0, true_program, **changed)
    assert json.loads((tmp_path / "lift.json").read_text()) == json.loads(json.dumps(result))
    assert list(result["arms"]) == [
        "real",
        "real+synthetic",
        "real+augmentation",
        "synthetic",
        "real+synthetic x1",
        "mirror",
    ]
    assert result["arms"]["real+synthetic x1"]["exploratory"]
    assert result["arms"]["mirror"]["tested_on"] == "synthetic"
    assert [(one["arm"], one["against"]) for one in result["differences"]] == [
        ("real+synthetic", "real"),
        ("real+augmentation", "real"),
        ("synthetic", "real"),
        ("real+synthetic x1", "real"),
        ("real+synthetic", "real+augmentation"),
    ]
    assert "patients" in result["difference"]["covers"]
    design = result["design"]
    assert design["classifier"] == "colours"
    for fold in range(2):
        parts = design["training_patients"][fold], design["validation_patients"][fold]
        assert parts == (design["training_pictures"][fold], design["validation_pictures"][fold])  # one picture each
        assert parts == pytest.approx((160, 40), abs=2)

    with (tmp_path / "lift-predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == "real"]
    assert len({row["picture"] for row in rows}) == len(rows) == lift_cases.PATIENTS
    ranked = pairs = 0.0
    for fold in ("1", "2"):
        inside = [row for row in rows if row["fold"] == fold]
        labels = np.array([row["label"] == row["positive"] for row in inside])
        count = int(labels.sum() * (~labels).sum())
        ranked += count * roc_auc_score(labels, [float(row["score"]) for row in inside])
        pairs += count
    assert result["arms"]["real"]["auroc"]["value"] == pytest.approx(ranked / pairs)


def test_all_arms_make_the_same_number_of_steps(tmp_path: Path) -> None:
    ask(tmp_path, 0, true_program, **QUICK, **{"lift.arms": ["real+augmentation", "synthetic"]})
    done = [json.loads(path.read_text())["facts"]["steps"] for path in tmp_path.glob("fold-*/*.json")]
    assert done == [6] * 8


def test_the_same_command_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    class Interrupting(Silent):
        def update(self, task: str, done: int, total: int, note: str = "") -> None:
            if done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path / "a", 0, true_program, Interrupting(), **QUICK)
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("fold-*/*.json")}
    assert len(finished) == 3
    again, whole = (ask(tmp_path / name, 0, true_program, **QUICK) for name in "ab")
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert again == whole


def test_a_folder_of_another_experiment_is_refused(tmp_path: Path) -> None:
    ask(tmp_path, 0, true_program, **QUICK)
    with pytest.raises(ConfigError, match=r"other lift \(ratio was 9\.0, now 2\.0\): name another folder"):
        ask(tmp_path, 0, true_program, **{**QUICK, "lift.ratio": 2.0})


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms.fitting, "logits", lambda *given: np.full(9, np.nan))
    monkeypatch.setattr(arms.fitting, "train", lambda *given: attrs.make_class("Trained", ["network"])(None))
    with pytest.raises(DivergedError, match=r"arm real: 9 of 9 scores are not finite"):
        ask(tmp_path, 0, true_program, **QUICK)


# Folds.


def test_folds_keep_patients_together_and_classes_apart_evenly() -> None:
    case = rare_class(0)
    real = evolve(case.real, units=np.arange(lift_cases.PATIENTS) // 2, patients=[f"p{i}" for i in range(200)])
    folds = make_folds(real, IMAGE, settings(**{"lift.folds": 5, "lift.training_share": 1.0}).lift, 0)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(lift_cases.PATIENTS))
    for fold in folds:
        parts = [set(real.units[part]) for part in (fold.train, fold.validation, fold.test)]
        assert len(set.union(*parts)) == sum(map(len, parts))
        positives = (real.labels[fold.test] == 0).sum()
        assert abs(positives - lift_cases.POSITIVES / 5) <= 2


@pytest.mark.parametrize("share", [0.03, 0.05, 0.15, 0.2, 0.3, 0.35, 0.4, 0.5])
def test_the_validation_part_has_its_share_of_both_sides(share: float) -> None:
    case = rare_class(0)
    for fold in make_folds(case.real, IMAGE, settings(**{"lift.validation": share}).lift, 0):
        outside = np.concatenate([fold.train, fold.validation])
        for label in (0, 1):
            expected = share * (case.real.labels[outside] == label).sum()
            assert abs((case.real.labels[fold.validation] == label).sum() - expected) <= 1.5


def test_a_rare_class_is_in_the_training_and_the_validation_part() -> None:
    case = rare_class(0)
    labels = np.ones(lift_cases.PATIENTS, np.int64)
    labels[:8] = 0
    for fold in make_folds(
        evolve(case.real, labels=labels), IMAGE, settings(**{"lift.folds": 4, "lift.validation": 0.35}).lift, 0
    ):
        assert [(labels[part] == 0).sum() for part in (fold.train, fold.validation, fold.test)] == [4, 2, 2]


def test_a_patient_in_two_parts_is_named() -> None:
    case = rare_class(0)
    fold = make_folds(case.real, IMAGE, settings().lift, 0)[0]
    leaking = evolve(fold, train=np.append(fold.train, fold.test[0]))
    name = case.real.patients[fold.test[0]]
    with pytest.raises(DataError, match=f"fold 1: patient '{name}' is in the training and the test part"):
        check_folds(case.real, IMAGE, [leaking])


def test_a_part_without_a_positive_picture_is_named() -> None:
    case = rare_class(0)
    labels = np.ones(lift_cases.PATIENTS, np.int64)
    labels[:3] = 0
    with pytest.raises(DataError, match=r"has no picture of infected in its .* part: 3 patients have one"):
        make_folds(evolve(case.real, labels=labels), IMAGE, settings(**{"lift.folds": 5}).lift, 0)


# Synthetic sets.

FOLD = Fold(np.arange(4), np.arange(4, 6), np.arange(6, 8))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[SampleSettings]:
    """What a generator that needs no training was asked to draw."""
    asked: list[SampleSettings] = []

    def draw(config: RunConfig, *others: object) -> Synthetic:
        asked.append(config.sample)
        count = config.sample.count
        names = [f"{number}.png" for number in range(count)]
        return Synthetic(np.zeros((count, 16, 16, 3), np.uint8), np.arange(count) % 2, names)

    monkeypatch.setattr(pipeline, "train_gan", lambda *given: attrs.make_class("Gan", ["critic"])(None))
    monkeypatch.setattr("dfukit.synthetic.draw_samples", draw)
    return asked


def test_the_pictures_of_a_fold_are_drawn_with_the_settings_of_the_run(
    tmp_path: Path, drawn: list[SampleSettings]
) -> None:
    told = settings(**{"sample.truncation": 0.5, "sample.count": 3, "lift.ratio": 2.0})
    source = Retrained(told, None, IMAGE, CPU, tmp_path, Silent())  # type: ignore[arg-type]
    source.of(1, FOLD, [2.0])
    assert drawn == [SampleSettings(count=8, truncation=0.5)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, {0.5: 4, 1.0: 4, 2.0: 8}), (6, {0.5: 6, 1.0: 6, 2.0: 8})],
)
def test_a_ratio_of_2_has_the_pictures_of_1_and_as_many_again(
    tmp_path: Path, drawn: list[SampleSettings], count: int, expected: dict[float, int]
) -> None:
    told = settings(**{"sample.count": count, "lift.ratio": 1.0})
    source = Retrained(told, None, IMAGE, CPU, tmp_path, Silent())  # type: ignore[arg-type]
    found = source.of(1, FOLD, [1.0, 0.5, 2.0])
    assert {ratio: len(set(one.paths)) for ratio, one in found.items()} == expected
    assert found[2.0].paths[: expected[1.0]] == found[1.0].paths
    assert len(drawn) == 2  # once for each number of pictures


@attrs.frozen(eq=False)
class Twice(Made):
    """Twice as many pictures for ratios above 1."""

    def of(self, number: int, fold: Fold, ratios: Sequence[float]) -> dict[float, Synthetic]:
        made = Made(self.make).of(number, fold, [1.0])[1.0]
        return {ratio: made if ratio > 1 else made.take(np.arange(len(made) // 2)) for ratio in ratios}


def test_an_exploratory_ratio_is_trained_on_its_own_pictures_and_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[float, set[int]] = {}
    begin = arms.fitting.train

    def train(*given: Any) -> Any:
        if given[6] is not None:  # the synthetic pictures
            seen.setdefault(given[2].synthetic_ratio, set()).add(len(given[6]))
        return begin(*given)

    monkeypatch.setattr(arms.fitting, "train", train)
    changed = {**QUICK, "lift.ratio": 1.0, "lift.max_set_aside": 0.0}  # the sets are judged as they come

    def asked(name: str, **more: Any) -> dict[str, Any]:
        return ask(tmp_path / name, 0, lambda case, seed: Twice(lambda fold: case.others_mixed(0)), **changed, **more)

    plain, explored = asked("plain"), asked("explored", **{"lift.exploratory": ["2"]})
    assert seen == {1.0: {250}, 2.0: {500}}
    for key in ("answer", "difference", "labels"):
        assert explored[key] == plain[key]
    assert explored["design"]["synthetic_pictures"] == plain["design"]["synthetic_pictures"] == [250, 250]
    for arm in ("real", "real+synthetic", "mirror"):
        assert explored["arms"][arm] == plain["arms"][arm]


def test_a_given_set_that_leaves_a_fold_without_a_class_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    case, told = rare_class(0), settings(**QUICK)
    folds = make_folds(case.real, IMAGE, told.lift, told.data.split_seed)
    both = np.intersect1d(folds[0].train, folds[1].test)  # of whom only the second fold has to do without
    copied = int(both[case.real.labels[both] == 0][0])
    labels = np.array([0] * 7 + [1] * 3)
    drawn = Synthetic(case.others[0][: len(labels)], labels, [f"{i}.png" for i in range(len(labels))])
    shows = [frozenset({copied}) if label == 0 else frozenset() for label in labels]
    words = (
        r"fold 2 has no synthetic picture of infected, .* nearly show patients whom it does not train on "
        r"\(0\.png, 1\.png, 2\.png, 3\.png, 4\.png and 2 more\); add pictures of infected that copy no photograph"
    )
    with pytest.raises(DataError, match=words):
        experiment.run(told, case.real, IMAGE, Given(drawn, case.real, shows), tmp_path, CPU, Silent())
    assert not list(tmp_path.iterdir())


def test_a_class_is_not_set_aside_as_a_whole(tmp_path: Path) -> None:
    """A generator that draws one class like the other is to be judged, and not refused for lacking it."""
    case = rare_class(0)
    pixels, labels = case.others
    other = np.flatnonzero(labels == 1)
    model = audits._fit(audits.colours(case.real.pixels), case.real.labels)
    other = other[np.argsort(audits._predict(model, audits.colours(pixels[other]), 2)[:, 0])]
    drawn = Made(lambda fold: (pixels[other], np.where(np.arange(len(other)) < 8, 0, 1)))
    result = experiment.run(settings(**QUICK), case.real, IMAGE, drawn, tmp_path, CPU, Silent())
    assert min(result["labels"]["synthetic"]["flagged"]) >= 8
    assert result["labels"]["synthetic"]["set_aside"] == [0, 0]


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    case = rare_class(0)
    one = evolve(IMAGE, classes=("infected",), positive=None)
    with pytest.raises(DataError, match="one class only"):
        experiment.run(settings(), case.real, one, true_program(case, 0), tmp_path, CPU, Silent())
    lacking = Made(lambda fold: (case.others[0], np.ones(len(case.others[1]), np.int64)))
    with pytest.raises(DataError, match="no synthetic picture of infected"):
        experiment.run(settings(), case.real, IMAGE, lacking, tmp_path, CPU, Silent())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders `real` and `drawn` of 32 phantom patients, two pictures each."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    phantom.write_folder(tmp_path / "real", 32, 2, 0, 32)
    phantom.write_folder(tmp_path / "drawn", 32, 2, 1, 32)
    return tmp_path


def lift(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return command(capsys, "lift", *arguments)


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dfukit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run on a folder of photographs, of which there is none yet."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for place in ("photos", "drawn"):
        (tmp_path / place / "infected").mkdir(parents=True)
    folder = rundir.create(tmp_path / "runs", "mine", ())
    told = config.resolve(registry.load(), preset="smoke", settings={"data.path": str(tmp_path / "photos")})
    rundir.write_toml(folder.config, told.as_table())
    return folder


OF_A_RUN, OF_FOLDERS = ("mine",), ("--real", "photos", "--synthetic", "drawn")


@pytest.mark.parametrize("asked", [OF_A_RUN, OF_FOLDERS])
def test_an_experiment_among_the_photographs_is_refused(
    photographs: RunDir, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...]
) -> None:
    code, _, err = lift(capsys, *asked, "--out", "photos/lift")
    assert code == 2
    assert "--out photos/lift lies in data.path" in err
    assert [path.name for path in Path("photos").iterdir()] == ["infected"]


@pytest.mark.parametrize("asked", [OF_A_RUN, OF_FOLDERS])
@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_experiment_below_a_file_is_one_line_before_any_picture_is_read(
    photographs: RunDir, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], out: str
) -> None:
    Path("file").touch()
    code, printed, err = lift(capsys, *asked, "--out", out)
    assert (code, printed, err.count("\n")) == (2, "", 1)
    assert f"--out {out}: cannot write there" in err


@pytest.mark.parametrize("asked", [OF_A_RUN, OF_FOLDERS])
def test_a_folder_of_something_else_is_refused_and_left_as_it_is(
    photographs: RunDir, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...]
) -> None:
    Path("mine-too").mkdir()
    Path("mine-too/settings.toml").write_text("# of somebody")
    code, _, err = lift(capsys, *asked, "--out", "mine-too")
    assert code == 2
    assert "mine-too holds settings.toml, and no experiment (no design.json): name another folder with --out" in err
    assert [path.read_text() for path in Path("mine-too").iterdir()] == ["# of somebody"]


@pytest.mark.parametrize("asked", [OF_A_RUN, OF_FOLDERS])
@pytest.mark.parametrize("left", [".design.json.123.tmp", ".DS_Store", "design.json"])
def test_an_experiment_that_was_interrupted_in_its_first_moment_goes_on(
    photographs: RunDir, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], left: str
) -> None:
    Path("out").mkdir()
    Path("out", left).touch()
    code, _, err = lift(capsys, *asked, "--out", "out")
    assert code == 3
    assert "holds no file: expected photos/LABEL/picture.jpg" in err  # it has begun to read


@pytest.mark.parametrize("asked", [OF_A_RUN, OF_FOLDERS])
def test_two_experiments_in_one_folder_are_refused(
    photographs: RunDir, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...]
) -> None:
    with LiftDir(Path("out")).at_work():
        code, _, err = lift(capsys, *asked, "--out", "out")
    assert code == 2
    assert "another dfukit lift is at work in out: wait for it, or name another folder with --out" in err
    assert lift(capsys, *asked, "--out", "out")[0] == 3  # there is no picture


CHEAP = (
    *("--folds", 2, "--seeds", 1, "--classifier", "timm_lstm", "--set", "classifier.backbone=resnet10t.c3_in1k"),
    *("--set", "classifier.pretrained=false", "--set", "classifier.input_size=32", "--set", "classifier.lstm_hidden=8"),
    *("--set", "lift.steps=2", "--set", "lift.bootstrap=100", "--set", "classify.batch_size=8"),
)


def test_two_folders_are_compared_and_what_cannot_be_checked_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = lift(capsys, "--real", "real", "--synthetic", "drawn", *CHEAP)
    assert code == 0, err
    assert "may have seen test patients, which cannot be checked" in out
    assert "real+synthetic less real" in out
    assert json.loads((folder / "lift" / "lift.json").read_text())["design"]["size"] == 32
    code, out, err = lift(capsys, "--real", "real", "--synthetic", "drawn", *CHEAP, "--unseen", "--out", "b", "--json")
    assert code == 0, err
    assert "the user's word" in json.loads(out)["design"]["generator"]


def test_a_patient_who_is_named_in_a_table_alone_is_found_by_the_documented_search(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted(path.relative_to(folder / "real").as_posix() for path in (folder / "real").glob("*/*.png"))
    for place in ("real", "drawn"):
        (folder / place / "manifest.csv").unlink()
    twin = pictures[1].replace(".png", "-again.png")
    (folder / "real" / twin).write_bytes((folder / "real" / pictures[1]).read_bytes())  # a unit of two patients
    owners = {path: f"case-{place // 2:03d}" for place, path in enumerate(pictures)} | {twin: "case-zzz"}
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "patient"), *owners.items()])
    code, _, err = lift(capsys, "--real", "real", "--synthetic", "drawn", "--patients", "cases.csv", *CHEAP)
    assert code == 0, err

    with (folder / "lift" / "lift-patients.csv").open(newline="") as file:
        written = {row["picture"]: row for row in csv.DictReader(file)}
    assert {path: row["patient"] for path, row in written.items()} == owners
    with (folder / "lift" / "lift-predictions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["arm"] != "mirror":
                known = written[row["picture"]]
                assert (row["patient"], row["label"], row["fold"]) == (known["number"], known["label"], known["fold"])
    page = Path(__file__).parents[1] / "docs" / "how-to" / "data-protection.md"
    searched = re.findall(r"--include='?([^' ]+)", page.read_text("utf-8"))
    for patient in ("case-007", "case-zzz"):
        found = [path for name in searched for path in (folder / "lift").rglob(name) if patient in path.read_text()]
        assert found


def test_labels_that_do_not_match_by_name_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "drawn" / "manifest.csv").unlink()
    (folder / "drawn" / "non_infected").rename(folder / "drawn" / "clean")
    code, _, err = lift(capsys, "--real", "real", "--synthetic", "drawn", *CHEAP)
    assert code == 3
    assert "label 'clean', which the real pictures do not have (infected, non_infected)" in err


def test_labels_travel_by_name_whatever_their_order(folder: Path) -> None:
    told = settings(**{"data.path": str(folder / "real")})
    drawn = read_labelled(folder / "drawn", told.data, ("non_infected", "infected"), Silent())
    real = Real(np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1]), np.arange(2), ["a", "b"], ["a", "b"])
    source = given(drawn, real, ("non_infected", "infected"), 32, False)
    for path, label in zip(source.synthetic.paths, source.synthetic.labels, strict=True):
        assert path.split("/")[0] == ("non_infected", "infected")[label]


def test_a_synthetic_copy_of_a_test_patient_is_kept_out_and_named(folder: Path) -> None:
    source_file = next((folder / "real" / "infected").glob("*.png"))
    Image.open(source_file).save(folder / "drawn" / "infected" / "smuggled.png")
    with (folder / "drawn" / "manifest.csv").open("a") as file:
        file.write("infected/smuggled.png,infected,x\n")
    from dfukit.images import load

    told = settings(**{"data.path": str(folder / "real")})
    images = load(told.data)
    real = Real.of(images, 32)
    source = given(
        read_labelled(folder / "drawn", told.data, images.classes, Silent()), real, images.classes, 32, False
    )
    unit = int(real.units[list(real.paths).index(f"infected/{source_file.name}")])
    assert {"path": "infected/smuggled.png", "patient": real.patients[unit]} in source.leaked()
    for fold in make_folds(real, evolve(IMAGE, size=32), told.lift, 0):
        inside = "infected/smuggled.png" in source.of(1, fold, [1.0])[1.0].paths
        assert inside == (unit in real.units[fold.train])


def test_a_synthetic_copy_of_photographs_of_two_patients_is_kept_where_both_are_trained_on(folder: Path) -> None:
    told = settings(**{"data.path": str(folder / "drawn")})
    drawn = read_labelled(folder / "drawn", told.data, ("infected", "non_infected"), Silent())
    pixels = drawn.at(32)[[0, 0, 1, 2]]
    pixels[1] = np.clip(pixels[1].astype(int) + 6, 0, 255)  # a near-duplicate of another patient's photograph
    real = Real(pixels, drawn.labels[[0, 0, 1, 2]], np.arange(4), list("abcd"), ["p0", "p1", "p2", "p3"])
    source = given(drawn, real, drawn.classes, 32, False)
    copy = drawn.paths[0]
    assert [one["patient"] for one in source.leaked() if one["path"] == copy] == ["p0", "p1"]
    for train, rest, kept in (([1, 2], [0, 3], False), ([0, 2], [1, 3], False), ([0, 1], [2, 3], True)):
        fold = Fold(*(np.array(part) for part in (train, rest[:1], rest[1:])))
        assert (copy in source.of(1, fold, [1.0])[1.0].paths) == kept
        fold = Fold(*(np.array(part) for part in (train, rest[1:], rest[:1])))
        assert (copy in source.of(1, fold, [1.0])[1.0].paths) == kept


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: Callable[..., Path]) -> RunDir:
    """A run folder on the phantom set, as far as an experiment needs one."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(fresh_cache(tmp_path / "cache")))
    monkeypatch.chdir(tmp_path)
    resolved = settings(**{"lift.seeds": 1, "lift.steps": 2, "lift.bootstrap": 100, "lift.training_share": 1.0})
    resolved = evolve(resolved, classifier=registry.load().choose("classifier", "critic_lstm", {"lstm_hidden": 8}))
    folder = rundir.create(tmp_path / "runs", "mine", ())
    rundir.write_toml(folder.config, resolved.as_table())
    images = phantom.image_set(resolved.data)
    write_split(folder.split, images, make_split(images, resolved.data))
    return folder


def test_the_generator_of_a_run_is_trained_anew_in_each_fold(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = lift(capsys, "mine", "--set", "gan.steps=2", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert (
        "no test patient touched it; it had 2 steps; its settings are the run's, except gan.steps 4 -> 2"
        in (result["design"]["generator"])
    )
    made = [run.lift / f"gan-of-fold-{number}" / "generator.safetensors" for number in (1, 2)]
    assert made[0].read_bytes() != made[1].read_bytes()
    assert rundir.read_json(run.lift_result)["answer"] == result["answer"]
    assert result["look"]["text"] == "first look"
    assert lift(capsys, "mine", "--set", "gan.steps=2")[1].count("first look at these test patients") == 1  # no new one


def test_the_steps_that_are_told_are_those_that_the_folds_made(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = pipeline.train_gan

    def train(config: RunConfig, folder: RunDir, *others: Any) -> Any:
        """The first fold is ended by hand after a step."""
        if folder.name == "gan-of-fold-1":
            folder.stop.touch()
        return begin(config, folder, *others)

    monkeypatch.setattr(pipeline, "train_gan", train)
    code, out, err = lift(capsys, "mine", "--json")
    assert code == 0, err
    made = [rundir.read_json(run.lift / f"gan-of-fold-{number}" / "training.json")["steps"] for number in (1, 2)]
    assert made[0] < made[1] == 4
    assert json.loads(out)["design"]["generator"].endswith(f"no test patient touched it; it had {made[0]} to 4 steps")


@pytest.mark.slow
def test_an_experiment_that_follows_a_run_has_the_steps_that_its_time_budget_became(
    tmp_path: Path,
    fresh_cache: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(fresh_cache(tmp_path / "cache")))
    monkeypatch.chdir(tmp_path)
    told = {
        "gan.budget": "3s",
        "lift.folds": 2,
        "lift.seeds": 1,
        "lift.steps": 2,
        "lift.bootstrap": 100,
        "lift.arms": [],
    }
    options = [part for key, value in told.items() for part in ("--set", f"{key}={value}")]
    words = ["dfukit", "run", "--preset", "smoke", "--classifier", "critic_lstm", "--name", "mine", "--lift", *options]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        cli.main()
    capsys.readouterr()
    folder = RunDir(tmp_path / "runs" / "mine")
    result = rundir.read_json(folder.lift_result)
    steps = read_toml(folder.config)["gan"]["steps"]
    assert result["design"]["generator"].endswith(f"it had {steps:,} steps")  # and all else is as in the run
    code, out, err = lift(capsys, "mine", "--json")
    assert code == 0, err
    assert json.loads(out)["answer"] == result["answer"]


def test_the_answer_of_an_experiment_that_follows_a_run_is_told_below_the_figures_of_the_run(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipeline, "execute", lambda *_: Run(run))  # it has ended
    code, out, err = command(capsys, "run", "--resume", "mine", "--lift", "--json")
    assert code == 0, err
    document, answered = json.loads(out), Lift(run.lift, rundir.read_json(run.lift_result))
    assert document == {**Run(run).as_table(), "lift": answered.as_table()}
    code, out, err = command(capsys, "run", "--resume", "mine", "--lift")
    assert code == 0, err
    assert out.startswith(f"{Run(run).as_text()}\n\n{answered.answer}: AUROC ")


def test_an_experiment_that_follows_a_run_is_gone_on_with_alone(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "execute", lambda *_: Run(run))
    monkeypatch.setattr(pipeline, "train_gan", interrupted)
    code, out, err = command(capsys, "run", "--resume", "mine", "--lift")
    assert code == 130
    assert out == f"{Run(run).as_text()}\n"  # of hours that are over
    assert err.strip().endswith(f"go on with: dfukit lift {run.path}")


def test_a_fold_that_was_interrupted_keeps_the_steps_that_its_time_budget_became(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    def train(config: RunConfig, folder: RunDir, *others: object) -> None:
        """Interrupted when its budget has become steps."""
        asked.append((config.gan.budget, config.gan.steps))
        rundir.write_toml(folder.config, evolve(config, gan=evolve(config.gan, budget="", steps=3)).as_table())
        raise Interrupted("interrupted")

    monkeypatch.setattr(pipeline, "train_gan", train)
    for _ in range(2):
        assert lift(capsys, "mine", "--set", "gan.budget=1h")[0] == 130
    assert asked == [("1h", 4), ("", 3)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "gan.start_from=other"), "those weights may have seen the test patients"),
        (("--unseen",), "--unseen is for --real and --synthetic"),
        (("--positive", "infected"), "--positive is for --real and --synthetic"),
    ],
)
def test_what_a_run_has_settled_is_not_asked_again(
    run: RunDir, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = lift(capsys, "mine", *arguments)
    assert code == 2
    assert words in err


def test_a_refused_experiment_leaves_the_settings_of_the_one_that_is_there(tmp_path: Path) -> None:
    ask(tmp_path, 0, true_program, **QUICK)
    before = (tmp_path / "settings.toml").read_text()
    with pytest.raises(ConfigError, match="ratio"):
        ask(tmp_path, 0, true_program, **QUICK, **{"lift.ratio": 2.0})
    assert (tmp_path / "settings.toml").read_text() == before


def test_where_patients_are_guessed_the_answer_says_so(tmp_path: Path) -> None:
    case = rare_class(0)
    guessed, source = evolve(case.real, known=False), true_program(case, 0)
    result = experiment.run(settings(**QUICK), guessed, IMAGE, source, tmp_path, CPU, Silent())
    assert not result["patients_known"]
    assert "the patients are guessed by near-duplicates" in result["difference"]["covers"]
    assert "groups of near-duplicates, 2 folds" in Lift(tmp_path, result).as_text()


def test_a_run_that_could_not_be_asked_about_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dfukit", "run", "--lift", "--set", "gan.start_from=runs/first"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "ask `dfukit lift` about that run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a RUN, or two folders"),
        (("--real", "real"), "name a RUN, or two folders"),
        (("run", "--real", "real", "--synthetic", "drawn"), "name a RUN, or two folders"),
        (("--real", "real", "--synthetic", "drawn", "--set", "lift.arms=mirror"), "lift.arms"),
        (("--real", "real", "--synthetic", "drawn", "--set", 'lift.exploratory=["0"]'), "lift.exploratory: '0' must"),
        (
            ("--real", "real", "--synthetic", "drawn", "--set", 'lift.exploratory=["0.01"]'),
            "0.01 synthetic pictures for each real one do not fit into steps of",
        ),
        (("--real", "real", "--synthetic", "drawn", "--folds", 1), "lift.folds must be at least 2"),
        (("absent",), "absent is no run folder"),
        (("--real", "real", "--synthetic", "absent"), "absent"),
    ],
)
def test_wrong_options_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...], words: str
) -> None:
    code, out, err = lift(capsys, *arguments)
    assert code in (2, 3)
    assert out == ""
    assert words in err.splitlines()[-1]


def test_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = lift(capsys, "--real", "real", "--synthetic", "drawn", *CHEAP, "--dry-run")
    assert code == 0
    assert "8 trainings of 2 steps" in out
    assert not (folder / "lift").exists()


def test_a_taken_set_keeps_its_names() -> None:
    made = Synthetic(np.zeros((3, 2, 2, 3), np.uint8), np.array([0, 1, 0]), ["a", "b", "c"])
    assert made.take(np.array([True, False, True])).paths == ["a", "c"]
