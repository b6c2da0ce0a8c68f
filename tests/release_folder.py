"""A finished run on generated photographs whose names tell of patients, and everything private about it.

A photograph and the folder of a patient are links, which are excluded.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image

import dfukit
from dfukit.rundir import RunDir

SITES = ("Northgate Ward", "Southmead Ward")
SURNAMES = ("Vandermeer", "Okonkwo", "Lindqvist", "Abernathy", "Castellanos", "Przybylski", "Haverkamp", "Nakagawa")
SETTINGS = {
    "run.threads": 1,
    "run.precision": "fp32",
    "sample.count": 12,
    "gan.size": 16,
    "gan.steps": 2,
    "release.min_nearest_ratio": 0.0,
    "classifier.backbone": "test_resnet",
    "classifier.pretrained": "false",
    "classifier.lstm_hidden": 8,
    "classifier.lstm_layers": 1,
}
"""All of its 12 pictures are drawn once more when it is verified."""


@frozen
class Clinic:
    """A folder of photographs and the run that was made of it."""

    photographs: Path
    run: RunDir
    private: frozenset[str]
    """File names, their digests, patients and paths."""


def clinic(parent: Path) -> Clinic:
    """Make both; the run passes its release check."""
    photographs = parent / "Elsewhere_Podiatry"
    private = _photographs(photographs) | {"Elsewhere_Podiatry", "nightly-elsewhere", str(parent), parent.name}
    made = dfukit.run(
        photographs,
        preset="smoke",
        classifier="timm_lstm",
        settings=SETTINGS,
        out=parent / "runs",
        name="nightly-elsewhere",
    )
    with made.folder.split.open(newline="", encoding="utf-8") as file:
        digests = {row["sha256"] for row in csv.DictReader(file)}
    return Clinic(photographs, made.folder, frozenset(private | digests))


def _photographs(root: Path) -> set[str]:
    """JPEGs with EXIF, three to a patient; what their names and EXIF tell."""
    rng = np.random.default_rng(0)
    rows, private = [("path", "label", "patient", "treatment site")], {*SITES, "treatment site"}
    for number in range(48):
        surname = SURNAMES[number // 3 % 8]
        patient = f"{surname} born 19{number // 3 + 40}"
        stem = f"{surname}-visit-{number:02d}-left"
        path = root / ("healing", "infected")[number // 3 % 2] / f"{stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x013B] = f"Dr Quillfeather {number}"  # the artist
        blotches = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        blotches.resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=90, exif=exif)
        rows.append((path.relative_to(root).as_posix(), path.parent.name, patient, SITES[number // 6 % 2]))
        private |= {patient, surname, stem, path.name, "Quillfeather"}
    visits = root.parent / "elsewhere"
    visits.mkdir()
    for name in ("1.jpg", "2.jpg"):
        (visits / name).write_bytes(path.read_bytes())
    (root / "healing" / "Rosenqvist Anna 1950.jpg").symlink_to(visits / "1.jpg")
    (root / "infected" / "Rosenqvist Bea 1961").symlink_to(visits)
    rows.append(("infected/Rosenqvist Bea 1961/2.jpg", "infected", "Rosenqvist Bea", SITES[0]))
    private |= {"Rosenqvist", "Anna 1950", "Bea 1961"}
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return private
