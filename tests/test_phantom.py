"""The phantom set: made-up pictures that are drawn from a seed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dfukit.errors import ConfigError, DataError
from dfukit.phantom import CLASSES, draw_patient, draw_set, image_set, write_folder
from dfukit.phantom.traits import draw_traits, is_infected
from dfukit.sections import DataSettings


def test_a_set_has_one_row_for_each_picture() -> None:
    pixels, labels, groups = draw_set(patients=4, pictures=2, seed=3, size=48)
    assert (pixels.shape, pixels.dtype) == ((8, 48, 48, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((8,), np.int64)
    assert groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_same_seed_draws_the_same_bytes() -> None:
    first, second = (draw_set(patients=2, pictures=2, seed=5, size=64)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [8, 33, 256])
def test_a_picture_of_any_size_is_drawn_without_a_numerical_warning(size: int) -> None:
    for patient in range(4):
        pixels, _ = draw_patient(0, patient, pictures=1, size=size)
        assert pixels.shape == (1, size, size, 3)


def test_another_seed_draws_other_pictures() -> None:
    assert not np.array_equal(draw_set(2, 1, seed=0, size=32)[0], draw_set(2, 1, seed=1, size=32)[0])


def test_a_patient_does_not_depend_on_how_many_there_are() -> None:
    few, many = draw_set(2, 2, seed=9, size=32), draw_set(5, 2, seed=9, size=32)
    assert all(np.array_equal(small, large[:4]) for small, large in zip(few, many, strict=True))


def test_a_picture_does_not_depend_on_how_many_follow() -> None:
    assert np.array_equal(draw_patient(0, 7, pictures=1, size=32)[0], draw_patient(0, 7, pictures=3, size=32)[0][:1])


def test_a_patient_has_one_class_and_pictures_that_differ() -> None:
    pixels, labels, groups = draw_set(patients=6, pictures=3, seed=2, size=32)
    for patient in range(6):
        own = groups == patient
        assert len(set(labels[own])) == 1
        assert len({picture.tobytes() for picture in pixels[own]}) == 3


def test_pictures_of_a_patient_are_more_alike_than_pictures_of_two() -> None:
    pixels, _, groups = draw_set(patients=30, pictures=2, seed=1, size=32)
    colour = pixels.reshape(len(pixels), -1, 3).mean(1)
    distance = np.linalg.norm(colour[:, None] - colour[None], axis=-1)
    same = groups[:, None] == groups[None]
    assert distance[same & ~np.eye(len(same), dtype=bool)].mean() < 0.8 * distance[~same].mean()


@pytest.mark.parametrize("seed", range(20))
def test_six_patients_hold_both_classes(seed: int) -> None:
    assert {is_infected(seed, patient) for patient in range(6)} == {True, False}


def test_forty_to_fifty_percent_are_infected() -> None:
    for seed in range(20):
        assert 0.40 <= np.mean([is_infected(seed, patient) for patient in range(120)]) <= 0.50


def test_the_wound_is_in_the_middle() -> None:
    pixels, _, _ = draw_set(patients=40, pictures=1, seed=0, size=64)
    around = pixels[:, 24:40, 24:40].astype(float).std(axis=(1, 2)).mean()
    beside = pixels[:, 8:24, 24:40].astype(float).std(axis=(1, 2)).mean()
    assert around > 1.2 * beside


def test_the_severity_of_the_classes_overlaps() -> None:
    infected = [is_infected(4, patient) for patient in range(400)]
    severity = [draw_traits(np.random.default_rng(k), infected[k]).severity for k in range(400)]
    assert 0.90 < roc_auc_score(infected, severity) < 0.98


def test_colours_tell_the_classes_apart_but_not_always() -> None:
    pixels, labels, groups = draw_set(patients=200, pictures=1, seed=11, size=32)
    infected = labels == CLASSES.index("infected")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = cross_val_predict(
        classifier, ring_colours(pixels), infected, groups=groups, cv=GroupKFold(5), method="predict_proba"
    )
    assert 0.65 < roc_auc_score(infected, scores[:, 1]) < 0.95


def ring_colours(pixels: np.ndarray) -> np.ndarray:
    """Mean and spread of brightness, red:green and green:blue in rings around the middle."""
    red, green, blue = np.moveaxis(np.log(pixels / 255 + 0.02), -1, 0)
    channels = np.stack([red + green + blue, red - green, green - blue], axis=-1)
    axis = np.linspace(-1, 1, pixels.shape[1])
    radius = np.hypot(axis[:, None], axis[None, :])
    rings = [channels[:, (radius >= inner) & (radius < inner + 0.2)] for inner in (0, 0.2, 0.4, 0.6, 0.8)]
    return np.concatenate([statistic(ring, axis=1) for ring in rings for statistic in (np.mean, np.std)], axis=1)


def test_a_folder_has_a_folder_for_each_label_and_a_manifest(tmp_path: Path) -> None:
    write_folder(tmp_path, patients=3, pictures=2, seed=0, size=40)
    with (tmp_path / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == [f"patient_000{k}" for k in (1, 1, 2, 2, 3, 3)]
    assert rows[0]["path"] == f"{rows[0]['label']}/patient_0001_1.png"
    assert {row["label"] for row in rows} == set(CLASSES)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert files == {row["path"] for row in rows}


def test_a_folder_holds_the_pixels_of_the_set(tmp_path: Path) -> None:
    write_folder(tmp_path, patients=1, pictures=1, seed=6, size=40)
    pixels, label = draw_patient(6, 0, pictures=1, size=40)
    with Image.open(tmp_path / label / "patient_0001_1.png") as picture:
        assert np.array_equal(np.asarray(picture), pixels[0])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(DataError, match="file cannot be written"):
        write_folder(tmp_path / "file", patients=1, pictures=1, seed=0, size=16)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSettings:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path))
    return DataSettings(phantom_patients=6, phantom_pictures=2, split_seed=3)


def test_the_image_set_holds_the_drawn_pictures(settings: DataSettings) -> None:
    pictures = image_set(settings)
    pixels, labels, groups = draw_set(patients=6, pictures=2, seed=3)
    assert np.array_equal(pictures.pixels, pixels)
    assert np.array_equal(pictures.labels, labels)
    assert np.array_equal(pictures.groups, groups)
    assert (pictures.name, pictures.phantom, pictures.positive) == ("phantom", True, "infected")
    assert pictures.patients[groups[3]] == "patient_0002"
    assert pictures.paths[3] == f"{CLASSES[labels[3]]}/patient_0002_2.png"


def test_a_second_start_draws_nothing(settings: DataSettings) -> None:
    drawn: list[tuple[int, int]] = []
    first = image_set(settings, lambda done, of: drawn.append((done, of)))
    assert drawn[-1] == (6, 6)
    drawn.clear()
    second = image_set(settings, lambda done, of: drawn.append((done, of)))
    assert not drawn
    assert np.array_equal(first.pixels, second.pixels)


def test_a_torn_cache_is_drawn_again(settings: DataSettings, tmp_path: Path) -> None:
    whole = image_set(settings).pixels.copy()
    (file,) = tmp_path.rglob("pixels.u8")
    file.write_bytes(file.read_bytes()[:1000])
    assert np.array_equal(image_set(settings).pixels, whole)


def test_an_interrupted_drawing_leaves_no_cache(settings: DataSettings, tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_set(settings, interrupt)
    assert not list(tmp_path.rglob("pixels*"))


def test_an_unknown_positive_class_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gangrene"):
        image_set(DataSettings(positive="gangrene"), lambda done, of: pytest.fail("drawn"))
