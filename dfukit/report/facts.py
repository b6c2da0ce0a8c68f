"""Reading what the steps of a run wrote. A step that was skipped leaves nothing: None or an empty collection."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from PIL import Image

from dfukit import manifest, release, rundir
from dfukit.errors import DataError
from dfukit.images import ImageSet
from dfukit.release import Release
from dfukit.rundir import RunDir

Table = Mapping[str, Any]
SCORE = "calibrated_score"
"""Column of predictions.csv."""


@frozen
class Made:
    """A synthetic picture of the run."""

    file: Path
    label: str

    def pixels(self) -> np.ndarray:
        return read_pixels(self.file)


@frozen
class Flagged:
    """A synthetic picture that was taken out of the set: which real picture it copies (a path of the data set), how."""

    made: Made
    of: str
    how: str
    distance: float


@frozen(eq=False)
class Tested:
    """What one classifier said of the test part: labels bool [N] (positive or not), calibrated scores [N] in [0, 1]."""

    labels: np.ndarray
    scores: np.ndarray


@frozen(eq=False)
class Facts:
    """The content of a run folder."""

    training: Table | None
    data: Table
    environment: Table
    scores: Table
    classification: Table | None
    skin_tones: Table | None
    events: Sequence[Table]
    release: Release | None
    synthetic: Sequence[Made]
    """The set, wherever it lies: one that failed its release check is in `held-back/`."""
    flagged: Sequence[Flagged]
    tested: Mapping[str, Tested]
    """By arm, in the order of predictions.csv."""

    def of_phase(self, phase: str) -> list[Table]:
        return [event for event in self.events if event.get("phase") == phase]


def read_facts(folder: RunDir, images: ImageSet) -> Facts:
    """Raises DataError, naming the file, for one that is there and cannot be read."""
    return Facts(
        training=_json(folder.training),
        data=_json(folder.data) or {},
        environment=_json(folder.environment) or {},
        scores=_json(folder.scores) or {},
        classification=_json(folder.classification),
        skin_tones=_json(folder.skin_tones),
        events=folder.events(),
        release=_release(folder),
        synthetic=_synthetic(folder),
        flagged=_flagged(folder),
        tested=_tested(folder, images.positive),
    )


def read_pixels(file: Path) -> np.ndarray:
    """uint8 [H, W, 3]. Raises DataError naming the file."""
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a PNG picture ({error}): run `dfukit run` again") from None


def _json(path: Path) -> Table | None:
    if not path.is_file():
        return None
    content = rundir.read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def _rows(path: Path, *columns: str) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for column in columns:
            if column not in (reader.fieldnames or ()):
                raise DataError(f"{path} has no column {column}: it was not written by this version of dfukit")
        return list(reader)


def _synthetic(folder: RunDir) -> list[Made]:
    for place in (folder.synthetic, folder.held_back):
        if (table := place / manifest.FILE).is_file():
            return [Made(place / row["path"], row["label"]) for row in manifest.read(table)]
    return []


def _flagged(folder: RunDir) -> list[Flagged]:
    table = folder.flagged / manifest.FLAGGED_FILE
    if not table.is_file():
        return []
    try:
        return [
            Flagged(
                Made(folder.flagged / row["path"], row["label"]), row["of"], row["how"], float(row["distance"] or "nan")
            )
            for row in manifest.read(table)
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"{table} is no list of flagged pictures ({error}): run `dfukit run` again") from None


def _release(folder: RunDir) -> Release | None:
    try:
        return release.read(folder)
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder.release} is no record of a release check ({error}): run `dfukit run` again") from None


def _tested(folder: RunDir, positive: str | None) -> dict[str, Tested]:
    rows = [row for row in _rows(folder.predictions, "label", "part", "arm", SCORE) if row["part"] == "test"]
    tested = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        try:
            scores = np.array([float(row[SCORE]) for row in of_arm])
        except ValueError as error:
            raise DataError(f"{folder.predictions}: column {SCORE}: {error}") from None
        tested[arm] = Tested(np.array([row["label"] == positive for row in of_arm]), scores)
    return tested
