"""Two folders, or two arrays, against each other: labels, what is refused, how much memory it takes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scoring_parts import R64, Said, pictures

from dfukit.errors import DataError
from dfukit.images.decode import Limits, decode
from dfukit.progress import Silent
from dfukit.scoring import as_text, score_folders
from dfukit.scoring.reading import pictures as source_of


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")


def save(folder: Path, pixels: np.ndarray, labels: Sequence[str] = ("ulcer", "skin")) -> Path:
    """Pictures of the labels in turn, in a folder for each; in the root itself under the label ""."""
    for i, picture in enumerate(pixels):
        file = folder / labels[i % len(labels)] / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return folder


def manifest(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def kd(real: Any, fake: Any, **how: Any) -> dict[str, dict[str, Any]]:
    return score_folders(real, fake, metrics=["kd"], extractor_settings=R64, device="cpu", **how)


def test_folders_right_below_are_labels(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 44)), save(tmp_path / "fake", pictures(1, 40))
    classes = kd(real, fake)["kd[r64]"]["classes"]
    assert {label: entry["n"] for label, entry in classes.items()} == {"skin": [22, 20], "ulcer": [22, 20]}


def test_a_manifest_says_the_labels_and_what_it_does_not_list_is_left_out(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 44)), save(tmp_path / "fake", pictures(1, 42), ("",))
    rows = [(f"{i:03}.png", "skin" if i < 20 else "ulcer", "") for i in range(41)]
    manifest(fake, [("path", "label", "note"), *rows])
    said = Said()
    classes = kd(real, fake, progress=said)["kd[r64]"]["classes"]
    assert {label: entry["n"] for label, entry in classes.items()} == {"skin": [22, 20], "ulcer": [22, 21]}
    assert f"left out {fake / '041.png'}: not listed in manifest.csv" in said.lines


def test_a_table_without_labels_is_no_manifest(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 24)), save(tmp_path / "fake", pictures(1, 24))
    manifest(fake, [("file", "seed"), ("x.png", "3")])
    assert set(kd(real, fake)["kd[r64]"]["classes"]) == {"skin", "ulcer"}


def test_pictures_lying_loose_have_no_labels(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 24)), save(tmp_path / "fake", pictures(1, 24), ("",))
    assert "classes" not in kd(real, fake)["kd[r64]"]


def test_patients_of_a_manifest_are_known(tmp_path: Path) -> None:
    real = save(tmp_path / "real", pictures(0, 4), ("",))
    manifest(real, [("path", "label", "patient"), *((f"{i:03}.png", "ulcer", f"P{i // 2}") for i in range(4))])
    assert source_of(real, "real").patients == ["P0", "P0", "P1", "P1"]


def test_a_label_that_the_other_set_lacks_is_refused_and_one_class_can_be_scored_alone(tmp_path: Path) -> None:
    real = save(tmp_path / "real", pictures(0, 36), ("ulcer", "skin", "gangrene"))
    fake = save(tmp_path / "fake", pictures(1, 24))
    message = f"labels do not match: {real} has gangrene, which {fake} lacks; score one class alone with --label LABEL"
    with pytest.raises(DataError, match=message):
        kd(real, fake)
    with pytest.raises(DataError, match=f"{real} has gangrene, which {fake} lacks"):
        kd(fake, real)
    entry = kd(real, fake, label="skin")["kd[r64]"]
    assert entry["n"] == [12, 12]
    assert "classes" not in entry
    with pytest.raises(DataError, match=f"--label gangrene: {fake} has no such label; it has: skin, ulcer"):
        kd(real, fake, label="gangrene")


@pytest.mark.parametrize("others", [[], ["kd"]])
def test_an_audit_of_one_class_finds_copies_of_the_photographs_of_another(tmp_path: Path, others: list[str]) -> None:
    real = save(tmp_path / "real", pictures(0, 48))
    fake = save(tmp_path / "fake", pictures(1, 16), ("skin",))
    Image.open(real / "ulcer" / "004.png").save(fake / "skin" / "004.png", compress_level=1)
    told = {"metrics": ["copies", *others], "extractor_settings": R64, "device": "cpu"}
    told["metric_settings"] = {"copies": {"planted": 10}}
    scores = score_folders(real, fake, label="skin" if others else "", **told)
    assert scores["copies"]["n"] == [48, 16]
    assert [one["of"] for one in scores["copies"]["pictures"]] == ["ulcer/004.png"]
    assert scores.get("kd[r64]", {"n": [24, 16]})["n"] == [24, 16]


def test_one_class_of_a_set_without_labels_is_refused(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 24)), save(tmp_path / "fake", pictures(1, 24), ("",))
    with pytest.raises(DataError, match=f"--label skin: {fake} has no labels: it needs manifest.csv, or a folder"):
        kd(real, fake, label="skin")


def test_files_that_are_byte_for_byte_in_the_other_set_are_refused(tmp_path: Path) -> None:
    real, fake = save(tmp_path / "real", pictures(0, 24)), save(tmp_path / "fake", pictures(1, 24))
    (fake / "skin" / "copy.png").write_bytes((real / "ulcer" / "004.png").read_bytes())
    with pytest.raises(DataError) as refused:
        kd(real, fake)
    assert str(refused.value).startswith(
        f"1 of 25 pictures in {fake} are byte for byte in {real} (skin/copy.png is ulcer/004.png): "
    )
    assert "--metric copies alone" in str(refused.value)


def test_arrays_that_share_a_picture_are_refused() -> None:
    real = pictures(0, 24)
    with pytest.raises(DataError, match=r"2 of 14 pictures in the array of synthetic pictures .* \(12 is 5, 13 is 3\)"):
        kd(real, np.concatenate([pictures(1, 12), real[[5, 3]]]))


def test_a_synthetic_set_that_was_held_back_can_be_scored(tmp_path: Path) -> None:
    save(tmp_path / "run" / "held-back", pictures(1, 12))
    (tmp_path / "run" / "config.toml").write_text("")
    assert kd(pictures(0, 14), tmp_path / "run")["kd[r64]"]["n"] == [14, 12]


def test_decoded_pictures_lie_in_a_file_and_not_in_memory(tmp_path: Path) -> None:
    folder = save(tmp_path / "real", pictures(0, 12, size=64))
    (folder / "skin" / "broken.png").write_bytes(b"no picture")
    decoded = source_of(folder, "real").decode(Silent())
    assert decoded.width == 64
    assert len(decoded.kept) == 12
    for size in (256, 64):
        pixels = decoded.at(size)
        assert isinstance(pixels, np.memmap)
        assert pixels.shape == (12, size, size, 3)
    # Going up to 256 and down again blurs, but it is the same picture.
    first = pictures(0, 12, size=64)[1]
    assert np.abs(pixels[0].astype(int) - first).mean() < 8


def test_classes_notes_and_statements_are_read_in_the_table() -> None:
    entry = {
        "value": 1.5,
        "interval": [1.0, 2.0],
        "n": [20, 22],
        "real_vs_real": 0.5,
        "reason": None,
        "at_half": 0.75,
        "n_half": 10,
        "floor": [0.25, 1.25],
        "note": "below the measurement floor at this n",
    }
    rare = {"value": None, "interval": None, "n": [20, 3], "real_vs_real": None, "reason": "too few"}
    audit = {**rare, "value": 0.0, "reason": None, "statement": "none found; the audit finds 97% of planted copies"}
    table = as_text({"kd": {**entry, "classes": {"skin": entry, "ulcer": rare}}, "copies": audit})
    assert [line.rstrip() for line in table.splitlines()] == [
        "metric   value  95% interval  n real, fake  real vs real        at half n",
        "kd       1.5    1 to 2        20, 22        0.5 (0.25 to 1.25)  0.75 (n = 10)  "
        "below the measurement floor at this n",
        "  skin   1.5    1 to 2        20, 22        0.5 (0.25 to 1.25)  0.75 (n = 10)  "
        "below the measurement floor at this n",
        "  ulcer  -                    20, 3         -",
        "copies   0                    20, 3         -",
        "copies: none found; the audit finds 97% of planted copies",
        "kd of ulcer: too few",
    ]


def test_small_pictures_from_files_are_scored_as_they_are(tmp_path: Path) -> None:
    """On the way through 256x256 pixels would change, and a run's set would score otherwise than its files."""
    real, fake = pictures(0, 24), pictures(1, 24)
    files = kd(save(tmp_path / "real", real, ("",)), save(tmp_path / "fake", fake, ("",)))
    assert files["kd[r64]"]["value"] == kd(real, fake)["kd[r64]"]["value"]


