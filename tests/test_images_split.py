"""The split: by patient, stratified, in the wanted shares, and the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfukit import images
from dfukit.errors import ConfigError, DataError
from dfukit.sections import DataSettings

SHARES = np.array([0.70, 0.15, 0.15])


def image_set(
    labels: np.ndarray, groups: np.ndarray, assigned: np.ndarray | None = None, content: np.ndarray | None = None
) -> images.ImageSet:
    """An image set as the split reads it: its pixels do not matter and are one grey picture."""
    numbers = np.arange(len(labels)) if content is None else content
    classes = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    return images.ImageSet(
        name="made up",
        phantom=False,
        classes=classes,
        positive=None,
        paths=[f"{i}.png" for i in range(len(labels))],
        sha256=[f"{number:064x}" for number in numbers],
        labels=labels.astype(np.int64),
        groups=groups.astype(np.int64),
        patients=[f"patient {group}" for group in range(int(groups.max()) + 1)],
        patients_known=True,
        pixels=np.broadcast_to(np.uint8(128), (len(labels), 256, 256, 3)),
        check=images.DataCheck(
            name="made up",
            usable=len(labels),
            labels={},
            excluded=(),
            patients=0,
            patients_known=True,
            duplicates=0,
            exact_duplicates=0,
            sizes={},
            shapes={},
            formats={},
            warnings=(),
            cache="",
        ),
        assigned=assigned,
        stem=Path("nowhere"),
    )


def parts_of(split: images.Split) -> np.ndarray:
    """The part [N] of each picture as a number; fails where a picture is in no part or in two."""
    everything = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(everything), np.arange(len(everything)))
    parts = np.empty(len(everything), np.int64)
    for number, index in enumerate((split.train, split.validation, split.test)):
        assert (np.diff(index) > 0).all()
        parts[index] = number
    return parts


@st.composite
def made_up(draw: Callable[..., int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] and patients [N]: 1 to 4 classes, 3 to 150 patients with 1 to 12 pictures, of one class or several."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes = draw(st.integers(1, 4))
    patients = draw(st.sampled_from([3, 4, 5, 7, 10, 20, 50, 150]))
    most = draw(st.sampled_from([1, 2, 12]))
    mixed = draw(st.sampled_from([0, 0, 20, 100])) / 100
    rarity = draw(st.sampled_from([1, 3]))
    chances = np.arange(1, classes + 1, dtype=float) ** rarity
    labels, groups = [], []
    for patient in range(patients):
        own = random.choice(classes, p=chances / chances.sum())
        for _ in range(random.integers(1, most + 1)):
            labels.append(random.integers(classes) if random.random() < mixed else own)
            groups.append(patient)
    numbers = np.unique(labels, return_inverse=True)[1]
    return numbers.reshape(-1), np.array(groups)


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(made_up(), st.integers(0, 1000))
def test_no_patient_is_on_two_sides_and_the_shares_are_kept(made: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, groups = made
    parts = parts_of(images.make_split(image_set(labels, groups), DataSettings(split_seed=seed)))
    assert all(len(np.unique(parts[groups == group])) == 1 for group in np.unique(groups))
    counts = np.array([np.bincount(labels[groups == group], minlength=labels.max() + 1) for group in np.unique(groups)])
    part_of_patient = np.array([parts[groups == group][0] for group in np.unique(groups)])
    alone = ((counts > 0).sum(1) == 1).all()
    for label in range(counts.shape[1]):
        has = counts[:, label] > 0
        patients = np.array([(part_of_patient[has] == part).sum() for part in range(3)])
        pictures = np.array([counts[part_of_patient == part, label].sum() for part in range(3)])
        # What cannot be divided is a patient: shares of a class are kept to within three of its largest.
        assert np.abs(patients - SHARES * has.sum()).max() <= 3
        assert np.abs(pictures - SHARES * pictures.sum()).max() <= 3 * counts[:, label].max()
        if alone and has.sum() >= 3:
            assert (patients > 0).all()


def test_each_patient_alone_gives_the_shares_exactly() -> None:
    labels = np.repeat([0, 1], [200, 100])
    parts = parts_of(images.make_split(image_set(labels, np.arange(300)), DataSettings()))
    assert [np.bincount(parts[labels == label]).tolist() for label in (0, 1)] == [[140, 30, 30], [70, 15, 15]]


def test_the_split_depends_on_its_seed_and_nothing_else() -> None:
    made = image_set(np.arange(90) % 2, np.arange(90))
    first = parts_of(images.make_split(made, DataSettings()))
    assert np.array_equal(first, parts_of(images.make_split(made, DataSettings())))
    assert not np.array_equal(first, parts_of(images.make_split(made, DataSettings(split_seed=1))))


def test_the_names_of_the_parts_follow_the_pictures() -> None:
    split = images.make_split(image_set(np.zeros(20, np.int64), np.arange(20)), DataSettings())
    assert [split.part_of()[i] for i in (*split.train[:1], *split.validation[:1], *split.test[:1])] == [
        "train",
        "validation",
        "test",
    ]


def test_other_shares_are_kept() -> None:
    settings = DataSettings(train=0.5, validation=0.3)
    parts = parts_of(images.make_split(image_set(np.zeros(100, np.int64), np.arange(100)), settings))
    assert np.bincount(parts).tolist() == [50, 30, 20]


@pytest.mark.parametrize(("train", "validation"), [(0.9, 0.1), (0.9, 0.3), (1.0, 0.0), (0.8, 0.0)])
def test_shares_that_leave_nothing_are_a_configuration_error(train: float, validation: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.train = .* must both leave something"):
        images.make_split(
            image_set(np.zeros(9, np.int64), np.arange(9)), DataSettings(train=train, validation=validation)
        )


def test_two_patients_cannot_be_split() -> None:
    with pytest.raises(DataError, match="2 patients cannot be split into three parts"):
        images.make_split(image_set(np.zeros(8, np.int64), np.arange(8) % 2), DataSettings())


def test_three_patients_of_a_class_reach_all_parts() -> None:
    labels = np.repeat([0, 1], [97, 3])
    parts = parts_of(images.make_split(image_set(labels, np.arange(100)), DataSettings()))
    assert sorted(parts[97:]) == [0, 1, 2]


def test_two_patients_of_a_class_go_to_training_and_test() -> None:
    labels = np.repeat([0, 1], [98, 2])
    parts = parts_of(images.make_split(image_set(labels, np.arange(100)), DataSettings()))
    assert sorted(parts[98:]) == [0, 2]


def test_equal_files_of_two_patients_stay_together() -> None:
    content = np.arange(60) % 30
    parts = parts_of(
        images.make_split(image_set(np.zeros(60, np.int64), np.arange(60), content=content), DataSettings())
    )
    assert np.array_equal(parts[:30], parts[30:])


def test_a_split_column_is_honoured() -> None:
    assigned = np.arange(30) % 3
    made = image_set(np.zeros(30, np.int64), np.arange(30), assigned)
    assert np.array_equal(parts_of(images.make_split(made, DataSettings())), assigned)


def test_pictures_without_a_part_fill_up_the_parts() -> None:
    assigned = np.full(100, -1)
    assigned[:40] = 0
    made = image_set(np.zeros(100, np.int64), np.arange(100), assigned)
    parts = parts_of(images.make_split(made, DataSettings()))
    assert (parts[:40] == 0).all()
    assert np.bincount(parts).tolist() == [70, 15, 15]


def test_a_patient_follows_its_assigned_pictures() -> None:
    assigned = np.full(40, -1)
    assigned[::2] = np.arange(20) % 3
    made = image_set(np.zeros(40, np.int64), np.arange(40) // 2, assigned)
    assert np.array_equal(parts_of(images.make_split(made, DataSettings())), np.repeat(np.arange(20) % 3, 2))


def test_a_patient_in_two_parts_of_the_column_is_an_error() -> None:
    assigned = np.array([0, 1, 2, 0, 1, 1])
    made = image_set(np.zeros(6, np.int64), np.array([0, 1, 2, 3, 4, 3]), assigned)
    with pytest.raises(DataError, match="puts patient 'patient 3' into train and validation"):
        images.make_split(made, DataSettings())


def test_equal_files_of_two_patients_in_two_parts_of_the_column_are_an_error() -> None:
    made = image_set(
        np.zeros(6, np.int64), np.arange(6), np.array([0, 2, 1, 0, 1, 2]), content=np.array([0, 0, 2, 3, 4, 5])
    )
    with pytest.raises(DataError, match=r"puts 0\.png into train and 1\.png into test, whose patients share a file"):
        images.make_split(made, DataSettings())


def test_near_duplicates_in_two_parts_of_the_column_are_an_error_that_asks_for_patients() -> None:
    made = image_set(np.zeros(6, np.int64), np.array([0, 1, 2, 3, 4, 3]), np.array([0, 1, 2, 0, 1, 1]))
    with pytest.raises(DataError, match="where no patient is known, near-duplicates count as one: give --patients"):
        images.make_split(evolve(made, patients_known=False), DataSettings())


def test_a_column_without_test_pictures_is_an_error() -> None:
    made = image_set(np.zeros(6, np.int64), np.arange(6), np.arange(6) % 2)
    with pytest.raises(DataError, match="leaves the test part empty: leave the split of some rows empty"):
        images.make_split(made, DataSettings())


def test_the_split_of_a_run_is_read_again_on_the_same_pictures(tmp_path: Path) -> None:
    made = image_set(np.zeros(20, np.int64), np.arange(20))
    split = images.make_split(made, DataSettings())
    images.write_split(tmp_path / "split.csv", made, split)
    assert np.array_equal(parts_of(images.read_split(tmp_path / "split.csv", made)), parts_of(split))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.where(np.arange(20) == 7, 99, np.arange(20)), r"7\.png has changed since mine was made"),
        (np.arange(21), r"20\.png is new since mine was made: take it out of the folder, or"),
        (np.arange(19), r"19\.png is gone since mine was made: restore the pictures, or"),
    ],
)
def test_pictures_that_changed_came_or_went_since_a_run_was_made_are_named(
    tmp_path: Path, content: np.ndarray, said: str
) -> None:
    table = tmp_path / "mine" / "split.csv"
    made = image_set(np.zeros(20, np.int64), np.arange(20))
    table.parent.mkdir()
    images.write_split(table, made, images.make_split(made, DataSettings()))
    others = image_set(np.zeros(len(content), np.int64), np.arange(len(content)), content=content)
    with pytest.raises(DataError, match=said):
        images.read_split(table, others)


def test_labels_that_changed_since_a_run_was_made_are_named_unless_they_may(tmp_path: Path) -> None:
    made = image_set(np.arange(20) % 2, np.arange(20))
    split = images.make_split(made, DataSettings())
    images.write_split(tmp_path / "split.csv", made, split)
    labels = made.labels.copy()
    labels[7] = 0
    other = evolve(made, labels=labels)
    with pytest.raises(DataError, match=r"7\.png was labelled 'class 1' when .* was made, and is 'class 0' now"):
        images.read_split(tmp_path / "split.csv", other)
    assert np.array_equal(parts_of(images.read_split(tmp_path / "split.csv", other, relabelled=True)), parts_of(split))


@pytest.mark.parametrize("part", ["training", ""])
def test_a_part_that_is_none_is_named(tmp_path: Path, part: str) -> None:
    made = image_set(np.zeros(20, np.int64), np.arange(20))
    images.write_split(tmp_path / "split.csv", made, images.make_split(made, DataSettings()))
    table = (tmp_path / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(table.replace(",train\n", f",{part}\n", 1))
    with pytest.raises(DataError, match=f"into '{part}', which is none of train, validation, test"):
        images.read_split(tmp_path / "split.csv", made)
