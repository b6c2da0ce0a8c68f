"""What a synthetic picture says of itself, and how it is found again."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfukit import config, manifest, provenance, registry, weights
from dfukit.component import ImageSpec
from dfukit.rundir import RunDir
from dfukit.sample import LoadedGenerator, load_generator, read_samples
from dfukit.weights import Description

CLASSES = ("Füße", "infected")
DIGITAL_SOURCE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


@pytest.fixture
def generator(tmp_path: Path) -> LoadedGenerator:
    """A small untrained generator, saved and loaded."""
    tables = {"generator": {"name": "lstm_wgan", "lstm_hidden": 8, "lstm_layers": 1}}
    resolved = config.resolve(registry.load(), preset="smoke", flags=tables)
    description = Description(resolved.generator, ImageSpec(16, 3, CLASSES, "infected"))
    torch.manual_seed(0)
    weights.write(tmp_path / "generator.safetensors", description.build(), description)
    return load_generator(tmp_path)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_picture_says_in_xmp_that_a_model_made_it(generator: LoadedGenerator, tmp_path: Path) -> None:
    generator.sample(2).save(tmp_path / "set")
    for path in (tmp_path / "set").rglob("*.png"):
        packet = Image.open(path).info["XML:com.adobe.xmp"]
        (source,) = ElementTree.fromstring(packet.partition("?>")[2].rpartition("<?xpacket")[0]).iter(DIGITAL_SOURCE)
        assert source.text == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        assert Image.open(path).info["xmp"] == packet.encode()  # Pillow itself takes it for XMP


def test_a_picture_says_which_generator_drew_it_and_how(generator: LoadedGenerator, tmp_path: Path) -> None:
    generator.sample(3, seed=7).save(tmp_path / "set")
    digest = provenance.file_sha256(tmp_path / "generator.safetensors")
    for row in rows_of(tmp_path / "set" / manifest.FILE):
        with Image.open(tmp_path / "set" / row["path"]) as picture:
            said = json.loads(picture.info["dfukit"])
            assert picture.info["Software"] == "dfukit"
            assert "shows no patient" in picture.info["Description"]
            assert not picture.getexif()
        assert said.pop("version")
        assert said == {
            "run": digest[:16],
            "component": "lstm_wgan",
            "package": "dfukit",
            "seed": 7,
            "number": int(row["number"]),
            "label": row["label"],
        }


def test_a_generator_in_memory_is_named_as_its_file_is(generator: LoadedGenerator) -> None:
    assert LoadedGenerator(generator.network, generator.description).origin == generator.origin


def test_equal_seeds_give_equal_bytes(generator: LoadedGenerator, tmp_path: Path) -> None:
    for name in ("first", "second"):
        generator.sample(3, seed=1).save(tmp_path / name)
    for path in (tmp_path / "first").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()


def test_what_is_taken_out_of_a_set_leaves_the_others_their_names(generator: LoadedGenerator, tmp_path: Path) -> None:
    samples = generator.sample(6)
    kept = samples.take(np.array([True, False, True, True, False, True]))
    kept.save(tmp_path / "set", distances=np.array([0.5, 1.0, 0.25, 2.0]))
    rows = rows_of(tmp_path / "set" / manifest.FILE)
    assert tuple(rows[0]) == manifest.COLUMNS
    assert [row["path"] for row in rows] == kept.paths == [samples.paths[i] for i in (0, 2, 3, 5)]
    assert [int(row["number"]) for row in rows] == [0, 2, 3, 5]
    assert [float(row["nearest_training_distance"]) for row in rows] == [0.5, 1.0, 0.25, 2.0]
    for row, pixels in zip(rows, kept.pixels, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "set" / row["path"])), pixels)


def test_without_an_audit_no_distance_is_told(generator: LoadedGenerator, tmp_path: Path) -> None:
    generator.sample(2).save(tmp_path / "set")
    assert {row["nearest_training_distance"] for row in rows_of(tmp_path / "set" / manifest.FILE)} == {""}


def test_flagged_pictures_lie_beside_what_they_copy(generator: LoadedGenerator, tmp_path: Path) -> None:
    flagged = generator.sample(6).take([1, 4])
    found = [
        {"path": path, "of": f"a/{i}.jpg", "how": "mirrored", "distance": i / 4} for i, path in enumerate(flagged.paths)
    ]
    flagged.save_flagged(tmp_path / "flagged", found)
    rows = rows_of(tmp_path / "flagged" / manifest.FLAGGED_FILE)
    assert tuple(rows[0]) == manifest.FLAGGED_COLUMNS
    assert [(row["path"], row["number"], row["of"], row["how"], row["distance"]) for row in rows] == [
        (flagged.paths[0], "1", "a/0.jpg", "mirrored", "0.0"),
        (flagged.paths[1], "4", "a/1.jpg", "mirrored", "0.25"),
    ]


def test_a_set_that_is_read_is_the_set_that_was_written(generator: LoadedGenerator, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    written = generator.sample(6, seed=3).take([0, 2, 5])
    written.save(run.synthetic)
    read = read_samples(run, CLASSES)
    assert np.array_equal(read.pixels, written.pixels)
    assert (read.labels.tolist(), read.numbers.tolist(), read.paths) == (
        written.labels.tolist(),
        written.numbers.tolist(),
        written.paths,
    )
    assert (read.seed, read.note, read.origin) == (written.seed, written.note, written.origin)


@pytest.mark.parametrize("number", [0, 5, 70])
def test_a_picture_can_be_drawn_again_from_its_number(generator: LoadedGenerator, number: int) -> None:
    samples = generator.sample(72, seed=2)
    (again,) = generator.draw(samples.labels[[number]], samples.numbers[[number]], 2).pixels
    assert np.abs(again.astype(int) - samples.pixels[number]).max() <= 1


def test_the_digest_of_pixels_survives_what_keeps_the_pixels() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 8, 3), np.uint8)
    picture = Image.fromarray(pixels)
    digest = provenance.pixels_sha256(picture)
    for form, options in (("PNG", {"compress_level": 0}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})):
        file = io.BytesIO()
        picture.save(file, form, **options)
        assert provenance.pixels_sha256(Image.open(file)) == digest, form
    assert provenance.pixels_sha256(picture.convert("RGBA")) == digest
    changed = pixels.copy()
    changed[3, 3, 1] ^= 1
    assert provenance.pixels_sha256(Image.fromarray(changed)) != digest
    assert provenance.pixels_sha256(Image.fromarray(pixels.reshape(8, 12, 3))) != digest


def test_marks_that_are_no_json_are_none() -> None:
    info, file = PngInfo(), io.BytesIO()
    info.add_text("dfukit", "{not json")
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    assert provenance.read_marks(Image.open(file)) == {}
    assert provenance.read_origin(Image.open(file)) is None


@pytest.mark.parametrize("said", ["NaN", "1" + "0" * 400, "-1", '"much"', "[" * 100_000])
def test_a_truncation_that_cannot_be_is_none(said: str) -> None:
    picture = Image.new("RGB", (1, 1))
    picture.info[provenance.CHUNK] = f'{{"truncation": {said}}}'
    assert provenance.read_truncation(picture) == 1.0
