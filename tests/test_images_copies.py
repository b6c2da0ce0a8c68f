"""Near-duplicates and burned-in print, on drawn pictures and, where they are at hand, on real ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from dfukit import images
from dfukit.images.burned import has_burned_in_text
from dfukit.images.duplicates import THUMBNAIL, clusters
from dfukit.sections import DataSettings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def blobs(seed: int) -> Image.Image:
    """Soft blobs of colour: as smooth as skin, another one for each seed."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(60, 200, (12, 12, 3), np.uint8)).resize(
        (256, 256), Image.Resampling.BICUBIC
    )
    return image.filter(ImageFilter.GaussianBlur(2))


def compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=15)
    return Image.open(buffer).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": compressed,
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "reduced": lambda image: image.resize((64, 64)).resize((256, 256)),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "half turn": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "three quarters": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "transposed": lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    "transversed": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_however_it_was_changed(how: str) -> None:
    pictures = [blobs(seed) for seed in range(20)]
    stack = np.stack([np.asarray(picture) for picture in [*pictures, *map(COPIES[how], pictures)]])
    found = clusters(images.resize(stack, THUMBNAIL))
    assert np.array_equal(found, np.tile(np.arange(20), 2))


def test_different_pictures_are_not_copies_and_blocks_do_not_matter() -> None:
    # More than two blocks of comparison, with a copy of a picture of the first in the last.
    random = np.random.default_rng(0)
    thumbnails = random.integers(0, 256, (2500, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    thumbnails[2400] = thumbnails[7][:, ::-1]
    thumbnails[2300] = thumbnails[2400]
    found = clusters(thumbnails)
    assert len(np.unique(found)) == 2498
    assert found[7] == found[2300] == found[2400]


def test_pictures_without_structure_are_not_copies_of_each_other() -> None:
    thumbnails = np.stack([np.full((THUMBNAIL, THUMBNAIL, 3), level, np.uint8) for level in (0, 90, 91, 255)])
    assert len(np.unique(clusters(thumbnails))) == 4


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six photographs, and a copy of one of them."""
    root = tmp_path / "feet"
    root.mkdir()
    for seed in range(6):
        blobs(seed).save(root / f"{seed}_.png")
    compressed(blobs(2)).save(root / "copy_.png")
    return root


def test_copies_are_one_patient_where_no_patient_is_known(six: Path) -> None:
    loaded = images.load(DataSettings(path=str(six)))
    assert loaded.groups[loaded.paths.index("2_.png")] == loaded.groups[loaded.paths.index("copy_.png")]
    assert len(loaded.patients) == 6
    assert loaded.check.duplicates == 1
    assert loaded.check.exact_duplicates == 0


def test_a_copy_that_no_csv_names_is_of_its_originals_patient(six: Path) -> None:
    table = six.with_name("patients.csv")
    table.write_text("path,patient\n" + "".join(f"{number}_.png,P{number}\n" for number in range(6)))
    loaded = images.load(DataSettings(path=str(six), patients=str(table)))
    assert loaded.patients[loaded.groups[loaded.paths.index("copy_.png")]] == "P2"


def test_a_copy_under_two_patients_is_a_warning(six: Path) -> None:
    check = images.inspect(DataSettings(path=str(six), patient_pattern="(.+)_"))
    assert any("1 photographs lie there, nearly alike, under several patients" in text for text in check.warnings)


@pytest.mark.parametrize("colour", ["white", "black", "yellow"])
@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("top", [8, 215])
def test_a_printed_date_is_seen(colour: str, size: int, top: int) -> None:
    image = blobs(1)
    ImageDraw.Draw(image).text((100, top), "2024-03-17", fill=colour, font=ImageFont.load_default(size))
    assert has_burned_in_text(np.asarray(image))


def test_smooth_pictures_and_noise_carry_no_print() -> None:
    assert not any(has_burned_in_text(np.asarray(blobs(seed))) for seed in range(20))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert not has_burned_in_text(noise)


def test_print_is_a_warning_of_the_check(tmp_path: Path) -> None:
    root = tmp_path / "feet"
    root.mkdir()
    for seed in range(4):
        blobs(seed).save(root / f"{seed}.png")
    dated = blobs(9)
    ImageDraw.Draw(dated).text((150, 225), "12/24/2017", fill="white", font=ImageFont.load_default(12))
    dated.save(root / "dated.png")
    check = images.inspect(DataSettings(path=str(root)))
    assert any(
        "1 pictures seem to carry a date or other print, for instance dated.png" in one for one in check.warnings
    )


def test_real_crops_have_no_near_duplicates_and_some_dates(shared: Path) -> None:
    check = images.inspect(DataSettings(path=str(shared / "data" / "roi")))
    assert check.usable == 740
    assert check.duplicates == 0
    (warning,) = [one for one in check.warnings if "date" in one]
    assert 25 <= int(warning.split()[0]) <= 40


def test_real_patches_keep_the_two_of_a_photograph_together(shared: Path) -> None:
    settings = DataSettings(
        path=str(shared / "data" / "patches"), positive="ulcer", patients=str(shared / "data" / "patches.csv")
    )
    loaded = images.load(settings)
    assert loaded.check.labels == {"skin": 524, "ulcer": 524}
    assert len(loaded.patients) == 524
    assert loaded.check.duplicates == 0
    split = images.make_split(loaded, settings)
    assert [abs(len(part) / 1048 - share) < 0.005 for part, share in ((split.train, 0.7), (split.test, 0.15))] == [
        True
    ] * 2
