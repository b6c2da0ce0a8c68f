"""The audit for copies finds planted ones, leaves honest pictures alone, and says how much it would have found."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen
from conftest import SHARED
from PIL import Image, ImageFilter

from dfukit import phantom
from dfukit.interfaces import Score, View
from dfukit.sections import DataSettings
from dfukit_copies import CopiesSettings
from dfukit_copies.alignment import Gallery
from dfukit_copies.audit import Copies
from dfukit_copies.features import nearest_ratio, relative_nearest
from dfukit_copies.planting import KINDS
from dfukit_copies.threshold import threshold

SIZE = 128
PLANTED = 40
"""Copies of each of the five kinds."""
QUICK = CopiesSettings(planted=10)
WELL_HIDDEN = ("cropped", "recompressed", "brighter or darker")


@frozen(eq=False)
class Sets:
    """Real pictures uint8 [N, 3, 128, 128] that no two parts have a patient of."""

    train: View
    held_out: View
    others: np.ndarray
    name: str


def chw(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def roi_crops() -> tuple[np.ndarray, np.ndarray]:
    """Real wound crops uint8 [N, S, S, 3] and their groups [N]."""
    folder = SHARED / "data" / "roi"
    with (SHARED / "data" / "roi.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    pixels = [Image.open(folder / Path(row["path"]).name).convert("RGB").resize((SIZE, SIZE)) for row in rows]
    return np.stack([np.asarray(one) for one in pixels]), np.unique(
        [row["group"] for row in rows], return_inverse=True
    )[1]


def phantoms() -> tuple[np.ndarray, np.ndarray]:
    images = phantom.image_set(evolve(DataSettings(), phantom_patients=250, phantom_pictures=3))
    return np.array(images.at(SIZE)), images.groups


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """The wound crops where they are at hand, else the phantom set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        real = (SHARED / "data" / "roi").is_dir()
        pixels, groups = roi_crops() if real else phantoms()
    order = np.random.default_rng(0).permutation(int(groups.max()) + 1)
    train, held_out, others = (
        np.isin(groups, part) for part in np.split(order, [len(order) * 4 // 10, len(order) // 2])
    )
    return Sets(
        View(pixels=chw(pixels[train]), groups=groups[train]),
        View(pixels=chw(pixels[held_out]), groups=groups[held_out]),
        pixels[others],
        "roi" if real else "phantom",
    )


def honest(pixels: np.ndarray, count: int) -> np.ndarray:
    """Pictures of nobody in the training part: as they are, and again cropped elsewhere, mirrored and not."""
    rng = np.random.default_rng(1)
    cropped = np.stack([KINDS["cropped"](picture, rng) for picture in pixels])
    made = np.concatenate([pixels, cropped, cropped[:, :, ::-1]])
    return made[np.sort(rng.permutation(len(made))[:count])]


@pytest.fixture(scope="module")
def planted(sets: Sets) -> tuple[np.ndarray, dict[str, range]]:
    """800 honest pictures and behind them 40 copies of each kind."""
    rng = np.random.default_rng(2)
    pictures, places = [honest(sets.others, 800)], {}
    assert sets.train.pixels is not None
    train = np.asarray(sets.train.pixels).transpose(0, 2, 3, 1)
    for kind, plant in KINDS.items():
        start = sum(map(len, pictures))
        places[kind] = range(start, start + PLANTED)
        pictures.append(np.stack([plant(train[i], rng) for i in rng.choice(len(train), PLANTED, replace=False)]))
    return chw(np.concatenate(pictures)), places


@pytest.fixture(scope="module")
def audited(sets: Sets, planted: tuple[np.ndarray, dict[str, range]]) -> Score:
    real = evolve(sets.train, held_out=sets.held_out)
    return Copies(CopiesSettings()).measure(real, View(pixels=planted[0]), np.random.default_rng(3))["copies"]


def found(score: Score, places: range) -> float:
    return len({one.fake for one in score.found} & set(places)) / len(places)


def test_exact_and_mirrored_copies_are_found(audited: Score, planted: tuple[np.ndarray, dict[str, range]]) -> None:
    for kind in ("exact", "mirrored"):
        assert found(audited, planted[1][kind]) >= 0.99


@pytest.mark.parametrize("kind", WELL_HIDDEN)
def test_copies_that_were_changed_are_found(
    audited: Score, planted: tuple[np.ndarray, dict[str, range]], kind: str
) -> None:
    assert found(audited, planted[1][kind]) >= 0.90


def test_honest_pictures_are_left_alone(audited: Score, planted: tuple[np.ndarray, dict[str, range]]) -> None:
    count = planted[1]["exact"].start
    assert count == 800
    assert found(audited, range(count)) <= 0.02


def test_the_power_that_it_states_is_the_power_that_it_has(
    audited: Score, planted: tuple[np.ndarray, dict[str, range]]
) -> None:
    power, places = audited.details["power"], planted[1]
    measured = {kind: found(audited, places[kind]) for kind in KINDS}
    assert power["all"]["value"] == pytest.approx(np.mean(list(measured.values())), abs=0.03)
    for kind, entry in power.items():
        low, high = entry["interval"]
        assert 0 <= low <= entry["value"] <= high <= 1, kind


def test_the_original_of_a_copy_and_what_was_done_to_it_are_named(sets: Sets) -> None:
    assert sets.train.pixels is not None
    pixels = np.asarray(sets.train.pixels)[:60]
    rng = np.random.default_rng(0)
    copies = [plant(pixels[7].transpose(1, 2, 0), rng) for plant in KINDS.values()]
    fake = View(pixels=np.concatenate([chw(np.stack(copies)), chw(sets.others[:20])]))
    score = Copies(QUICK).measure(View(pixels=pixels), fake, rng)["copies"]
    assert [(one.fake, one.real) for one in score.found] == [(i, 7) for i in range(5)]
    first, second, third, fourth, fifth = (one.how for one in score.found)
    assert (first, second, third, fourth) == ("identical", "mirrored", "cropped", "nearly identical")
    assert fifth == ("brighter" if copies[4].mean() > pixels[7].mean() else "darker")
    assert score.distances is not None
    assert score.distances[:5].max() < score.distances[5:].min()


def test_a_blurred_set_is_not_a_set_of_copies(sets: Sets) -> None:
    assert sets.train.pixels is not None
    blurred = [np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(3))) for one in sets.others[:200]]
    fake = View(pixels=chw(np.stack(blurred)))
    score = Copies(QUICK).measure(sets.train.take(range(100)), fake, np.random.default_rng(0))["copies"]
    assert score.value is not None
    assert score.value <= 0.02


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random pictures uint8 [n, 3, 32, 32] with nothing finer than 8 pixels."""
    coarse = [Image.fromarray(one) for one in rng.integers(0, 256, (n, 4, 4, 3), np.uint8)]
    return chw(np.stack([np.asarray(one.resize((32, 32), Image.Resampling.BICUBIC)) for one in coarse]))


def test_a_brighter_copy_is_called_brighter_and_a_darker_one_darker() -> None:
    rng = np.random.default_rng(0)
    real, others = smooth(rng, 60), smooth(rng, 20)
    lit = [(picture * gain).clip(0, 255).astype(np.uint8) for picture, gain in zip(real, (1.15, 0.85), strict=False)]
    fake = View(pixels=np.concatenate([np.stack(lit), others]))
    score = Copies(QUICK).measure(View(pixels=real, groups=np.arange(60)), fake, rng)["copies"]
    assert [(one.real, one.how) for one in score.found] == [(0, "brighter"), (1, "darker")]


def test_what_it_says_in_a_sentence() -> None:
    rng = np.random.default_rng(0)
    real, other = smooth(rng, 40), smooth(rng, 20)

    def said(fake: np.ndarray) -> Any:
        score = Copies(QUICK).measure(View(pixels=real), View(pixels=fake), np.random.default_rng(0))["copies"]
        return score.details["statement"]

    assert said(other) == "none found; the audit finds 100% of planted copies"
    some = np.concatenate([real[:3], other])
    assert said(some) == "3 of 23 pictures copy a training picture; the audit finds 100% of planted copies"


def test_too_few_training_pictures_are_a_reason_not_a_figure() -> None:
    few = View(pixels=np.zeros((9, 3, 16, 16), np.uint8))
    score = Copies(QUICK).measure(few, few, np.random.default_rng(0))["copies"]
    assert score.value is None
    assert score.reason == "needs at least 10 training pictures to set its threshold, got 9"


def test_pictures_of_one_patient_do_not_set_the_threshold(sets: Sets) -> None:
    """Visits of a patient are alike: taken for strangers, they would call every copy innocent."""
    assert sets.train.pixels is not None
    rng = np.random.default_rng(0)
    pixels = np.asarray(sets.train.pixels)[:60].transpose(0, 2, 3, 1)
    again = np.stack([KINDS["cropped"](picture, rng) for picture in pixels])
    both = chw(np.concatenate([pixels, again]))
    patients = np.tile(np.arange(60), 2)
    known, strangers = (
        Copies(QUICK).measure(View(pixels=both, groups=groups), View(pixels=both[:20]), rng)["copies"]
        for groups in (patients, np.arange(120))
    )
    assert known.value == 1.0
    assert known.details["thresholds"]["pixels"] > 5 * strangers.details["thresholds"]["pixels"]
    again = np.stack([KINDS["recompressed"](picture, rng) for picture in pixels])
    both = chw(np.concatenate([pixels, again]))
    unknown = Copies(QUICK).measure(View(pixels=both), View(pixels=both[:20]), rng)["copies"]
    assert unknown.value == 1.0  # near-duplicates stand for patients


def test_one_photograph_filed_under_two_patients_leaves_the_threshold_alone(sets: Sets) -> None:
    assert sets.train.pixels is not None
    pixels = np.array(sets.train.pixels[:80])
    pixels[41] = pixels[3]

    def audited(groups: np.ndarray, pixels: np.ndarray) -> Score:
        return Copies(QUICK).measure(
            View(pixels=pixels[:60], groups=groups[:60], held_out=View(pixels=pixels[60:], groups=groups[60:])),
            View(pixels=chw(sets.others[:20])),
            np.random.default_rng(0),
        )["copies"]

    one = audited(np.where(np.arange(80) == 41, 3, np.arange(80)), pixels)  # filed rightly
    two = audited(np.arange(80), pixels)
    assert two.details["thresholds"] == one.details["thresholds"]
    assert "; 2 near-duplicates of other patients' pictures are not" in two.details["calibrated_on"]
    pixels[70] = pixels[5]  # of the training part and of the held-out part
    assert audited(np.arange(80), pixels).details["thresholds"]["pixels"] > two.details["thresholds"]["pixels"] / 2


def test_alignment_finds_the_crop(sets: Sets) -> None:
    assert sets.train.pixels is not None
    pixels = np.asarray(sets.train.pixels)[:50]
    side, top, left = 109, 5, 12
    cut = pixels[3, :, top : top + side, left : left + side].transpose(1, 2, 0)
    picture = np.asarray(Image.fromarray(cut).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    matches = Gallery(pixels).match(chw(picture[None]))
    assert matches.index[0] == 3
    assert matches.distance[0] < 0.02
    assert matches.scale[0] == pytest.approx(side / SIZE, abs=0.03)
    assert matches.corner[0] == pytest.approx([top / SIZE, left / SIZE], abs=0.03)


def test_a_picture_of_one_colour_is_like_nothing() -> None:
    flat = np.full((12, 3, 32, 32), 90, np.uint8)
    assert Gallery(flat).match(flat).similarity == pytest.approx(np.zeros(12))


def test_the_threshold_extrapolates_an_exponential_tail() -> None:
    rng = np.random.default_rng(0)
    limits = [threshold(rng.uniform(0, 1, 400), 0.0025) for _ in range(200)]
    assert np.median(limits) == pytest.approx(0.0025, rel=0.2)


def features(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 12))


def test_the_nearest_ratio_is_one_for_strangers_and_falls_with_what_was_learnt_by_heart() -> None:
    rng = np.random.default_rng(0)
    train, held_out = features(rng, 200), features(rng, 60)
    groups = np.arange(200), 200 + np.arange(60)
    strangers = nearest_ratio(features(rng, 150), train, held_out, *groups, rng)
    assert strangers.expected[0] < strangers.value < strangers.expected[1]
    learnt = train[:150] + rng.normal(0, 0.4, (150, 12))
    by_heart = nearest_ratio(learnt, train, held_out, *groups, rng)
    assert by_heart.value < by_heart.expected[0]
    assert by_heart.interval[0] <= by_heart.value <= by_heart.interval[1]


def test_the_nearest_ratio_of_held_out_pictures_themselves_is_a_number() -> None:
    rng = np.random.default_rng(0)
    train, held_out = features(rng, 60), features(rng, 20)
    ratio = nearest_ratio(held_out, train, held_out, np.arange(60), 60 + np.arange(20), rng)
    assert ratio.value == 1e6
    assert np.isfinite([*ratio.interval, *ratio.expected]).all()


def test_the_nearest_ratio_draws_on_all_subsets_of_the_training_part() -> None:
    rng = np.random.default_rng(0)
    fake, train, held_out = features(rng, 30), features(rng, 40), features(rng, 10)
    ratio = nearest_ratio(fake, train, held_out, np.arange(40), 40 + np.arange(10), rng)
    apart = np.linalg.norm(fake[:, None] - train[None], axis=2)
    drawn = np.mean([apart[:, rng.permutation(40)[:10]].min(1) for _ in range(4000)], 0)
    direct = np.median(drawn / np.linalg.norm(fake[:, None] - held_out[None], axis=2).min(1))
    assert ratio.value == pytest.approx(direct, rel=0.02)


def test_a_copy_in_feature_space_is_flagged_though_its_pixels_say_nothing() -> None:
    rng = np.random.default_rng(0)
    pixels, other = rng.integers(0, 256, (2, 60, 3, 16, 16)).astype(np.uint8)
    train, made = features(rng, 60), features(rng, 60)
    made[4] = train[9] + 1e-3
    score = Copies(QUICK).measure(View(train, None, pixels), View(made, None, other), rng)["copies"]
    assert [(one.fake, one.real, one.how) for one in score.found] == [(4, 9, "alike in features")]


def test_held_out_pictures_that_lie_nearer_lower_both_thresholds() -> None:
    rng = np.random.default_rng(0)
    pixels, others, made = smooth(rng, 60), smooth(rng, 20), smooth(rng, 20)
    train, unseen = features(rng, 60), features(rng, 20)
    real = View(train, None, pixels, groups=np.arange(60))
    nearer = View(  # not so near that they pass for the same patients'
        0.55 * train[:20] + 0.45 * unseen,
        None,
        (0.55 * pixels[:20] + 0.45 * others).astype(np.uint8),
        groups=100 + np.arange(20),
    )
    settings = evolve(QUICK, false_alarms=0.001)
    alone, beside = (
        Copies(settings).measure(view, View(features(rng, 20), None, made), rng)["copies"].details
        for view in (real, evolve(real, held_out=nearer))
    )
    assert beside["calibrated_on"] == "60 training pictures against those of other patients, and 20 held-out pictures"
    for space in ("pixels", "features"):
        assert beside["thresholds"][space] < 0.9 * alone["thresholds"][space]


def test_false_alarms_are_held_out_pictures_below_either_threshold() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (320, 3, 16, 16)).astype(np.uint8)
    train, unseen = rng.normal(size=(200, 16)), rng.normal(size=(60, 16))
    unseen[:3] = train[:3] + rng.normal(0, 0.3, (3, 16))
    real = View(train, None, pixels[:200], held_out=View(unseen, None, pixels[200:260]))
    score = Copies(QUICK).measure(real, View(unseen[3:], None, pixels[263:]), rng)["copies"]
    limit = score.details["thresholds"]["features"]
    assert (relative_nearest(unseen, train)[0] < limit).sum() == 3
    assert score.details["false_alarms"]["value"] == score.real_vs_real == 3 / 60


def test_relative_distances_leave_out_what_is_excluded() -> None:
    rng = np.random.default_rng(0)
    points = features(rng, 60)
    ratios, places = relative_nearest(points, points, np.arange(60), np.arange(60))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(60, np.inf))
    nearest = np.sort(apart, 1)
    assert places.tolist() == apart.argmin(1).tolist()
    assert ratios == pytest.approx(nearest[:, 0] / nearest[:, 1:51].mean(1))
