"""Further columns of a manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfukit import images
from dfukit.images import ImageSet
from dfukit.sections import DataSettings


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))


def loaded(root: Path, header: tuple[str, ...], *rows: tuple[str, ...]) -> ImageSet:
    """A folder with one picture for each row, whose manifest lists them in turn with these further values."""
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    with (root / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "patient", *header))
        for number, row in enumerate(rows):
            path = f"{number:02d}.png"
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(root / path)
            table.writerow((path, ("infected", "other")[number % 2], f"p{number}", *row))
    return images.load(DataSettings(path=str(root)))


def test_each_picture_has_its_values(tmp_path: Path) -> None:
    rows = [("north", "f"), ("south", "m"), ("south", "f"), ("north", "m")]
    found = loaded(tmp_path / "set", ("Site", " sex "), *rows).columns
    assert found.kept["site"].of(np.arange(4)) == ["north", "south", "south", "north"]
    assert found.kept["sex"].of(np.array([3, 0])) == ["m", "f"]
    assert found.left_out == {}


def test_a_column_of_many_values_or_of_one_is_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = [(str(40 + number), "camera", str(number % 12)) for number in range(14)]
    found = loaded(tmp_path / "set", ("age", "device", "ward"), *rows).columns
    assert found.left_out == {"age": "more than 12 values", "device": "one value only"}
    assert set(found.kept) == {"ward"}


def test_an_empty_value_is_not_given(tmp_path: Path) -> None:
    found = loaded(tmp_path / "set", ("sex",), ("f",), ("",), ("f",), ("m",)).columns
    assert found.kept["sex"].of(np.arange(4)) == ["f", "not given", "f", "m"]


def test_a_picture_that_cannot_be_used_shifts_nothing(tmp_path: Path) -> None:
    root = tmp_path / "set"
    loaded(root, ("site",), ("a",), ("b",), ("c",), ("d",), ("a",))
    (root / "01.png").write_bytes(b"no picture")
    found = images.load(DataSettings(path=str(root)))
    assert found.columns.kept["site"].of(np.arange(4)) == ["a", "c", "d", "a"]


def test_columns_that_say_how_a_picture_is_used_make_no_groups(tmp_path: Path) -> None:
    rows = [("train",), ("train",), ("test",), ("test",), ("validation",), ("validation",)]
    assert loaded(tmp_path / "set", ("split",), *rows).columns.kept == {}


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    root = tmp_path / "set"
    loaded(root, ("site",), ("a",), ("b",), ("a",))
    (root / "manifest.csv").unlink()
    assert images.load(DataSettings(path=str(root))).columns.kept == {}
