"""The estimated skin tone, and whom a generator draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.color import rgb2lab

from dfukit import coverage, phantom, rundir
from dfukit.clinical import skin
from dfukit.images import from_arrays, make_split
from dfukit.phantom.surface import SKIN
from dfukit.phantom.traits import draw_traits, is_infected
from dfukit.rundir import RunDir
from dfukit.sample import Samples
from dfukit.sections import DataSettings


def card(colour: tuple[int, int, int], size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def angle(picture: np.ndarray) -> float:
    return float(skin.typology_angles([picture])[0])


def test_lab_is_scikit_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    assert skin.lab(pixels) == pytest.approx(rgb2lab(pixels), abs=0.02)


@pytest.mark.parametrize(("degrees", "bin"), [(60, "very light"), (55, "light"), (28.1, "intermediate"), (28, "tan")])
def test_bins_are_those_of_the_literature(degrees: float, bin: str) -> None:
    assert skin.tone(degrees) == bin
    assert [skin.tone(low) for low in (10, -30, float("nan"))] == ["brown", "dark", "no estimate"]


def test_a_card_of_skin_has_the_angle_of_its_colour() -> None:
    for colour in SKIN:
        lightness, _, b = rgb2lab(np.array(colour, np.uint8))
        assert angle(card(colour)) == pytest.approx(np.degrees(np.arctan((lightness - 50) / b)), abs=0.1)
    assert [skin.tone(angle(card(colour))) for colour in (SKIN[0], SKIN[3], SKIN[5])] == ["very light", "tan", "dark"]


def test_the_wound_in_the_middle_and_the_cloth_beside_it_do_not_count() -> None:
    picture = card(SKIN[2])
    bare = angle(picture)
    picture[16:48, 16:48] = (150, 30, 30)
    picture[:, :8] = (108, 135, 163)
    assert angle(picture) == pytest.approx(bare, abs=0.1)


@pytest.mark.parametrize("colour", [(108, 135, 163), (230, 230, 225), (0, 0, 0), (150, 30, 30)])
def test_cloth_paper_darkness_and_blood_give_no_estimate(colour: tuple[int, int, int]) -> None:
    assert np.isnan(angle(card(colour)))


def test_the_size_of_a_picture_changes_little() -> None:
    small, large = (angle(phantom.draw_patient(0, 1, 1, size)[0][0]) for size in (64, 256))
    assert small == pytest.approx(large, abs=6)


def test_estimates_follow_the_tones_of_the_phantom_set() -> None:
    tones, angles = [], []
    for patient in range(60):
        pictures, _ = phantom.draw_patient(0, patient, 1, 64)
        traits = draw_traits(np.random.default_rng([0, 1, patient]), is_infected(0, patient))
        tones.append(traits.tone)
        angles.append(angle(pictures[0]))
    assert np.isfinite(angles).all()
    assert spearmanr(tones, angles)[0] < -0.9


def covered(folder: Path, synthetic: list[int], monkeypatch: pytest.MonkeyPatch) -> dict:
    """skin-tones.json where training pictures have all tones, and synthetic ones those of `synthetic`."""
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(folder / "cache"))
    count = 240
    labels = np.arange(count) % 2
    cards = np.stack([card(SKIN[place // 2 % 6], 256) for place in range(count)])
    cards[:, 128, 128, 0] = np.arange(count)  # files of equal content stay in one part
    images = from_arrays(
        "cards",
        cards,
        labels,
        np.arange(count),
        ("infected", "other"),
        "infected",
        [f"{place}.png" for place in range(count)],
        [str(place) for place in range(count)],
        phantom=True,
    )
    pixels = np.stack([card(SKIN[synthetic[place % len(synthetic)]], 32) for place in range(60)])
    samples = Samples(pixels, np.zeros(60, np.int64), images.classes, 0, "made by a test")
    run = RunDir(folder)
    coverage.write(run, images, make_split(images, DataSettings()), samples, 32)
    return rundir.read_json(run.skin_tones)


def test_a_generator_that_draws_light_skin_alone_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = covered(tmp_path, [0, 1], monkeypatch)
    assert found["fewer"] == ["light", "tan", "brown", "dark"]
    assert found["synthetic"]["shares"]["dark"]["value"] == 0
    assert found["training"]["shares"]["dark"]["interval"][0] > 0
    for part in ("training", "synthetic"):
        assert sum(share["value"] for share in found[part]["shares"].values()) == pytest.approx(1)


def test_a_generator_that_draws_everybody_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert covered(tmp_path, list(range(6)), monkeypatch)["fewer"] == []