def test_large_pictures_are_scored_as_the_256_pixels_that_are_kept_of_them(tmp_path: Path) -> None:
    sets = [np.random.default_rng(seed).integers(0, 256, (12, 300, 300, 3)).astype(np.uint8) for seed in (0, 1)]
    large = [save(tmp_path / f"large{i}", some, ("",)) for i, some in enumerate(sets)]
    kept = [np.stack([decoded(path) for path in sorted(folder.glob("*.png"))]) for folder in large]
    found, expected = (score_folders(*some, metrics=["psnr", "ssim"], device="cpu") for some in (large, kept))
    for name, entry in expected.items():
        assert found[name]["value"] == pytest.approx(entry["value"], rel=1e-12)


def decoded(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return decode(file, None, Limits("crop", 100, heic=False)).pixels


def test_intervals_end_where_a_figure_does(tmp_path: Path) -> None:
    names = ("fd", "precision", "coverage", "density")
    scores = score_folders(pictures(0, 24), pictures(1, 24), metrics=names, extractor_settings=R64, device="cpu")
    for name in ("precision[r64]", "coverage[r64]"):
        assert 0 <= scores[name]["interval"][0] <= scores[name]["interval"][1] <= 1
    assert scores["fd[r64]"]["interval"][0] >= 0
    assert scores["density[r64]"]["interval"][0] >= 0
